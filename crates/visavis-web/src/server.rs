//! The server: a port, a small tokio runtime, and the thread that encodes pictures.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use visavis_live::{Event, Subscription};

use crate::access::Access;
use crate::app_state::{AppState, ForAllCameras, ServerConfig};
use crate::audit::PeerAddress;
use crate::guard::Guard;
use crate::output_counts::OutputCounts;
use crate::tls::{Tls, TlsListener};
use crate::undo_log::UNDO_TIME;
use crate::{WebError, api, encode};

/// Number of ports after the wanted one that are tried, before the system chooses one.
const PORTS_TRIED: u16 = 20;
/// Number of threads that serve requests. Encoding and work that waits for a disk run on other threads.
const THREADS: usize = 2;
/// How long the end of the server waits for requests that are being served.
const GRACE: Duration = Duration::from_millis(500);

/// A port that is open, before requests are served on it.
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    guard: Guard,
    base_path: String,
    tls: Option<Tls>,
}

impl Listener {
    /// Listens on `address`, or on the next free port. If `address` is not a loopback address, clients need a token: that of
    /// `access`, or a random one.
    ///
    /// # Errors
    /// [`WebError::Listen`] if the address cannot be listened on.
    pub fn bind(address: SocketAddr, access: Access) -> Result<Self, WebError> {
        let ports = (0..=PORTS_TRIED).map_while(|step| address.port().checked_add(step)).chain([0]);
        let mut last = None;
        for port in ports {
            match TcpListener::bind(SocketAddr::new(address.ip(), port)) {
                Ok(listener) => {
                    let failed = |source| WebError::Listen { address, source };
                    listener.set_nonblocking(true).map_err(failed)?;
                    let address = listener.local_addr().map_err(failed)?;
                    let guard = Guard::new(address, &access)?;
                    let Access { base_path, tls, .. } = access;
                    return Ok(Self { listener, address, guard, base_path, tls });
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = Some(error),
                Err(source) => return Err(WebError::Listen { address, source }),
            }
        }
        let source = last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into());
        Err(WebError::Listen { address, source })
    }

    /// The address to open in a browser. Contains the token, if there is one.
    #[must_use]
    pub fn link(&self) -> String {
        let ip = if self.address.ip().is_unspecified() { own_address(self.address.ip()) } else { self.address.ip() };
        let address = SocketAddr::new(ip, self.address.port());
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let query = self.guard.token.as_ref().map_or_else(String::new, |token| format!("?token={token}"));
        format!("{scheme}://{address}{}/{query}", self.base_path)
    }

    /// Serves running pipelines. One is served under the base path; of several, the camera with index i is served under
    /// `cameras/i+1/`, and the base path shows the pictures of all.
    ///
    /// `outputs` are shown by the metrics.
    ///
    /// # Errors
    /// [`WebError::System`] if the system starts no threads.
    pub fn serve(self, cameras: Vec<Camera>, outputs: Vec<Arc<OutputCounts>>) -> Result<Server, WebError> {
        let failed = |error: io::Error| WebError::System(error.to_string());
        let runtime = Builder::new_multi_thread().worker_threads(THREADS).thread_name("page").enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let common = Arc::<ForAllCameras>::default();
        let (names, served): (Vec<String>, Vec<_>) = cameras
            .into_iter()
            .map(|Camera { name, config, scenes }| {
                (name, (Arc::new(AppState::new(config, Arc::clone(&common))), scenes))
            })
            .unzip();
        let states: Vec<Arc<AppState>> = served.iter().map(|(state, _)| Arc::clone(state)).collect();
        let (stop, stopped) = oneshot::channel::<()>();
        let named = names.into_iter().zip(states.clone()).collect();
        let app = api::app(named, outputs, &Arc::new(self.guard), &self.base_path);
        let (listener, tls) = (self.listener, self.tls);
        let listener = runtime.block_on(async { tokio::net::TcpListener::from_std(listener) }).map_err(failed)?;
        let listener = match tls {
            Some(tls) => {
                Either::Encrypted(runtime.block_on(async { TlsListener::new(listener, tls) }).map_err(failed)?)
            }
            None => Either::Plain(listener),
        };
        let app = app.into_make_service_with_connect_info::<PeerAddress>();
        runtime.spawn(async move {
            let ended = async {
                let _ = stopped.await;
            };
            let served = match listener {
                Either::Plain(plain) => axum::serve(plain, app).with_graceful_shutdown(ended).await,
                Either::Encrypted(encrypted) => axum::serve(encrypted, app).with_graceful_shutdown(ended).await,
            };
            if let Err(error) = served {
                log::error!("the server has ended: {error}");
            }
        });
        let expiring = states.clone();
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(UNDO_TIME).await;
                expiring.iter().for_each(|state| state.undo.remove_expired());
            }
        });
        let mut encoders = Vec::with_capacity(served.len());
        for (state, scenes) in served {
            let encoding = Arc::clone(&state);
            let encoder = thread::Builder::new().name("encode".into()).spawn(move || encode::run(&encoding, &scenes));
            encoders.push(encoder.map_err(failed)?);
            // Ends with the pipeline.
            runtime.spawn_blocking(move || {
                let mut snapshots = state.config.pipeline.snapshots();
                while snapshots.recv().is_some() {
                    state.status_changed.send_replace(());
                }
            });
        }
        Ok(Server { states, stop: Some(stop), runtime: Some(runtime), encoders })
    }
}

/// A listener with or without encryption.
enum Either {
    Plain(tokio::net::TcpListener),
    Encrypted(TlsListener),
}

/// The names and addresses of a server on `address`, as far as this machine knows them. For a certificate.
#[must_use]
pub fn own_names(address: SocketAddr) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let ip = if address.ip().is_unspecified() { own_address(address.ip()) } else { address.ip() };
    if !ip.is_loopback() && !ip.is_unspecified() {
        names.push(ip.to_string());
    }
    names
}

/// The address of this machine in its network, as far as it knows. Sends nothing.
fn own_address(unspecified: IpAddr) -> IpAddr {
    let (from, to): (SocketAddr, SocketAddr) = match unspecified {
        IpAddr::V4(_) => ((Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::new(192, 0, 2, 1), 9).into()),
        IpAddr::V6(_) => {
            ((Ipv6Addr::UNSPECIFIED, 0).into(), (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into())
        }
    };
    let found = UdpSocket::bind(from).and_then(|socket| {
        socket.connect(to)?;
        socket.local_addr()
    });
    found.map_or(unspecified, |address| address.ip())
}

/// A camera that a server shows: its name and its running pipeline.
pub struct Camera {
    /// The name, for people.
    pub name: String,
    /// The pipeline and its settings.
    pub config: ServerConfig,
    /// The scenes that are shown. Must deliver only the newest scene.
    pub scenes: Subscription,
}

/// A running server. Dropping it ends it; the pipelines must have been asked to stop before.
pub struct Server {
    states: Vec<Arc<AppState>>,
    stop: Option<oneshot::Sender<()>>,
    runtime: Option<Runtime>,
    encoders: Vec<JoinHandle<()>>,
}

impl Server {
    /// Passes an event of the pipeline of a camera (its index) to the clients of this camera. Does not wait.
    pub fn handle_event(&self, camera: usize, event: &Event) {
        if let Some(state) = self.states.get(camera) {
            state.handle_event(event);
        }
    }

    /// Closes sources that wait for a browser, so that the pipelines can end.
    pub fn release_sources(&self) {
        for state in &self.states {
            state.ending.store(true, Ordering::Relaxed);
            state.config.switch.close();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.release_sources();
        drop(self.stop.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(GRACE);
        }
        // The scenes end with the pipelines.
        for encoder in self.encoders.drain(..) {
            let _ = encoder.join();
        }
    }
}

/// The OpenAPI document of the API, as it is served.
#[must_use]
pub fn openapi_json() -> String {
    api::document().to_pretty_json().unwrap_or_default()
}

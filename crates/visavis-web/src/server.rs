//! The server: a port, a small tokio runtime, and the thread that encodes pictures.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use visavis_live::{Event, Subscription};

use crate::desk::{Desk, Parts};
use crate::guard::Guard;
use crate::undo::KEPT;
use crate::{WebError, api, encode};

/// Ports tried after the wished one, before the system chooses.
const PORTS_TRIED: u16 = 20;
/// Threads that serve. Pictures are encoded elsewhere, and what waits for a disk runs elsewhere.
const THREADS: usize = 2;
/// How long requests may take to finish when the server ends.
const GRACE: Duration = Duration::from_millis(500);

/// A port that is ours, with nothing behind it yet.
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    guard: Guard,
}

impl Listener {
    /// Takes `address`, or the next port that is free. Off the loopback clients need a token: `token`, or one made up.
    ///
    /// # Errors
    /// [`WebError::Listen`] for an address that this machine does not have.
    pub fn bind(address: SocketAddr, token: Option<String>) -> Result<Self, WebError> {
        let guard = Guard::new(address, token)?;
        let ports = (0..=PORTS_TRIED).map_while(|step| address.port().checked_add(step)).chain([0]);
        let mut last = None;
        for port in ports {
            match TcpListener::bind(SocketAddr::new(address.ip(), port)) {
                Ok(listener) => {
                    let failed = |source| WebError::Listen { address, source };
                    listener.set_nonblocking(true).map_err(failed)?;
                    let address = listener.local_addr().map_err(failed)?;
                    return Ok(Self { listener, address, guard });
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = Some(error),
                Err(source) => return Err(WebError::Listen { address, source }),
            }
        }
        let source = last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into());
        Err(WebError::Listen { address, source })
    }

    /// What to open in a browser. Has the token in it, where there is one.
    #[must_use]
    pub fn link(&self) -> String {
        let ip = if self.address.ip().is_unspecified() { own_address(self.address.ip()) } else { self.address.ip() };
        let address = SocketAddr::new(ip, self.address.port());
        match &self.guard.token {
            Some(token) => format!("http://{address}/?token={token}"),
            None => format!("http://{address}/"),
        }
    }

    /// Serves a running pipeline; `scenes` must give the newest only.
    ///
    /// # Errors
    /// [`WebError::System`] if there are no threads to be had.
    pub fn serve(self, parts: Parts, scenes: Subscription) -> Result<Server, WebError> {
        let failed = |error: io::Error| WebError::System(error.to_string());
        let runtime = Builder::new_multi_thread().worker_threads(THREADS).thread_name("page").enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let desk = Arc::new(Desk::new(parts));
        let (stop, stopped) = oneshot::channel::<()>();
        let app = api::app(Arc::clone(&desk), Arc::new(self.guard));
        let listener = self.listener;
        let listener = runtime.block_on(async { tokio::net::TcpListener::from_std(listener) }).map_err(failed)?;
        runtime.spawn(async move {
            let ended = async {
                let _ = stopped.await;
            };
            if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(ended).await {
                log::error!("the page is served no more: {error}");
            }
        });
        let tidied = Arc::clone(&desk);
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(KEPT).await;
                tidied.undo.tidy();
            }
        });
        let encoding = Arc::clone(&desk);
        let encoder = thread::Builder::new().name("encode".into()).spawn(move || encode::run(&encoding, &scenes));
        Ok(Server { desk, stop: Some(stop), runtime: Some(runtime), encoder: Some(encoder.map_err(failed)?) })
    }
}

/// The address under which this machine is seen from outside, as far as it knows; nothing is sent.
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

/// A server that runs until it is dropped. The pipeline should be asked to stop before.
pub struct Server {
    desk: Arc<Desk>,
    stop: Option<oneshot::Sender<()>>,
    runtime: Option<Runtime>,
    encoder: Option<JoinHandle<()>>,
}

impl Server {
    /// Takes in what the pipeline tells, for all who look at the page. May wait for the gallery's store.
    pub fn tell(&self, event: &Event) {
        self.desk.tell(event);
    }

    /// Lets go of a source that waits for a browser, so that the pipeline can end.
    pub fn release_source(&self) {
        self.desk.parts.switch.close();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.release_source();
        drop(self.stop.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(GRACE);
        }
        // The scenes end with the pipeline, which whoever drops this has stopped.
        if let Some(encoder) = self.encoder.take() {
            let _ = encoder.join();
        }
    }
}

/// The description of the API, as it is served.
#[must_use]
pub fn openapi_json() -> String {
    api::document().to_pretty_json().unwrap_or_default()
}

//! Encrypted connections without a proxy. Browsers let only encrypted pages use the camera.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::WebError;

/// How long a self-signed certificate is valid. Phones refuse certificates that are valid for longer.
const VALIDITY: Duration = Duration::from_secs(820 * 24 * 3600);
/// A self-signed certificate that is older than this is replaced.
const MAX_AGE: Duration = Duration::from_secs(750 * 24 * 3600);
/// Time limit for the handshake of a client.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Largest number of handshakes at a time.
const MAX_HANDSHAKES: usize = 64;

/// A certificate with its key.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

impl Tls {
    /// Reads a certificate chain, own certificate first, and its private key, both in PEM format.
    ///
    /// # Errors
    /// [`WebError::Certificate`], which names the file.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, WebError> {
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |reason: String| WebError::Certificate { path, reason }
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)
            .map_err(|error| failed(certificate)(error.to_string()))?
            .collect();
        let chain = chain.map_err(|error| failed(certificate)(error.to_string()))?;
        if chain.is_empty() {
            return Err(failed(certificate)("it contains no certificate in PEM format".into()));
        }
        let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key)(error.to_string()))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret));
        let mut config = config.map_err(|error| failed(certificate)(error.to_string()))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// A self-signed certificate for `names`. It is made in `folder` at the first call and again after two years.
    ///
    /// # Errors
    /// [`WebError::Certificate`] if it cannot be made, written or read.
    pub fn self_signed(folder: &Path, names: &[String]) -> Result<Self, WebError> {
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        let made = fs::metadata(&certificate).and_then(|about| about.modified()).ok();
        let fresh = made.is_some_and(|made| made.elapsed().is_ok_and(|age| age < MAX_AGE));
        if !fresh || !key.exists() {
            make(&certificate, &key, names).map_err(|error| WebError::Certificate {
                path: certificate.display().to_string(),
                reason: format!("it cannot be made: {error}"),
            })?;
        }
        Self::from_files(&certificate, &key)
    }
}

fn make(certificate: &Path, key: &Path, names: &[String]) -> io::Result<()> {
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    params.distinguished_name.push(DnType::CommonName, "visavis");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    // Valid from yesterday on, for clients whose clock is slow.
    params.not_before = date_time_ymd(1970, 1, 1) + now.saturating_sub(Duration::from_secs(24 * 3600));
    params.not_after = date_time_ymd(1970, 1, 1) + now + VALIDITY;
    let pair = KeyPair::generate().map_err(io::Error::other)?;
    let signed = params.self_signed(&pair).map_err(io::Error::other)?;
    if let Some(folder) = certificate.parent() {
        fs::create_dir_all(folder)?;
    }
    // The key first, since the certificate is what marks a complete pair.
    write_secret(key, &pair.serialize_pem())?;
    fs::write(certificate, signed.pem())
}

/// Writes a file that only its owner can read.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

/// Accepts encrypted connections. A client that is slow in its handshake delays no other client.
pub(crate) struct TlsListener {
    begun: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    /// Must be called within a tokio runtime; its tasks accept connections until it ends.
    pub(crate) fn new(listener: TcpListener, Tls(config): Tls) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (send, begun) = mpsc::channel(MAX_HANDSHAKES);
        let acceptor = TlsAcceptor::from(config);
        tokio::spawn(async move {
            let places = Arc::new(Semaphore::new(MAX_HANDSHAKES));
            loop {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let (stream, from) = tokio::select! {
                    () = send.closed() => return,
                    accepted = listener.accept() => match accepted {
                        Ok(accepted) => accepted,
                        Err(error) => {
                            log::warn!("a connection could not be accepted: {error}");
                            // Usually the limit of open files is reached: others must be closed first.
                            time::sleep(Duration::from_secs(1)).await;
                            continue;
                        }
                    },
                };
                let (acceptor, send) = (acceptor.clone(), send.clone());
                tokio::spawn(async move {
                    let begun = time::timeout(HANDSHAKE, acceptor.accept(stream)).await;
                    drop(place);
                    match begun {
                        // Fails if the server has ended.
                        Ok(Ok(stream)) => drop(send.send((stream, from)).await),
                        Ok(Err(error)) => log::debug!("no encrypted connection with {from}: {error}"),
                        Err(_) => log::debug!("no encrypted connection with {from} within {} s", HANDSHAKE.as_secs()),
                    }
                });
            }
        });
        Ok(Self { begun, address })
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.begun.recv().await {
            Some(begun) => begun,
            // The task that accepts has ended with the runtime.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("tls");
        let names = ["localhost".to_owned(), "192.168.1.7".to_owned()];
        Tls::self_signed(&folder, &names).unwrap_or_else(|error| panic!("{error}"));
        let first = fs::read(folder.join("certificate.pem")).unwrap();
        Tls::self_signed(&folder, &names).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(fs::read(folder.join("certificate.pem")).unwrap(), first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(folder.join("key.pem")).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "only its owner can read the key");
        }
    }

    #[test]
    fn errors_name_files_that_are_not_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let (empty, missing) = (folder.path().join("empty.pem"), folder.path().join("missing.pem"));
        fs::write(&empty, "").unwrap();
        for (certificate, key) in [(&empty, &empty), (&missing, &empty)] {
            let Err(error) = Tls::from_files(certificate, key) else { panic!("{}", certificate.display()) };
            assert!(error.to_string().contains(&certificate.display().to_string()), "{error}");
        }
    }
}

//! A gallery over an encrypted connection. A proxy that speaks TLS stands before the server, with certificates of the test.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use visavis_gallery::{Address, GalleryError};

use crate::checks::{network, photo};
use crate::server::{Server, create, open};

/// The request for TLS that a client sends.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// An authority that signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate in a file.
    fn file(&self, folder: &Path, name: &str) -> String {
        let path = folder.join(name);
        fs::write(&path, self.0.pem()).unwrap();
        path.display().to_string()
    }

    /// Signs a certificate for a server with that name.
    fn signs(&self, name: &str) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        config
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap()
    }
}

/// Accepts only connections that request TLS, and forwards their data to the server. Returns its port.
fn encrypted(server: &str, config: ServerConfig) -> u16 {
    let (_, place) = server.rsplit_once('@').unwrap();
    let (place, _) = place.split_once('/').unwrap();
    let (place, acceptor) = (place.to_owned(), TlsAcceptor::from(Arc::new(config)));
    let (send, port) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            send.send(listener.local_addr().unwrap().port()).unwrap();
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let (place, acceptor) = (place.clone(), acceptor.clone());
                tokio::spawn(async move {
                    let mut asked = [0; 8];
                    if client.read_exact(&mut asked).await.is_err() || asked != SSL_REQUEST {
                        return;
                    }
                    client.write_all(b"S").await.unwrap();
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let mut server = TcpStream::connect(&place).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
    });
    port.recv_timeout(std::time::Duration::from_secs(60)).expect("the proxy did not start")
}

/// The same database under another address.
fn at(url: &str, place: &str, query: &str) -> Address {
    let (user, rest) = url.rsplit_once('@').unwrap();
    let (_, database) = rest.split_once('/').unwrap();
    Address::parse(&format!("{user}@{place}/{database}{query}")).unwrap()
}

fn refused(address: &Address) -> String {
    let error = open(address, None).unwrap_err();
    assert!(matches!(error, GalleryError::Unreachable { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn a_connection_is_encrypted_and_the_server_is_checked() {
    let Some(server) = Server::shared() else { return };
    let (url, folder) = (server.new_database(), tempfile::tempdir().unwrap());
    let (ours, strange) = (Authority::new(), Authority::new());
    let (our_file, strange_file) = (ours.file(folder.path(), "ours.pem"), strange.file(folder.path(), "strange.pem"));
    let place = format!("localhost:{}", encrypted(&url, ours.signs("localhost")));
    let trusted = format!("?sslmode=verify-full&sslrootcert={our_file}");

    let gallery = create(&at(&url, &place, &trusted), &network()).unwrap();
    gallery.add("Ada", &[photo(1.0, 0.0)]).unwrap();
    assert_eq!(&*gallery.search(&[1.0, 0.0], 1).unwrap()[0].name, "Ada");
    // Some modes need only encryption; without a mode, encryption is preferred.
    for query in ["", "?sslmode=prefer", "?sslmode=require"] {
        let gallery = open(&at(&url, &place, query), Some(&network())).unwrap();
        assert_eq!(gallery.people().unwrap().len(), 1, "{query}");
    }

    // No trusted authority signed the certificate.
    for query in ["?sslmode=verify-full".to_owned(), format!("?sslmode=verify-full&sslrootcert={strange_file}")] {
        let said = refused(&at(&url, &place, &query));
        assert!(said.contains("certificate") && said.contains("sslrootcert=FILE"), "{said}");
    }
    // The certificate is that of another server.
    let other = format!("localhost:{}", encrypted(&url, ours.signs("db.example")));
    let said = refused(&at(&url, &other, &trusted));
    assert!(said.contains("certificate") && said.contains("name"), "{said}");
    // The proxy refuses unencrypted connections, and the server itself does not speak TLS.
    refused(&at(&url, &place, "?sslmode=disable"));
    let (_, itself) = url.rsplit_once('@').unwrap();
    let (itself, _) = itself.split_once('/').unwrap();
    let said = refused(&at(&url, itself, "?sslmode=require"));
    assert!(said.contains("does not support TLS"), "{said}");
    assert_eq!(open(&at(&url, itself, ""), None).unwrap().people().unwrap().len(), 1);
}

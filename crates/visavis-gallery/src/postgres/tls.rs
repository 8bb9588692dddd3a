//! Encryption of the connection to a server, with the options of PostgreSQL.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// The options of an address about encryption.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Wish {
    /// `sslmode`.
    mode: Option<String>,
    /// `sslrootcert`: a PEM file of authorities that may have signed the server's certificate.
    authorities: Option<String>,
}

impl Wish {
    /// Removes `sslmode` and `sslrootcert` from an address. The rest is for the database driver.
    pub(crate) fn taken_from(url: &str) -> Result<(String, Self), String> {
        let mut wish = Self::default();
        let Some((place, query)) = url.split_once('?') else { return Ok((url.to_owned(), wish)) };
        let mut rest = Vec::new();
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let slot = match key {
                "sslmode" => &mut wish.mode,
                "sslrootcert" => &mut wish.authorities,
                _ => {
                    rest.push(pair);
                    continue;
                }
            };
            let value = percent_encoding::percent_decode_str(value).decode_utf8();
            *slot = Some(value.map_err(|_| format!("its {key} is not UTF-8"))?.into_owned());
        }
        let mark = if rest.is_empty() { "" } else { "?" };
        Ok((format!("{place}{mark}{}", rest.join("&")), wish))
    }

    /// How to connect; or why the options are invalid.
    pub(crate) fn granted(&self) -> Result<(SslMode, MakeRustlsConnect), String> {
        let provider = Arc::new(ring::default_provider());
        let authorities = self.authorities.as_deref().map(|file| authorities(Path::new(file))).transpose()?;
        let (mode, roots) = match (self.mode.as_deref().unwrap_or("prefer"), authorities) {
            ("disable", _) => (SslMode::Disable, None),
            // `prefer` and `require` protect against listeners, but not against a program that pretends to be the server.
            ("prefer", None) => (SslMode::Prefer, None),
            ("require", None) => (SslMode::Require, None),
            ("require" | "verify-full", Some(roots)) => (SslMode::Require, Some(roots)),
            ("verify-full", None) => {
                (SslMode::Require, Some(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }))
            }
            ("prefer", Some(_)) => return Err("sslrootcert needs sslmode=verify-full".into()),
            _ => return Err("sslmode must be disable, prefer, require or verify-full".into()),
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| format!("TLS cannot be set up: {error}"))?;
        let config = match roots {
            Some(roots) => builder.with_root_certificates(roots).with_no_client_auth(),
            None => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
                .with_no_client_auth(),
        };
        Ok((mode, MakeRustlsConnect::new(config)))
    }
}

/// The authorities in a PEM file.
fn authorities(file: &Path) -> Result<RootCertStore, String> {
    let unusable = |reason: String| format!("sslrootcert: {}: {reason}", file.display());
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| unusable(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() { Err(unusable("it contains no certificate".into())) } else { Ok(roots) }
}

/// Accepts any certificate: encryption without a check of the server's identity, as with `sslmode=require` in PostgreSQL.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(url: &str) -> (String, Wish) {
        Wish::taken_from(url).unwrap()
    }

    #[test]
    fn the_driver_is_given_what_is_its_own() {
        let bare = "postgres://ada@db/faces";
        assert_eq!(wish(bare), (bare.into(), Wish::default()));
        let (rest, full) =
            wish("postgres://ada@db/faces?sslmode=verify-full&connect_timeout=3&sslrootcert=%2Fetc%2Fca%20one.pem");
        assert_eq!(rest, "postgres://ada@db/faces?connect_timeout=3");
        assert_eq!(full, Wish { mode: Some("verify-full".into()), authorities: Some("/etc/ca one.pem".into()) });
        assert_eq!(wish("postgres://ada@db/faces?sslmode=disable").0, bare);
    }

    #[test]
    fn a_wish_is_granted_or_refused_as_a_whole() {
        for (mode, granted) in [
            ("", SslMode::Prefer),
            ("?sslmode=prefer", SslMode::Prefer),
            ("?sslmode=disable", SslMode::Disable),
            ("?sslmode=require", SslMode::Require),
            ("?sslmode=verify-full", SslMode::Require),
        ] {
            assert_eq!(wish(&format!("postgres://db/faces{mode}")).1.granted().unwrap().0, granted, "{mode}");
        }
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "nothing").unwrap();
        for (query, said) in [
            ("sslmode=verify-ca".to_owned(), "verify-full"),
            ("sslmode=on".to_owned(), "disable, prefer"),
            ("sslmode=verify-full&sslrootcert=nowhere.pem".to_owned(), "nowhere.pem"),
            (format!("sslmode=verify-full&sslrootcert={}", empty.display()), "contains no certificate"),
        ] {
            let refused = wish(&format!("postgres://db/faces?{query}")).1.granted().err().unwrap();
            assert!(refused.contains(said), "{refused}");
        }
    }
}

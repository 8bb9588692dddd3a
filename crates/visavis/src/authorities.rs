//! The certificate authorities that encrypted connections to other programs trust.

use std::path::Path;

use anyhow::{Context, Result, bail};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The certificate authorities of the system and those of a PEM file.
///
/// # Errors
/// If the file cannot be read, or contains no certificate. An authority of the system that cannot be read is left out.
pub(crate) fn trusted(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>> {
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        log::debug!("a certificate authority of the system cannot be read: {error}");
    }
    let mut trusted = system.certs;
    if let Some(path) = file {
        let pem = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let before = trusted.len();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            trusted.push(certificate.with_context(|| path.display().to_string())?);
        }
        if trusted.len() == before {
            bail!("{} contains no certificate: it must contain those of authorities, in PEM format", path.display());
        }
    }
    Ok(trusted)
}

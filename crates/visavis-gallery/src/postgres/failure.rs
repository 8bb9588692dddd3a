//! Converts failures of the database to errors of the gallery.

use std::error::Error as _;
use std::io;
use std::path::Path;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::GalleryError;

/// Whether the connection is lost or about to be closed.
pub(super) fn is_lost(error: &Error) -> bool {
    match error.code() {
        // Shutdown, crash or start of the server (57P), and connection errors (08).
        Some(code) => code.code().starts_with("57P") || code.code().starts_with("08"),
        None => error.is_closed() || error.source().is_some_and(|source| source.is::<io::Error>()),
    }
}

/// The failure of a statement on a connection that still works.
pub(super) fn refused(place: &Path, doing: &'static str, error: &Error) -> GalleryError {
    match error.code() {
        Some(&SqlState::LOCK_NOT_AVAILABLE) => GalleryError::InUse { path: place.to_path_buf(), doing },
        _ => GalleryError::failed(place, doing, words(error)),
    }
}

pub(super) fn unreachable(place: &Path, reason: impl Into<String>) -> GalleryError {
    GalleryError::Unreachable { place: place.display().to_string(), reason: reason.into() }
}

/// The text of the error with its cause.
pub(super) fn words(error: &Error) -> String {
    if let Some(said) = error.as_db_error() {
        return said.message().to_owned();
    }
    let text = error.to_string();
    let mut said = match error.source().map(ToString::to_string) {
        Some(cause) if !text.contains(&cause) => format!("{text}: {cause}"),
        _ => text,
    };
    if said.contains("invalid peer certificate") {
        said.push_str(" (give the trusted certificates with sslrootcert=FILE)");
    }
    said
}

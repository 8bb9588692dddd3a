//! What the database said, in our words.

use std::error::Error as _;
use std::io;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;
use visavis_face::gallery::GalleryError;

use crate::Address;

/// What can go wrong within a change.
pub(crate) enum Failure {
    /// The database, or the way to it.
    Sql(Error),
    /// The change itself.
    Gallery(GalleryError),
    /// The gallery was given to another network.
    Given,
}

/// What is told of [`Failure::Given`].
pub(crate) const GIVEN: &str = "another network's gallery is there now";

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Sql(error)
    }
}

impl From<GalleryError> for Failure {
    fn from(error: GalleryError) -> Self {
        Self::Gallery(error)
    }
}

/// Whether the connection is gone, or will be in a moment.
pub(crate) fn is_lost(error: &Error) -> bool {
    match error.code() {
        // Shut down, crashed, starting up; and whatever else is about connections.
        Some(code) => code.code().starts_with("57P") || code.code().starts_with("08"),
        None => error.is_closed() || error.source().is_some_and(|source| source.is::<io::Error>()),
    }
}

/// A statement's failure on a connection that goes on.
pub(crate) fn refused(address: &Address, doing: &'static str, error: &Error) -> GalleryError {
    match error.code() {
        Some(&SqlState::LOCK_NOT_AVAILABLE) => GalleryError::InUse { path: address.path(), doing },
        _ => GalleryError::Database { place: address.to_string(), doing, reason: words(error) },
    }
}

pub(crate) fn unreachable(address: &Address, reason: impl Into<String>) -> GalleryError {
    GalleryError::Unreachable { place: address.to_string(), reason: reason.into() }
}

/// The error with what is behind it.
pub(crate) fn words(error: &Error) -> String {
    if let Some(said) = error.as_db_error() {
        return said.message().to_owned();
    }
    let text = error.to_string();
    let mut said = match error.source().map(ToString::to_string) {
        Some(cause) if !text.contains(&cause) => format!("{text}: {cause}"),
        _ => text,
    };
    if said.contains("invalid peer certificate") {
        said.push_str(" (sslrootcert=FILE names whose signature is trusted)");
    }
    said
}

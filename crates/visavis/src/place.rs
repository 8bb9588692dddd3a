//! Where a gallery lies: in a file, or in a database.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::builder::{OsStringValueParser, TypedValueParser, ValueParser};
use visavis_face::gallery::{Converted, EmbeddingId, FileGallery, Gallery, GalleryError, GalleryFile};
use visavis_live::{EmbedThumbnail, GalleryStore, LiveError};
use visavis_postgres::{Address, PostgresGallery};

/// What `--gallery` and the commands of `visavis gallery` take.
#[derive(Clone)]
pub(crate) enum GalleryPlace {
    File(PathBuf),
    /// `postgres://…`. Read only when it is opened: the command line repeats what it refuses, and a password may be in it.
    Database(String),
}

impl GalleryPlace {
    /// Reads it from the command line.
    pub(crate) fn parser() -> ValueParser {
        ValueParser::new(OsStringValueParser::new().map(Self::from))
    }

    /// Opens the gallery of whichever network, to list and change people.
    pub(crate) fn open_any(&self) -> Result<Arc<dyn Gallery>, GalleryError> {
        Ok(match self {
            Self::File(path) => Arc::new(FileGallery::open_unread(path)?),
            Self::Database(url) => Arc::new(PostgresGallery::open(&Address::parse(url)?, None)?),
        })
    }

    /// Makes a gallery without people, where there is none.
    pub(crate) fn make(&self, network: &EmbeddingId) -> Result<(), GalleryError> {
        let made = match self {
            Self::File(path) if path.exists() => return Ok(()),
            Self::File(path) => GalleryFile::create(path, network).map(drop),
            Self::Database(url) => PostgresGallery::create(&Address::parse(url)?, network).map(drop),
        };
        match made {
            // Another program was faster.
            Err(GalleryError::Exists { .. }) => Ok(()),
            made => made,
        }
    }

    /// The file, for what only files can.
    pub(crate) fn file(&self, what: &str) -> Result<&Path> {
        match self {
            Self::File(path) => Ok(path),
            Self::Database(_) => {
                bail!("{what} is for galleries in files, and this one is in a database: see docs/postgres.md")
            }
        }
    }
}

impl GalleryStore for GalleryPlace {
    fn open(&self, network: &EmbeddingId) -> Result<Arc<dyn Gallery>, GalleryError> {
        match self {
            Self::File(path) => path.open(network),
            Self::Database(url) => Ok(Arc::new(PostgresGallery::open(&Address::parse(url)?, Some(network))?)),
        }
    }

    fn convert(&self, to: &EmbeddingId, embed: &mut EmbedThumbnail<'_>) -> Result<Converted, LiveError> {
        match self {
            Self::File(path) => path.convert(to, embed),
            Self::Database(url) => PostgresGallery::open(&Address::parse(url)?, None)?.convert(to, embed),
        }
    }
}

impl From<OsString> for GalleryPlace {
    fn from(text: OsString) -> Self {
        match text.into_string() {
            Ok(text) if Address::is_meant(&text) => Self::Database(text),
            Ok(text) => Self::File(text.into()),
            Err(text) => Self::File(text.into()),
        }
    }
}

/// A database without its password.
impl fmt::Display for GalleryPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Database(url) => match Address::parse(url) {
                Ok(address) => address.fmt(f),
                Err(_) => f.write_str("postgres://…"),
            },
        }
    }
}

impl fmt::Debug for GalleryPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_file_or_a_database_and_shows_no_password() {
        let database = GalleryPlace::from(OsString::from("postgres://ada:secret@db/faces"));
        assert!(matches!(database, GalleryPlace::Database(_)));
        assert_eq!(format!("{database} {database:?}"), "postgres://ada@db/faces postgres://ada@db/faces");
        assert!(database.file("it").is_err());
        let broken = GalleryPlace::from(OsString::from("postgres://ada:secret@db:x/faces"));
        assert_eq!(broken.to_string(), "postgres://…");
        let file = GalleryPlace::from(OsString::from("people.gallery"));
        assert_eq!(file.file("it").unwrap(), Path::new("people.gallery"));
    }
}

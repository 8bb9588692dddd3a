//! Where a gallery is stored: in a file or in a database.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::{OsStringValueParser, TypedValueParser, ValueParser};
use visavis_gallery::{
    Address, Converted, EmbeddingId, Gallery, GalleryError, GalleryKey, GalleryParams, PostgresStore, SqliteStore,
};
use visavis_live::{EmbedThumbnail, GalleryStore, LiveError};

use crate::gallery_key::gallery_key;

/// The value of `--gallery`, and of the commands of `visavis gallery`.
#[derive(Clone)]
pub enum GalleryPlace {
    /// An SQLite file.
    File(PathBuf),
    /// `postgres://…`. Parsed only when opened: the command line prints values that it rejects, and this may contain a password.
    Database(String),
}

impl GalleryPlace {
    /// The parser for the command line.
    pub fn parser() -> ValueParser {
        ValueParser::new(OsStringValueParser::new().map(Self::from))
    }

    /// Opens the gallery, whatever its network, to list and change people.
    pub fn open_any(&self) -> Result<Arc<Gallery>, GalleryError> {
        self.open_for(None).map(Arc::new)
    }

    /// Opens the gallery, whether or not it is encrypted, to change its key.
    pub fn open_for_key_change(&self) -> Result<Gallery, GalleryError> {
        match self.open_for(None) {
            Err(GalleryError::NotEncrypted { .. }) => self.open_with(None, None),
            opened => opened,
        }
    }

    /// Makes an empty gallery if there is none. It is encrypted if there is a key.
    pub fn make(&self, network: &EmbeddingId) -> Result<(), GalleryError> {
        let made = match self {
            Self::File(path) if path.exists() => return Ok(()),
            Self::File(path) => SqliteStore::create(path, network).map(drop),
            Self::Database(url) => PostgresStore::create(&Address::parse(url)?, network).map(drop),
        };
        match (made, gallery_key()?) {
            // Another program has made it in the meantime.
            (Err(GalleryError::Exists { .. }), _) => Ok(()),
            (Ok(()), Some(key)) => self.open_with(Some(network), None)?.change_key(Some(&key)).map(drop),
            (made, _) => made,
        }
    }

    fn open_for(&self, network: Option<&EmbeddingId>) -> Result<Gallery, GalleryError> {
        self.open_with(network, gallery_key()?)
    }

    fn open_with(&self, network: Option<&EmbeddingId>, key: Option<GalleryKey>) -> Result<Gallery, GalleryError> {
        let params = GalleryParams { key, ..GalleryParams::default() };
        match self {
            Self::File(path) => Gallery::over(SqliteStore::open(path)?, network, params),
            Self::Database(url) => {
                let address = Address::parse(url)?;
                let memory = memory(std::env::var_os(MEMORY_VARIABLE).as_deref())?;
                let params = GalleryParams { memory, index: index_of(&address), ..params };
                Gallery::over(PostgresStore::open(&address)?, network, params)
            }
        }
    }
}

/// The environment variable with the megabytes that the vectors of a database may take in memory.
const MEMORY_VARIABLE: &str = "VISAVIS_GALLERY_MEMORY";

/// Bytes that the vectors of a database may take in memory; `limit`: the value of [`MEMORY_VARIABLE`].
fn memory(limit: Option<&OsStr>) -> Result<u64, GalleryError> {
    let Some(limit) = limit.filter(|limit| !limit.is_empty()) else { return Ok(u64::MAX) };
    let megabytes = limit.to_str().and_then(|megabytes| megabytes.trim().parse::<u64>().ok());
    megabytes.map(|megabytes| megabytes.saturating_mul(1_000_000)).ok_or_else(|| GalleryError::Memory {
        reason: format!(
            "{MEMORY_VARIABLE} is `{}`, but must be a number of megabytes, such as 2000",
            limit.to_string_lossy()
        ),
    })
}

/// Where this machine keeps the index of a database: in the user's folder for caches, named after the address.
fn index_of(address: &Address) -> Option<PathBuf> {
    let address = address.to_string();
    let name: String = address.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' }).collect();
    Some(dirs::cache_dir()?.join("visavis").join(format!("{name}.index")))
}

impl GalleryStore for GalleryPlace {
    fn open(&self, network: &EmbeddingId) -> Result<Arc<Gallery>, GalleryError> {
        self.open_for(Some(network)).map(Arc::new)
    }

    fn convert(&self, to: &EmbeddingId, embed: &mut EmbedThumbnail<'_>) -> Result<Converted, LiveError> {
        self.open_for(None)?.convert(to, embed)
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

/// Hides the password of a database.
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
        let broken = GalleryPlace::from(OsString::from("postgres://ada:secret@db:x/faces"));
        assert_eq!(broken.to_string(), "postgres://…");
        let file = GalleryPlace::from(OsString::from("people.gallery"));
        assert!(matches!(file, GalleryPlace::File(path) if path == std::path::Path::new("people.gallery")));
    }

    #[test]
    fn a_limit_that_is_not_a_number_is_refused() {
        let limit = |text| memory(Some(OsStr::new(text)));
        assert_eq!(
            (memory(None).unwrap(), limit("").unwrap(), limit("2000").unwrap()),
            (u64::MAX, u64::MAX, 2_000_000_000)
        );
        for wrong in ["2GB", "-1", "1.5"] {
            let error = limit(wrong).unwrap_err().to_string();
            assert!(error.contains("VISAVIS_GALLERY_MEMORY") && error.contains(wrong), "{error}");
        }
    }
}

//! The key of encrypted galleries: from the environment, from a file, or from systemd.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use visavis_gallery::{GalleryError, GalleryKey};

use crate::options::complain;

/// The key itself, as 64 hexadecimal digits.
const KEY: &str = "VISAVIS_GALLERY_KEY";
/// The file that contains the key.
const KEY_FILE: &str = "VISAVIS_GALLERY_KEY_FILE";
/// The name of the credential that systemd passes to a service (`LoadCredential=`).
const CREDENTIAL: &str = "gallery-key";

/// The key that this program uses for all galleries: that of `VISAVIS_GALLERY_KEY`, else that in the file
/// `VISAVIS_GALLERY_KEY_FILE`, else that in systemd's credential `gallery-key`. `None` if there is none of them.
///
/// # Errors
/// [`GalleryError::Key`] and [`GalleryError::Io`]. They do not repeat the key.
pub fn gallery_key() -> Result<Option<GalleryKey>, GalleryError> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(text) = set(KEY) {
        return parse(KEY, &text.to_string_lossy()).map(Some);
    }
    if let Some(path) = set(KEY_FILE) {
        return read_key(Path::new(&path)).map(Some);
    }
    let credential = set("CREDENTIALS_DIRECTORY").map(|folder| PathBuf::from(folder).join(CREDENTIAL));
    credential.filter(|path| path.exists()).map(|path| read_key(&path)).transpose()
}

/// Reads the key in a file. Warns if other users can read it.
///
/// # Errors
/// As [`gallery_key`].
pub fn read_key(path: &Path) -> Result<GalleryKey, GalleryError> {
    let text = fs::read_to_string(path).map_err(failed(path, "reading the key"))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0) {
            complain(&format!(
                "warning: other users can read the key {}: change its mode with `chmod 600`",
                path.display()
            ));
        }
    }
    parse(&path.display().to_string(), &text)
}

/// Reads the key in a file. If there is no such file, a new key is written to it, which only its owner can read.
///
/// # Errors
/// As [`gallery_key`].
pub fn read_or_create_key(path: &Path) -> Result<GalleryKey, GalleryError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(mut file) => {
            let key = GalleryKey::generate()?;
            let written = writeln!(file, "{}", &*key.to_text()).and_then(|()| file.sync_all());
            written.map_err(failed(path, "writing the key"))?;
            Ok(key)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read_key(path),
        Err(error) => Err(failed(path, "writing the key")(error)),
    }
}

fn parse(from: &str, text: &str) -> Result<GalleryKey, GalleryError> {
    GalleryKey::parse(text).map_err(|error| match error {
        GalleryError::Key { reason } => GalleryError::Key { reason: format!("{from}: {reason}") },
        other => other,
    })
}

fn failed(path: &Path, doing: &'static str) -> impl Fn(io::Error) -> GalleryError {
    move |source| GalleryError::Io { path: path.to_path_buf(), doing, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_created_once_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = read_or_create_key(&path).unwrap();
        assert_eq!(read_or_create_key(&path).unwrap(), key);
        assert_eq!(read_key(&path).unwrap(), key);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::write(&path, "secret").unwrap();
        let error = read_key(&path).unwrap_err().to_string();
        assert!(error.contains("key") && !error.contains("secret"), "{error}");
    }
}

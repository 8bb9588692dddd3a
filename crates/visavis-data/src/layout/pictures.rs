//! The pictures of a folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::DataError;

const ENDINGS: [&str; 6] = ["jpg", "jpeg", "png", "webp", "bmp", "gif"];

/// A picture in a set's folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PictureFile {
    /// Relative to the set's folder, with `/` as separator.
    pub file: String,
    /// Its path.
    pub path: PathBuf,
}

/// The pictures in `folder` and the folders within, sorted: their paths relative to it, with `/` as separator. Names that
/// begin with a dot are skipped. The pictures are not read.
///
/// # Errors
/// [`DataError::Layout`] if there are none, [`DataError::File`] for a folder that cannot be read.
pub fn picture_names(folder: &Path) -> Result<Vec<String>, DataError> {
    let pictures = pictures_in(folder, folder)?;
    if pictures.is_empty() {
        return Err(DataError::Layout { path: folder.to_owned(), reason: "there is no picture in there".into() });
    }
    Ok(pictures.into_iter().map(|picture| picture.file).collect())
}

/// All pictures in `folder` and the folders within, sorted, with names relative to `root`. Names that begin with a dot are
/// skipped.
pub(super) fn pictures_in(root: &Path, folder: &Path) -> Result<Vec<PictureFile>, DataError> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for path in entries(&folder)? {
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if hidden {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else if is_picture(&path) {
                let parts = path.strip_prefix(root).unwrap_or(&path).components();
                let parts: Vec<_> = parts.map(|part| part.as_os_str().to_string_lossy()).collect();
                found.push(PictureFile { file: parts.join("/"), path });
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The entries of `folder`, sorted.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let fail = |reason| DataError::File { path: folder.to_owned(), reason };
    let read: Result<Vec<_>, _> = fs::read_dir(folder).map_err(fail)?.map(|entry| Ok(entry?.path())).collect();
    let mut paths = read.map_err(fail)?;
    paths.sort_unstable();
    Ok(paths)
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

//! Lists of labels in plain text: a line for each picture, columns separated by blanks.

use std::fs;
use std::path::{Path, PathBuf};

use super::field::Place;
use crate::DataError;

/// A text file with columns.
#[derive(Debug)]
pub(super) struct List {
    path: PathBuf,
    text: String,
}

impl List {
    /// Reads the first of `names` that exists in `folder`; `folder` may also be the path of the list.
    pub(super) fn find(folder: &Path, names: &[&str]) -> Result<Self, DataError> {
        if folder.is_file() {
            return Self::read(folder);
        }
        let found = names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        let missing = || DataError::Layout {
            path: folder.to_owned(),
            reason: format!("{} is not in there: name the folder that holds it", names[0]),
        };
        Self::read(&found.ok_or_else(missing)?)
    }

    /// Reads `path`. Bytes that are not UTF-8, as in names of old lists, become replacement characters.
    pub(super) fn read(path: &Path) -> Result<Self, DataError> {
        let bytes = fs::read(path).map_err(|reason| DataError::File { path: path.to_owned(), reason })?;
        Ok(Self { path: path.to_owned(), text: String::from_utf8_lossy(&bytes).into_owned() })
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that contains it.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Its lines that are not empty, trimmed.
    pub(super) fn lines(&self) -> impl Iterator<Item = (Place<'_>, &str)> {
        let lines = (1..).zip(self.text.lines()).map(|(line, text)| (Place { path: &self.path, line }, text.trim()));
        lines.filter(|(_, text)| !text.is_empty())
    }

    /// Those lines cut into columns.
    pub(super) fn rows(&self) -> impl Iterator<Item = (Place<'_>, Vec<&str>)> {
        self.lines().map(|(place, text)| (place, text.split_whitespace().collect()))
    }
}

/// Exactly `N` columns.
pub(super) fn columns<'a, const N: usize>(
    place: &Place<'_>,
    found: &[&'a str],
    meaning: &str,
) -> Result<[&'a str; N], DataError> {
    let wrong = |_| place.bad(format!("{} columns instead of {N}: {meaning}", found.len()));
    found.try_into().map_err(wrong)
}

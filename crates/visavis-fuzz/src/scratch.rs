//! Files for parsers that take a path.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder in memory if the system has one, else in the temporary folder. Removed when dropped.
pub(crate) fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let builder = || tempfile::Builder::new().prefix("visavis-fuzz-").to_owned();
    let made = if memory.is_dir() { builder().tempdir_in(memory) } else { builder().tempdir() };
    made.expect("a temporary folder can be made")
}

thread_local! {
    static FOLDER: TempDir = folder();
}

/// Calls `parse` with the path of a file of this name with these contents. Each thread has its own file.
pub(crate) fn with_file<T>(name: &str, contents: &[u8], parse: impl FnOnce(&Path) -> T) -> T {
    let path: PathBuf = FOLDER.with(|folder| folder.path().join(name));
    fs::write(&path, contents).expect("a temporary file can be written");
    parse(&path)
}

/// Calls `parse` with the path of an empty folder, which is removed afterwards.
#[cfg_attr(not(any(feature = "data", feature = "gallery", feature = "training")), expect(dead_code))]
pub(crate) fn in_folder<T>(parse: impl FnOnce(&Path) -> T) -> T {
    let folder = folder();
    parse(folder.path())
}

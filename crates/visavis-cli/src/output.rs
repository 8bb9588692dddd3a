//! Files that the programs write.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;

/// A file that is written under a temporary name beside it, so that an older one stays until the new one is complete.
///
/// If the path is a link, the file that it points to is replaced. What is not a file, such as `/dev/null` or a named pipe, is written
/// directly. If it is dropped before [`finish`](Self::finish), the temporary file is deleted.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    target: Target,
}

#[derive(Debug)]
enum Target {
    Beside { file: NamedTempFile, end: PathBuf },
    Direct(File),
}

impl OutputFile {
    /// Begins a file.
    ///
    /// # Errors
    /// If the path is a folder, if its folder does not exist, or if nothing can be written there.
    pub fn create(path: &Path) -> Result<Self> {
        check_place(path)?;
        let found = fs::metadata(path).ok();
        let target = match found.filter(|found| !found.is_file()) {
            Some(_) => OpenOptions::new().write(true).open(path).map(Target::Direct),
            None => {
                let end = path.canonicalize().unwrap_or_else(|_| path.to_owned());
                temporary(&end).map(|file| Target::Beside { file, end })
            }
        };
        let target = target.with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Self { path: path.to_owned(), target })
    }

    /// Gives the file its name, in place of an existing one.
    ///
    /// # Errors
    /// If that fails. The existing file then stays.
    pub fn finish(self) -> Result<()> {
        let done = match self.target {
            Target::Beside { file, end } => file.persist(end).map(drop).map_err(|error| error.error),
            Target::Direct(mut file) => file.flush(),
        };
        done.with_context(|| format!("{} cannot be written", self.path.display()))
    }

    /// Keeps what was written so far under its temporary name, which is returned.
    ///
    /// # Errors
    /// If that fails.
    pub fn keep(self) -> Result<PathBuf> {
        match self.target {
            Target::Beside { file, .. } => Ok(file.keep().map(|(_, path)| path)?),
            Target::Direct(_) => Ok(self.path),
        }
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.target {
            Target::Beside { file, .. } => file.write(bytes),
            Target::Direct(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::Beside { file, .. } => file.flush(),
            Target::Direct(file) => file.flush(),
        }
    }
}

/// Writes a whole file. If writing fails, an older file stays as it was.
///
/// # Errors
/// As [`OutputFile::create`], or if writing fails.
pub fn write_file(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let mut file = OutputFile::create(path)?;
    file.write_all(bytes.as_ref()).with_context(|| format!("{} cannot be written", path.display()))?;
    file.finish()
}

/// Fails if no file can have this path, so that a mistake is told before the work and not after it.
///
/// # Errors
/// If the path is a folder, or its folder does not exist.
pub fn check_place(path: &Path) -> Result<()> {
    if path.is_dir() {
        bail!("{} is a folder: name a file in it", path.display());
    }
    if path.file_name().is_none() {
        bail!("`{}` is not the name of a file", path.display());
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        bail!("{} cannot be written: there is no folder {}", path.display(), folder.display());
    }
    Ok(())
}

/// The folder of a file.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file in the folder of `end`, with the permissions that `end` has or would get.
fn temporary(end: &Path) -> io::Result<NamedTempFile> {
    let mut prefix = std::ffi::OsString::from(".");
    // A long name with the temporary ending would be too long for the file system.
    prefix.push(end.file_name().filter(|name| name.len() <= 200).unwrap_or_default());
    prefix.push("-");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let file = builder.tempfile_in(folder_of(end))?;
    if let Ok(permissions) = fs::metadata(end).as_ref().map(Metadata::permissions) {
        fs::set_permissions(file.path(), permissions)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_finished_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plot.svg");
        write_file(&file, "one").unwrap();
        let mut other = OutputFile::create(&file).unwrap();
        other.write_all(b"other").unwrap();
        drop(other);
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
        write_file(&file, "other").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "other");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn what_was_written_can_be_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = OutputFile::create(&folder.path().join("faces.jsonl")).unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(fs::read_to_string(file.keep().unwrap()).unwrap(), "half");
        assert!(!folder.path().join("faces.jsonl").exists());
    }

    #[test]
    fn a_place_where_no_file_can_be_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for wrong in [folder.path().to_owned(), folder.path().join("no/x.svg"), PathBuf::new()] {
            assert!(OutputFile::create(&wrong).is_err(), "{}", wrong.display());
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "one").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write_file(&link, "other").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), "other");
        let device = folder.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &device).unwrap();
        write_file(&device, "other").unwrap();
        assert!(device.is_symlink() && fs::metadata("/dev/null").is_ok_and(|found| !found.is_file()));
    }
}

//! Builds a complete gallery file.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::encryption::EncryptedStore;
use crate::index::{index_path, remove_index};
use crate::sqlite::{self, BUILDING, companions, failed, journal, remove_abandoned, remove_with_companions};
use crate::{
    Added, EmbeddingId, Gallery, GalleryError, GalleryKey, GalleryParams, NewPhoto, PersonSummary, SqliteStore,
};

/// Builds a gallery in a temporary file beside its final path and moves it there when finished. Until then an existing
/// gallery there is not changed. A builder that is dropped unfinished deletes its file.
#[derive(Debug)]
pub struct GalleryBuilder {
    target: PathBuf,
    // The fields are dropped in this order: the file is closed, then deleted.
    gallery: Gallery,
    aside: Aside,
}

/// The file under construction, deleted on drop.
#[derive(Debug)]
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        remove_with_companions(&self.0);
    }
}

impl GalleryBuilder {
    /// Starts a gallery that will be at `target`, encrypted if there is a key.
    ///
    /// # Errors
    /// As [`GalleryBuilder::check_target`]; [`GalleryError::Embedding`] where no gallery can hold the network's vectors.
    pub fn new(
        target: impl AsRef<Path>,
        embedding: &EmbeddingId,
        key: Option<&GalleryKey>,
    ) -> Result<Self, GalleryError> {
        /// Distinguishes the builders of one process.
        static BEGUN: AtomicU64 = AtomicU64::new(0);

        let target = target.as_ref();
        Self::check_target(target)?;
        remove_abandoned(target);
        // In the same folder, because a move is atomic only within one file system.
        let mut name = OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(format!(".{}-{}{BUILDING}", std::process::id(), BEGUN.fetch_add(1, Ordering::Relaxed)));
        let aside = target.with_file_name(name);
        // Left by a killed process with the same process number.
        remove_with_companions(&aside);
        let store = SqliteStore::create_aside(&aside, embedding).map_err(of_target(target))?;
        let aside = Aside(aside);
        EncryptedStore::encrypt_empty(&store, key)?;
        let params = GalleryParams { key: key.cloned(), ..GalleryParams::default() };
        let gallery = Gallery::over(store, None, params)?;
        Ok(Self { target: target.to_path_buf(), gallery, aside })
    }

    /// Checks that a gallery can be built at `target`, so that no work is done in vain.
    ///
    /// # Errors
    /// [`GalleryError::Target`] where the path is empty or its folder is missing; [`GalleryError::NotAGallery`] where some other
    /// kind of file is there, which is never overwritten; the failures of the file system.
    pub fn check_target(target: impl AsRef<Path>) -> Result<(), GalleryError> {
        let target = target.as_ref();
        let fault = |reason: String| Err(GalleryError::Target { path: target.to_path_buf(), reason });
        if target.as_os_str().is_empty() {
            return fault("the path is empty: give the name of a file".into());
        }
        if target.to_string_lossy().ends_with(std::path::is_separator) {
            return fault("the path is that of a folder: give the name of a file".into());
        }
        match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
                fault(format!("there is no folder {}: create it, or correct the path", folder.display()))
            }
            _ => refuse_other_files(target),
        }
    }

    /// As [`Gallery::add`].
    ///
    /// # Errors
    /// As [`Gallery::add`].
    pub fn add(&mut self, person: &str, photos: &[NewPhoto]) -> Result<Added, GalleryError> {
        self.gallery.add(person, photos).map_err(of_target(&self.target))
    }

    /// All people added so far, sorted by name.
    ///
    /// # Errors
    /// The failures of the file.
    pub fn people(&self) -> Result<Vec<PersonSummary>, GalleryError> {
        self.gallery.people()
    }

    /// Moves the gallery to its path in one step: other programs see either the old gallery or the complete new one.
    ///
    /// # Errors
    /// [`GalleryError::InUse`] where another program has the old gallery open, and the failures of the file system.
    /// The old gallery is then as it was.
    pub fn finish(self) -> Result<(), GalleryError> {
        let Self { target, gallery, aside } = self;
        drop(gallery);
        File::open(&aside.0).and_then(|file| file.sync_all()).map_err(GalleryError::io(&target, "saving"))?;
        let held = hold(&target)?;
        // Journal files of a deleted gallery: SQLite would apply them to the new one and damage it.
        for file in companions(&target) {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(GalleryError::io(&file, "removing the journal of an earlier gallery")(error));
                }
                _ => {}
            }
        }
        // The old index contains vectors of people who may not be in the new gallery.
        remove_index(&index_path(&target))?;
        // Windows cannot replace an open file. On other systems the lock keeps other programs out until the file is
        // replaced.
        let held = if cfg!(windows) { None } else { held };
        fs::rename(&aside.0, &target).map_err(GalleryError::io(&target, "renaming the new gallery"))?;
        drop(held);
        // A rename survives a power cut only after the folder was synchronised. Windows cannot open folders for that.
        if cfg!(unix) {
            let folder = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(GalleryError::io(folder, "saving"))?;
        }
        Ok(())
    }
}

/// Names the gallery that is built in an error, instead of the temporary file.
fn of_target(target: &Path) -> impl Fn(GalleryError) -> GalleryError {
    move |mut error| {
        if let GalleryError::Full { path, .. }
        | GalleryError::ReadOnly { path, .. }
        | GalleryError::Store { path, .. }
        | GalleryError::Io { path, .. } = &mut error
        {
            *path = target.to_path_buf();
        }
        error
    }
}

/// Locks the gallery that will be replaced, after its log was emptied and deleted. Returns `None` if there is no usable
/// gallery.
///
/// A file must not be replaced while another program has it open: on closing, that program would delete the log of the *new*
/// file.
fn hold(target: &Path) -> Result<Option<Connection>, GalleryError> {
    if !target.exists() {
        return Ok(None);
    }
    let doing = "replacing it by a new one";
    let lock = || {
        let failed = failed(target, doing);
        let connection = sqlite::connect(target, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(&failed)?;
        // A program that lists people closes the gallery within moments. Waiting for more than five seconds would not help
        // with one that keeps it open.
        connection.busy_timeout(Duration::from_secs(1)).map_err(&failed)?;
        // Leaving WAL mode succeeds only if no other program has the file open.
        if journal(&connection, "delete").map_err(&failed)? != "delete" {
            return Err(GalleryError::InUse { path: target.to_path_buf(), doing });
        }
        connection.execute_batch("BEGIN EXCLUSIVE").map_err(&failed)?;
        Ok(connection)
    };
    match lock() {
        Ok(connection) => Ok(Some(connection)),
        // A damaged gallery is replaced without a lock: replacing it is a reason to build a new one.
        Err(GalleryError::Damaged { .. } | GalleryError::NotAGallery { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Fails if `target` exists and is not a gallery. A damaged gallery counts as a gallery.
fn refuse_other_files(target: &Path) -> Result<(), GalleryError> {
    let doing = "checking the existing file";
    let is_gallery = match fs::metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(GalleryError::io(target, doing)(error)),
        Ok(meta) if !meta.is_file() => false,
        Ok(_) => {
            let application = sqlite::connect(target, OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(|connection| {
                connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0))
            });
            match application.map_err(failed(target, doing)) {
                Ok(application) => application == sqlite::APPLICATION_ID,
                // Read without SQLite, and only after SQLite failed: a damaged gallery is not open in this process, so
                // closing the handle releases no lock of SQLite.
                Err(GalleryError::Damaged { .. } | GalleryError::NotAGallery { .. }) => {
                    begins_as_gallery(target).map_err(GalleryError::io(target, doing))?
                }
                Err(error) => return Err(error),
            }
        }
    };
    if is_gallery {
        return Ok(());
    }
    let reason = "it is not overwritten: choose another name for the new gallery".into();
    Err(GalleryError::NotAGallery { path: target.to_path_buf(), reason })
}

/// Whether the first bytes are those of a gallery: <https://www.sqlite.org/fileformat2.html>, "The Database Header"; the
/// application ID is at offset 68.
fn begins_as_gallery(file: &Path) -> io::Result<bool> {
    let mut header = Vec::new();
    File::open(file)?.take(72).read_to_end(&mut header)?;
    Ok(header.starts_with(b"SQLite format 3\0") && header.get(68..) == Some(&sqlite::APPLICATION_ID.to_be_bytes()))
}

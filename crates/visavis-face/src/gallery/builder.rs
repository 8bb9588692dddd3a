//! A whole gallery made at once.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::index::remove_index;
use super::store::{companions, journal, remove_with_companions};
use super::{Added, EmbeddingId, GalleryError, GalleryFile, NewPhoto, PersonSummary, schema};

/// Builds a gallery in a file beside its final place and moves it there when finished. Until then a gallery already
/// there stays as it is; dropped unfinished, the builder leaves nothing.
#[derive(Debug)]
pub struct GalleryBuilder {
    target: PathBuf,
    // Dropped in this order: closed, then deleted.
    file: GalleryFile,
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
    /// Begins a gallery that is to be at `target`.
    ///
    /// # Errors
    /// [`GalleryError::NotAGallery`] where some other kind of file is there, which is never overwritten;
    /// [`GalleryError::Embedding`] where no gallery can hold the network's vectors; the failures of the file system.
    pub fn new(target: impl AsRef<Path>, embedding: &EmbeddingId) -> Result<Self, GalleryError> {
        /// Tells apart the builders of one process.
        static BEGUN: AtomicU64 = AtomicU64::new(0);

        let target = target.as_ref();
        refuse_other_files(target)?;
        // In the same folder, since only within one file system is a move atomic.
        let mut name = OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(format!(".{}-{}.building", std::process::id(), BEGUN.fetch_add(1, Ordering::Relaxed)));
        let aside = target.with_file_name(name);
        // What a killed process of the same number may have left.
        remove_with_companions(&aside);
        let file = GalleryFile::create_aside(&aside, embedding)?;
        Ok(Self { target: target.to_path_buf(), file, aside: Aside(aside) })
    }

    /// As [`GalleryFile::add`].
    ///
    /// # Errors
    /// As [`GalleryFile::add`].
    pub fn add(&mut self, person: &str, photos: &[NewPhoto]) -> Result<Added, GalleryError> {
        self.file.add(person, photos)
    }

    /// Everybody added so far, by name.
    ///
    /// # Errors
    /// The failures of the file.
    pub fn people(&self) -> Result<Vec<PersonSummary>, GalleryError> {
        self.file.people()
    }

    /// Puts the gallery in its place, in one move: whoever looks sees the old one or the new one, whole.
    ///
    /// # Errors
    /// [`GalleryError::InUse`] where another program has the old gallery open, and the failures of the file system.
    /// The old gallery is then as it was.
    pub fn finish(self) -> Result<(), GalleryError> {
        let Self { target, file, aside } = self;
        file.close()?;
        File::open(&aside.0).and_then(|file| file.sync_all()).map_err(GalleryError::io(&aside.0, "saving"))?;
        let held = hold(&target)?;
        // Companions of a lost gallery: SQLite would take them for the new one's and ruin it.
        for file in companions(&target) {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(GalleryError::io(&file, "removing what an earlier gallery left")(error));
                }
                _ => {}
            }
        }
        // It holds the vectors of people who may not be in the new gallery.
        remove_index(&target)?;
        // Windows moves nothing onto an open file. Elsewhere the lock keeps others out until the move is made.
        let held = if cfg!(windows) { None } else { held };
        fs::rename(&aside.0, &target).map_err(GalleryError::io(&target, "putting the new gallery in its place"))?;
        drop(held);
        // A rename lasts through a power cut once the folder is on the disk. Windows cannot open folders for that.
        if cfg!(unix) {
            let folder = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(GalleryError::io(folder, "saving"))?;
        }
        Ok(())
    }
}

/// Locks the gallery that is to be replaced, with its log emptied and gone; none where there is no usable one.
///
/// A file must not be moved away under a program that has it open: on closing, that program would delete the log
/// beside the *new* file.
fn hold(target: &Path) -> Result<Option<Connection>, GalleryError> {
    if !target.exists() {
        return Ok(None);
    }
    let doing = "replacing it by a new one";
    let lock = || {
        let failed = GalleryError::sqlite(target, doing);
        let connection = schema::connect(target, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(&failed)?;
        // Who lists people is gone in a moment; who keeps the gallery open will not be gone in five seconds either.
        connection.busy_timeout(Duration::from_secs(1)).map_err(&failed)?;
        // Leaving WAL mode succeeds only for the last one who has the file open.
        if journal(&connection, "delete").map_err(&failed)? != "delete" {
            return Err(GalleryError::InUse { path: target.to_path_buf(), doing });
        }
        connection.execute_batch("BEGIN EXCLUSIVE").map_err(&failed)?;
        Ok(connection)
    };
    match lock() {
        Ok(connection) => Ok(Some(connection)),
        // A damaged gallery is what one builds anew for.
        Err(GalleryError::Damaged { .. } | GalleryError::NotAGallery { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Fails where `target` is there and is not a gallery. A damaged gallery still counts as one.
fn refuse_other_files(target: &Path) -> Result<(), GalleryError> {
    let doing = "looking at the file in the new gallery's place";
    let is_gallery = match fs::metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(GalleryError::io(target, doing)(error)),
        Ok(meta) if meta.is_dir() => false,
        Ok(_) => {
            let application = schema::connect(target, OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(|connection| {
                connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0))
            });
            match application.map_err(GalleryError::sqlite(target, doing)) {
                Ok(application) => application == schema::APPLICATION_ID,
                // Only now past SQLite: nobody in this process can have a damaged gallery open, so no lock is lost.
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
    let reason = "it will not be overwritten, choose another name for the new gallery".into();
    Err(GalleryError::NotAGallery { path: target.to_path_buf(), reason })
}

/// Whether the first bytes are a gallery's: <https://www.sqlite.org/fileformat2.html>, "The Database Header", where
/// the application's number is at offset 68.
fn begins_as_gallery(file: &Path) -> io::Result<bool> {
    let mut header = Vec::new();
    File::open(file)?.take(72).read_to_end(&mut header)?;
    Ok(header.starts_with(b"SQLite format 3\0") && header.get(68..) == Some(&schema::APPLICATION_ID.to_be_bytes()))
}

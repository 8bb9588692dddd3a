//! A gallery in one SQLite file.
//!
//! Several programs may have a gallery open at once: readers never wait, and of two that change it one waits for the other,
//! for at most five seconds. While the file is open, SQLite keeps `…-wal` and `…-shm` beside it. They are part of it, and
//! are deleted when the last program closes it. A change of people or photos is copied from the log into the file at once, so that
//! a copy of the file alone contains it; sightings, of which there are many, when the log has a thousand pages and at the end.

mod schema;

use std::fs::{self, DirEntry, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, ffi, params_from_iter};
use visavis_infer::manifest::Metric;

use crate::store::{Store, Transaction, VectorColumns, Work};
use crate::value::{Row, Value};
use crate::{EmbeddingId, GalleryError, index_path, rules};

#[cfg(test)]
pub(crate) use schema::FORMAT;
pub(crate) use schema::{APPLICATION_ID, connect};

/// Ending of the name of a gallery that is being built.
pub(crate) const BUILDING: &str = ".building";

/// A gallery that is being built, and was not written to for so long, was left by a killed program.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The rows of a gallery in a SQLite file.
///
/// While it is open, the same process must not open its file in any other way: on Unix, closing that second handle would
/// release SQLite's locks.
#[derive(Debug)]
pub struct SqliteStore {
    path: Arc<Path>,
    connection: Mutex<Connection>,
}

impl SqliteStore {
    /// Creates a gallery file without people.
    ///
    /// # Errors
    /// [`GalleryError::Exists`] if the file exists already, [`GalleryError::Embedding`] if a gallery cannot store the
    /// network's vectors, and the failures of the file system.
    pub fn create(path: impl AsRef<Path>, embedding: &EmbeddingId) -> Result<Self, GalleryError> {
        let path = path.as_ref();
        let made = Self::make(path, embedding, |_| Ok(()))?;
        // WAL mode is switched on only now, so that the header is written to the file itself and not only to its log.
        journal_in_wal(&made.connection()).map_err(failed(path, "creating"))?;
        Ok(made)
    }

    /// Creates a temporary file that no other program opens. It needs no journal on disk and no synchronisation until it is
    /// finished.
    pub(crate) fn create_aside(path: &Path, embedding: &EmbeddingId) -> Result<Self, GalleryError> {
        Self::make(path, embedding, |connection| {
            journal(connection, "memory")?;
            connection.pragma_update(None, "synchronous", "off")
        })
    }

    fn make(
        path: &Path,
        embedding: &EmbeddingId,
        prepare: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<Self, GalleryError> {
        rules::network(embedding)?;
        // Created before SQLite opens it, so that of two programs only one succeeds.
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(GalleryError::Exists { path: path.to_path_buf() });
            }
            Err(error) => return Err(GalleryError::io(path, "creating the gallery")(error)),
        }
        let made = schema::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(|mut connection| {
            prepare(&connection)?;
            schema::initialise(&mut connection, embedding)?;
            Ok(Self::with(path, connection))
        });
        if made.is_err() {
            remove_with_companions(path);
        }
        made.map_err(failed(path, "creating"))
    }

    /// Opens a gallery file and checks it for damage. An older format is migrated to the newest one. Without permission to
    /// write the file or its folder, the gallery is opened for reading only.
    ///
    /// # Errors
    /// [`GalleryError::Missing`], [`GalleryError::Unreadable`], [`GalleryError::NotAGallery`], [`GalleryError::Damaged`],
    /// [`GalleryError::Newer`], and the failures of the file system.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, GalleryError> {
        let path = path.as_ref();
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(GalleryError::Missing { path: path.to_path_buf() });
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(GalleryError::Unreadable { path: path.to_path_buf() });
            }
            Err(error) => return Err(GalleryError::io(path, "opening")(error)),
            Ok(meta) if !meta.is_file() => {
                let reason = if meta.is_dir() { "it is a folder" } else { "it is not a regular file" };
                return Err(GalleryError::NotAGallery { path: path.to_path_buf(), reason: reason.into() });
            }
            Ok(_) => {}
        }
        let connection = match Self::connect(path) {
            // A gallery that was last closed in WAL mode needs files beside itself even for reading.
            Err(error) if is_write_protection(&error) && !has_wal(path) => {
                if is_unreadable(path) {
                    return Err(GalleryError::Unreadable { path: path.to_path_buf() });
                }
                log::info!("{}: opened for reading only, since its folder cannot be written", path.display());
                match Self::connect_frozen(path) {
                    // The failure had another cause.
                    Err(again) if is_write_protection(&again) => return Err(error),
                    other => other?,
                }
            }
            other => other?,
        };
        Ok(Self::with(path, connection))
    }

    fn with(path: &Path, connection: Connection) -> Self {
        Self { path: path.into(), connection: Mutex::new(connection) }
    }

    pub(crate) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(path: &Path) -> Result<Connection, GalleryError> {
        let refused = failed(path, "opening");
        let mut connection = schema::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(&refused)?;
        let format = schema::check(&connection, path)?;
        if !connection.is_readonly("main").map_err(&refused)? {
            journal_in_wal(&connection).map_err(&refused)?;
        }
        if format < schema::FORMAT {
            schema::migrate(&mut connection).map_err(failed(path, "migrating to the newest format"))?;
        }
        Ok(connection)
    }

    /// Opens the file as it is, without locks and journal files.
    fn connect_frozen(path: &Path) -> Result<Connection, GalleryError> {
        let mut uri = String::from("file:");
        for byte in path.to_string_lossy().bytes() {
            if byte.is_ascii_alphanumeric() || b"/-_.:\\".contains(&byte) {
                uri.push(char::from(byte));
            } else {
                uri.push_str(&format!("%{byte:02X}"));
            }
        }
        uri.push_str("?immutable=1");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let connection = schema::connect(Path::new(&uri), flags).map_err(failed(path, "opening for reading"))?;
        if schema::check(&connection, path)? < schema::FORMAT {
            let doing = "migrating to the newest format";
            return Err(GalleryError::ReadOnly { path: path.to_path_buf(), doing });
        }
        Ok(connection)
    }

    fn transact(&self, behavior: TransactionBehavior, doing: &'static str, work: Work<'_>) -> Result<(), GalleryError> {
        let mut connection = self.connection();
        let inner = connection.transaction_with_behavior(behavior).map_err(failed(&self.path, doing))?;
        let mut transaction = SqliteTransaction { path: &self.path, doing, inner };
        // A transaction that is dropped without a commit is rolled back.
        work(&mut transaction)?;
        transaction.inner.commit().map_err(failed(&self.path, doing))
    }
}

impl Store for SqliteStore {
    fn place(&self) -> &Path {
        &self.path
    }

    fn read(&self, doing: &'static str, work: Work<'_>) -> Result<(), GalleryError> {
        self.transact(TransactionBehavior::Deferred, doing, work)
    }

    fn write(&self, doing: &'static str, work: Work<'_>) -> Result<(), GalleryError> {
        self.transact(TransactionBehavior::Immediate, doing, work)
    }

    /// Without this, the last changes would be in the log only, until it has a thousand pages or the last program closes the file.
    /// The passive mode waits for no other program.
    fn settle(&self) {
        if let Err(error) = self.connection().query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            log::debug!("{}: the last changes are in its log only: {error}", self.path.display());
        }
    }

    /// Rewrites the file. `secure_delete` clears deleted rows, but not copies that remain when SQLite moves rows between
    /// pages; rewriting removes these. The log contains old pages until it is emptied. A build that was killed may have left a file
    /// with the same people.
    fn erase_remains(&self) -> Result<bool, GalleryError> {
        remove_abandoned(&self.path);
        let connection = self.connection();
        let rewrite = || {
            connection.execute_batch("VACUUM")?;
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))
        };
        match rewrite().map_err(failed(&self.path, "erasing removed rows")) {
            Ok(busy) => Ok(!busy),
            Err(GalleryError::InUse { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reading the number of the last change is as fast as any other check.
    fn may_have_news(&self) -> Result<bool, GalleryError> {
        Ok(true)
    }

    fn index(&self) -> Option<PathBuf> {
        Some(index_path(&self.path))
    }

    fn check_network(&self, _: &EmbeddingId) -> Result<(), GalleryError> {
        Ok(())
    }

    fn nearest(&self, _: Metric, _: &[f32], _: usize) -> Result<Option<Vec<Row>>, GalleryError> {
        Ok(None)
    }
}

impl Drop for SqliteStore {
    /// SQLite empties the log only when the last program closes the file.
    fn drop(&mut self) {
        self.settle();
    }
}

struct SqliteTransaction<'a> {
    path: &'a Arc<Path>,
    doing: &'static str,
    inner: rusqlite::Transaction<'a>,
}

impl Transaction for SqliteTransaction<'_> {
    fn place(&self) -> &Path {
        self.path
    }

    fn execute(&mut self, sql: &str, params: &[Value<'_>]) -> Result<usize, GalleryError> {
        let run = || self.inner.prepare_cached(&numbered(sql))?.execute(params_from_iter(params));
        run().map_err(failed(self.path, self.doing))
    }

    fn query(&mut self, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>, GalleryError> {
        let run = || {
            let mut statement = self.inner.prepare_cached(&numbered(sql))?;
            let columns = statement.column_count();
            let rows = statement.query_map(params_from_iter(params), |row| {
                let values = (0..columns).map(|column| row.get_ref(column).map(owned));
                Ok(Row::new(self.path, values.collect::<rusqlite::Result<_>>()?))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        run().map_err(failed(self.path, self.doing))
    }

    /// SQLite stores vectors as bytes, whose length needs no change.
    fn set_vector_columns(&mut self, _: VectorColumns) -> Result<(), GalleryError> {
        Ok(())
    }
}

/// SQLite numbers its parameters with a question mark. No statement contains a dollar sign in a text.
fn numbered(sql: &str) -> String {
    sql.replace('$', "?")
}

fn owned(value: ValueRef<'_>) -> Value<'static> {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        // A damaged file may contain invalid text. It is read as bytes, and refused where text is needed.
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Value::Text(text.to_owned().into()),
            Err(_) => Value::Bytes(text.to_vec().into()),
        },
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec().into()),
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Integer(number) => (*number).into(),
            Self::Real(number) => (*number).into(),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) | Self::Picture(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Self::Vector(vector) => vector.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>().into(),
        })
    }
}

/// Whether SQLite had no permission to write.
fn is_write_protection(error: &GalleryError) -> bool {
    match error {
        GalleryError::ReadOnly { .. } => true,
        GalleryError::Store { error, .. } => error
            .downcast_ref::<rusqlite::Error>()
            .is_some_and(|error| error.sqlite_error_code() == Some(ErrorCode::CannotOpen)),
        _ => false,
    }
}

/// Whether there is no permission to read the file, which SQLite does not tell from other failures. Called only after SQLite failed
/// to open it: then it is not open in this process, so closing the handle releases no lock of SQLite.
fn is_unreadable(path: &Path) -> bool {
    File::open(path).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Converts SQLite's failures on `path` to errors of the gallery.
pub(crate) fn failed(path: &Path, doing: &'static str) -> impl Fn(rusqlite::Error) -> GalleryError {
    move |source| {
        let at = path.to_path_buf();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt) => GalleryError::Damaged { path: at, reason: source.to_string() },
            Some(ErrorCode::NotADatabase) => GalleryError::NotAGallery {
                path: at,
                reason: "it is not an SQLite file, or its beginning is damaged".into(),
            },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => GalleryError::InUse { path: at, doing },
            Some(ErrorCode::ReadOnly) => GalleryError::ReadOnly { path: at, doing },
            Some(ErrorCode::DiskFull) => GalleryError::Full { path: at, doing },
            // There is no space for the file `…-shm`.
            Some(_) if source.sqlite_extended_error_code() == Some(ffi::SQLITE_IOERR_SHMSIZE) => {
                GalleryError::Full { path: at, doing }
            }
            _ => GalleryError::failed(path, doing, source),
        }
    }
}

/// Switches to a write-ahead log, so that readers and writers do not wait for each other.
fn journal_in_wal(connection: &Connection) -> rusqlite::Result<()> {
    journal(connection, "wal").map(drop)
}

/// Sets the journal mode. Returns the mode that is in force, which may be another one.
pub(crate) fn journal(connection: &Connection, mode: &str) -> rusqlite::Result<String> {
    connection.pragma_update_and_check(None, "journal_mode", mode, |row| row.get(0))
}

/// The files that SQLite keeps beside `path`.
pub(crate) fn companions(path: &Path) -> [PathBuf; 3] {
    ["-wal", "-shm", "-journal"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

/// Deletes the files of a gallery that no program has open.
pub(crate) fn remove_with_companions(path: &Path) {
    for file in companions(path).iter().map(PathBuf::as_path).chain([path]) {
        if let Err(error) = fs::remove_file(file)
            && error.kind() != io::ErrorKind::NotFound
        {
            log::warn!("{} cannot be removed: {error}", file.display());
        }
    }
}

/// Deletes the files that builds of the gallery at `target` left when they were killed. They contain embeddings and pictures.
pub(crate) fn remove_abandoned(target: &Path) {
    let folder = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let begins = format!(".{}.", target.file_name().unwrap_or_default().to_string_lossy());
    // Without permission to list the folder nothing can be deleted either.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.strip_prefix(&begins).and_then(builder_of).is_some_and(|process| is_abandoned(&entry, process)) {
            match fs::remove_file(entry.path()) {
                Ok(()) => log::info!("{}: deleted: a build that was killed left it", entry.path().display()),
                Err(error) => log::warn!("{} cannot be removed: {error}", entry.path().display()),
            }
        }
    }
}

/// The number of the process that builds a gallery, from the end of the name of its file or of one that SQLite keeps beside it:
/// `PROCESS-NUMBER.building`.
fn builder_of(ending: &str) -> Option<u32> {
    let file =
        ["-wal", "-shm", "-journal"].into_iter().find_map(|suffix| ending.strip_suffix(suffix)).unwrap_or(ending);
    let (process, number) = file.strip_suffix(BUILDING)?.split_once('-')?;
    number.parse::<u64>().ok()?;
    process.parse().ok()
}

/// Whether the process that builds this file does not run any more.
fn is_abandoned(file: &DirEntry, process: u32) -> bool {
    if process == std::process::id() {
        return false;
    }
    // Only Linux tells which processes run without a library for it.
    let running = Path::new("/proc").join(process.to_string()).exists();
    if cfg!(target_os = "linux") && Path::new("/proc/self").exists() && !running {
        return true;
    }
    // The number may be that of another process by now.
    let changed = file.metadata().and_then(|meta| meta.modified());
    changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|elapsed| elapsed > ABANDONED_AFTER))
}

fn has_wal(path: &Path) -> bool {
    fs::metadata(&companions(path)[0]).is_ok_and(|meta| meta.len() > 0)
}

#[cfg(test)]
mod tests;

//! The gallery as a file.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};

use super::index::remove_index;
use super::{EmbeddingId, GalleryError, PersonId, PhotoId, Snapshot, VectorFault, Wanted, check_vector, rules, schema};

/// A gallery file, open for reading and changing. Several programs may have one open: readers never wait, and of two
/// that change it one waits for the other, at most five seconds.
///
/// Beside the file SQLite keeps `…-wal` and `…-shm` while it is open; they belong to it, and are gone once the last
/// program has closed it.
#[derive(Debug)]
pub struct GalleryFile {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    pub(super) embedding: EmbeddingId,
}

/// A photo to add.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPhoto {
    /// The file that it came from. Only the part after the last separator is kept.
    pub source: String,
    /// SHA-256 of that file. Given, the same photo is not added to a person a second time.
    pub sha256: Option<[u8; 32]>,
    /// `[length]`: the network's output, as it came.
    pub vector: Vec<f32>,
    /// The face, as a small JPEG.
    pub thumbnail: Option<Vec<u8>>,
    /// How good the picture is; the best one shows the person. Any finite scale, higher is better.
    pub score: Option<f32>,
}

/// What an addition did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// To whom.
    pub person: PersonId,
    /// Photos added: all given but those already there.
    pub photos: usize,
}

/// What a removal did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Photos removed.
    pub photos: usize,
    /// Whether nothing of the person is left in the file's unused parts either. False where another program was
    /// using the gallery all the time: see [`GalleryFile::erase_remains`].
    pub erased: bool,
}

/// A person of the gallery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonSummary {
    /// The number.
    pub id: PersonId,
    /// The name.
    pub name: String,
    /// Number of photos.
    pub photos: usize,
    /// Whether an alarm is to ring when they are seen.
    pub watched: bool,
    /// Whether nobody added them: they were seen, and are forgotten again after a time.
    pub met: bool,
    /// How often they were seen, visits long.
    pub seen: usize,
    /// When last, in seconds since 1970.
    pub last_seen: Option<i64>,
}

impl GalleryFile {
    /// Makes a new gallery without people.
    ///
    /// # Errors
    /// [`GalleryError::Exists`] where there is a file already, [`GalleryError::Embedding`] where no gallery can hold
    /// the network's vectors, and the failures of the file system.
    pub fn create(path: impl AsRef<Path>, embedding: &EmbeddingId) -> Result<Self, GalleryError> {
        let path = path.as_ref();
        let made = Self::make(path, embedding, |_| Ok(()))?;
        // Only now, so that the file itself, and not just its log, says from the beginning what it is.
        journal_in_wal(&made.connection).map_err(GalleryError::sqlite(path, "creating"))?;
        Ok(made)
    }

    /// A gallery that nobody else knows and that only counts when finished: no journal on disk, no waiting for it.
    pub(super) fn create_aside(path: &Path, embedding: &EmbeddingId) -> Result<Self, GalleryError> {
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
        // Made before SQLite opens it, so that of two programs only one gets it.
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
            Ok(Self { path: path.to_path_buf(), connection, embedding: embedding.clone() })
        });
        if made.is_err() {
            remove_with_companions(path);
        }
        made.map_err(GalleryError::sqlite(path, "creating"))
    }

    /// Opens a gallery and checks that it is whole; one of an older format is brought to the newest. With `expected`,
    /// refuses a gallery that another network made. Without, any will do: to list or remove people.
    ///
    /// Where the file or its folder may only be read, so may the gallery.
    ///
    /// While a gallery is open, the same process must not open its file in any other way: on Unix, closing that second
    /// handle would let go of SQLite's locks.
    ///
    /// # Errors
    /// [`GalleryError::Missing`], [`GalleryError::NotAGallery`], [`GalleryError::Damaged`], [`GalleryError::Newer`],
    /// [`GalleryError::OtherNetwork`], and the failures of the file system.
    pub fn open(path: impl AsRef<Path>, expected: Option<&EmbeddingId>) -> Result<Self, GalleryError> {
        let path = path.as_ref();
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(GalleryError::Missing { path: path.to_path_buf() });
            }
            Err(error) => return Err(GalleryError::io(path, "opening")(error)),
            Ok(meta) if meta.is_dir() => {
                return Err(GalleryError::NotAGallery { path: path.to_path_buf(), reason: "it is a folder".into() });
            }
            Ok(_) => {}
        }
        let connection = match Self::connect(path) {
            // A gallery that was last closed in WAL mode wants to put files beside itself even to be read.
            Err(error) if is_write_protection(&error) && !has_wal(path) => {
                log::info!("{}: opened for reading only, since its folder may not be written", path.display());
                match Self::connect_frozen(path) {
                    // It was something else.
                    Err(again) if is_write_protection(&again) => return Err(error),
                    other => other?,
                }
            }
            other => other?,
        };
        let embedding = rules::opened(path, schema::embedding(&connection, path)?, expected)?;
        Ok(Self { path: path.to_path_buf(), connection, embedding })
    }

    fn connect(path: &Path) -> Result<Connection, GalleryError> {
        let failed = GalleryError::sqlite(path, "opening");
        let mut connection = schema::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(&failed)?;
        let format = schema::check(&connection, path)?;
        if !connection.is_readonly("main").map_err(&failed)? {
            journal_in_wal(&connection).map_err(&failed)?;
        }
        if format < schema::FORMAT {
            schema::migrate(&mut connection).map_err(GalleryError::sqlite(path, "bringing to the newest format"))?;
        }
        Ok(connection)
    }

    /// Takes the file as it lies there, without locks and companions.
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
        let connection =
            schema::connect(Path::new(&uri), flags).map_err(GalleryError::sqlite(path, "opening for reading"))?;
        if schema::check(&connection, path)? < schema::FORMAT {
            let doing = "bringing to the newest format";
            return Err(GalleryError::ReadOnly { path: path.to_path_buf(), doing });
        }
        Ok(connection)
    }

    /// Closes the file and reports what closing found, which dropping does not.
    pub(super) fn close(self) -> Result<(), GalleryError> {
        self.connection.close().map_err(|(_, error)| GalleryError::sqlite(&self.path, "closing")(error))
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The network that the vectors come from, with the same-person threshold in force.
    pub fn embedding(&self) -> &EmbeddingId {
        &self.embedding
    }

    /// Adds photos of a person, who is made where the name is new. All or nothing.
    ///
    /// # Errors
    /// [`GalleryError::Name`], [`GalleryError::NoPhoto`], [`GalleryError::Photo`] where a vector or thumbnail is
    /// unusable, and the failures of the file.
    pub fn add(&mut self, person: &str, photos: &[NewPhoto]) -> Result<Added, GalleryError> {
        let person = rules::person_name(person)?;
        rules::photos(person, photos, &self.embedding)?;
        let failed = GalleryError::sqlite(&self.path, "adding photos");
        let (change, number) = self.change("adding photos")?;
        let added = add(&change, person, photos, number).map_err(&failed)?;
        change.commit().map_err(&failed)?;
        Ok(added)
    }

    /// Begins a change, with its number. Refused where the gallery was given to another network since it was opened.
    pub(super) fn change(&mut self, doing: &'static str) -> Result<(Transaction<'_>, i64), GalleryError> {
        let (path, embedding) = (&self.path, &self.embedding);
        let failed = GalleryError::sqlite(path, doing);
        let change = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let now = schema::embedding(&change, path)?;
        if !now.compares_with(embedding) {
            return Err(GalleryError::other_network(path, &now, embedding));
        }
        let sql = "UPDATE meta SET changes = changes + 1 RETURNING changes";
        let number = change.query_row(sql, [], |row| row.get(0)).map_err(&failed)?;
        Ok((change, number))
    }

    /// Removes a person with all photos: from the tables, and from the unused parts of the file and its log. Rewrites
    /// the file, so it takes about as long as copying it. Deletes the index, which holds their vectors too; build it again
    /// with [`super::IndexBuilder`].
    ///
    /// # Errors
    /// [`GalleryError::UnknownPerson`], and the failures of the file.
    pub fn remove_person(&mut self, name: &str) -> Result<Removed, GalleryError> {
        let person = self.find_person(name)?;
        let photos = self.without_index(|file| {
            let failed = GalleryError::sqlite(&file.path, "removing");
            let (change, number) = file.change("removing")?;
            let photos = delete_person(&change, person.id, number).map_err(&failed)?;
            change.commit().map_err(&failed)?;
            Ok(photos)
        })?;
        let erased = self.erase_remains()?;
        if !erased {
            log::warn!(
                "{}: {:?} is removed, but remains stay in the file, since another program is using it",
                self.path.display(),
                person.name
            );
        }
        Ok(Removed { photos, erased })
    }

    /// Removes people, with no index before and after: a process that is killed in between leaves none, and neither does one
    /// that built it meanwhile.
    pub(super) fn without_index<T>(
        &mut self,
        remove: impl FnOnce(&mut Self) -> Result<T, GalleryError>,
    ) -> Result<T, GalleryError> {
        remove_index(&self.path)?;
        let removed = remove(self)?;
        remove_index(&self.path)?;
        Ok(removed)
    }

    /// Rewrites the file, so that nothing of removed people stays in its unused parts or in the log beside it. Done
    /// with every removal; to be called again only after one that said that it could not. False where it still cannot,
    /// because another program is changing the gallery or reading an earlier state of it.
    ///
    /// # Errors
    /// The failures of the file.
    pub fn erase_remains(&self) -> Result<bool, GalleryError> {
        // `secure_delete` clears what is deleted, but not the copies of rows that stay behind when SQLite moves rows
        // from page to page; only new pages have none. The log holds old pages until it is emptied.
        let rewrite = || {
            self.connection.execute_batch("VACUUM")?;
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))
        };
        match rewrite().map_err(GalleryError::sqlite(&self.path, "erasing what was removed")) {
            Ok(busy) => Ok(!busy),
            Err(GalleryError::InUse { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Everybody, by name.
    ///
    /// # Errors
    /// The failures of the file.
    pub fn people(&self) -> Result<Vec<PersonSummary>, GalleryError> {
        self.summaries("", []).map_err(GalleryError::sqlite(&self.path, "listing people"))
    }

    /// The person of exactly this name.
    ///
    /// # Errors
    /// [`GalleryError::UnknownPerson`] with names like it, and the failures of the file.
    pub fn find_person(&self, name: &str) -> Result<PersonSummary, GalleryError> {
        let failed = GalleryError::sqlite(&self.path, "looking for a person");
        let found = self.summaries("WHERE person.name = ?1", [name.trim()]).map_err(failed)?;
        match found.into_iter().next() {
            Some(person) => Ok(person),
            None => {
                let people = self.people()?;
                Err(rules::unknown_person(&self.path, name, people.iter().map(|person| person.name.as_str())))
            }
        }
    }

    /// Somebody by number; `None` where they are not there.
    ///
    /// # Errors
    /// The failures of the file.
    pub fn person(&self, id: PersonId) -> Result<Option<PersonSummary>, GalleryError> {
        let failed = GalleryError::sqlite(&self.path, "looking for a person");
        Ok(self.summaries("WHERE person.id = ?1", [id.0]).map_err(failed)?.pop())
    }

    /// As [`super::Gallery::people_like`], for a part of a name in ASCII: the file finds those itself, however many people there
    /// are.
    pub(super) fn people_like(&self, wanted: &Wanted) -> Result<(usize, Vec<PersonSummary>), GalleryError> {
        let fits = "FROM person WHERE name LIKE ?1 ESCAPE '\\' AND (watched OR NOT ?2)";
        let mut name = wanted.name.trim().replace('\\', "\\\\");
        name = format!("%{}%", name.replace('%', "\\%").replace('_', "\\_"));
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let read = || {
            let mut count = self.connection.prepare_cached(&format!("SELECT count(*) {fits}"))?;
            let total: i64 = count.query_row(params![name, wanted.watched], |row| row.get(0))?;
            let which = format!("WHERE person.id IN (SELECT id {fits} ORDER BY name LIMIT ?3 OFFSET ?4)");
            let shown = params![name, wanted.watched, number(wanted.limit), number(wanted.offset)];
            Ok((usize::try_from(total).unwrap_or(0), self.summaries(&which, shown)?))
        };
        read().map_err(GalleryError::sqlite(&self.path, "listing people"))
    }

    fn summaries(&self, which: &str, params: impl rusqlite::Params) -> rusqlite::Result<Vec<PersonSummary>> {
        let sql = format!(
            "SELECT person.id, person.name, count(photo.id), person.watched, person.met, person.seen, person.last_seen
             FROM person LEFT JOIN photo ON photo.person = person.id {which} GROUP BY person.id ORDER BY person.name"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params, |row| {
            Ok(PersonSummary {
                id: PersonId(row.get(0)?),
                name: row.get(1)?,
                photos: row.get::<_, u32>(2)? as usize,
                watched: row.get(3)?,
                met: row.get(4)?,
                seen: row.get::<_, u32>(5)? as usize,
                last_seen: row.get(6)?,
            })
        })?;
        rows.collect()
    }

    /// A photo's thumbnail, a JPEG; none where the photo has none or is not there any more.
    ///
    /// # Errors
    /// The failures of the file.
    pub fn thumbnail(&self, photo: PhotoId) -> Result<Option<Vec<u8>>, GalleryError> {
        self.jpeg("SELECT thumbnail FROM photo WHERE id = ?1", photo.0)
    }

    /// The thumbnail that shows a person best, a JPEG: of the photo with the highest score, of equal ones the first.
    /// None where no photo has a thumbnail or the person is not there any more.
    ///
    /// # Errors
    /// The failures of the file.
    pub fn portrait(&self, person: PersonId) -> Result<Option<Vec<u8>>, GalleryError> {
        let sql = "SELECT thumbnail FROM photo WHERE person = ?1 AND thumbnail IS NOT NULL
                   ORDER BY score DESC NULLS LAST, id LIMIT 1";
        self.jpeg(sql, person.0)
    }

    fn jpeg(&self, sql: &str, id: i64) -> Result<Option<Vec<u8>>, GalleryError> {
        let read = || self.connection.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional();
        read().map(Option::flatten).map_err(GalleryError::sqlite(&self.path, "reading a thumbnail"))
    }

    /// All vectors as they are now, to be searched without the file.
    ///
    /// # Errors
    /// [`GalleryError::Damaged`] where a vector is unusable, and the failures of the file.
    pub fn snapshot(&self) -> Result<Snapshot, GalleryError> {
        let mut snapshot = Snapshot::empty(self.embedding.clone())?;
        // One statement sees one state of the file, whatever others change meanwhile.
        let sql = "SELECT person.id, person.name, person.watched, photo.id, photo.vector
                   FROM person JOIN photo ON photo.person = person.id ORDER BY person.id, photo.id";
        self.each_photo(sql, [], |photo| {
            let PhotoRow { person, name, watched, photo, vector } = photo;
            snapshot.push(person, name, watched, photo, vector)
        })?;
        Ok(snapshot)
    }

    /// Goes through the photos that a statement gives.
    pub(super) fn each_photo(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        mut take: impl FnMut(PhotoRow<'_>) -> Result<(), VectorFault>,
    ) -> Result<(), GalleryError> {
        let failed = GalleryError::sqlite(&self.path, "reading vectors");
        let mut statement = self.connection.prepare_cached(sql).map_err(&failed)?;
        let mut rows = statement.query(params).map_err(&failed)?;
        let mut vector = Vec::with_capacity(self.embedding.length);
        while let Some(row) = rows.next().map_err(&failed)? {
            let photo: i64 = row.get(3).map_err(&failed)?;
            let damaged = |reason: String| GalleryError::Damaged {
                path: self.path.clone(),
                reason: format!("photo {photo}: {reason}"),
            };
            let read = || Ok((row.get(0)?, row.get_ref(1)?.as_str()?, row.get(2)?, row.get_ref(4)?.as_blob()?));
            let (person, name, watched, bytes) = read().map_err(|error: rusqlite::Error| damaged(error.to_string()))?;
            floats(bytes, &mut vector).map_err(&damaged)?;
            let taken = PhotoRow { person: PersonId(person), name, watched, photo: PhotoId(photo), vector: &vector };
            take(taken).map_err(|fault| damaged(format!("its vector is unusable: {fault}")))?;
        }
        Ok(())
    }
}

/// A photo as the file has it: `person.id, person.name, person.watched, photo.id, photo.vector`.
pub(super) struct PhotoRow<'a> {
    pub(super) person: PersonId,
    pub(super) name: &'a str,
    pub(super) watched: bool,
    pub(super) photo: PhotoId,
    pub(super) vector: &'a [f32],
}

/// The little-endian numbers of a stored vector.
pub(super) fn floats(bytes: &[u8], vector: &mut Vec<f32>) -> Result<(), String> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(format!("a vector of {} bytes", bytes.len()));
    }
    vector.clear();
    vector.extend(numbers.iter().map(|number| f32::from_le_bytes(*number)));
    Ok(())
}

/// A vector as it is stored.
pub(super) fn bytes_of(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|value| value.to_le_bytes()).collect()
}

impl NewPhoto {
    pub(super) fn check(&self, embedding: &EmbeddingId) -> Result<(), String> {
        check_vector(&self.vector, embedding).map_err(|fault| format!("its vector is unusable: {fault}"))?;
        if self.thumbnail.as_ref().is_some_and(|jpeg| !jpeg.starts_with(&[0xFF, 0xD8, 0xFF])) {
            return Err("its thumbnail is not a JPEG".into());
        }
        if self.score.is_some_and(|score| !score.is_finite()) {
            return Err("its score is not finite".into());
        }
        Ok(())
    }

    /// The file's name without its folders, of whichever system: what a gallery keeps of the source.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.source.rsplit(['/', '\\']).next().unwrap_or(&self.source)
    }
}

fn add(change: &Transaction<'_>, name: &str, photos: &[NewPhoto], number: i64) -> rusqlite::Result<Added> {
    // Whoever is added by hand is not somebody that was merely met any more.
    let person: i64 = change.query_row(
        "INSERT INTO person (name, changed) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET met = 0, changed = excluded.changed RETURNING id",
        params![name, number],
        |row| row.get(0),
    )?;
    let photos = insert_photos(change, PersonId(person), photos, number)?;
    Ok(Added { person: PersonId(person), photos })
}

/// Adds the photos that the person has not yet, and counts them.
pub(super) fn insert_photos(
    change: &Transaction<'_>,
    person: PersonId,
    photos: &[NewPhoto],
    number: i64,
) -> rusqlite::Result<usize> {
    let mut insert = change.prepare_cached(
        "INSERT INTO photo (person, source, sha256, score, vector, thumbnail, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (person, sha256) DO NOTHING",
    )?;
    let mut added = 0;
    for photo in photos {
        let hash = photo.sha256.as_ref().map(<[u8; 32]>::as_slice);
        let vector = bytes_of(&photo.vector);
        added +=
            insert.execute(params![person.0, photo.file_name(), hash, photo.score, vector, photo.thumbnail, number])?;
    }
    Ok(added)
}

/// Deletes a person with everything of theirs, and counts the photos.
pub(super) fn delete_person(change: &Transaction<'_>, person: PersonId, number: i64) -> rusqlite::Result<usize> {
    change.execute(
        "INSERT OR REPLACE INTO removal (photo, changed) SELECT id, ?2 FROM photo WHERE person = ?1",
        params![person.0, number],
    )?;
    let photos = change.execute("DELETE FROM photo WHERE person = ?1", [person.0])?;
    change.execute("DELETE FROM person WHERE id = ?1", [person.0])?;
    Ok(photos)
}

/// A log beside the file, so that reading and changing do not wait for each other.
fn journal_in_wal(connection: &Connection) -> rusqlite::Result<()> {
    journal(connection, "wal").map(drop)
}

/// Sets where changes go before they are in the file; says what holds now, which is not always what was asked for.
pub(super) fn journal(connection: &Connection, mode: &str) -> rusqlite::Result<String> {
    connection.pragma_update_and_check(None, "journal_mode", mode, |row| row.get(0))
}

/// The files that SQLite keeps beside `path`.
pub(super) fn companions(path: &Path) -> [PathBuf; 3] {
    ["-wal", "-shm", "-journal"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

/// Deletes a gallery that nobody has open, as far as it is there.
pub(super) fn remove_with_companions(path: &Path) {
    for file in companions(path).iter().map(PathBuf::as_path).chain([path]) {
        if let Err(error) = fs::remove_file(file)
            && error.kind() != io::ErrorKind::NotFound
        {
            log::warn!("{}: cannot be removed: {error}", file.display());
        }
    }
}

fn has_wal(path: &Path) -> bool {
    fs::metadata(&companions(path)[0]).is_ok_and(|meta| meta.len() > 0)
}

fn is_write_protection(error: &GalleryError) -> bool {
    match error {
        GalleryError::ReadOnly { .. } => true,
        GalleryError::Sqlite { source, .. } => source.sqlite_error_code() == Some(ErrorCode::CannotOpen),
        _ => false,
    }
}

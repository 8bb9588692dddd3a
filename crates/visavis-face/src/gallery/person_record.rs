//! Everything of one person, to put them back after a removal.

use rusqlite::params;

use super::store::{floats, insert_photos};
use super::{EmbeddingId, FileGallery, GalleryError, GalleryFile, NewPhoto, PersonId, PhotoId};

/// Everything of one person but their alarms. Lives in memory only, so that a removal stays one whatever happens.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonRecord {
    /// The name.
    pub name: String,
    /// All photos, in the order in which they came.
    pub photos: Vec<NewPhoto>,
    watched: bool,
    met: bool,
    seen: u32,
    last_seen: Option<i64>,
    denials: Vec<Vec<u8>>,
    /// Whose vectors these are.
    made_by: EmbeddingId,
}

impl GalleryFile {
    /// Everything of a person; `None` where they are not there.
    ///
    /// # Errors
    /// [`GalleryError::Damaged`] where a vector is unusable, and the failures of the file.
    pub fn person_record(&self, person: PersonId) -> Result<Option<PersonRecord>, GalleryError> {
        let failed = GalleryError::sqlite(&self.path, "reading a person");
        let read = || {
            let sql = "SELECT name, watched, met, seen, last_seen FROM person WHERE id = ?1";
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query([person.0])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let mut record = PersonRecord {
                name: row.get(0)?,
                watched: row.get(1)?,
                met: row.get(2)?,
                seen: row.get(3)?,
                last_seen: row.get(4)?,
                photos: Vec::new(),
                denials: Vec::new(),
                made_by: self.embedding().clone(),
            };
            let sql = "SELECT source, sha256, vector, thumbnail, score FROM photo WHERE person = ?1 ORDER BY id";
            let mut statement = self.connection.prepare_cached(sql)?;
            let photos = statement.query_map([person.0], |row| {
                let mut vector = Vec::new();
                // Photos with a vector that makes no sense are not carried over.
                let usable = floats(row.get_ref(2)?.as_blob()?, &mut vector).is_ok();
                let (source, sha256, thumbnail, score) = (row.get(0)?, row.get(1)?, row.get(3)?, row.get(4)?);
                Ok(usable.then_some(NewPhoto { source, sha256, vector, thumbnail, score }))
            })?;
            record.photos = photos.filter_map(Result::transpose).collect::<rusqlite::Result<Vec<_>>>()?;
            let mut statement =
                self.connection.prepare_cached("SELECT vector FROM denial WHERE person = ?1 ORDER BY id")?;
            record.denials =
                statement.query_map([person.0], |row| row.get(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(Some(record))
        };
        read().map_err(failed)
    }

    /// Puts a person back who was removed, under a new number.
    ///
    /// # Errors
    /// [`GalleryError::NameTaken`] where somebody else has the name by now, [`GalleryError::OtherNetwork`] where the gallery
    /// went over to another network since, and the failures of the file.
    pub fn restore(&mut self, record: &PersonRecord) -> Result<PersonId, GalleryError> {
        if !record.made_by.compares_with(self.embedding()) {
            return Err(GalleryError::other_network(&self.path, self.embedding(), &record.made_by));
        }
        if self.find_person(&record.name).is_ok() {
            return Err(GalleryError::NameTaken { path: self.path.clone(), name: record.name.clone() });
        }
        let mut person = PersonId(0);
        self.edit("putting a person back", |change, number| {
            change.execute(
                "INSERT INTO person (name, watched, met, seen, last_seen, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![record.name, record.watched, record.met, record.seen, record.last_seen, number],
            )?;
            person = PersonId(change.last_insert_rowid());
            for denied in &record.denials {
                change.execute("INSERT INTO denial (person, vector) VALUES (?1, ?2)", params![person.0, denied])?;
            }
            insert_photos(change, person, &record.photos, number)
        })?;
        Ok(person)
    }

    /// The photos of a person, in the order in which they came.
    ///
    /// # Errors
    /// The failures of the file.
    pub fn photos(&self, person: PersonId) -> Result<Vec<PhotoId>, GalleryError> {
        let read = || {
            let mut statement = self.connection.prepare_cached("SELECT id FROM photo WHERE person = ?1 ORDER BY id")?;
            let rows = statement.query_map([person.0], |row| row.get(0).map(PhotoId))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(GalleryError::sqlite(&self.path, "listing photos"))
    }
}

impl FileGallery {
    /// See [`GalleryFile::person_record`].
    ///
    /// # Errors
    /// As [`GalleryFile::person_record`].
    pub fn person_record(&self, person: PersonId) -> Result<Option<PersonRecord>, GalleryError> {
        self.file().person_record(person)
    }

    /// See [`GalleryFile::restore`].
    ///
    /// # Errors
    /// As [`GalleryFile::restore`].
    pub fn restore(&self, record: &PersonRecord) -> Result<PersonId, GalleryError> {
        self.change(|file| file.restore(record))
    }

    /// See [`GalleryFile::photos`].
    ///
    /// # Errors
    /// The failures of the file.
    pub fn photos(&self, person: PersonId) -> Result<Vec<PhotoId>, GalleryError> {
        self.file().photos(person)
    }

    /// See [`GalleryFile::thumbnail`].
    ///
    /// # Errors
    /// The failures of the file.
    pub fn thumbnail(&self, photo: PhotoId) -> Result<Option<Vec<u8>>, GalleryError> {
        self.file().thumbnail(photo)
    }
}

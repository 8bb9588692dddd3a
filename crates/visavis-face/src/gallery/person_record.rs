//! Everything of one person, or of a photo, to put it back after a removal.

use rusqlite::{OptionalExtension, Transaction, params};

use super::store::{bytes_of, floats, insert_photos};
use super::{EmbeddingId, GalleryError, GalleryFile, NewPhoto, PersonId, PhotoId, rules};

/// Everything of one person but their alarms. Lives in memory only, so that a removal stays one whatever happens.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonRecord {
    /// The name.
    pub name: String,
    /// All photos, in the order in which they came.
    pub photos: Vec<NewPhoto>,
    /// Whether an alarm rings when they are seen.
    pub watched: bool,
    /// Whether nobody added them: they were merely met.
    pub met: bool,
    /// Visits.
    pub seen: u32,
    /// Seconds since 1970.
    pub last_seen: Option<i64>,
    /// `[length]` each: faces of which it was said that they are not theirs.
    pub denials: Vec<Vec<f32>>,
    /// Whose vectors these are.
    pub made_by: EmbeddingId,
}

/// A photo that was removed, to put it back. Lives in memory only.
#[derive(Debug, Clone, PartialEq)]
pub struct RemovedPhoto {
    /// Whose.
    pub person: PersonId,
    /// Whether nothing of it is left in the file: see [`GalleryFile::erase_remains`].
    pub erased: bool,
    /// The photo.
    pub photo: NewPhoto,
    /// Whose vector it has.
    pub made_by: EmbeddingId,
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
            let photos = statement.query_map([person.0], photo)?;
            record.photos = photos.filter_map(Result::transpose).collect::<rusqlite::Result<Vec<_>>>()?;
            let mut statement =
                self.connection.prepare_cached("SELECT vector FROM denial WHERE person = ?1 ORDER BY id")?;
            let denials = statement.query_map([person.0], |row| Ok(usable(row.get_ref(0)?.as_blob()?)))?;
            record.denials = denials.filter_map(Result::transpose).collect::<rusqlite::Result<Vec<_>>>()?;
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
        self.may_restore(record)?;
        let mut person = PersonId(0);
        self.edit("putting a person back", |change, number| {
            person = insert_person(change, record, number)?;
            Ok(1)
        })?;
        Ok(person)
    }

    pub(super) fn may_restore(&self, record: &PersonRecord) -> Result<(), GalleryError> {
        rules::made_by(&self.path, self.embedding(), &record.made_by)?;
        if self.find_person(&record.name).is_ok() {
            return Err(GalleryError::NameTaken { path: self.path.clone(), name: record.name.clone() });
        }
        Ok(())
    }

    /// Removes a photo, from the unused parts of the file too, and hands it out; `None` where it is not there. Deletes the
    /// index, as [`GalleryFile::remove_person`] does.
    ///
    /// # Errors
    /// [`GalleryError::OnlyPhoto`] for the last photo of a person, and the failures of the file.
    pub fn remove_photo(&mut self, id: PhotoId) -> Result<Option<RemovedPhoto>, GalleryError> {
        let failed = GalleryError::sqlite(&self.path, "reading a photo");
        let read = || {
            let sql = "SELECT source, sha256, vector, thumbnail, score, person FROM photo WHERE id = ?1";
            let mut statement = self.connection.prepare_cached(sql)?;
            let found = statement.query_row([id.0], |row| Ok((PersonId(row.get(5)?), photo(row)?)));
            found.optional()
        };
        let Some((person, Some(photo))) = read().map_err(failed)? else { return Ok(None) };
        let mut alone = false;
        self.without_index(|file| {
            file.edit("removing a photo", |change, number| {
                let sql = "DELETE FROM photo WHERE id = ?1 AND 1 < (SELECT count(*) FROM photo WHERE person = ?2)";
                alone = change.execute(sql, [id.0, person.0])? == 0;
                if alone {
                    return Ok(0);
                }
                change.execute("INSERT OR REPLACE INTO removal (photo, changed) VALUES (?1, ?2)", [id.0, number])
            })
        })?;
        if alone {
            let name = self.person(person)?.map_or_else(String::new, |person| person.name);
            return Err(GalleryError::OnlyPhoto { path: self.path.clone(), name });
        }
        let erased = self.erase_remains()?;
        Ok(Some(RemovedPhoto { person, photo, erased, made_by: self.embedding().clone() }))
    }

    /// Puts a photo back that was removed, under a new number. False where the person is not there any more.
    ///
    /// # Errors
    /// [`GalleryError::OtherNetwork`] where the gallery went over to another network since, and the failures of the file.
    pub fn restore_photo(&mut self, removed: &RemovedPhoto) -> Result<bool, GalleryError> {
        rules::made_by(&self.path, self.embedding(), &removed.made_by)?;
        self.add_to(removed.person, &removed.photo)
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

/// A row of `source, sha256, vector, thumbnail, score`; a photo with a vector that makes no sense is not carried over.
fn photo(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<NewPhoto>> {
    let (source, sha256, thumbnail, score) = (row.get(0)?, row.get(1)?, row.get(3)?, row.get(4)?);
    let vector = usable(row.get_ref(2)?.as_blob()?);
    Ok(vector.map(|vector| NewPhoto { source, sha256, vector, thumbnail, score }))
}

/// The vector, where it makes sense.
fn usable(bytes: &[u8]) -> Option<Vec<f32>> {
    let mut vector = Vec::new();
    floats(bytes, &mut vector).is_ok().then_some(vector)
}

/// Puts a person with everything of theirs in, under a new number.
pub(super) fn insert_person(
    change: &Transaction<'_>,
    record: &PersonRecord,
    number: i64,
) -> rusqlite::Result<PersonId> {
    change.execute(
        "INSERT INTO person (name, watched, met, seen, last_seen, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![record.name, record.watched, record.met, record.seen, record.last_seen, number],
    )?;
    let person = PersonId(change.last_insert_rowid());
    for denied in &record.denials {
        change.execute("INSERT INTO denial (person, vector) VALUES (?1, ?2)", params![person.0, bytes_of(denied)])?;
    }
    insert_photos(change, person, &record.photos, number)?;
    Ok(person)
}

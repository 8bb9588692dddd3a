//! Two people who were joined, to be taken apart again.

use rusqlite::params;

use super::person_record::insert_person;
use super::{FileGallery, GalleryError, GalleryFile, PersonId, PersonRecord};

/// What was whose before two people were joined. Lives in memory only.
#[derive(Debug, Clone, PartialEq)]
pub struct Joint {
    /// Who is gone. Of their photos, those that the other had too.
    from: PersonRecord,
    into: PersonId,
    /// What `from` brought: photos, denials, alarms.
    photos: Vec<i64>,
    denials: Vec<i64>,
    alarms: Vec<i64>,
    /// As it was of `into`.
    watched: bool,
    last_seen: Option<i64>,
}

impl GalleryFile {
    /// As [`GalleryFile::merge`], with what takes them apart again; `None` where one of them is not there, or they are the same.
    ///
    /// # Errors
    /// The failures of the file.
    pub fn join(&mut self, from: PersonId, into: PersonId) -> Result<Option<Joint>, GalleryError> {
        let joint = self.joint(from, into)?;
        self.merge(from, into)?;
        Ok(joint)
    }

    fn joint(&self, from: PersonId, into: PersonId) -> Result<Option<Joint>, GalleryError> {
        if from == into {
            return Ok(None);
        }
        let (Some(mut record), Some(other)) = (self.person_record(from)?, self.person_record(into)?) else {
            return Ok(None);
        };
        let has = |hash: &Option<[u8; 32]>| hash.is_some() && other.photos.iter().any(|photo| photo.sha256 == *hash);
        record.photos.retain(|photo| has(&photo.sha256));
        record.denials.clear();
        let numbers = |table: &str| {
            let sql = format!("SELECT id FROM {table} WHERE person = ?1");
            let mut statement = self.connection.prepare_cached(&sql)?;
            let rows = statement.query_map([from.0], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<Vec<i64>>>()
        };
        let failed = GalleryError::sqlite(&self.path, "reading a person");
        let brought = ["photo", "denial", "alarm"].map(numbers).into_iter().collect::<rusqlite::Result<Vec<_>>>();
        let [photos, denials, alarms] = brought.map_err(failed)?.try_into().unwrap_or_default();
        let (watched, last_seen) = (other.watched, other.last_seen);
        Ok(Some(Joint { from: record, into, photos, denials, alarms, watched, last_seen }))
    }

    /// Takes two people apart who were joined: each has what was theirs, and who stayed keeps what came since. Who was gone is
    /// back under a new number. `None` where the other is not there any more.
    ///
    /// # Errors
    /// As [`GalleryFile::restore`].
    pub fn part(&mut self, joint: &Joint) -> Result<Option<PersonId>, GalleryError> {
        let Joint { from, into, photos, denials, alarms, watched, last_seen } = joint;
        self.may_restore(from)?;
        let mut back = None;
        self.edit("taking two people apart", |change, number| {
            let current = change.query_row("SELECT last_seen FROM person WHERE id = ?1", [into.0], |row| row.get(0));
            let current: Option<i64> = match current {
                Err(rusqlite::Error::QueryReturnedNoRows) => return Ok(0),
                current => current?,
            };
            let person = insert_person(change, from, number)?;
            for (table, marked, numbers) in
                [("photo", ", changed = ?4", photos), ("denial", "", denials), ("alarm", "", alarms)]
            {
                let sql = format!("UPDATE {table} SET person = ?3 {marked} WHERE id = ?1 AND person = ?2");
                let mut give = change.prepare_cached(&sql)?;
                for id in numbers {
                    let given = if marked.is_empty() {
                        give.execute(params![id, into.0, person.0])
                    } else {
                        give.execute(params![id, into.0, person.0, number])
                    };
                    given?;
                }
            }
            // Whoever was seen since then was seen as the one who stayed.
            let joined_last = from.last_seen.max(*last_seen);
            let last_seen = if current == joined_last { *last_seen } else { current };
            back = Some(person);
            change.execute(
                "UPDATE person SET watched = watched AND (?2 OR NOT ?3), seen = max(seen - ?4, 0), last_seen = ?5, changed = ?6
                 WHERE id = ?1",
                params![into.0, watched, from.watched, from.seen, last_seen, number],
            )
        })?;
        Ok(back)
    }
}

impl FileGallery {
    /// See [`GalleryFile::join`].
    ///
    /// # Errors
    /// As [`GalleryFile::join`].
    pub fn join(&self, from: PersonId, into: PersonId) -> Result<Option<Joint>, GalleryError> {
        self.change(|file| file.join(from, into))
    }

    /// See [`GalleryFile::part`].
    ///
    /// # Errors
    /// As [`GalleryFile::part`].
    pub fn part(&self, joint: &Joint) -> Result<Option<PersonId>, GalleryError> {
        self.change(|file| file.part(joint))
    }
}

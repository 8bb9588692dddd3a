//! Two people who were joined, to be taken apart again.

use rusqlite::params;

use super::person_record::insert_person;
use super::{GalleryError, GalleryFile, PersonId, PersonRecord};

/// What was whose before two people were joined. Lives in memory only.
#[derive(Debug, Clone, PartialEq)]
pub struct Joint {
    /// Who is gone. Of their photos, those that the other had too; no denials.
    pub from: PersonRecord,
    /// Who stayed.
    pub into: PersonId,
    /// Whether `into` was on the watch list.
    watched: bool,
    /// When `into` was last seen, seconds since 1970.
    last_seen: Option<i64>,
    /// What `from` brought.
    pub brought: Brought,
}

/// What somebody brings when they are joined with another: the numbers of the rows that change hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// Photos.
    pub photos: Vec<i64>,
    /// Faces of which it was said that they are not theirs.
    pub denials: Vec<i64>,
    /// Alarms.
    pub alarms: Vec<i64>,
}

/// What `into` is to be after a parting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remaining {
    /// Whether they stay on the watch list if they are on it.
    pub may_be_watched: bool,
    /// When they were last seen, seconds since 1970.
    pub last_seen: Option<i64>,
}

impl Joint {
    /// What is to be remembered of `from` and `into`, as they are now, before they are joined.
    #[must_use]
    pub fn new(mut from: PersonRecord, into: PersonId, other: &PersonRecord, brought: Brought) -> Self {
        let has = |hash: &Option<[u8; 32]>| hash.is_some() && other.photos.iter().any(|photo| photo.sha256 == *hash);
        from.photos.retain(|photo| has(&photo.sha256));
        from.denials.clear();
        Self { from, into, watched: other.watched, last_seen: other.last_seen, brought }
    }

    /// What `into` is to be after the parting, who was last seen at `last_seen` by now.
    #[must_use]
    pub fn remaining(&self, last_seen: Option<i64>) -> Remaining {
        // Whoever was seen since then was seen as the one who stayed.
        let joined = self.from.last_seen.max(self.last_seen);
        Remaining {
            may_be_watched: self.watched || !self.from.watched,
            last_seen: if last_seen == joined { self.last_seen } else { last_seen },
        }
    }
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
        let (Some(record), Some(other)) = (self.person_record(from)?, self.person_record(into)?) else {
            return Ok(None);
        };
        let numbers = |table: &str| {
            let sql = format!("SELECT id FROM {table} WHERE person = ?1");
            let mut statement = self.connection.prepare_cached(&sql)?;
            let rows = statement.query_map([from.0], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<Vec<i64>>>()
        };
        let failed = GalleryError::sqlite(&self.path, "reading a person");
        let brought = ["photo", "denial", "alarm"].map(numbers).into_iter().collect::<rusqlite::Result<Vec<_>>>();
        let [photos, denials, alarms] = brought.map_err(failed)?.try_into().unwrap_or_default();
        Ok(Some(Joint::new(record, into, &other, Brought { photos, denials, alarms })))
    }

    /// Takes two people apart who were joined: each has what was theirs, and who stayed keeps what came since. Who was gone is
    /// back under a new number. `None` where the other is not there any more.
    ///
    /// # Errors
    /// As [`GalleryFile::restore`].
    pub fn part(&mut self, joint: &Joint) -> Result<Option<PersonId>, GalleryError> {
        let Joint { from, into, brought: Brought { photos, denials, alarms }, .. } = joint;
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
            let Remaining { may_be_watched, last_seen } = joint.remaining(current);
            back = Some(person);
            change.execute(
                "UPDATE person SET watched = watched AND ?2, seen = max(seen - ?3, 0), last_seen = ?4, changed = ?5
                 WHERE id = ?1",
                params![into.0, may_be_watched, from.seen, last_seen, number],
            )
        })?;
        Ok(back)
    }
}

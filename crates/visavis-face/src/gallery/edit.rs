//! Changes to people who are in a gallery: watched, denied, renamed, joined, seen again, forgotten.

use rusqlite::{Transaction, params};

use super::rules::{self, NAMELESS};
use super::store::{bytes_of, delete_person, insert_photos};
use super::{GalleryError, GalleryFile, NewPhoto, PersonId};

impl GalleryFile {
    /// Puts a person on the watch list, or takes them off it.
    ///
    /// # Errors
    /// [`GalleryError::UnknownPerson`], and the failures of the file.
    pub fn watch(&mut self, name: &str, watched: bool) -> Result<PersonId, GalleryError> {
        let person = self.find_person(name)?.id;
        self.edit("putting on the watch list", |change, number| {
            let sql = "UPDATE person SET watched = ?2, changed = ?3 WHERE id = ?1";
            change.execute(sql, params![person.0, watched, number])
        })?;
        Ok(person)
    }

    /// Remembers a face that is not this person, though it resembles them: nobody who is nearer to this vector than to the
    /// person's photos is taken for the person again.
    ///
    /// # Errors
    /// [`GalleryError::Query`] for a vector that cannot be compared, and the failures of the file. Nothing happens where
    /// the person is not there any more.
    pub fn deny(&mut self, person: PersonId, vector: &[f32]) -> Result<(), GalleryError> {
        rules::query(vector, self.embedding())?;
        self.edit("remembering who it is not", |change, number| {
            change.execute(
                "INSERT INTO denial (person, vector) SELECT id, ?2 FROM person WHERE id = ?1",
                params![person.0, bytes_of(vector)],
            )?;
            touch(change, person, number)
        })
    }

    /// Gives a person another name. Whoever was merely met is a person like any other from then on.
    ///
    /// # Errors
    /// [`GalleryError::UnknownPerson`], [`GalleryError::Name`], [`GalleryError::NameTaken`] where somebody else has the new
    /// name, and the failures of the file.
    pub fn rename(&mut self, name: &str, to: &str) -> Result<PersonId, GalleryError> {
        let (person, to) = (self.find_person(name)?.id, rules::person_name(to)?.to_owned());
        if self.find_person(&to).is_ok_and(|other| other.id != person) {
            return Err(GalleryError::NameTaken { path: self.path.clone(), name: to });
        }
        self.edit("renaming", |change, number| {
            let sql = "UPDATE person SET name = ?2, met = 0, changed = ?3 WHERE id = ?1";
            change.execute(sql, params![person.0, to, number])
        })?;
        Ok(person)
    }

    /// Joins two people who are one: photos, visits, denials and alarms of `from` go to `into`, and `from` is gone.
    ///
    /// # Errors
    /// The failures of the file. Nothing happens where one of them is not there, or they are the same.
    pub fn merge(&mut self, from: PersonId, into: PersonId) -> Result<(), GalleryError> {
        if from == into {
            return Ok(());
        }
        self.edit("joining two people", |change, number| {
            let both = "SELECT count(*) FROM person WHERE id IN (?1, ?2)";
            if change.query_row(both, [from.0, into.0], |row| row.get::<_, u32>(0))? < 2 {
                return Ok(0);
            }
            // A photo that both have stays with `into`, and goes with `from`.
            change.execute(
                "UPDATE OR IGNORE photo SET person = ?2, changed = ?3 WHERE person = ?1",
                params![from.0, into.0, number],
            )?;
            change.execute("UPDATE denial SET person = ?2 WHERE person = ?1", [from.0, into.0])?;
            change.execute("UPDATE alarm SET person = ?2 WHERE person = ?1", [from.0, into.0])?;
            change.execute(
                "UPDATE person SET changed = ?3, watched = max(person.watched, other.watched),
                        seen = person.seen + other.seen, last_seen = nullif(max(coalesce(person.last_seen, 0),
                        coalesce(other.last_seen, 0)), 0)
                 FROM (SELECT watched, seen, last_seen FROM person WHERE id = ?1) AS other WHERE id = ?2",
                params![from.0, into.0, number],
            )?;
            delete_person(change, from, number)
        })
    }

    /// Adds somebody whom nobody has named, seen at `at` (seconds since 1970).
    ///
    /// # Errors
    /// [`GalleryError::Photo`] where the vector or thumbnail is unusable, and the failures of the file.
    pub fn meet(&mut self, photo: &NewPhoto, at: i64) -> Result<PersonId, GalleryError> {
        rules::photos(NAMELESS, std::slice::from_ref(photo), self.embedding())?;
        let mut person = PersonId(0);
        self.edit("adding a visitor", |change, number| {
            // The number is not known before the row is there.
            change.execute(
                "INSERT INTO person (name, met, seen, last_seen, changed)
                 VALUES (hex(randomblob(16)), 1, 1, ?1, ?2)",
                params![at, number],
            )?;
            person = PersonId(change.last_insert_rowid());
            // Somebody may bear the name already.
            let mut name = format!("{NAMELESS} {}", person.0);
            while change.prepare_cached("SELECT 1 FROM person WHERE name = ?1")?.exists([&name])? {
                name.push('+');
            }
            change.execute("UPDATE person SET name = ?2 WHERE id = ?1", params![person.0, name])?;
            insert_photos(change, person, std::slice::from_ref(photo), number)
        })?;
        Ok(person)
    }

    /// Adds a photo to somebody by number. False where they are not there any more.
    ///
    /// # Errors
    /// As [`GalleryFile::meet`].
    pub fn add_to(&mut self, person: PersonId, photo: &NewPhoto) -> Result<bool, GalleryError> {
        rules::photos(&format!("{NAMELESS} {}", person.0), std::slice::from_ref(photo), self.embedding())?;
        let mut there = false;
        self.edit("adding a photo", |change, number| {
            there = touch(change, person, number)? > 0;
            if there { insert_photos(change, person, std::slice::from_ref(photo), number) } else { Ok(0) }
        })?;
        Ok(there)
    }

    /// Whether a person was merely met; false for who is not there.
    ///
    /// # Errors
    /// The failures of the file.
    pub fn is_met(&self, person: PersonId) -> Result<bool, GalleryError> {
        let sql = "SELECT 1 FROM person WHERE id = ?1 AND met = 1";
        let failed = GalleryError::sqlite(&self.path, "looking for a visitor");
        self.connection.prepare_cached(sql).and_then(|mut found| found.exists([person.0])).map_err(failed)
    }

    /// Notes that somebody is there, at `at` (seconds since 1970), and counts a visit if `new`.
    ///
    /// # Errors
    /// The failures of the file.
    pub fn seen(&mut self, person: PersonId, at: i64, new: bool) -> Result<(), GalleryError> {
        // No change that a search would have to know of.
        let sql = "UPDATE person SET seen = seen + ?3, last_seen = max(coalesce(last_seen, ?2), ?2) WHERE id = ?1";
        let failed = GalleryError::sqlite(&self.path, "noting a visit");
        self.connection.execute(sql, params![person.0, at, new]).map_err(failed)?;
        Ok(())
    }

    /// Forgets everybody who was merely met and was last seen before `before` (seconds since 1970); says how many. Deletes the
    /// index where there was anybody, as [`GalleryFile::remove_person`] does.
    ///
    /// # Errors
    /// The failures of the file.
    pub fn forget_met_before(&mut self, before: i64) -> Result<usize, GalleryError> {
        let old = "SELECT id FROM person WHERE met = 1 AND last_seen < ?1";
        let due = |file: &Self| {
            let mut statement = file.connection.prepare_cached(old)?;
            let rows = statement.query_map([before], |row| row.get(0).map(PersonId))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        let due = due(self).map_err(GalleryError::sqlite(&self.path, "looking for visitors long gone"))?;
        if due.is_empty() {
            return Ok(0);
        }
        self.without_index(|file| {
            file.edit("forgetting visitors", |change, number| {
                due.iter().try_for_each(|person| delete_person(change, *person, number).map(drop))?;
                Ok(due.len())
            })
        })?;
        self.erase_remains()?;
        Ok(due.len())
    }

    pub(super) fn edit(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>, i64) -> rusqlite::Result<usize>,
    ) -> Result<(), GalleryError> {
        let failed = GalleryError::sqlite(&self.path, doing);
        let (change, number) = self.change(doing)?;
        work(&change, number).and_then(|_| change.commit()).map_err(&failed)
    }
}

/// Marks a person as changed; 0 where they are not there.
pub(super) fn touch(change: &Transaction<'_>, person: PersonId, number: i64) -> rusqlite::Result<usize> {
    change.execute("UPDATE person SET changed = ?2 WHERE id = ?1", [person.0, number])
}

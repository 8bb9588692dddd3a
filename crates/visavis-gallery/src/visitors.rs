//! Visitors: people who were added automatically without a name, and are deleted after a time.

use crate::store::Transactions;
use crate::{Gallery, GalleryError, NewPhoto, PersonId, PersonSummary, rows, rules};

impl Gallery {
    /// Adds a visitor who was seen at `at` (Unix time in seconds).
    ///
    /// # Errors
    /// [`GalleryError::Photo`] where the vector or thumbnail is unusable, and the failures of the store.
    pub fn meet(&self, photo: &NewPhoto, at: i64) -> Result<PersonId, GalleryError> {
        let photos = std::slice::from_ref(photo);
        rules::photos(rules::NAMELESS, photos, &self.embedding)?;
        self.change("adding a visitor", |tx| {
            // The number is known only after the row was added, so a temporary name is used. No person can have a name with
            // a control character.
            let unnamed = PersonSummary { met: true, seen: 1, last_seen: Some(at), ..PersonSummary::new("\u{1}") };
            let id = rows::insert_person(tx, &unnamed)?;
            let mut name = format!("{} {}", rules::NAMELESS, id.0);
            while rows::person_named(tx, &name)?.is_some() {
                name.push('+');
            }
            rows::update_person(tx, &PersonSummary { id, name, ..unnamed })?;
            rows::insert_photos(tx, id, photos)?;
            Ok(id)
        })
    }

    /// Records that a person was seen at `at` (Unix time in seconds), and counts a visit if `new`.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn seen(&self, person: PersonId, at: i64, new: bool) -> Result<(), GalleryError> {
        // This does not count as a change, since it does not affect searches.
        let sql = "UPDATE person SET seen = seen + $3, last_seen = CASE WHEN last_seen > $2 THEN last_seen ELSE $2 END
                   WHERE id = $1";
        let params = [person.into(), at.into(), i64::from(new).into()];
        self.store.writing("noting a visit", |tx| tx.execute(sql, &params).map(drop))
    }

    /// Deletes all visitors who were last seen before `before` (Unix time in seconds), and returns their number. Also
    /// deletes the index, as [`Gallery::remove_person`] does.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn forget_met_before(&self, before: i64) -> Result<usize, GalleryError> {
        let due = "SELECT id FROM person WHERE met AND last_seen < $1";
        let doing = "deleting visitors";
        if self.store.reading(doing, |tx| tx.query(due, &[before.into()]))?.is_empty() {
            return Ok(0);
        }
        let forgotten = self.removal(doing, |tx| {
            let due = tx.query(due, &[before.into()])?;
            due.iter().try_for_each(|row| rows::delete_person(tx, row.get(0)?).map(drop))?;
            Ok(due.len())
        })?;
        self.erase_remains()?;
        Ok(forgotten)
    }
}

//! Merges two entries that are the same person, and undoes a merge.

use crate::store::Transaction;
use crate::{Gallery, GalleryError, PersonId, PersonRecord, PersonSummary, rows};

/// What belonged to each of two people before they were merged, to undo the merge. Kept in memory only.
#[derive(Debug, Clone, PartialEq)]
pub struct Merge {
    /// The person who was removed: of the photos, only those that the other person also had; no denials.
    from: PersonRecord,
    /// The person who remained.
    pub into: PersonId,
    /// Whether `into` was on the watch list.
    watched: bool,
    /// When `into` was last seen, seconds since 1970.
    last_seen: Option<i64>,
    /// The numbers of the rows that were moved, for each table.
    moved: [Vec<i64>; 4],
}

/// The tables whose rows belong to a person, with the SQL that marks a row as changed.
const TABLES: [(&str, &str); 4] =
    [("photo", ", changed = (SELECT changes FROM meta)"), ("denial", ""), ("alarm", ""), ("sighting", "")];

impl Gallery {
    /// Merges two entries that are the same person: photos, visits, denials, alarms and sightings of `from` are moved to `into`, and
    /// `from` is removed. Returns what is needed to undo it. Returns `None` and changes nothing if one of them does not
    /// exist or they are equal.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn merge(&self, from: PersonId, into: PersonId) -> Result<Option<Merge>, GalleryError> {
        self.merge_if(from, into, |_| true)
    }

    /// As [`Gallery::merge`], but only if `from` is a visitor.
    ///
    /// # Errors
    /// As [`Gallery::merge`].
    pub fn merge_if_met(&self, from: PersonId, into: PersonId) -> Result<Option<Merge>, GalleryError> {
        self.merge_if(from, into, |from| from.met)
    }

    fn merge_if(
        &self,
        from: PersonId,
        into: PersonId,
        fits: impl FnOnce(&PersonRecord) -> bool,
    ) -> Result<Option<Merge>, GalleryError> {
        if from == into {
            return Ok(None);
        }
        self.change("merging two people", |tx| {
            let (Some(one), Some(other)) = (rows::record(tx, &self.embedding, from)?, rows::person(tx, into)?) else {
                return Ok(None);
            };
            if !fits(&one) {
                return Ok(None);
            }
            let hashes =
                tx.query("SELECT sha256 FROM photo WHERE person = $1 AND sha256 IS NOT NULL", &[into.into()])?;
            let hashes = hashes.iter().map(|row| row.get(0)).collect::<Result<Vec<Vec<u8>>, _>>()?;
            let moved = move_all(tx, from, into)?;
            let PersonSummary { watched, last_seen, .. } = other;
            let merged = PersonSummary {
                watched: watched || one.watched,
                seen: other.seen + one.seen,
                last_seen: last_seen.max(one.last_seen),
                ..other
            };
            rows::update_person(tx, &merged)?;
            let mut from = one;
            from.photos.retain(|photo| photo.sha256.is_some_and(|hash| hashes.iter().any(|other| other[..] == hash)));
            from.denials.clear();
            Ok(Some(Merge { from, into, watched, last_seen, moved }))
        })
    }

    /// Undoes a merge: each person gets back what belonged to them, and the remaining person keeps what was added since. The
    /// removed person gets a new number. Returns `None` if the remaining person does not exist any more.
    ///
    /// # Errors
    /// As [`Gallery::restore`].
    pub fn separate(&self, merge: &Merge) -> Result<Option<PersonId>, GalleryError> {
        let Merge { from, into, watched, last_seen, moved } = merge;
        self.made_here(&from.made_by)?;
        self.change("separating two people", |tx| {
            let Some(current) = rows::person(tx, *into)? else { return Ok(None) };
            let back = self.insert_record(tx, from)?;
            for ((table, marked), numbers) in TABLES.iter().zip(moved) {
                let sql = format!("UPDATE {table} SET person = $3{marked} WHERE id = $1 AND person = $2");
                for id in numbers {
                    tx.execute(&sql, &[(*id).into(), (*into).into(), back.into()])?;
                }
            }
            // A visit after the merge belongs to the person who remained.
            let merged = from.last_seen.max(*last_seen);
            rows::update_person(
                tx,
                &PersonSummary {
                    watched: current.watched && (*watched || !from.watched),
                    seen: current.seen.saturating_sub(from.seen),
                    last_seen: if current.last_seen == merged { *last_seen } else { current.last_seen },
                    ..current
                },
            )?;
            Ok(Some(back))
        })
    }
}

/// Moves everything of one person to another, and deletes the first. Returns the numbers of the moved rows for each table.
fn move_all(tx: &mut dyn Transaction, from: PersonId, into: PersonId) -> Result<[Vec<i64>; 4], GalleryError> {
    let mut moved = [const { Vec::new() }; 4];
    for ((table, marked), numbers) in TABLES.iter().zip(&mut moved) {
        *numbers = rows::numbers(tx, table, from)?;
        // A photo that both have stays with `into`; the copy of `from` is deleted with `from`.
        let unless = match *table {
            "photo" => {
                "AND NOT EXISTS (SELECT 1 FROM photo AS other WHERE other.person = $2 AND other.sha256 = photo.sha256)"
            }
            _ => "",
        };
        let sql = format!("UPDATE {table} SET person = $2{marked} WHERE person = $1 {unless}");
        tx.execute(&sql, &[from.into(), into.into()])?;
    }
    rows::delete_person(tx, from)?;
    Ok(moved)
}

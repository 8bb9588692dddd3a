//! The vectors of a gallery in memory at one change, updated from the store's log of changes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::index::distance;
use crate::rows;
use crate::store::Transaction;
use crate::value::Row;
use crate::{EmbeddingId, Gallery, GalleryError, Match, PersonId, PhotoId, Snapshot, check_vector, identify};

/// Number of photos besides the base from which on a new base is made.
pub(crate) const MOST_FRESH: usize = 2_000;

/// The gallery at one change: an immutable base, and what has changed since.
#[derive(Debug)]
pub(crate) struct State {
    /// The number of the last change that is included.
    pub(crate) changes: i64,
    pub(crate) base: Arc<Snapshot>,
    /// Photos of the base that were removed or moved to another person.
    gone: HashSet<PhotoId>,
    /// Photos that were added after the base.
    pub(crate) fresh: BTreeMap<(PersonId, PhotoId), Arc<[f32]>>,
    /// The added photos as a snapshot, to be searched.
    fresh_index: Snapshot,
    /// People who changed after the base, with their names and whether they are on the watch list.
    people: HashMap<PersonId, (Arc<str>, bool)>,
    /// Denied faces of each person.
    denials: HashMap<PersonId, Vec<Vec<f32>>>,
}

impl State {
    /// Reads everything from the store.
    pub(crate) fn read(tx: &mut dyn Transaction, embedding: &EmbeddingId, changes: i64) -> Result<Self, GalleryError> {
        let base = Snapshot::read(tx, embedding)?;
        Self::over(tx, base, changes)
    }

    /// The state that consists of a snapshot at this change.
    pub(crate) fn over(tx: &mut dyn Transaction, base: Snapshot, changes: i64) -> Result<Self, GalleryError> {
        let fresh_index = Snapshot::empty(base.embedding().clone())?;
        let mut denials = HashMap::new();
        read_denials(tx, base.embedding(), 0, &mut denials)?;
        let (gone, fresh, people) = (HashSet::new(), BTreeMap::new(), HashMap::new());
        Ok(Self { changes, base: Arc::new(base), gone, fresh, fresh_index, people, denials })
    }

    /// This state updated with the later changes. If people or photos were removed, the index file is deleted, since it
    /// contains their vectors.
    pub(crate) fn after(&self, tx: &mut dyn Transaction, gallery: &Gallery) -> Result<Self, GalleryError> {
        let embedding = self.base.embedding();
        let changes = gallery.ours(rows::meta(tx)?)?.changes;
        let (mut gone, mut fresh, mut people) = (self.gone.clone(), self.fresh.clone(), self.people.clone());
        let mut forget = |photo: PhotoId, fresh: &mut BTreeMap<(PersonId, PhotoId), Arc<[f32]>>| {
            if self.base.last_photo().is_some_and(|last| photo <= last) {
                gone.insert(photo);
            }
            fresh.retain(|(_, known), _| *known != photo);
        };
        let removed = rows::removals_since(tx, self.changes)?;
        if !removed.is_empty() {
            gallery.remove_index()?;
        }
        for photo in removed {
            forget(photo, &mut fresh);
        }
        let most = MOST_FRESH.max(self.base.photos() / 20);
        let Some(photos) = rows::photos_since(tx, self.changes, most)? else {
            return Self::read(tx, embedding, changes);
        };
        for row in &photos {
            let (person, photo, vector) = (row.get(0)?, row.get(3)?, vector(row, embedding)?);
            forget(photo, &mut fresh);
            fresh.insert((person, photo), vector.into());
            people.insert(person, (row.get::<String>(1)?.into(), row.get(2)?));
        }
        for row in tx.query("SELECT id, name, watched FROM person WHERE changed > $1", &[self.changes.into()])? {
            people.insert(row.get(0)?, (row.get::<String>(1)?.into(), row.get(2)?));
        }
        if fresh.len() + gone.len() > most {
            return Self::read(tx, embedding, changes);
        }
        let mut denials = self.denials.clone();
        read_denials(tx, embedding, self.changes, &mut denials)?;
        let mut fresh_index = Snapshot::empty(embedding.clone())?;
        for ((person, photo), vector) in &fresh {
            let (name, watched) = &people[person];
            let pushed = fresh_index.push(*person, name, *watched, *photo, vector);
            pushed.map_err(|fault| GalleryError::Query { network: embedding.name.clone(), fault })?;
        }
        Ok(Self { changes, base: Arc::clone(&self.base), gone, fresh, fresh_index, people, denials })
    }

    /// The `k` people nearest to `query`; with `exact`, every photo is compared.
    pub(crate) fn search(&self, query: &[f32], k: usize, exact: bool) -> Result<Vec<Match>, GalleryError> {
        // Ask for more than `k`: a person who is removed from the result, because the face is denied for them, is replaced by the next.
        let wanted = k.saturating_add(self.denials.len());
        let mut found = self
            .base
            .search_among(query, wanted, exact, |photo| self.gone.is_empty() || !self.gone.contains(&photo))?;
        for newer in self.fresh_index.search_among(query, wanted, exact, |_| true)? {
            match found.iter_mut().find(|known| known.person == newer.person) {
                Some(known) if newer.distance < known.distance => *known = newer,
                Some(_) => {}
                None => found.push(newer),
            }
        }
        if !self.denials.is_empty() {
            found.retain(|candidate| !self.is_denied(query, candidate));
        }
        found.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.person.cmp(&b.person)));
        found.truncate(k);
        for candidate in &mut found {
            if let Some((name, watched)) = self.people.get(&candidate.person) {
                (candidate.name, candidate.watched) = (Arc::clone(name), *watched);
            }
        }
        identify(self.base.embedding(), self.photos(), &mut found);
        Ok(found)
    }

    /// Whether a search uses the graph of an index.
    pub(crate) fn is_approximate(&self) -> bool {
        self.base.is_approximate()
    }

    /// Number of photos with which a face is compared.
    pub(crate) fn photos(&self) -> usize {
        self.base.photos().saturating_sub(self.gone.len()) + self.fresh_index.photos()
    }

    /// The distance below which a `share` of all pairs of photos of two different people of the base lie.
    pub(crate) fn strangers_within(&self, share: f64) -> Option<f32> {
        self.base.strangers_within(share)
    }

    /// Whether the query is nearer to a denied face of the person than to the person's photos.
    fn is_denied(&self, query: &[f32], candidate: &Match) -> bool {
        let metric = self.base.embedding().metric;
        let denials = self.denials.get(&candidate.person).into_iter().flatten();
        denials.into_iter().any(|denied| distance(metric, query, denied) < candidate.distance)
    }
}

impl Snapshot {
    /// Reads all vectors of the store.
    pub(crate) fn read(tx: &mut dyn Transaction, embedding: &EmbeddingId) -> Result<Self, GalleryError> {
        let mut snapshot = Self::empty(embedding.clone())?;
        rows::each_photo(tx, embedding, |row| {
            let (person, name, watched, photo) = (row.get(0)?, row.get::<String>(1)?, row.get(2)?, row.get(3)?);
            // `push` checks the vector again, which cannot fail here.
            snapshot
                .push(person, &name, watched, photo, &vector(row, embedding)?)
                .map_err(|fault| unusable(row, &fault.to_string()))
        })?;
        Ok(snapshot)
    }
}

/// The vector in the last column of a row of [`rows::each_photo`].
fn vector(row: &Row, embedding: &EmbeddingId) -> Result<Vec<f32>, GalleryError> {
    let vector: Vec<f32> = row.get(4).map_err(|error| unusable(row, &error.to_string()))?;
    check_vector(&vector, embedding).map_err(|fault| unusable(row, &format!("its vector is unusable: {fault}")))?;
    Ok(vector)
}

fn unusable(row: &Row, reason: &str) -> GalleryError {
    let photo = row.get(3).map_or(0, |PhotoId(photo)| photo);
    row.damaged(format!("photo {photo}: {reason}"))
}

/// Reads the denials of all people who changed after a change, and replaces the known ones of these people.
fn read_denials(
    tx: &mut dyn Transaction,
    embedding: &EmbeddingId,
    since: i64,
    denials: &mut HashMap<PersonId, Vec<Vec<f32>>>,
) -> Result<(), GalleryError> {
    if !denials.is_empty() {
        for row in tx.query("SELECT id FROM person WHERE changed > $1", &[since.into()])? {
            denials.remove(&row.get(0)?);
        }
    }
    let sql = "SELECT denial.person, denial.vector FROM denial JOIN person ON person.id = denial.person
               WHERE person.changed > $1 ORDER BY denial.id";
    // People stored by the first formats have no change number.
    for row in tx.query(sql, &[if since == 0 { -1 } else { since }.into()])? {
        let vector: Vec<f32> = row.get(1)?;
        check_vector(&vector, embedding).map_err(|fault| row.damaged(fault.to_string()))?;
        denials.entry(row.get(0)?).or_default().push(vector);
    }
    Ok(())
}

#[cfg(test)]
mod tests;

//! Search by the database, for galleries that exceed the memory limit.

use crate::store::{Store, Transaction};
use crate::{EmbeddingId, GalleryError, Match, PersonId, identify, rules};

/// Photos whose pairwise distances are measured to learn the distances of different people.
pub(crate) const COMPARED: usize = 2_000;

/// Number of photos in the gallery.
pub(crate) fn count(tx: &mut dyn Transaction) -> Result<usize, GalleryError> {
    tx.query("SELECT count(*) FROM photo", &[])?.first().map_or(Ok(0), |row| row.get(0))
}

/// The `k` people nearest to `query` in a gallery of `photos` photos.
pub(crate) fn search(
    store: &dyn Store,
    embedding: &EmbeddingId,
    photos: usize,
    query: &[f32],
    k: usize,
) -> Result<Vec<Match>, GalleryError> {
    // A person with many photos may fill the result before the first photo of the next person, so more are asked for if too
    // few people were found.
    let mut wanted = k.saturating_mul(8).saturating_add(24);
    loop {
        let rows = store.nearest(embedding.metric, query, wanted)?.unwrap_or_default();
        let (mut found, mut passed, mut farthest): (Vec<Match>, Vec<PersonId>, f32) = (Vec::new(), Vec::new(), 0.0);
        for row in &rows {
            let person = row.get(1)?;
            farthest = row.get(4)?;
            if found.iter().any(|known| known.person == person) || passed.contains(&person) {
                continue;
            }
            if row.get(5)? {
                passed.push(person);
                continue;
            }
            let name = row.get::<String>(2)?.into();
            found.push(rules::matched(embedding, person, name, row.get(0)?, farthest, row.get(3)?));
        }
        // Of photos with equal distances, some may be missing.
        let certain =
            rows.len() < wanted || found.get(k.saturating_sub(1)).is_some_and(|last| last.distance < farthest);
        if certain || k == 0 {
            found.truncate(k);
            identify(embedding, photos, &mut found);
            return Ok(found);
        }
        wanted = wanted.saturating_mul(16);
    }
}

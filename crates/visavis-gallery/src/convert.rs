//! Conversion of a gallery to another network, which computes new vectors from its thumbnails.

use std::collections::HashMap;

use crate::store::{Store, Transactions, VectorColumns};
use crate::{EmbeddingId, Gallery, GalleryError, remote, rows, rules};

/// Number of photos whose thumbnails are read at once.
const PAGE: usize = 64;

/// The result of a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Converted {
    /// Number of photos, all of which have a vector of the new network.
    pub photos: usize,
    /// Number of deleted denials. They have no picture from which a new vector could be computed.
    pub denials: usize,
}

impl Gallery {
    /// Converts the gallery to the network `to`. `embed` computes a vector from the thumbnail (a JPEG) of each photo; it
    /// also gets the number of finished photos and of all photos. Then all vectors are replaced in one transaction.
    ///
    /// Until then all programs can search and change the gallery as before; photos that are added meanwhile are converted
    /// too. Afterwards, a program that has the gallery open for the old network can search the vectors in its memory, but
    /// changes fail. The index is deleted. Does nothing if the gallery already belongs to the network `to`.
    ///
    /// # Errors
    /// [`GalleryError::NoThumbnail`] if a photo has none; [`GalleryError::Embedding`] and [`GalleryError::Query`] if vectors
    /// of the network cannot be stored; the failures of the store, and those of `embed`. Then nothing is changed.
    pub fn convert<E: From<GalleryError>>(
        self,
        to: &EmbeddingId,
        mut embed: impl FnMut(&[u8], usize, usize) -> Result<Vec<f32>, E>,
    ) -> Result<Converted, E> {
        rules::network(to)?;
        self.store.check_network(to)?;
        if self.embedding.compares_with(to) {
            return Ok(Converted { photos: 0, denials: 0 });
        }
        let mut vectors: HashMap<i64, Vec<f32>> = HashMap::new();
        loop {
            let photos = self.photos_with_thumbnails()?;
            let mut last = i64::MIN;
            loop {
                let thumbnails = self.thumbnails_after(last)?;
                let Some((newest, _)) = thumbnails.last() else { break };
                last = *newest;
                for (photo, jpeg) in thumbnails {
                    if !vectors.contains_key(&photo) {
                        // Photos may have been added since they were counted.
                        let vector = embed(&jpeg, vectors.len(), photos.max(vectors.len() + 1))?;
                        rules::query(&vector, to)?;
                        vectors.insert(photo, vector);
                    }
                }
            }
            if let Some(converted) = self.put(to, &vectors)? {
                self.erase_remains()?;
                return Ok(converted);
            }
        }
    }

    /// Counts the photos, all of which must have a thumbnail.
    fn photos_with_thumbnails(&self) -> Result<usize, GalleryError> {
        self.store.reading("looking for thumbnails", |tx| {
            let bare = tx.query("SELECT count(*) FROM photo WHERE thumbnail IS NULL", &[])?;
            match bare.first().map_or(Ok(0), |row| row.get(0))? {
                0 => remote::count(tx),
                photos => Err(GalleryError::NoThumbnail { path: self.place().to_path_buf(), photos }),
            }
        })
    }

    fn thumbnails_after(&self, photo: i64) -> Result<Vec<(i64, Vec<u8>)>, GalleryError> {
        let sql = "SELECT id, thumbnail FROM photo WHERE id > $1 AND thumbnail IS NOT NULL ORDER BY id LIMIT $2";
        self.store.reading("reading thumbnails", |tx| {
            let rows = tx.query(sql, &[photo.into(), PAGE.into()])?;
            rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
        })
    }

    /// Replaces the vectors. Returns `None` and changes nothing if a photo has no new vector.
    fn put(&self, to: &EmbeddingId, vectors: &HashMap<i64, Vec<f32>>) -> Result<Option<Converted>, GalleryError> {
        self.remove_index()?;
        let converted = self.store.writing("converting to another network", |tx| {
            self.ours(rows::count_change(tx)?)?;
            let photos: Vec<i64> =
                tx.query("SELECT id FROM photo", &[])?.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
            if photos.iter().any(|photo| !vectors.contains_key(photo)) {
                return Ok(None);
            }
            let denials = tx.execute("DELETE FROM denial", &[])?;
            tx.set_vector_columns(VectorColumns::Numbers(to.length))?;
            let sql = "UPDATE photo SET vector = $2, changed = (SELECT changes FROM meta) WHERE id = $1";
            for photo in &photos {
                tx.execute(sql, &[(*photo).into(), vectors[photo].as_slice().into()])?;
            }
            // The vectors of open alarms belong to the old network: an alarm that is denied later stores no denial.
            tx.execute("UPDATE alarm SET vector = NULL", &[])?;
            // Sightings remain, but are no longer found by a face.
            tx.execute("UPDATE sighting SET vector = NULL", &[])?;
            let sql = "UPDATE meta SET network = $1, fingerprint = $2, length = $3, metric = $4, same_person = $5";
            let EmbeddingId { name, fingerprint, length, metric, same_person, .. } = to;
            let metric = rules::metric_name(*metric).into();
            tx.execute(
                sql,
                &[name.as_str().into(), fingerprint.as_str().into(), (*length).into(), metric, (*same_person).into()],
            )?;
            Ok(Some(Converted { photos: photos.len(), denials }))
        })?;
        self.remove_index()?;
        Ok(converted)
    }
}

#[cfg(test)]
mod tests;

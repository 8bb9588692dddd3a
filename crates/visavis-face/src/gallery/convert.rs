//! A gallery given to another network: its photos looked at anew.

use std::collections::HashMap;

use rusqlite::params;

use super::store::bytes_of;
use super::{EmbeddingId, GalleryError, GalleryFile, PhotoId, check_vector, schema};

/// What giving a gallery to another network did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Converted {
    /// Photos that the new network has looked at: all.
    pub photos: usize,
    /// Faces of which somebody had said who they are not. They have no picture that could be looked at, and are gone.
    pub denials: usize,
}

impl GalleryFile {
    /// Gives the gallery to the network `to`: `embed` makes a vector of each photo's thumbnail (a JPEG) and is told how many
    /// are done and how many there are; then all vectors change in one transaction. Until then the gallery is as it was, is
    /// searched and changed by whoever has it open, and what is added meanwhile is looked at too. After it, who has it open
    /// for the old network can search what they have in memory, and change nothing. Deletes the index. Does nothing where the
    /// gallery is `to`'s already.
    ///
    /// # Errors
    /// [`GalleryError::NoThumbnail`] where a photo has none; [`GalleryError::Embedding`] and [`GalleryError::Query`] where the
    /// network's vectors cannot be kept; the failures of the file, and what `embed` gives. Nothing is changed then.
    pub fn convert<E: From<GalleryError>>(
        &mut self,
        to: &EmbeddingId,
        mut embed: impl FnMut(&[u8], usize, usize) -> Result<Vec<f32>, E>,
    ) -> Result<Converted, E> {
        if let Some(reason) = to.fault() {
            return Err(GalleryError::Embedding { network: to.name.clone(), reason }.into());
        }
        if self.embedding.compares_with(to) {
            return Ok(Converted { photos: 0, denials: 0 });
        }
        let mut vectors: HashMap<PhotoId, Vec<f32>> = HashMap::new();
        loop {
            let bare = self.photos_without_thumbnail()?;
            if bare > 0 {
                return Err(GalleryError::NoThumbnail { path: self.path.clone(), photos: bare }.into());
            }
            let photos = self.photo_ids()?;
            for &photo in photos.iter().filter(|photo| !vectors.contains_key(photo)).collect::<Vec<_>>() {
                // Gone since.
                let Some(jpeg) = self.thumbnail(photo)? else { continue };
                let vector = embed(&jpeg, vectors.len(), photos.len())?;
                check_vector(&vector, to).map_err(|fault| GalleryError::Query { network: to.name.clone(), fault })?;
                vectors.insert(photo, vector);
            }
            if let Some(converted) = self.without_index(|file| file.put(to, &vectors))? {
                self.embedding = to.clone();
                self.erase_remains()?;
                return Ok(converted);
            }
        }
    }

    /// Puts the vectors into the file; `None`, and nothing is changed, where a photo has none.
    fn put(
        &mut self,
        to: &EmbeddingId,
        vectors: &HashMap<PhotoId, Vec<f32>>,
    ) -> Result<Option<Converted>, GalleryError> {
        let failed = GalleryError::sqlite(&self.path, "giving to another network");
        let (change, number) = self.change("giving to another network")?;
        let write = || {
            let photos = change.query_row("SELECT count(*) FROM photo", [], |row| row.get::<_, u32>(0))? as usize;
            let mut update = change.prepare("UPDATE photo SET vector = ?2, changed = ?3 WHERE id = ?1")?;
            let mut updated = 0;
            for (photo, vector) in vectors {
                updated += update.execute(params![photo.0, bytes_of(vector), number])?;
            }
            drop(update);
            if updated < photos {
                return Ok(None);
            }
            let denials = change.execute("DELETE FROM denial", [])?;
            // Who denies such an alarm later denies nothing for the new network.
            change.execute("UPDATE alarm SET vector = NULL", [])?;
            change.execute(
                "UPDATE meta SET network = ?1, fingerprint = ?2, length = ?3, metric = ?4, same_person = ?5,
                        token = randomblob(16)",
                params![to.name, to.fingerprint, to.length as i64, schema::metric(to.metric), to.same_person],
            )?;
            Ok(Some(Converted { photos, denials }))
        };
        let converted = write().map_err(&failed)?;
        // Dropped uncommitted, a change is none.
        if converted.is_some() {
            change.commit().map_err(&failed)?;
        }
        Ok(converted)
    }

    fn photo_ids(&self) -> Result<Vec<PhotoId>, GalleryError> {
        let read = || {
            let mut statement = self.connection.prepare_cached("SELECT id FROM photo ORDER BY id")?;
            statement.query_map([], |row| row.get(0).map(PhotoId))?.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(GalleryError::sqlite(&self.path, "listing photos"))
    }

    fn photos_without_thumbnail(&self) -> Result<usize, GalleryError> {
        let sql = "SELECT count(*) FROM photo WHERE thumbnail IS NULL";
        let failed = GalleryError::sqlite(&self.path, "looking for thumbnails");
        let count = |row: &rusqlite::Row<'_>| row.get::<_, u32>(0).map(|count| count as usize);
        self.connection.query_row(sql, [], count).map_err(failed)
    }
}

#[cfg(test)]
mod tests;

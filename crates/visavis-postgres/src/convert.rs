//! A gallery given to another network: its photos looked at anew.

use std::time::Duration;

use tokio_postgres::Row;
use visavis_face::gallery::{Converted, EmbeddingId, GalleryError, rules};

use crate::PostgresGallery;
use crate::link::STATEMENT;
use crate::schema::{self, metric_name};

/// Photos whose thumbnails are read at a time.
const PHOTOS: i64 = 64;

/// What putting a photo's new vector in its place may take, besides [`STATEMENT`].
const PHOTO: Duration = Duration::from_millis(1);

const DOING: &str = "giving to another network";

/// The new vectors, which nobody else sees and which are gone with the connection.
const LOOKED_AT: &str = "CREATE TEMPORARY TABLE looked_at (photo bigint PRIMARY KEY, vector real[] NOT NULL)";

/// Photos in all, without a thumbnail, and looked at.
const COUNTS: &str = "SELECT count(*), count(*) FILTER (WHERE thumbnail IS NULL), count(looked_at.photo)
                      FROM visavis.photo LEFT JOIN pg_temp.looked_at ON looked_at.photo = photo.id";

const NEXT: &str = "SELECT id, thumbnail FROM visavis.photo
                    WHERE thumbnail IS NOT NULL AND NOT EXISTS (SELECT FROM pg_temp.looked_at WHERE photo = photo.id)
                    ORDER BY id LIMIT $1";

impl PostgresGallery {
    /// Gives the gallery to the network `to`: `embed` makes a vector of each photo's thumbnail (a JPEG) and is told how many
    /// are done and how many there are; then all vectors change in one transaction. Until then the gallery is as it was, is
    /// searched and changed by whoever has it open, and what is added meanwhile is looked at too. After it, who has it open for
    /// the old network reaches it no more, and is told why. An index of pgvector's own is gone with the old vectors. Does
    /// nothing where the gallery is `to`'s already.
    ///
    /// # Errors
    /// [`GalleryError::NoThumbnail`] where a photo has none; [`GalleryError::Embedding`] and [`GalleryError::Query`] where the
    /// network's vectors cannot be kept; [`GalleryError::InUse`], [`GalleryError::Unreachable`] and [`GalleryError::Database`],
    /// and what `embed` gives. Nothing is changed then.
    pub fn convert<E: From<GalleryError>>(
        self,
        to: &EmbeddingId,
        mut embed: impl FnMut(&[u8], usize, usize) -> Result<Vec<f32>, E>,
    ) -> Result<Converted, E> {
        schema::fits(to)?;
        if self.embedding.compares_with(to) {
            return Ok(Converted { photos: 0, denials: 0 });
        }
        self.link.store(DOING, STATEMENT, async |client| Ok(client.batch_execute(LOOKED_AT).await?))?;
        loop {
            let (photos, mut done) = self.to_look_at()?;
            loop {
                let thumbnails = self.next_thumbnails()?;
                if thumbnails.is_empty() {
                    break;
                }
                let mut vectors = Vec::with_capacity(thumbnails.len());
                for (photo, jpeg) in thumbnails {
                    // More may have come since they were counted.
                    let vector = embed(&jpeg, done, photos.max(done + 1))?;
                    rules::query(&vector, to)?;
                    vectors.push((photo, vector));
                    done += 1;
                }
                self.keep_aside(&vectors)?;
            }
            if let Some(converted) = self.put(to, photos)? {
                return Ok(converted);
            }
        }
    }

    /// Photos in all, and those looked at.
    fn to_look_at(&self) -> Result<(usize, usize), GalleryError> {
        let [photos, bare, done] = self.link.store("looking for thumbnails", STATEMENT, async |client| {
            let row = client.query_one(COUNTS, &[]).await?;
            let count = |at: usize| row.try_get::<_, i64>(at).map(|count| usize::try_from(count).unwrap_or(0));
            Ok([count(0)?, count(1)?, count(2)?])
        })?;
        if bare > 0 {
            return Err(GalleryError::NoThumbnail { path: self.link.address().path(), photos: bare });
        }
        Ok((photos, done))
    }

    /// Some that are not looked at yet.
    fn next_thumbnails(&self) -> Result<Vec<(i64, Vec<u8>)>, GalleryError> {
        self.link.store("reading thumbnails", STATEMENT, async |client| {
            let photo = |row: &Row| Ok((row.try_get(0)?, row.try_get(1)?));
            let rows = client.query(NEXT, &[&PHOTOS]).await?;
            Ok(rows.iter().map(photo).collect::<Result<_, tokio_postgres::Error>>()?)
        })
    }

    fn keep_aside(&self, vectors: &[(i64, Vec<f32>)]) -> Result<(), GalleryError> {
        self.link.store(DOING, STATEMENT, async |client| {
            let insert = client.prepare("INSERT INTO pg_temp.looked_at VALUES ($1, $2)").await?;
            for (photo, vector) in vectors {
                client.execute(&insert, &[photo, vector]).await?;
            }
            Ok(())
        })
    }

    /// Puts the new vectors in their place; `None`, and nothing is changed, where a photo has none.
    fn put(&self, to: &EmbeddingId, photos: usize) -> Result<Option<Converted>, GalleryError> {
        let limit = STATEMENT + PHOTO * u32::try_from(photos).unwrap_or(u32::MAX);
        let length = to.length;
        // The old vectors go first: rows that are written anew then hold nothing of them.
        let vectors = format!(
            "SET LOCAL statement_timeout = {limit};
             ALTER TABLE visavis.photo DROP COLUMN vector;
             ALTER TABLE visavis.photo ADD COLUMN vector vector({length});
             UPDATE visavis.photo SET vector = looked_at.vector::vector
                 FROM pg_temp.looked_at WHERE looked_at.photo = photo.id;
             ALTER TABLE visavis.photo ALTER COLUMN vector SET NOT NULL;
             ALTER TABLE visavis.denial DROP COLUMN vector;
             ALTER TABLE visavis.denial ADD COLUMN vector vector({length}) NOT NULL;
             -- Who denies such an alarm later denies nothing for the new network.
             UPDATE visavis.alarm SET vector = NULL",
            limit = limit.as_millis()
        );
        let meta = "UPDATE visavis.meta SET network = $1, fingerprint = $2, length = $3, metric = $4, same_person = $5";
        let converted = self.change_within(DOING, limit, async |change| {
            let row = change.query_one(COUNTS, &[]).await?;
            let (photos, done): (i64, i64) = (row.try_get(0)?, row.try_get(2)?);
            if done < photos {
                return Ok(None);
            }
            let denials = change.execute("DELETE FROM visavis.denial", &[]).await?;
            change.batch_execute(&vectors).await?;
            let length = i32::try_from(length).unwrap_or(i32::MAX);
            let metric = metric_name(to.metric);
            change.execute(meta, &[&to.name, &to.fingerprint, &length, &metric, &to.same_person]).await?;
            let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
            Ok(Some(Converted { photos: count(photos.unsigned_abs()), denials: count(denials) }))
        })?;
        if converted.is_some() {
            self.vacuum();
        }
        Ok(converted)
    }
}

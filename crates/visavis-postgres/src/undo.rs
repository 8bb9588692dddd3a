//! Single photos, and what takes a removal or a joining back. What is handed out for that lives in the caller's memory only.

use tokio_postgres::error::SqlState;
use tokio_postgres::{GenericClient, Row, Transaction};
use visavis_face::gallery::{
    Brought, EmbeddingId, GalleryError, Joint, NewPhoto, PersonId, PersonRecord, PhotoId, Remaining, RemovedPhoto,
    rules,
};

use crate::PostgresGallery;
use crate::edit::insert;
use crate::failure::Failure;
use crate::link::STATEMENT;

impl PostgresGallery {
    pub(crate) fn photo_ids(&self, person: PersonId) -> Result<Vec<PhotoId>, GalleryError> {
        self.link.store("listing photos", STATEMENT, async |client| {
            Ok(numbers(client, "photo", person).await?.into_iter().map(PhotoId).collect())
        })
    }

    /// Everything of a person.
    pub(crate) fn record_of(&self, person: PersonId) -> Result<Option<PersonRecord>, GalleryError> {
        self.link.store("reading a person", STATEMENT, async |client| {
            // All of it as of one moment.
            let reading = client.build_transaction().read_only(true);
            let reading = reading.isolation_level(tokio_postgres::IsolationLevel::RepeatableRead).start().await?;
            record(&reading, &self.embedding, person).await
        })
    }

    pub(crate) fn put_back(&self, record: &PersonRecord) -> Result<PersonId, GalleryError> {
        self.is_ours(&record.made_by)?;
        self.change("putting a person back", record.photos.len(), async |change| {
            self.insert_person(change, record).await
        })
    }

    pub(crate) fn take_photo(&self, id: PhotoId) -> Result<Option<RemovedPhoto>, GalleryError> {
        let removed = self.change("removing a photo", 0, async |change| {
            let sql =
                "SELECT source, sha256, vector::real[], thumbnail, score, person FROM visavis.photo WHERE id = $1";
            let Some(row) = change.query_opt(sql, &[&id.0]).await? else { return Ok(None) };
            let (photo, person) = (photo(&row)?, PersonId(row.try_get(5)?));
            let sql = "DELETE FROM visavis.photo
                       WHERE id = $1 AND EXISTS (SELECT FROM visavis.photo WHERE person = $2 AND id <> $1)";
            if change.execute(sql, &[&id.0, &person.0]).await? == 0 {
                let sql = "SELECT name FROM visavis.person WHERE id = $1";
                let name = change.query_one(sql, &[&person.0]).await?.try_get(0)?;
                return Err(GalleryError::OnlyPhoto { path: self.link.address().path(), name }.into());
            }
            // The server's log and backups hold it for a while, whatever we do.
            Ok(Some(RemovedPhoto { person, erased: false, photo, made_by: self.embedding.clone() }))
        })?;
        if removed.is_some() {
            self.vacuum();
        }
        Ok(removed)
    }

    pub(crate) fn put_photo_back(&self, removed: &RemovedPhoto) -> Result<bool, GalleryError> {
        self.is_ours(&removed.made_by)?;
        self.add_photo(removed.person, &removed.photo, false)
    }

    /// What was whose before `from` is joined with `into`; `None` where one of them is not there.
    pub(crate) async fn joint(
        &self,
        change: &Transaction<'_>,
        from: PersonId,
        into: PersonId,
    ) -> Result<Option<Joint>, Failure> {
        let (Some(one), Some(other)) =
            (record(change, &self.embedding, from).await?, record(change, &self.embedding, into).await?)
        else {
            return Ok(None);
        };
        let brought = Brought {
            photos: numbers(change, "photo", from).await?,
            denials: numbers(change, "denial", from).await?,
            alarms: numbers(change, "alarm", from).await?,
        };
        Ok(Some(Joint::new(one, into, &other, brought)))
    }

    pub(crate) fn take_apart(&self, joint: &Joint) -> Result<Option<PersonId>, GalleryError> {
        let Joint { from, into, brought: Brought { photos, denials, alarms }, .. } = joint;
        self.is_ours(&from.made_by)?;
        self.change("taking two people apart", from.photos.len(), async |change| {
            let sql = "SELECT last_seen FROM visavis.person WHERE id = $1";
            let Some(current) = change.query_opt(sql, &[&into.0]).await? else { return Ok(None) };
            let person = self.insert_person(change, from).await?;
            for (table, brought) in [("photo", photos), ("denial", denials), ("alarm", alarms)] {
                let sql = format!("UPDATE visavis.{table} SET person = $3 WHERE person = $2 AND id = ANY($1)");
                change.execute(&sql, &[brought, &into.0, &person.0]).await?;
            }
            let Remaining { may_be_watched, last_seen } = joint.remaining(current.try_get(0)?);
            let sql =
                "UPDATE visavis.person SET watched = watched AND $2, seen = greatest(seen - $3, 0), last_seen = $4
                       WHERE id = $1";
            change.execute(sql, &[&into.0, &may_be_watched, &i64::from(from.seen), &last_seen]).await?;
            Ok(Some(person))
        })
    }

    /// Whether what was removed compares with what is in the gallery.
    fn is_ours(&self, made_by: &EmbeddingId) -> Result<(), GalleryError> {
        rules::made_by(&self.link.address().path(), &self.embedding, made_by)
    }

    /// Puts a person with everything of theirs in, under a new number.
    async fn insert_person(&self, change: &Transaction<'_>, record: &PersonRecord) -> Result<PersonId, Failure> {
        let sql =
            "INSERT INTO visavis.person (name, watched, met, seen, last_seen) VALUES ($1, $2, $3, $4, $5) RETURNING id";
        let PersonRecord { name, watched, met, seen, last_seen, .. } = record;
        let row = change.query_one(sql, &[name, watched, met, &i64::from(*seen), last_seen]).await;
        let person = PersonId(self.unless_taken(name, row)?.try_get(0)?);
        for denied in &record.denials {
            let sql = "INSERT INTO visavis.denial (person, vector) VALUES ($1, $2::real[]::vector)";
            change.execute(sql, &[&person.0, denied]).await?;
        }
        insert(change, person, &record.photos).await?;
        Ok(person)
    }

    /// What came of giving somebody a name.
    pub(crate) fn unless_taken<T>(&self, name: &str, done: Result<T, tokio_postgres::Error>) -> Result<T, Failure> {
        done.map_err(|error| match error.code() {
            Some(&SqlState::UNIQUE_VIOLATION) => {
                GalleryError::NameTaken { path: self.link.address().path(), name: name.to_owned() }.into()
            }
            _ => error.into(),
        })
    }
}

/// The numbers of what a person has in a table, in the order in which it came.
async fn numbers(client: &impl GenericClient, table: &str, person: PersonId) -> Result<Vec<i64>, Failure> {
    let rows =
        client.query(&format!("SELECT id FROM visavis.{table} WHERE person = $1 ORDER BY id"), &[&person.0]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

async fn record(
    client: &impl GenericClient,
    embedding: &EmbeddingId,
    person: PersonId,
) -> Result<Option<PersonRecord>, Failure> {
    let sql = "SELECT name, watched, met, seen, last_seen FROM visavis.person WHERE id = $1";
    let Some(row) = client.query_opt(sql, &[&person.0]).await? else { return Ok(None) };
    let sql =
        "SELECT source, sha256, vector::real[], thumbnail, score FROM visavis.photo WHERE person = $1 ORDER BY id";
    let photos = client.query(sql, &[&person.0]).await?;
    let sql = "SELECT vector::real[] FROM visavis.denial WHERE person = $1 ORDER BY id";
    let denials = client.query(sql, &[&person.0]).await?;
    Ok(Some(PersonRecord {
        name: row.try_get(0)?,
        photos: photos.iter().map(photo).collect::<Result<_, _>>()?,
        watched: row.try_get(1)?,
        met: row.try_get(2)?,
        seen: u32::try_from(row.try_get::<_, i64>(3)?).unwrap_or(u32::MAX),
        last_seen: row.try_get(4)?,
        denials: denials.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?,
        made_by: embedding.clone(),
    }))
}

/// A row of `source, sha256, vector, thumbnail, score`.
fn photo(row: &Row) -> Result<NewPhoto, tokio_postgres::Error> {
    let sha256: Option<&[u8]> = row.try_get(1)?;
    Ok(NewPhoto {
        source: row.try_get(0)?,
        // The table holds no other lengths.
        sha256: sha256.and_then(|hash| hash.try_into().ok()),
        vector: row.try_get(2)?,
        thumbnail: row.try_get(3)?,
        score: row.try_get(4)?,
    })
}

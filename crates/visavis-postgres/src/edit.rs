//! Changes to a gallery. Each is one transaction, and they come one after the other, whoever makes them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_postgres::Transaction;
use visavis_face::gallery::rules::{self, NAMELESS};
use visavis_face::gallery::{Added, Gallery, GalleryError, Joint, NewPhoto, PersonId, Removed};

use crate::PostgresGallery;
use crate::failure::Failure;
use crate::link::STATEMENT;

/// What a transaction may take for each of its photos, besides [`STATEMENT`].
const PHOTO: Duration = Duration::from_millis(50);

impl PostgresGallery {
    pub(crate) fn add_photos(&self, person: &str, photos: &[NewPhoto]) -> Result<Added, GalleryError> {
        let name = rules::person_name(person)?;
        rules::photos(name, photos, &self.embedding)?;
        self.change("adding photos", photos.len(), async |change| {
            // Whoever is added by hand is not somebody that was merely met any more.
            let sql = "INSERT INTO visavis.person (name) VALUES ($1)
                       ON CONFLICT (name) DO UPDATE SET met = false RETURNING id";
            let person = PersonId(change.query_one(sql, &[&name]).await?.try_get(0)?);
            Ok(Added { person, photos: insert(change, person, photos).await? })
        })
    }

    pub(crate) fn remove(&self, name: &str) -> Result<Removed, GalleryError> {
        let photos = self.change("removing", 0, async |change| {
            let person = self.known(change, name).await?;
            let photos = change.execute("DELETE FROM visavis.photo WHERE person = $1", &[&person.0]).await?;
            change.execute("DELETE FROM visavis.person WHERE id = $1", &[&person.0]).await?;
            Ok(usize::try_from(photos).unwrap_or(usize::MAX))
        })?;
        self.vacuum();
        // The server's log and backups hold it for a while, whatever we do.
        Ok(Removed { photos, erased: false })
    }

    /// Has the server reuse the space of what was removed. Searches go on meanwhile.
    pub(crate) fn vacuum(&self) {
        let limit = 6 * STATEMENT;
        let cleaned = self.link.store("clearing the space of what was removed", limit, async |client| {
            client.batch_execute(&format!("SET statement_timeout = {}", limit.as_millis())).await?;
            let cleaned =
                client.batch_execute("VACUUM visavis.photo, visavis.denial, visavis.alarm, visavis.person").await;
            client.batch_execute(&format!("SET statement_timeout = {}", STATEMENT.as_millis())).await?;
            Ok(cleaned?)
        });
        if let Err(error) = cleaned {
            // Its own clean-up comes later.
            log::warn!("{error}");
        }
    }

    pub(crate) fn put_on_watch(&self, name: &str, watched: bool) -> Result<PersonId, GalleryError> {
        self.change("putting on the watch list", 0, async |change| {
            let person = self.known(change, name).await?;
            change.execute("UPDATE visavis.person SET watched = $2 WHERE id = $1", &[&person.0, &watched]).await?;
            Ok(person)
        })
    }

    pub(crate) fn give_name(&self, name: &str, to: &str) -> Result<PersonId, GalleryError> {
        let to = rules::person_name(to)?;
        self.change("renaming", 0, async |change| {
            let person = self.known(change, name).await?;
            let sql = "UPDATE visavis.person SET name = $2, met = false WHERE id = $1";
            self.unless_taken(to, change.execute(sql, &[&person.0, &to]).await)?;
            Ok(person)
        })
    }

    pub(crate) fn remember_denial(&self, person: PersonId, vector: &[f32]) -> Result<(), GalleryError> {
        rules::query(vector, &self.embedding)?;
        self.change("remembering who it is not", 0, async |change| {
            let sql = "INSERT INTO visavis.denial (person, vector)
                       SELECT id, $2::real[]::vector FROM visavis.person WHERE id = $1";
            change.execute(sql, &[&person.0, &vector]).await?;
            Ok(())
        })
    }

    /// Joins two people, `only_met` if `from` was merely met; whether they are one now.
    pub(crate) fn join_people(&self, from: PersonId, into: PersonId, only_met: bool) -> Result<bool, GalleryError> {
        if from == into {
            return if only_met { self.is_met(from) } else { Ok(true) };
        }
        self.change("joining two people", 0, async |change| {
            let both =
                "SELECT count(*) = 2 AND bool_or(id = $1 AND (met OR NOT $3)) FROM visavis.person WHERE id IN ($1, $2)";
            if !change
                .query_one(both, &[&from.0, &into.0, &only_met])
                .await?
                .try_get::<_, Option<bool>>(0)?
                .unwrap_or(false)
            {
                return Ok(false);
            }
            move_to(change, from, into).await?;
            Ok(true)
        })
    }

    /// Joins two people; what takes them apart again, `None` where one of them is not there or they are the same.
    pub(crate) fn join_for_now(&self, from: PersonId, into: PersonId) -> Result<Option<Joint>, GalleryError> {
        if from == into {
            return Ok(None);
        }
        self.change("joining two people", 0, async |change| {
            let joint = self.joint(change, from, into).await?;
            if joint.is_some() {
                move_to(change, from, into).await?;
            }
            Ok(joint)
        })
    }

    pub(crate) fn add_visitor(&self, photo: &NewPhoto, at: i64) -> Result<PersonId, GalleryError> {
        let photos = std::slice::from_ref(photo);
        rules::photos(NAMELESS, photos, &self.embedding)?;
        self.change("adding a visitor", 1, async |change| {
            // The number is not known before the row is there.
            let sql = "INSERT INTO visavis.person (name, met, seen, last_seen)
                       VALUES (gen_random_uuid()::text, true, 1, $1) RETURNING id";
            let person = PersonId(change.query_one(sql, &[&at]).await?.try_get(0)?);
            // Somebody may bear the name already.
            let mut name = format!("{NAMELESS} {}", person.0);
            while find(change, &name).await?.is_some() {
                name.push('+');
            }
            change.execute("UPDATE visavis.person SET name = $2 WHERE id = $1", &[&person.0, &name]).await?;
            insert(change, person, photos).await?;
            Ok(person)
        })
    }

    /// Adds a photo to somebody who is there, `only_met` if they were merely met; whether it did.
    pub(crate) fn add_photo(&self, person: PersonId, photo: &NewPhoto, only_met: bool) -> Result<bool, GalleryError> {
        let photos = std::slice::from_ref(photo);
        rules::photos(&format!("{NAMELESS} {}", person.0), photos, &self.embedding)?;
        self.change("adding a photo", 1, async |change| {
            let sql = "SELECT FROM visavis.person WHERE id = $1 AND (met OR NOT $2)";
            let there = change.query_opt(sql, &[&person.0, &only_met]).await?.is_some();
            if there {
                insert(change, person, photos).await?;
            }
            Ok(there)
        })
    }

    pub(crate) fn forget(&self, before: i64) -> Result<usize, GalleryError> {
        let due = "SELECT EXISTS (SELECT FROM visavis.person WHERE met AND last_seen < $1)";
        let any: bool = self.link.store("looking for visitors long gone", STATEMENT, async |client| {
            Ok(client.query_one(due, &[&before]).await?.try_get(0)?)
        })?;
        if !any {
            return Ok(0);
        }
        let gone = self.change("forgetting visitors", 0, async |change| {
            Ok(change.execute("DELETE FROM visavis.person WHERE met AND last_seen < $1", &[&before]).await?)
        })?;
        self.vacuum();
        Ok(usize::try_from(gone).unwrap_or(usize::MAX))
    }

    /// Who is named so.
    async fn known(&self, change: &Transaction<'_>, name: &str) -> Result<PersonId, Failure> {
        if let Some(person) = find(change, name).await? {
            return Ok(person);
        }
        let rows = change.query("SELECT name FROM visavis.person", &[]).await?;
        let names = rows.iter().filter_map(|row| row.try_get::<_, &str>(0).ok());
        Err(rules::unknown_person(&self.link.address().path(), name, names).into())
    }

    /// One transaction over some photos. Others wait for its end, so it sees what all before it did.
    pub(crate) fn change<T>(
        &self,
        doing: &'static str,
        photos: usize,
        work: impl AsyncFnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, GalleryError> {
        self.change_within(doing, STATEMENT + PHOTO * u32::try_from(photos).unwrap_or(u32::MAX), work)
    }

    /// The same, which may take as long as `limit`.
    pub(crate) fn change_within<T>(
        &self,
        doing: &'static str,
        limit: Duration,
        work: impl AsyncFnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, GalleryError> {
        let (done, number) = self.link.store(doing, limit, async |client| {
            let change = client.transaction().await?;
            let begin = "UPDATE visavis.meta SET changes = changes + 1 RETURNING changes, fingerprint";
            let begun = change.query_one(begin, &[]).await?;
            self.link.check_network(&begun, 1)?;
            let done = work(&change).await?;
            change.commit().await?;
            Ok((done, begun.try_get::<_, i64>(0)?))
        })?;
        // Our own change is no news to us, unless others came before it.
        let _ = self.changes.compare_exchange(number - 1, number, Ordering::AcqRel, Ordering::Relaxed);
        Ok(done)
    }
}

async fn find(change: &Transaction<'_>, name: &str) -> Result<Option<PersonId>, Failure> {
    let row = change.query_opt("SELECT id FROM visavis.person WHERE name = $1", &[&name.trim()]).await?;
    Ok(row.map(|row| row.try_get(0).map(PersonId)).transpose()?)
}

/// Gives everything of one person to another, and removes the one.
async fn move_to(change: &Transaction<'_>, from: PersonId, into: PersonId) -> Result<(), Failure> {
    // A photo that both have stays with `into`, and goes with `from`.
    let photos = "UPDATE visavis.photo SET person = $2 WHERE person = $1 AND NOT EXISTS (
                      SELECT FROM visavis.photo AS other WHERE other.person = $2 AND other.sha256 = photo.sha256)";
    let denials = "UPDATE visavis.denial SET person = $2 WHERE person = $1";
    let alarms = "UPDATE visavis.alarm SET person = $2 WHERE person = $1";
    let sum = "UPDATE visavis.person SET watched = person.watched OR other.watched, seen = person.seen + other.seen,
                      last_seen = greatest(person.last_seen, other.last_seen)
               FROM visavis.person AS other WHERE other.id = $1 AND person.id = $2";
    for moved in [photos, denials, alarms, sum] {
        change.execute(moved, &[&from.0, &into.0]).await?;
    }
    change.execute("DELETE FROM visavis.person WHERE id = $1", &[&from.0]).await?;
    Ok(())
}

/// Adds the photos that the person has not yet, and counts them.
pub(crate) async fn insert(change: &Transaction<'_>, person: PersonId, photos: &[NewPhoto]) -> Result<usize, Failure> {
    let sql = "INSERT INTO visavis.photo (person, source, sha256, score, vector, thumbnail)
               VALUES ($1, $2, $3, $4, $5::real[]::vector, $6) ON CONFLICT (person, sha256) DO NOTHING";
    let insert = change.prepare(sql).await?;
    let mut added = 0;
    for photo in photos {
        let (hash, vector) = (photo.sha256.as_ref().map(<[u8; 32]>::as_slice), photo.vector.as_slice());
        let thumbnail = photo.thumbnail.as_deref();
        let file = photo.file_name();
        let rows = change.execute(&insert, &[&person.0, &file, &hash, &photo.score, &vector, &thumbnail]).await?;
        added += usize::try_from(rows).unwrap_or(0);
    }
    Ok(added)
}

//! The gallery, as live asks it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio_postgres::Row;
use visavis_face::gallery::{
    Added, AlarmEntry, AlarmId, Answer, EmbeddingId, Gallery, GalleryError, Joint, Match, NewAlarm, NewPhoto, PersonId,
    PersonRecord, PersonSummary, PhotoId, Removed, RemovedPhoto, rules, strangers_within,
};

use crate::Address;
use crate::link::{Link, STATEMENT};
use crate::schema;

/// Photos that are compared with one another to learn how near strangers come.
const COMPARED: i64 = 2_000;

/// A gallery in a database. See [the crate](crate) for what it promises.
pub struct PostgresGallery {
    pub(crate) embedding: EmbeddingId,
    pub(crate) link: Link,
    /// The number of the last change that is known here.
    pub(crate) changes: AtomicI64,
    /// People, and as of which change.
    people: Mutex<(i64, usize)>,
}

impl PostgresGallery {
    /// Makes a new gallery without people, and opens it. The database is there already; pgvector is added to it if it must be.
    ///
    /// # Errors
    /// [`GalleryError::Exists`] where the database has a gallery already, [`GalleryError::Embedding`] where none can hold the
    /// network's vectors (pgvector takes up to 16,000 numbers), [`GalleryError::Unreachable`], and [`GalleryError::Database`]
    /// where the server has no pgvector or does not let us.
    pub fn create(address: &Address, embedding: &EmbeddingId) -> Result<Self, GalleryError> {
        Link::once(address, "making the gallery", async |client| schema::create(client, address, embedding).await)?;
        Self::open(address, Some(embedding))
    }

    /// Opens a gallery. With `expected`, refuses one that another network made. Without, any will do: to list or remove people.
    ///
    /// # Errors
    /// [`GalleryError::Missing`] where the database has none, [`GalleryError::OtherNetwork`], [`GalleryError::Newer`],
    /// [`GalleryError::Damaged`], [`GalleryError::Unreachable`], [`GalleryError::Database`].
    pub fn open(address: &Address, expected: Option<&EmbeddingId>) -> Result<Self, GalleryError> {
        let (made_with, format) =
            Link::once(address, "opening", async |client| schema::embedding(client, address).await)?;
        let embedding = rules::opened(&address.path(), made_with, expected)?;
        if format < schema::FORMAT {
            let doing = "bringing the gallery to the newest format";
            Link::once(address, doing, async |client| schema::upgrade(client, &embedding).await)?;
        }
        let link = Link::open(address, &embedding)?;
        let opened = Self { embedding, link, changes: AtomicI64::new(0), people: Mutex::default() };
        opened.refresh()?;
        Ok(opened)
    }

    /// The people among the `photos` photos nearest to `query`, nearest first, and whether these are for certain all that are as
    /// near as the `k`th.
    fn nearest(&self, query: &[f32], k: usize, photos: i64) -> Result<(Vec<Match>, bool), GalleryError> {
        let rows = self.link.search("searching", async |searcher| {
            let rows = searcher.client.query(&searcher.nearest, &[&query, &photos]).await?;
            rows.first().map_or(Ok(()), |row| self.link.check_network(row, 6))?;
            Ok(rows)
        })?;
        let all = (rows.len() as i64) < photos;
        let read = || {
            let (mut found, mut passed, mut farthest): (Vec<Match>, Vec<PersonId>, f64) = (Vec::new(), Vec::new(), 0.0);
            for row in &rows {
                let person = PersonId(row.try_get(1)?);
                farthest = row.try_get(4)?;
                if found.iter().any(|known| known.person == person) || passed.contains(&person) {
                    continue;
                }
                if row.try_get(5)? {
                    passed.push(person);
                    continue;
                }
                let (photo, name, watched) = (PhotoId(row.try_get(0)?), row.try_get::<_, &str>(2)?, row.try_get(3)?);
                found.push(rules::matched(&self.embedding, person, name.into(), photo, farthest as f32, watched));
            }
            Ok((found, farthest))
        };
        let (mut found, farthest) = read().map_err(|error| self.refused("searching", &error))?;
        // Of photos that are equally far some may have been left out.
        let certain = all || found.get(k.saturating_sub(1)).is_some_and(|last| last.distance < farthest as f32);
        found.truncate(k);
        Ok((found, certain))
    }

    pub(crate) fn refused(&self, doing: &'static str, error: &tokio_postgres::Error) -> GalleryError {
        crate::failure::refused(self.link.address(), doing, error)
    }

    /// A picture, where there is one of that number.
    fn jpeg(&self, doing: &'static str, sql: &str, number: i64) -> Result<Option<Vec<u8>>, GalleryError> {
        let row = self.link.search(doing, async |searcher| Ok(searcher.client.query_opt(sql, &[&number]).await?))?;
        let bytes = row.map(|row| row.try_get(0)).transpose().map_err(|error| self.refused(doing, &error))?;
        Ok(bytes.flatten())
    }

    /// Everybody, or whom a name or a number is given of.
    fn summaries(
        &self,
        doing: &'static str,
        name: Option<&str>,
        id: Option<i64>,
    ) -> Result<Vec<PersonSummary>, GalleryError> {
        let sql =
            "SELECT person.id, person.name, count(photo.id), person.watched, person.met, person.seen, person.last_seen
                   FROM visavis.person LEFT JOIN visavis.photo ON photo.person = person.id
                   WHERE ($1::text IS NULL OR person.name = $1) AND ($2::bigint IS NULL OR person.id = $2) GROUP BY person.id ORDER BY person.name COLLATE \"C\"";
        self.link.store(doing, STATEMENT, async |client| {
            let rows = client.query(sql, &[&name, &id]).await?;
            Ok(rows.iter().map(summary).collect::<Result<_, _>>()?)
        })
    }
}

fn summary(row: &Row) -> Result<PersonSummary, tokio_postgres::Error> {
    let count = |at: usize| row.try_get::<_, i64>(at).map(|count| usize::try_from(count).unwrap_or(0));
    Ok(PersonSummary {
        id: PersonId(row.try_get(0)?),
        name: row.try_get(1)?,
        photos: count(2)?,
        watched: row.try_get(3)?,
        met: row.try_get(4)?,
        seen: count(5)?,
        last_seen: row.try_get(6)?,
    })
}

impl Gallery for PostgresGallery {
    fn embedding(&self) -> &EmbeddingId {
        &self.embedding
    }

    fn search(&self, query: &[f32], k: usize) -> Result<Vec<Match>, GalleryError> {
        rules::query(query, &self.embedding)?;
        if k == 0 {
            return Ok(Vec::new());
        }
        // Of somebody with many photos, all may come before the next person's first.
        let mut photos = i64::try_from(k).unwrap_or(i64::MAX).saturating_mul(8).saturating_add(24);
        loop {
            let (found, certain) = self.nearest(query, k, photos)?;
            if certain {
                return Ok(found);
            }
            photos = photos.saturating_mul(16);
        }
    }

    fn people(&self) -> Result<Vec<PersonSummary>, GalleryError> {
        self.summaries("listing people", None, None)
    }

    fn size(&self) -> usize {
        self.people.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    fn person(&self, id: PersonId) -> Result<Option<PersonSummary>, GalleryError> {
        Ok(self.summaries("looking for a person", None, Some(id.0))?.pop())
    }

    fn find_person(&self, name: &str) -> Result<PersonSummary, GalleryError> {
        let found = self.summaries("looking for a person", Some(name.trim()), None)?;
        if let Some(person) = found.into_iter().next() {
            return Ok(person);
        }
        let people = self.people()?;
        let names = people.iter().map(|person| person.name.as_str());
        Err(rules::unknown_person(&self.link.address().path(), name, names))
    }

    fn portrait(&self, person: PersonId) -> Result<Option<Vec<u8>>, GalleryError> {
        let sql = "SELECT thumbnail FROM visavis.photo WHERE person = $1 AND thumbnail IS NOT NULL
                   ORDER BY score DESC NULLS LAST, id LIMIT 1";
        self.jpeg("reading a thumbnail", sql, person.0)
    }

    fn add(&self, person: &str, photos: &[NewPhoto]) -> Result<Added, GalleryError> {
        self.add_photos(person, photos)
    }

    fn remove_person(&self, name: &str) -> Result<Removed, GalleryError> {
        self.remove(name)
    }

    fn watch(&self, name: &str, watched: bool) -> Result<PersonId, GalleryError> {
        self.put_on_watch(name, watched)
    }

    fn rename(&self, name: &str, to: &str) -> Result<PersonId, GalleryError> {
        self.give_name(name, to)
    }

    fn deny(&self, person: PersonId, vector: &[f32]) -> Result<(), GalleryError> {
        self.remember_denial(person, vector)
    }

    fn merge(&self, from: PersonId, into: PersonId) -> Result<(), GalleryError> {
        self.join_people(from, into, false).map(drop)
    }

    fn merge_if_met(&self, from: PersonId, into: PersonId) -> Result<bool, GalleryError> {
        self.join_people(from, into, true)
    }

    fn meet(&self, photo: &NewPhoto, at: i64) -> Result<PersonId, GalleryError> {
        self.add_visitor(photo, at)
    }

    fn add_to(&self, person: PersonId, photo: &NewPhoto) -> Result<bool, GalleryError> {
        self.add_photo(person, photo, false)
    }

    fn add_photo_if_met(&self, person: PersonId, photo: &NewPhoto) -> Result<bool, GalleryError> {
        self.add_photo(person, photo, true)
    }

    fn seen(&self, person: PersonId, at: i64, new: bool) -> Result<(), GalleryError> {
        // No change that a search would have to know of.
        let sql = "UPDATE visavis.person SET seen = seen + $3, last_seen = greatest(last_seen, $2) WHERE id = $1";
        self.link.store("noting a visit", STATEMENT, async |client| {
            client.execute(sql, &[&person.0, &at, &i64::from(new)]).await?;
            Ok(())
        })
    }

    fn is_met(&self, person: PersonId) -> Result<bool, GalleryError> {
        let sql = "SELECT EXISTS (SELECT FROM visavis.person WHERE id = $1 AND met)";
        self.link.search("looking for a visitor", async |searcher| {
            Ok(searcher.client.query_one(sql, &[&person.0]).await?.try_get(0)?)
        })
    }

    fn strangers_within(&self, share: f64) -> Result<Option<f32>, GalleryError> {
        // Every so manyth photo, as numbers come in the order of their adding.
        let every = "SELECT greatest(1, (count(*) + $1 - 1) / $1) FROM visavis.photo";
        let sql = "SELECT person, vector::real[] FROM visavis.photo WHERE id % $1 = 0 ORDER BY id LIMIT $2";
        let sample = self.link.store("comparing strangers", 2 * STATEMENT, async |client| {
            let every: i64 = client.query_one(every, &[&COMPARED]).await?.try_get(0)?;
            let rows = client.query(sql, &[&every, &COMPARED]).await?;
            let photo = |row: &Row| Ok((row.try_get::<_, i64>(0)?, row.try_get::<_, Vec<f32>>(1)?));
            Ok(rows.iter().map(photo).collect::<Result<Vec<_>, tokio_postgres::Error>>()?)
        })?;
        Ok(strangers_within(self.embedding.metric, &sample, share))
    }

    fn photos(&self, person: PersonId) -> Result<Vec<PhotoId>, GalleryError> {
        self.photo_ids(person)
    }

    fn thumbnail(&self, photo: PhotoId) -> Result<Option<Vec<u8>>, GalleryError> {
        self.jpeg("reading a thumbnail", "SELECT thumbnail FROM visavis.photo WHERE id = $1", photo.0)
    }

    fn person_record(&self, person: PersonId) -> Result<Option<PersonRecord>, GalleryError> {
        self.record_of(person)
    }

    fn restore(&self, record: &PersonRecord) -> Result<PersonId, GalleryError> {
        self.put_back(record)
    }

    fn remove_photo(&self, photo: PhotoId) -> Result<Option<RemovedPhoto>, GalleryError> {
        self.take_photo(photo)
    }

    fn restore_photo(&self, removed: &RemovedPhoto) -> Result<bool, GalleryError> {
        self.put_photo_back(removed)
    }

    fn join(&self, from: PersonId, into: PersonId) -> Result<Option<Joint>, GalleryError> {
        self.join_for_now(from, into)
    }

    fn part(&self, joint: &Joint) -> Result<Option<PersonId>, GalleryError> {
        self.take_apart(joint)
    }

    fn record_alarm(&self, alarm: &NewAlarm<'_>) -> Result<Option<AlarmId>, GalleryError> {
        self.keep_alarm(alarm)
    }

    fn alarms(&self, before: Option<AlarmId>, most: usize) -> Result<Vec<AlarmEntry>, GalleryError> {
        self.list_alarms(before, most)
    }

    fn alarm_crop(&self, alarm: AlarmId) -> Result<Option<Vec<u8>>, GalleryError> {
        self.jpeg("reading the picture of an alarm", "SELECT crop FROM visavis.alarm WHERE id = $1", alarm.0)
    }

    fn answer_alarm(&self, alarm: AlarmId, answer: Answer) -> Result<bool, GalleryError> {
        self.answer(alarm, answer)
    }

    fn forget_met_before(&self, before: i64) -> Result<usize, GalleryError> {
        self.forget(before)
    }

    fn refresh(&self) -> Result<bool, GalleryError> {
        let now: i64 = self.link.search("looking for changes", async |searcher| {
            let row = searcher.client.query_opt(&searcher.changes, &[]).await?;
            row.as_ref().map_or(Ok(()), |row| self.link.check_network(row, 1))?;
            Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(0))
        })?;
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        if people.0 != now {
            let counted: i64 = self.link.search("counting people", async |searcher| {
                Ok(searcher.client.query_one("SELECT count(*) FROM visavis.person", &[]).await?.try_get(0)?)
            })?;
            *people = (now, usize::try_from(counted).unwrap_or(0));
        }
        Ok(self.changes.swap(now, Ordering::AcqRel) != now)
    }
}

/// Nothing of a gallery is shown but where it is.
impl std::fmt::Debug for PostgresGallery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PostgresGallery").field(self.link.address()).finish()
    }
}

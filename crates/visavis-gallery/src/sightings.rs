//! Sightings: who was seen by which camera, from when to when. They are found by time, camera, person, and by a face.

use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::store::{Transaction, Transactions};
use crate::value::{Picture, Row, Value};
use crate::{
    EmbeddingId, Gallery, GalleryError, Match, NewPhoto, PersonId, PersonSummary, PhotoId, Snapshot, check_vector,
    distance, identify, rows, rules,
};

/// A sighting whose last look is younger than this may still change, so its vector is read from the store at each search.
const SETTLED_AFTER: i64 = 600;

/// Largest number of threads of a search.
const THREADS: usize = 4;
/// Number of sightings from which on a search uses several threads: below it, starting them takes longer than the search.
const PARALLEL_FROM: usize = 50_000;

/// Largest number of sightings of a removed person that can be restored. With pictures, these take some hundred megabytes.
const MOST_KEPT: usize = 10_000;

/// Number of pictures that a person learns when sightings are named.
const MOST_LEARNED: usize = 10;

/// Bytes of vectors that are read at once.
const PAGE: usize = 8 << 20;

/// A sighting's number in one gallery. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SightingId(pub i64);

/// A sighting to store: one visit of one face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NewSighting<'a> {
    /// The name of the camera or the film.
    pub camera: &'a str,
    /// Time of the first look, Unix time in seconds.
    pub first_seen: i64,
    /// Time of the last look so far, Unix time in seconds.
    pub last_seen: i64,
    /// The person of the gallery that the face was identified as; `None` if it was not identified.
    pub person: Option<PersonId>,
    /// The probability that it is this person, 0 to 1; `None` if the distances of the network were not measured.
    pub identified: Option<f32>,
    /// Age in years.
    pub age: Option<f32>,
    /// Probability of "female".
    pub female: Option<f32>,
    /// Share of the looks with a smile, 0 to 1.
    pub smiling: Option<f32>,
    /// Quality of the best picture; higher is better.
    pub quality: f32,
    /// `[length]`: the embedding of the face.
    pub vector: &'a [f32],
    /// The best picture of the face, a JPEG.
    pub crop: Option<&'a [u8]>,
}

/// A stored sighting.
#[derive(Debug, Clone, PartialEq)]
pub struct SightingEntry {
    /// Number of the sighting.
    pub id: SightingId,
    /// The name of the camera or the film.
    pub camera: String,
    /// Time of the first look, Unix time in seconds.
    pub first_seen: i64,
    /// Time of the last look, Unix time in seconds.
    pub last_seen: i64,
    /// The person that the face was identified as, with the current name.
    pub person: Option<(PersonId, String)>,
    /// The probability that it is this person, 0 to 1.
    pub identified: Option<f32>,
    /// Age in years.
    pub age: Option<f32>,
    /// Probability of "female".
    pub female: Option<f32>,
    /// Share of the looks with a smile, 0 to 1.
    pub smiling: Option<f32>,
    /// Whether there is a picture of the face.
    pub has_crop: bool,
}

/// Which sightings to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SightingFilter {
    /// Only sightings that began at this time or later, Unix time in seconds.
    pub from: Option<i64>,
    /// Only sightings that began before this time, Unix time in seconds.
    pub until: Option<i64>,
    /// Only sightings by the camera of this name.
    pub camera: Option<String>,
    /// Only sightings of this person.
    pub person: Option<PersonId>,
    /// Only sightings of faces that were not identified.
    pub unnamed: bool,
    /// Only sightings before this one in the list: it is the last one of the page before.
    pub after: Option<SightingId>,
}

impl SightingFilter {
    /// The statement that selects `columns` of at most `most` sightings, the one that began last first, and its parameters.
    fn statement(&self, columns: &str, most: usize) -> (String, Vec<Value<'static>>) {
        let (mut conditions, mut values) = (Vec::new(), Vec::new());
        let mut when = |condition: &str, value: Value<'static>| {
            values.push(value);
            conditions.push(condition.replace('?', &format!("${}", values.len())));
        };
        if let Some(from) = self.from {
            when("sighting.first_seen >= ?", from.into());
        }
        if let Some(until) = self.until {
            when("sighting.first_seen < ?", until.into());
        }
        if let Some(camera) = &self.camera {
            when("sighting.camera = ?", Value::Text(camera.clone().into()));
        }
        if let Some(person) = self.person {
            when("sighting.person = ?", person.into());
        }
        if let Some(SightingId(after)) = self.after {
            when(
                "(sighting.first_seen, sighting.id) < ((SELECT first_seen FROM sighting WHERE id = ?), ?)",
                after.into(),
            );
        }
        if self.unnamed {
            conditions.push("sighting.person IS NULL".into());
        }
        values.push(most.into());
        let conditions =
            if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
        let sql = format!(
            "SELECT {columns} FROM sighting LEFT JOIN person ON sighting.person = person.id {conditions}
             ORDER BY sighting.first_seen DESC, sighting.id DESC LIMIT ${}",
            values.len()
        );
        (sql, values)
    }
}

/// A sighting that was compared with a face.
#[derive(Debug, Clone, PartialEq)]
pub struct SightingMatch {
    /// The sighting.
    pub sighting: SightingEntry,
    /// Distance of its embedding from the face.
    pub distance: f32,
    /// The distance on a scale from 0 to 1: see [`EmbeddingId::likeness`]. Not a probability.
    pub likeness: f32,
    /// Whether the two faces count as one person, given the number of sightings that were compared: see [`identify`].
    pub same_person: bool,
}

/// The vectors of settled sightings in memory. They are read at the first search by a face.
#[derive(Debug, Default)]
pub(crate) struct SightingVectors(Mutex<Option<Settled>>);

#[derive(Debug)]
struct Settled {
    /// Sightings are the people of these snapshots, which are searched at the same time.
    parts: Vec<Snapshot>,
    /// All settled sightings up to this number were read.
    read_to: i64,
}

impl SightingVectors {
    /// Drops all vectors. The next search reads them again.
    pub(crate) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

const COLUMNS: &str = "sighting.id, sighting.camera, sighting.first_seen, sighting.last_seen, person.id, person.name,
    sighting.identified, sighting.age, sighting.female, sighting.smiling, sighting.crop IS NOT NULL";

impl Gallery {
    /// Adds a sighting. Returns `None` if its person does not exist any more.
    ///
    /// # Errors
    /// [`GalleryError::Query`] for a vector that cannot be compared, [`GalleryError::OtherNetwork`] if the gallery was converted
    /// to another network, and the failures of the store.
    pub fn record_sighting(&self, sighting: &NewSighting<'_>) -> Result<Option<SightingId>, GalleryError> {
        Ok(self.record_sightings(std::slice::from_ref(sighting))?.pop().flatten())
    }

    /// Adds sightings in one transaction. The result is `None` for those whose person does not exist any more.
    ///
    /// # Errors
    /// As [`Gallery::record_sighting`]. Then none is added.
    pub fn record_sightings(&self, sightings: &[NewSighting<'_>]) -> Result<Vec<Option<SightingId>>, GalleryError> {
        let sql = "INSERT INTO sighting (camera, first_seen, last_seen, person, identified, age, female, smiling, quality, vector, crop)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id";
        self.write_sightings("storing sightings", sightings, |tx, values| {
            rows::inserted(tx, sql, values).map(SightingId)
        })
    }

    /// Replaces all values of a stored sighting, but not a person that a user stated with [`Gallery::name_sightings`]. Returns `None`
    /// if it or its person does not exist any more.
    ///
    /// # Errors
    /// As [`Gallery::record_sighting`].
    pub fn update_sighting(&self, id: SightingId, sighting: &NewSighting<'_>) -> Result<Option<()>, GalleryError> {
        let sql = "UPDATE sighting SET camera = $1, first_seen = $2, last_seen = $3, age = $6,
                   person = CASE WHEN stated THEN person ELSE $4 END,
                   identified = CASE WHEN stated THEN identified ELSE $5 END,
                   female = $7, smiling = $8, quality = $9, vector = $10, crop = $11 WHERE id = $12";
        let updated = self.write_sightings("updating a sighting", std::slice::from_ref(sighting), |tx, values| {
            let values = [values, &[Value::Integer(id.0)]].concat();
            Ok(tx.execute(sql, &values)? > 0)
        })?;
        Ok((updated == [Some(true)]).then_some(()))
    }

    /// Writes sightings. This is no change that searches for people see. The result is `None` for those whose person does not
    /// exist.
    fn write_sightings<T>(
        &self,
        doing: &'static str,
        sightings: &[NewSighting<'_>],
        mut write: impl FnMut(&mut dyn Transaction, &[Value<'_>]) -> Result<T, GalleryError>,
    ) -> Result<Vec<Option<T>>, GalleryError> {
        sightings.iter().try_for_each(|sighting| rules::query(sighting.vector, &self.embedding))?;
        self.store.writing(doing, |tx| {
            self.ours(rows::meta(tx)?)?;
            let mut written = Vec::with_capacity(sightings.len());
            for sighting in sightings {
                let NewSighting {
                    camera,
                    first_seen,
                    last_seen,
                    person,
                    identified,
                    age,
                    female,
                    smiling,
                    quality,
                    ..
                } = *sighting;
                if let Some(person) = person
                    && rows::person(tx, person)?.is_none()
                {
                    written.push(None);
                    continue;
                }
                let values = [
                    camera.into(),
                    first_seen.into(),
                    last_seen.into(),
                    person.into(),
                    identified.into(),
                    age.into(),
                    female.into(),
                    smiling.into(),
                    quality.into(),
                    sighting.vector.into(),
                    sighting.crop.map(Picture).into(),
                ];
                written.push(Some(write(tx, &values)?));
            }
            Ok(written)
        })
    }

    /// Lists at most `most` sightings, the one that began last first.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn sightings(&self, filter: &SightingFilter, most: usize) -> Result<Vec<SightingEntry>, GalleryError> {
        let (sql, values) = filter.statement(COLUMNS, most);
        self.store.reading("listing sightings", |tx| tx.query(&sql, &values)?.iter().map(entry).collect())
    }

    /// Groups the newest sightings, at most `most`, by their faces: each group is probably one person. The largest group comes first;
    /// in a group, the sighting that began last.
    ///
    /// A sighting belongs to the group with the nearest mean embedding, if that is within the same-person distance of the network.
    /// Sightings without an embedding of the gallery's network are left out.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn sighting_groups(
        &self,
        filter: &SightingFilter,
        most: usize,
    ) -> Result<Vec<Vec<SightingEntry>>, GalleryError> {
        let (sql, values) = filter.statement(&format!("{COLUMNS}, sighting.vector"), most);
        let rows = self.store.reading("grouping sightings", |tx| tx.query(&sql, &values))?;
        let EmbeddingId { metric, same_person, .. } = self.embedding;
        let mut groups: Vec<(Vec<f32>, Vec<SightingEntry>)> = Vec::new();
        for row in &rows {
            let Some(vector) = row.get::<Option<Vec<f32>>>(11)? else { continue };
            if check_vector(&vector, &self.embedding).is_err() {
                continue;
            }
            let near = groups.iter_mut().map(|group| (distance(metric, &group.0, &vector), group));
            match near.filter(|(far, _)| *far <= same_person).min_by(|(one, _), (other, _)| one.total_cmp(other)) {
                Some((_, (mean, members))) => {
                    members.push(entry(row)?);
                    let weight = 1.0 / members.len() as f32;
                    mean.iter_mut().zip(&vector).for_each(|(mean, value)| *mean += (value - *mean) * weight);
                }
                None => groups.push((vector, vec![entry(row)?])),
            }
        }
        groups.sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
        Ok(groups.into_iter().map(|(_, members)| members).collect())
    }

    /// The names of all cameras that have sightings.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn sighting_cameras(&self) -> Result<Vec<String>, GalleryError> {
        // One step through the index for each camera, instead of reading all sightings.
        let sql = "SELECT camera FROM sighting WHERE camera > $1 ORDER BY camera LIMIT 1";
        self.store.reading("listing cameras", |tx| {
            let mut cameras: Vec<String> = Vec::new();
            loop {
                let last = cameras.last().map_or("", String::as_str);
                let Some(row) = tx.query(sql, &[last.into()])?.pop() else { return Ok(cameras) };
                cameras.push(row.get(0)?);
            }
        })
    }

    /// The sighting with this number; `None` if there is none.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn sighting(&self, id: SightingId) -> Result<Option<SightingEntry>, GalleryError> {
        self.store.reading("reading a sighting", |tx| Ok(by_numbers(tx, &[id.0])?.pop()))
    }

    /// The embedding of a sighting; `None` if there is none, or only one of another network.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn sighting_vector(&self, id: SightingId) -> Result<Option<Vec<f32>>, GalleryError> {
        self.store.reading("reading a sighting", |tx| {
            let rows = tx.query("SELECT vector FROM sighting WHERE id = $1", &[id.0.into()])?;
            rows.first().map_or(Ok(None), |row| row.get(0))
        })
    }

    /// Whether a sighting exists.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn has_sighting(&self, id: SightingId) -> Result<bool, GalleryError> {
        self.store.reading("looking for a sighting", |tx| {
            Ok(!tx.query("SELECT id FROM sighting WHERE id = $1", &[id.0.into()])?.is_empty())
        })
    }

    /// The best picture of a sighting, a JPEG; `None` if it has none or does not exist any more.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn sighting_crop(&self, id: SightingId) -> Result<Option<Vec<u8>>, GalleryError> {
        self.jpeg("reading the picture of a sighting", "SELECT crop FROM sighting WHERE id = $1", id.0)
    }

    /// The `most` sightings whose faces are nearest to `query`, nearest first. Every sighting is compared. `now` is the Unix time
    /// in seconds.
    ///
    /// The first search reads the vectors of all sightings into memory; later ones read only what is new.
    ///
    /// # Errors
    /// [`GalleryError::Query`] for a query that cannot be compared, and the failures of the store.
    pub fn sightings_like(&self, query: &[f32], most: usize, now: i64) -> Result<Vec<SightingMatch>, GalleryError> {
        rules::query(query, &self.embedding)?;
        let mut settled = self.sighting_vectors.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.store.reading("comparing sightings", |tx| {
            let meta = self.ours(rows::meta(tx)?)?;
            let settled = match &mut *settled {
                Some(settled) => settled,
                unread => {
                    let parts = thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS));
                    let empty = || Snapshot::empty(meta.embedding.clone());
                    unread.insert(Settled { parts: (0..parts).map(|_| empty()).collect::<Result<_, _>>()?, read_to: 0 })
                }
            };
            // Not `min(id)`: SQLite would look for it row by row, in the order of the numbers.
            let open = tx.query("SELECT id FROM sighting WHERE last_seen >= $1", &[(now - SETTLED_AFTER).into()])?;
            let open = open.iter().map(|row| row.get(0)).collect::<Result<Vec<i64>, _>>()?.into_iter().min();
            let last_settled = open.map_or(i64::MAX, |open| open - 1);
            settled.read_to = read(tx, &self.embedding, &mut settled.parts, settled.read_to, last_settled)?;
            let mut recent = [Snapshot::empty(self.embedding.clone())?];
            read(tx, &self.embedding, &mut recent, settled.read_to, i64::MAX)?;
            let compared = settled.parts.iter().chain(&recent).map(Snapshot::photos).sum();
            // Sightings may have been deleted since they were read. Then more are searched for.
            let mut wanted = most.saturating_add(4);
            loop {
                let mut found = nearest(&settled.parts, query, wanted, compared >= PARALLEL_FROM)?;
                found.extend(nearest(&recent, query, wanted, false)?);
                found.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.photo.cmp(&b.photo)));
                identify(&self.embedding, compared, &mut found);
                found.truncate(wanted);
                let numbers: Vec<i64> = found.iter().map(|found| found.photo.0).collect();
                let entries = by_numbers(tx, &numbers)?;
                let matches: Vec<SightingMatch> = found
                    .iter()
                    .filter_map(|found| {
                        let sighting = entries.iter().find(|entry| entry.id.0 == found.photo.0)?.clone();
                        let (distance, likeness, same_person) = (found.distance, found.likeness, found.same_person);
                        Some(SightingMatch { sighting, distance, likeness, same_person })
                    })
                    .take(most)
                    .collect();
                if matches.len() == most || found.len() < wanted {
                    return Ok(matches);
                }
                wanted = wanted.saturating_mul(4);
            }
        })
    }

    /// States that sightings were of the person `name`, who is added if the gallery has no person of this name. With `learn`, the
    /// faces of the first ten are added to the person's photos. Returns the person; `None` if none of the sightings exists.
    ///
    /// # Errors
    /// [`GalleryError::Name`], and the failures of the store.
    pub fn name_sightings(
        &self,
        sightings: &[SightingId],
        name: &str,
        learn: bool,
    ) -> Result<Option<PersonId>, GalleryError> {
        let name = rules::person_name(name)?;
        self.change("naming sightings", |tx| {
            let mut named = None;
            for (place, id) in sightings.iter().enumerate() {
                let sql = "SELECT quality, vector, crop FROM sighting WHERE id = $1";
                let Some(row) = tx.query(sql, &[id.0.into()])?.pop() else { continue };
                let person = match named {
                    Some(person) => person,
                    None => match rows::person_named(tx, &name)? {
                        Some(known) => {
                            rows::update_person(tx, &PersonSummary { met: false, ..known.clone() })?;
                            known.id
                        }
                        None => rows::insert_person(tx, &PersonSummary::new(&name))?,
                    },
                };
                named = Some(person);
                if let (true, Some(vector)) = (learn && place < MOST_LEARNED, row.get::<Option<Vec<f32>>>(1)?) {
                    let (score, thumbnail) = (row.get(0)?, row.get(2)?);
                    let photo =
                        NewPhoto { source: format!("sighting {}", id.0), sha256: None, vector, thumbnail, score };
                    rows::insert_photos(tx, person, &[photo])?;
                }
                let sql = "UPDATE sighting SET person = $2, identified = NULL, stated = $3 WHERE id = $1";
                tx.execute(sql, &[id.0.into(), person.into(), true.into()])?;
            }
            Ok(named)
        })
    }

    /// Deletes a sighting, also from unused parts of the store. Returns false if it does not exist.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn remove_sighting(&self, id: SightingId) -> Result<bool, GalleryError> {
        let removed = self
            .store
            .writing("removing a sighting", |tx| tx.execute("DELETE FROM sighting WHERE id = $1", &[id.0.into()]))?;
        if removed == 0 {
            return Ok(false);
        }
        self.erase_remains()?;
        Ok(true)
    }

    /// Deletes all sightings whose last look was before `before` (Unix time in seconds), and returns their number. Searches do not
    /// find them any more. [`Gallery::erase_remains`] removes their traces, which rewrites the file of a gallery.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn forget_sightings_before(&self, before: i64) -> Result<usize, GalleryError> {
        let doing = "deleting sightings";
        let due = "SELECT 1 FROM sighting WHERE last_seen < $1 LIMIT 1";
        if self.store.reading(doing, |tx| tx.query(due, &[before.into()]))?.is_empty() {
            return Ok(0);
        }
        let sql = "DELETE FROM sighting WHERE last_seen < $1";
        let forgotten = self.store.writing(doing, |tx| tx.execute(sql, &[before.into()]))?;
        Ok(forgotten)
    }
}

/// A sighting of a removed person, to restore it. Kept in memory only.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeptSighting {
    camera: String,
    first_seen: i64,
    last_seen: i64,
    stated: bool,
    identified: Option<f32>,
    age: Option<f32>,
    female: Option<f32>,
    smiling: Option<f32>,
    quality: f32,
    vector: Option<Vec<f32>>,
    crop: Option<Vec<u8>>,
}

/// The newest sightings of a person, oldest first. Damaged ones are left out.
pub(crate) fn kept(tx: &mut dyn Transaction, person: PersonId) -> Result<Vec<KeptSighting>, GalleryError> {
    let sql = "SELECT camera, first_seen, last_seen, stated, identified, age, female, smiling, quality, vector, crop
               FROM sighting WHERE person = $1 ORDER BY first_seen DESC, id DESC LIMIT $2";
    let read = |row: &Row| -> Result<KeptSighting, GalleryError> {
        Ok(KeptSighting {
            camera: row.get(0)?,
            first_seen: row.get(1)?,
            last_seen: row.get(2)?,
            stated: row.get(3)?,
            identified: row.get(4)?,
            age: row.get(5)?,
            female: row.get(6)?,
            smiling: row.get(7)?,
            quality: row.get(8)?,
            vector: row.get(9)?,
            crop: row.get(10)?,
        })
    };
    let newest = tx.query(sql, &[person.into(), MOST_KEPT.into()])?;
    Ok(newest.iter().rev().filter_map(|row| read(row).ok()).collect())
}

/// Adds sightings of a restored person, under new numbers.
pub(crate) fn insert(
    tx: &mut dyn Transaction,
    person: PersonId,
    sightings: &[KeptSighting],
) -> Result<(), GalleryError> {
    let sql = "INSERT INTO sighting (person, camera, first_seen, last_seen, stated, identified, age, female, smiling, quality, vector, crop)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    for sighting in sightings {
        let params = [
            person.into(),
            sighting.camera.as_str().into(),
            sighting.first_seen.into(),
            sighting.last_seen.into(),
            sighting.stated.into(),
            sighting.identified.into(),
            sighting.age.into(),
            sighting.female.into(),
            sighting.smiling.into(),
            sighting.quality.into(),
            sighting.vector.as_deref().into(),
            sighting.crop.as_deref().map(Picture).into(),
        ];
        tx.execute(sql, &params)?;
    }
    Ok(())
}

fn entry(row: &Row) -> Result<SightingEntry, GalleryError> {
    let (person, name): (Option<PersonId>, Option<String>) = (row.get(4)?, row.get(5)?);
    Ok(SightingEntry {
        id: SightingId(row.get(0)?),
        camera: row.get(1)?,
        first_seen: row.get(2)?,
        last_seen: row.get(3)?,
        person: person.zip(name),
        identified: row.get(6)?,
        age: row.get(7)?,
        female: row.get(8)?,
        smiling: row.get(9)?,
        has_crop: row.get(10)?,
    })
}

fn by_numbers(tx: &mut dyn Transaction, numbers: &[i64]) -> Result<Vec<SightingEntry>, GalleryError> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let list = numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT {COLUMNS} FROM sighting LEFT JOIN person ON sighting.person = person.id WHERE sighting.id IN ({list})"
    );
    tx.query(&sql, &[])?.iter().map(entry).collect()
}

/// The `wanted` nearest of each part, in no order. `parallel`: one thread for each part.
fn nearest(parts: &[Snapshot], query: &[f32], wanted: usize, parallel: bool) -> Result<Vec<Match>, GalleryError> {
    let search = |part: &Snapshot| part.search_among(query, wanted, true, |_| true);
    let found: Vec<_> = if parallel {
        thread::scope(|scope| {
            let threads: Vec<_> = parts.iter().map(|part| scope.spawn(move || search(part))).collect();
            // A panic of a search is passed on.
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
        })
    } else {
        parts.iter().map(search).collect()
    };
    Ok(found.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
}

/// Appends the vectors of the sightings above number `after`, up to `last`, to the parts in turns. Returns the highest number that was read. Vectors of
/// another network are left out.
fn read(
    tx: &mut dyn Transaction,
    embedding: &EmbeddingId,
    parts: &mut [Snapshot],
    mut after: i64,
    last: i64,
) -> Result<i64, GalleryError> {
    let sql = "SELECT id, vector FROM sighting WHERE id > $1 AND id <= $2 AND vector IS NOT NULL ORDER BY id LIMIT $3";
    let page = (PAGE / (4 * embedding.length)).max(16);
    loop {
        let rows = tx.query(sql, &[after.into(), last.into(), page.into()])?;
        let Some(part) = parts.iter_mut().min_by_key(|part| part.photos()) else { return Ok(after) };
        for row in &rows {
            after = row.get(0)?;
            // A vector that cannot be compared is of another network.
            let _ = part.push(PersonId(after), "", false, PhotoId(after), &row.get::<Vec<f32>>(1)?);
        }
        if rows.len() < page {
            return Ok(after);
        }
    }
}

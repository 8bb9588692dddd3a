//! Reads and writes the rows of people, photos and denials within a transaction. All stores understand the statements.

use std::collections::HashSet;

use crate::name::spellings;
use crate::store::Transaction;
use crate::value::{FromValue, Picture, Row, Value};
use crate::{EmbeddingId, GalleryError, NewPhoto, PersonId, PersonRecord, PersonSummary, PhotoId};

/// The contents of `meta`: the network, the number of the last change and the token of the gallery.
pub(crate) struct Meta {
    pub(crate) embedding: EmbeddingId,
    pub(crate) changes: i64,
    pub(crate) token: [u8; 16],
    /// By what the key of an encrypted gallery is recognised.
    pub(crate) encrypted: Option<Vec<u8>>,
}

const META: &str = "network, fingerprint, length, metric, same_person, changes, token, encrypted";

/// Reads `meta`.
pub(crate) fn meta(tx: &mut dyn Transaction) -> Result<Option<Meta>, GalleryError> {
    tx.query(&format!("SELECT {META} FROM meta WHERE id = 1"), &[])?.first().map(read_meta).transpose()
}

/// Increments the number of changes, and returns `meta` after that.
pub(crate) fn count_change(tx: &mut dyn Transaction) -> Result<Option<Meta>, GalleryError> {
    let sql = format!("UPDATE meta SET changes = changes + 1 WHERE id = 1 RETURNING {META}");
    tx.query(&sql, &[])?.first().map(read_meta).transpose()
}

fn read_meta(row: &Row) -> Result<Meta, GalleryError> {
    let metric: String = row.get(3)?;
    let embedding = EmbeddingId {
        name: row.get(0)?,
        fingerprint: row.get(1)?,
        length: row.get(2)?,
        metric: crate::rules::metric_named(&metric)
            .ok_or_else(|| row.damaged(format!("its metric {metric:?} is unknown")))?,
        same_person: row.get(4)?,
        likeness: None,
        identity: Default::default(),
    };
    if let Some(reason) = embedding.fault() {
        return Err(row.damaged(reason));
    }
    let token: Vec<u8> = row.get(6)?;
    let token = token.try_into().map_err(|_| row.damaged("its token has a wrong length".into()))?;
    Ok(Meta { embedding, changes: row.get(5)?, token, encrypted: row.get(7)? })
}

/// People, by name. `which` is the `WHERE` clause over `person`.
pub(crate) fn people(
    tx: &mut dyn Transaction,
    which: &str,
    params: &[Value<'_>],
) -> Result<Vec<PersonSummary>, GalleryError> {
    let sql = format!(
        "SELECT person.id, person.name, count(photo.id), person.watched, person.met, person.seen, person.last_seen,
                person.ignored
         FROM person LEFT JOIN photo ON photo.person = person.id {which} GROUP BY person.id"
    );
    let summary = |row: &Row| {
        Ok(PersonSummary {
            id: row.get(0)?,
            name: row.get(1)?,
            photos: row.get(2)?,
            watched: row.get(3)?,
            met: row.get(4)?,
            seen: row.get(5)?,
            last_seen: row.get(6)?,
            ignored: row.get(7)?,
        })
    };
    let mut people = tx.query(&sql, params)?.iter().map(summary).collect::<Result<Vec<_>, GalleryError>>()?;
    people.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(people)
}

/// The person with this number.
pub(crate) fn person(tx: &mut dyn Transaction, id: PersonId) -> Result<Option<PersonSummary>, GalleryError> {
    Ok(people(tx, "WHERE person.id = $1", &[id.into()])?.pop())
}

/// The person with this name, however its accents are stored.
pub(crate) fn person_named(tx: &mut dyn Transaction, name: &str) -> Result<Option<PersonSummary>, GalleryError> {
    for spelling in spellings(name) {
        if let Some(person) = people(tx, "WHERE person.name = $1", &[spelling.as_str().into()])?.pop() {
            return Ok(Some(person));
        }
    }
    Ok(None)
}

/// Adds a person without photos. The number in `person` is ignored.
pub(crate) fn insert_person(tx: &mut dyn Transaction, person: &PersonSummary) -> Result<PersonId, GalleryError> {
    let PersonSummary { name, watched, ignored, met, seen, last_seen, .. } = person;
    let sql = "INSERT INTO person (name, watched, met, seen, last_seen, ignored, changed)
               VALUES ($1, $2, $3, $4, $5, $6, (SELECT changes FROM meta)) RETURNING id";
    let (name, watched, met) = (name.as_str().into(), (*watched).into(), (*met).into());
    inserted(tx, sql, &[name, watched, met, (*seen).into(), (*last_seen).into(), (*ignored).into()])
}

/// Runs a statement that adds a row, and returns its number.
pub(crate) fn inserted<T: FromValue>(
    tx: &mut dyn Transaction,
    sql: &str,
    params: &[Value<'_>],
) -> Result<T, GalleryError> {
    match tx.query(sql, params)?.first() {
        Some(row) => row.get(0),
        // A file from another source may contain a trigger that skips rows.
        None => {
            Err(GalleryError::Damaged { path: tx.place().to_path_buf(), reason: "a new row was not stored".into() })
        }
    }
}

/// Writes all columns of the person, but not the photos. Returns false if the person does not exist.
pub(crate) fn update_person(tx: &mut dyn Transaction, person: &PersonSummary) -> Result<bool, GalleryError> {
    let PersonSummary { id, name, watched, ignored, met, seen, last_seen, .. } = person;
    let sql = "UPDATE person SET name = $2, watched = $3, met = $4, seen = $5, last_seen = $6, ignored = $7,
                      changed = (SELECT changes FROM meta) WHERE id = $1";
    let (name, watched, met) = (name.as_str().into(), (*watched).into(), (*met).into());
    let (seen, last_seen) = ((*seen).into(), (*last_seen).into());
    Ok(tx.execute(sql, &[(*id).into(), name, watched, met, seen, last_seen, (*ignored).into()])? > 0)
}

/// Marks a person and their denials as changed. Returns false if the person does not exist.
pub(crate) fn touch(tx: &mut dyn Transaction, person: PersonId) -> Result<bool, GalleryError> {
    let sql = "UPDATE person SET changed = (SELECT changes FROM meta) WHERE id = $1";
    Ok(tx.execute(sql, &[person.into()])? > 0)
}

/// Adds the photos that the person does not have yet, and returns their number.
pub(crate) fn insert_photos(
    tx: &mut dyn Transaction,
    person: PersonId,
    photos: &[NewPhoto],
) -> Result<usize, GalleryError> {
    let sql = "INSERT INTO photo (person, source, sha256, score, vector, thumbnail, changed)
               VALUES ($1, $2, $3, $4, $5, $6, (SELECT changes FROM meta)) ON CONFLICT (person, sha256) DO NOTHING";
    let mut added = 0;
    for photo in photos {
        let hash = photo.sha256.as_ref().map(<[u8; 32]>::as_slice);
        let thumbnail = photo.thumbnail.as_deref().map(Picture);
        let (source, vector) = (photo.file_name().into(), photo.vector.as_slice().into());
        let params = [person.into(), source, hash.into(), photo.score.into(), vector, thumbnail.into()];
        added += tx.execute(sql, &params)?;
    }
    Ok(added)
}

/// A photo from a row of `source, sha256, vector, thumbnail, score`; `None` if the vector is unusable.
pub(crate) fn photo(row: &Row) -> Result<Option<NewPhoto>, GalleryError> {
    let Ok(vector) = row.get(2) else { return Ok(None) };
    // The tables contain only hashes of this length.
    let sha256: Option<Vec<u8>> = row.get(1)?;
    let sha256 = sha256.and_then(|hash| hash.try_into().ok());
    Ok(Some(NewPhoto { source: row.get(0)?, sha256, vector, thumbnail: row.get(3)?, score: row.get(4)? }))
}

/// Stores a face that is not this person.
pub(crate) fn insert_denial(tx: &mut dyn Transaction, person: PersonId, vector: &[f32]) -> Result<(), GalleryError> {
    tx.execute("INSERT INTO denial (person, vector) VALUES ($1, $2)", &[person.into(), vector.into()]).map(drop)
}

/// Everything about a person but their alarms and sightings; `None` if the person does not exist.
pub(crate) fn record(
    tx: &mut dyn Transaction,
    embedding: &EmbeddingId,
    id: PersonId,
) -> Result<Option<PersonRecord>, GalleryError> {
    let Some(person) = person(tx, id)? else { return Ok(None) };
    let PersonSummary { name, watched, ignored, met, seen, last_seen, .. } = person;
    let sql = "SELECT source, sha256, vector, thumbnail, score FROM photo WHERE person = $1 ORDER BY id";
    let photos = tx.query(sql, &[id.into()])?;
    let denials = tx.query("SELECT vector FROM denial WHERE person = $1 ORDER BY id", &[id.into()])?;
    Ok(Some(PersonRecord {
        name,
        photos: photos.iter().filter_map(|row| photo(row).transpose()).collect::<Result<_, _>>()?,
        watched,
        ignored,
        met,
        seen,
        last_seen,
        denials: denials.iter().filter_map(|row| row.get(0).ok()).collect(),
        alarms: Vec::new(),
        sightings: Vec::new(),
        made_by: embedding.clone(),
    }))
}

/// Adds a person with everything in the record but alarms and sightings, under a new number.
pub(crate) fn insert_record(tx: &mut dyn Transaction, record: &PersonRecord) -> Result<PersonId, GalleryError> {
    let PersonRecord { name, photos, watched, ignored, met, seen, last_seen, denials, .. } = record;
    let (watched, ignored, met, seen, last_seen) = (*watched, *ignored, *met, *seen, *last_seen);
    let name = name.clone();
    let summary = PersonSummary { id: PersonId(0), name, photos: 0, watched, ignored, met, seen, last_seen };
    let person = insert_person(tx, &summary)?;
    for denied in denials {
        insert_denial(tx, person, denied)?;
    }
    insert_photos(tx, person, photos)?;
    Ok(person)
}

/// Deletes the photos whose column `which` is `id`, records their removal, and returns their number.
pub(crate) fn delete_photos(tx: &mut dyn Transaction, which: &str, id: i64) -> Result<usize, GalleryError> {
    let log = format!(
        "INSERT INTO removal (photo, changed) SELECT id, (SELECT changes FROM meta) FROM photo WHERE {which} = $1
         ON CONFLICT (photo) DO UPDATE SET changed = excluded.changed"
    );
    tx.execute(&log, &[id.into()])?;
    tx.execute(&format!("DELETE FROM photo WHERE {which} = $1"), &[id.into()])
}

/// Deletes a person with everything that belongs to them, and returns the number of photos.
pub(crate) fn delete_person(tx: &mut dyn Transaction, person: PersonId) -> Result<usize, GalleryError> {
    let photos = delete_photos(tx, "person", person.0)?;
    // Denials, alarms and sightings are deleted with the person.
    tx.execute("DELETE FROM person WHERE id = $1", &[person.into()])?;
    Ok(photos)
}

/// The numbers of the rows that a person has in a table, in the order in which they were added.
pub(crate) fn numbers(tx: &mut dyn Transaction, table: &str, person: PersonId) -> Result<Vec<i64>, GalleryError> {
    let rows = tx.query(&format!("SELECT id FROM {table} WHERE person = $1 ORDER BY id"), &[person.into()])?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Bytes of vectors that are read at once.
const PAGE: usize = 8 << 20;

/// The columns of [`each_photo`] and [`photos_since`].
const PHOTOS: &str = "SELECT person.id, person.name, person.watched, photo.id, photo.vector
                      FROM photo JOIN person ON photo.person = person.id";

/// Reads all photos in the order of their people and numbers, page by page: `person.id, person.name, person.watched,
/// photo.id, photo.vector`.
pub(crate) fn each_photo(
    tx: &mut dyn Transaction,
    embedding: &EmbeddingId,
    mut take: impl FnMut(&Row) -> Result<(), GalleryError>,
) -> Result<(), GalleryError> {
    let sql = format!(
        "{PHOTOS} WHERE photo.person >= $1 AND (photo.person > $1 OR photo.id > $2)
         ORDER BY photo.person, photo.id LIMIT $3"
    );
    let page = (PAGE / (4 * embedding.length)).max(16);
    let (mut person, mut photo) = (i64::MIN, i64::MIN);
    loop {
        let rows = tx.query(&sql, &[person.into(), photo.into(), page.into()])?;
        rows.iter().try_for_each(&mut take)?;
        let Some(last) = rows.last().filter(|_| rows.len() == page) else { return Ok(()) };
        (person, photo) = (last.get(0)?, last.get(3)?);
    }
}

/// The photos that were added or moved to another person after a change; columns as of [`each_photo`], in no order. `None`
/// if there are more than `most`.
pub(crate) fn photos_since(
    tx: &mut dyn Transaction,
    changes: i64,
    most: usize,
) -> Result<Option<Vec<Row>>, GalleryError> {
    let count = tx.query("SELECT count(*) FROM photo WHERE changed > $1", &[changes.into()])?;
    if count.first().map_or(Ok(0), |row| row.get::<usize>(0))? > most {
        return Ok(None);
    }
    // The caller sorts them: an ORDER BY could make the store read all photos.
    tx.query(&format!("{PHOTOS} WHERE photo.changed > $1"), &[changes.into()]).map(Some)
}

/// The photos that were removed after a change.
pub(crate) fn removals_since(tx: &mut dyn Transaction, changes: i64) -> Result<Vec<PhotoId>, GalleryError> {
    let rows = tx.query("SELECT photo FROM removal WHERE changed > $1", &[changes.into()])?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// The people who are ignored.
pub(crate) fn ignored(tx: &mut dyn Transaction) -> Result<HashSet<PersonId>, GalleryError> {
    tx.query("SELECT id FROM person WHERE ignored", &[])?.iter().map(|row| row.get(0)).collect()
}

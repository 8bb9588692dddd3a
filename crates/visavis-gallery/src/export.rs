//! Everything stored about one person as a ZIP file, for the person who asks what is stored about them.

use std::io::{Cursor, Write};

use serde_json::{Value as Json, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::store::{Transaction, Transactions};
use crate::value::Row;
use crate::{Gallery, GalleryError, PersonId, rows};

impl Gallery {
    /// Writes everything stored about a person to `out` as a ZIP file: `data.json`, and the pictures in the folders `photos`,
    /// `alarms` and `sightings`, which `data.json` names. Times are Unix times in seconds. Returns false, and writes nothing, if the
    /// person does not exist.
    ///
    /// # Errors
    /// [`GalleryError::Store`] if `out` fails, and the failures of the store.
    pub fn export_person(&self, person: PersonId, mut out: impl Write) -> Result<bool, GalleryError> {
        let Some((data, pictures)) = self.store.reading("exporting a person", |tx| self.collect(tx, person))? else {
            return Ok(false);
        };
        let failed = |error: zip::result::ZipError| GalleryError::failed(self.place(), "writing an export", error);
        // In memory, where writing does not fail: after a failure, the library would print a message of its own.
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        // JPEG files do not become smaller.
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        let text = serde_json::to_vec_pretty(&data).unwrap_or_default();
        for (name, bytes) in [("data.json".to_owned(), text)].into_iter().chain(pictures) {
            zip.start_file(name, options).map_err(failed)?;
            zip.write_all(&bytes).map_err(|error| failed(error.into()))?;
        }
        let zip = zip.finish().map_err(failed)?;
        out.write_all(zip.get_ref()).map_err(|error| GalleryError::failed(self.place(), "writing an export", error))?;
        Ok(true)
    }

    /// The contents of `data.json`, and the pictures with their names.
    fn collect(&self, tx: &mut dyn Transaction, person: PersonId) -> Result<Option<Export>, GalleryError> {
        let Some(summary) = rows::person(tx, person)? else { return Ok(None) };
        let mut pictures = Vec::new();
        let mut picture = |folder: &str, id: i64, jpeg: Option<Vec<u8>>| {
            jpeg.map(|jpeg| {
                let name = format!("{folder}/{id}.jpg");
                pictures.push((name.clone(), jpeg));
                name
            })
        };
        let id = [person.into()];
        let sql = "SELECT id, source, score, vector, thumbnail FROM photo WHERE person = $1 ORDER BY id";
        let photos = list(tx.query(sql, &id)?, |row| {
            let picture = picture("photos", row.get(0)?, row.get(4)?);
            let (source, score, embedding) = (row.get::<String>(1)?, row.get::<Option<f32>>(2)?, vector(row, 3)?);
            Ok(json!({ "picture": picture, "source": source, "score": score, "embedding": embedding }))
        })?;
        let sql = "SELECT id, time, source, identified, answer, vector, crop FROM alarm WHERE person = $1 ORDER BY id";
        let alarms = list(tx.query(sql, &id)?, |row| {
            let picture = picture("alarms", row.get(0)?, row.get(6)?);
            let (time, source, identified): (i64, Option<String>, Option<f32>) =
                (row.get(1)?, row.get(2)?, row.get(3)?);
            let (answer, embedding) = (row.get::<String>(4)?, vector(row, 5)?);
            Ok(json!({ "picture": picture, "time": time, "camera": source, "identified": identified, "answer": answer,
                       "embedding": embedding }))
        })?;
        let sql =
            "SELECT id, camera, first_seen, last_seen, identified, age, female, smiling, vector, crop FROM sighting
                   WHERE person = $1 ORDER BY id";
        let sightings = list(tx.query(sql, &id)?, |row| {
            let picture = picture("sightings", row.get(0)?, row.get(9)?);
            let (camera, first, last): (String, i64, i64) = (row.get(1)?, row.get(2)?, row.get(3)?);
            let number = |column| row.get::<Option<f32>>(column);
            Ok(json!({ "picture": picture, "camera": camera, "first_seen": first, "last_seen": last,
                       "identified": number(4)?, "age": number(5)?, "female": number(6)?, "smiling": number(7)?,
                       "embedding": vector(row, 8)? }))
        })?;
        let denied = tx.query("SELECT vector FROM denial WHERE person = $1 ORDER BY id", &id)?;
        let denied = list(denied, |row| Ok(json!(vector(row, 0)?)))?;
        let data = json!({
            "name": summary.name,
            "number": person.0,
            "on_the_watch_list": summary.watched,
            "ignored": summary.ignored,
            "visitor": summary.met,
            "visits": summary.seen,
            "last_seen": summary.last_seen,
            "network_of_the_embeddings": self.embedding.name,
            "photos": photos,
            "embeddings_of_faces_that_are_not_this_person": denied,
            "alarms": alarms,
            "sightings": sightings,
        });
        Ok(Some((data, pictures)))
    }
}

/// `data.json`, and the pictures with their names.
type Export = (Json, Vec<(String, Vec<u8>)>);

fn list(rows: Vec<Row>, mut read: impl FnMut(&Row) -> Result<Json, GalleryError>) -> Result<Vec<Json>, GalleryError> {
    rows.iter().map(&mut read).collect()
}

fn vector(row: &Row, column: usize) -> Result<Option<Vec<f32>>, GalleryError> {
    row.get(column)
}

//! The list of raised alarms, stored with the people that they are about.

use crate::store::{Transaction, Transactions};
use crate::value::{Picture, Row};
use crate::{Gallery, GalleryError, PersonId, rows, rules};

/// Maximum number of stored alarms. Beyond it, the oldest are deleted.
const MOST_ALARMS: i64 = 10_000;

/// An alarm's number in one gallery. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlarmId(pub i64);

/// An alarm to store.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NewAlarm<'a> {
    /// Unix time in seconds.
    pub time: i64,
    /// Where the face was seen: the name of the camera or the film.
    pub source: &'a str,
    /// The person of the gallery that the face matched; `None` if the face matched no person.
    pub person: Option<PersonId>,
    /// The probability that it is this person, 0 to 1; `None` if the distances of the network were not measured.
    pub identified: Option<f32>,
    /// `[length]`: the embedding of the face. Stored until the alarm is answered.
    pub vector: &'a [f32],
    /// The face, as a small JPEG.
    pub crop: Option<&'a [u8]>,
}

/// How an alarm was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Not answered yet.
    Open,
    /// Acknowledged.
    Acknowledged,
    /// Denied: the face belongs to another person.
    Denied,
}

impl Answer {
    /// The value in the table.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Denied => "denied",
        }
    }

    /// From the value in the table, which accepts only these three.
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word {
            "acknowledged" => Self::Acknowledged,
            "denied" => Self::Denied,
            _ => Self::Open,
        }
    }
}

/// An alarm of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct AlarmEntry {
    /// Number of the alarm.
    pub id: AlarmId,
    /// Unix time in seconds.
    pub time: i64,
    /// Where the face was seen; `None` for alarms that older versions stored.
    pub source: Option<String>,
    /// The person of the gallery that the face matched, with the current name; `None` if the face matched no person.
    pub person: Option<(PersonId, String)>,
    /// The probability that it is this person, 0 to 1; `None` if the distances of the network were not measured.
    pub identified: Option<f32>,
    /// Whether there is a picture of the face.
    pub has_crop: bool,
    /// How it was answered.
    pub answer: Answer,
}

impl Gallery {
    /// Adds an alarm to the list. Returns `None` if the person does not exist any more.
    ///
    /// # Errors
    /// [`GalleryError::Query`] for a vector that cannot be compared, and the failures of the store.
    pub fn record_alarm(&self, alarm: &NewAlarm<'_>) -> Result<Option<AlarmId>, GalleryError> {
        rules::query(alarm.vector, &self.embedding)?;
        let sql = "INSERT INTO alarm (time, source, person, identified, vector, crop) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
        self.change("storing an alarm", |tx| {
            let NewAlarm { time, source, person, identified, vector, crop } = *alarm;
            if let Some(person) = person
                && rows::person(tx, person)?.is_none()
            {
                return Ok(None);
            }
            let params =
                [time.into(), source.into(), person.into(), identified.into(), vector.into(), crop.map(Picture).into()];
            let AlarmId(number) = rows::inserted(tx, sql, &params)?;
            tx.execute("DELETE FROM alarm WHERE id <= $1", &[(number - MOST_ALARMS).into()])?;
            Ok(Some(AlarmId(number)))
        })
    }

    /// Lists at most `most` alarms with numbers below `before`, newest first.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn alarms(&self, before: Option<AlarmId>, most: usize) -> Result<Vec<AlarmEntry>, GalleryError> {
        let sql = "SELECT alarm.id, alarm.time, person.id, person.name, alarm.identified, alarm.crop IS NOT NULL, alarm.answer,
                          alarm.source
                   FROM alarm LEFT JOIN person ON alarm.person = person.id WHERE alarm.id < $1 ORDER BY alarm.id DESC LIMIT $2";
        let params = [before.unwrap_or(AlarmId(i64::MAX)).into(), most.into()];
        let entry = |row: &Row| {
            let (person, name): (Option<PersonId>, Option<String>) = (row.get(2)?, row.get(3)?);
            Ok(AlarmEntry {
                id: row.get(0)?,
                time: row.get(1)?,
                person: person.zip(name),
                identified: row.get(4)?,
                has_crop: row.get(5)?,
                answer: Answer::of(&row.get::<String>(6)?),
                source: row.get(7)?,
            })
        };
        self.store.reading("listing alarms", |tx| tx.query(sql, &params)?.iter().map(entry).collect())
    }

    /// The picture of an alarm, a JPEG; `None` if it has none or does not exist any more.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn alarm_crop(&self, alarm: AlarmId) -> Result<Option<Vec<u8>>, GalleryError> {
        self.jpeg("reading the picture of an alarm", "SELECT crop FROM alarm WHERE id = $1", alarm.0)
    }

    /// Answers an alarm. A denied alarm also stores its face as [`Gallery::deny`] does. Returns false if the alarm does not
    /// exist any more.
    ///
    /// # Errors
    /// [`GalleryError::AlarmAcknowledged`] if an alarm about a person is denied after it was acknowledged, which deleted its
    /// face; the failures of the store.
    pub fn answer_alarm(&self, alarm: AlarmId, answer: Answer) -> Result<bool, GalleryError> {
        self.change("answering an alarm", |tx| {
            let sql = "SELECT person, vector, answer FROM alarm WHERE id = $1 AND person IS NOT NULL";
            if answer == Answer::Denied
                && let Some(row) = tx.query(sql, &[alarm.into()])?.first()
            {
                if Answer::of(&row.get::<String>(2)?) == Answer::Acknowledged {
                    return Err(GalleryError::AlarmAcknowledged { alarm });
                }
                let person = row.get(0)?;
                if let Some(vector) = row.get::<Option<Vec<f32>>>(1)? {
                    rows::insert_denial(tx, person, &vector)?;
                    rows::touch(tx, person)?;
                }
            }
            let sql = "UPDATE alarm SET answer = $2, vector = NULL WHERE id = $1";
            Ok(tx.execute(sql, &[alarm.into(), answer.word().into()])? > 0)
        })
    }
}

/// An alarm about a removed person, to restore it. Kept in memory only.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeptAlarm {
    time: i64,
    source: Option<String>,
    identified: Option<f32>,
    vector: Option<Vec<f32>>,
    crop: Option<Vec<u8>>,
    answer: String,
}

/// The alarms about a person, oldest first. Damaged ones are left out.
pub(crate) fn kept(tx: &mut dyn Transaction, person: PersonId) -> Result<Vec<KeptAlarm>, GalleryError> {
    let sql = "SELECT time, source, identified, vector, crop, answer FROM alarm WHERE person = $1 ORDER BY id";
    let read = |row: &Row| -> Result<KeptAlarm, GalleryError> {
        Ok(KeptAlarm {
            time: row.get(0)?,
            source: row.get(1)?,
            identified: row.get(2)?,
            vector: row.get(3)?,
            crop: row.get(4)?,
            answer: row.get(5)?,
        })
    };
    Ok(tx.query(sql, &[person.into()])?.iter().filter_map(|row| read(row).ok()).collect())
}

/// Adds alarms of a restored person, under new numbers.
pub(crate) fn insert(tx: &mut dyn Transaction, person: PersonId, alarms: &[KeptAlarm]) -> Result<(), GalleryError> {
    let sql = "INSERT INTO alarm (person, time, source, identified, vector, crop, answer) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    for KeptAlarm { time, source, identified, vector, crop, answer } in alarms {
        let params = [
            person.into(),
            (*time).into(),
            source.as_deref().into(),
            (*identified).into(),
            vector.as_deref().into(),
            crop.as_deref().map(Picture).into(),
            answer.as_str().into(),
        ];
        tx.execute(sql, &params)?;
    }
    Ok(())
}

//! The list of alarms that rang, kept beside the people whom they tell of.

use rusqlite::{OptionalExtension, params};

use super::edit::touch;
use super::rules::{self, MOST_ALARMS};
use super::store::bytes_of;
use super::{GalleryError, GalleryFile, PersonId};

/// An alarm's number in one gallery. Never given to another alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlarmId(pub i64);

/// An alarm to keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NewAlarm<'a> {
    /// Seconds since 1970.
    pub time: i64,
    /// Where the face was seen: the name of the camera or the film.
    pub source: &'a str,
    /// Whom the face was taken for; `None`: nobody in the gallery.
    pub person: Option<PersonId>,
    /// How much it resembled them, 0 to 1.
    pub similarity: Option<f32>,
    /// `[length]`: the embedding of the look that rang. Kept until somebody answers.
    pub vector: &'a [f32],
    /// The face, as a small JPEG.
    pub crop: Option<&'a [u8]>,
}

/// What somebody said of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Nothing yet.
    Open,
    /// It was seen.
    Acknowledged,
    /// It was about somebody else.
    Denied,
}

impl Answer {
    /// How a gallery writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Denied => "denied",
        }
    }

    /// What a gallery wrote. Its table holds no other words than these three.
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
    /// The number.
    pub id: AlarmId,
    /// Seconds since 1970.
    pub time: i64,
    /// Where the face was seen; `None`: an older version rang.
    pub source: Option<String>,
    /// Whom the face was taken for, with the name of now; `None`: nobody in the gallery.
    pub person: Option<(PersonId, String)>,
    /// How much it resembled them, 0 to 1.
    pub similarity: Option<f32>,
    /// Whether there is a picture of the face.
    pub has_crop: bool,
    /// What was said of it.
    pub answer: Answer,
}

impl GalleryFile {
    /// Puts an alarm on the list. `None` where the person is not there any more.
    ///
    /// # Errors
    /// [`GalleryError::Query`] for a vector that cannot be compared, and the failures of the file.
    pub fn record_alarm(&mut self, alarm: &NewAlarm<'_>) -> Result<Option<AlarmId>, GalleryError> {
        rules::query(alarm.vector, self.embedding())?;
        let mut id = None;
        self.edit("keeping an alarm", |change, _| {
            let person = alarm.person.map(|person| person.0);
            let known = "SELECT 1 FROM person WHERE id = ?1";
            if person.is_some() && !change.prepare_cached(known)?.exists([person])? {
                return Ok(0);
            }
            change.execute(
                "INSERT INTO alarm (time, source, person, similarity, vector, crop) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![alarm.time, alarm.source, person, alarm.similarity, bytes_of(alarm.vector), alarm.crop],
            )?;
            let number = change.last_insert_rowid();
            id = Some(AlarmId(number));
            change.execute("DELETE FROM alarm WHERE id <= ?1", [number - MOST_ALARMS])
        })?;
        Ok(id)
    }

    /// At most `most` alarms with numbers below `before`, newest first.
    ///
    /// # Errors
    /// The failures of the file.
    pub fn alarms(&self, before: Option<AlarmId>, most: usize) -> Result<Vec<AlarmEntry>, GalleryError> {
        let read = || {
            let mut statement = self.connection.prepare_cached(
                "SELECT alarm.id, alarm.time, person.id, person.name, alarm.similarity, alarm.crop IS NOT NULL, alarm.answer,
                        alarm.source
                 FROM alarm LEFT JOIN person ON alarm.person = person.id WHERE alarm.id < ?1 ORDER BY alarm.id DESC LIMIT ?2",
            )?;
            let before = before.map_or(i64::MAX, |before| before.0);
            let rows = statement.query_map(params![before, i64::try_from(most).unwrap_or(i64::MAX)], |row| {
                let person: Option<i64> = row.get(2)?;
                Ok(AlarmEntry {
                    id: AlarmId(row.get(0)?),
                    time: row.get(1)?,
                    person: person.map(PersonId).zip(row.get(3)?),
                    similarity: row.get(4)?,
                    has_crop: row.get(5)?,
                    answer: Answer::of(row.get_ref(6)?.as_str()?),
                    source: row.get(7)?,
                })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(GalleryError::sqlite(&self.path, "listing alarms"))
    }

    /// The picture of an alarm, a JPEG; none where it has none or is not there any more.
    ///
    /// # Errors
    /// The failures of the file.
    pub fn alarm_crop(&self, alarm: AlarmId) -> Result<Option<Vec<u8>>, GalleryError> {
        let sql = "SELECT crop FROM alarm WHERE id = ?1";
        let read = || self.connection.prepare_cached(sql)?.query_row([alarm.0], |row| row.get(0)).optional();
        read().map(Option::flatten).map_err(GalleryError::sqlite(&self.path, "reading the picture of an alarm"))
    }

    /// Answers an alarm; one that was about somebody else is also remembered as [`GalleryFile::deny`] does. False where it is
    /// not there any more.
    ///
    /// # Errors
    /// The failures of the file.
    pub fn answer_alarm(&mut self, alarm: AlarmId, answer: Answer) -> Result<bool, GalleryError> {
        let mut there = false;
        self.edit("answering an alarm", |change, number| {
            if answer == Answer::Denied {
                let person = change.query_row(
                    "INSERT INTO denial (person, vector) SELECT person, vector FROM alarm
                     WHERE id = ?1 AND person IS NOT NULL AND vector IS NOT NULL RETURNING person",
                    [alarm.0],
                    |row| row.get(0).map(PersonId),
                );
                if let Some(person) = person.optional()? {
                    touch(change, person, number)?;
                }
            }
            let sql = "UPDATE alarm SET answer = ?2, vector = NULL WHERE id = ?1";
            let answered = change.execute(sql, params![alarm.0, answer.word()])?;
            there = answered > 0;
            Ok(answered)
        })?;
        Ok(there)
    }
}

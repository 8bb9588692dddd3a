//! The list of alarms that rang, for all programs that share the gallery.

use std::time::Duration;

use tokio_postgres::Row;
use visavis_face::gallery::rules::{self, MOST_ALARMS};
use visavis_face::gallery::{AlarmEntry, AlarmId, Answer, GalleryError, NewAlarm, PersonId};

use crate::PostgresGallery;
use crate::link::STATEMENT;

/// What keeping an alarm may take: whoever waits for it is told of the alarm after that.
const KEEPING: Duration = Duration::from_secs(2);

impl PostgresGallery {
    pub(crate) fn keep_alarm(&self, alarm: &NewAlarm<'_>) -> Result<Option<AlarmId>, GalleryError> {
        rules::query(alarm.vector, &self.embedding)?;
        self.change_within("keeping an alarm", KEEPING, async |change| {
            let sql = "INSERT INTO visavis.alarm (time, person, similarity, vector, crop, source)
                       SELECT $1, $2, $3, $4, $5, $6
                       WHERE $2::bigint IS NULL OR EXISTS (SELECT FROM visavis.person WHERE id = $2) RETURNING id";
            let person = alarm.person.map(|person| person.0);
            let NewAlarm { time, similarity, vector, crop, source, .. } = alarm;
            let kept = change.query_opt(sql, &[time, &person, similarity, vector, crop, source]).await?;
            let Some(row) = kept else { return Ok(None) };
            let number: i64 = row.try_get(0)?;
            change.execute("DELETE FROM visavis.alarm WHERE id <= $1", &[&(number - MOST_ALARMS)]).await?;
            Ok(Some(AlarmId(number)))
        })
    }

    pub(crate) fn list_alarms(&self, before: Option<AlarmId>, most: usize) -> Result<Vec<AlarmEntry>, GalleryError> {
        let sql =
            "SELECT alarm.id, alarm.time, person.id, person.name, alarm.similarity, alarm.crop IS NOT NULL, alarm.answer,
                    alarm.source
             FROM visavis.alarm LEFT JOIN visavis.person ON alarm.person = person.id
             WHERE alarm.id < $1 ORDER BY alarm.id DESC LIMIT $2";
        let before = before.map_or(i64::MAX, |before| before.0);
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.link.store("listing alarms", STATEMENT, async |client| {
            let rows = client.query(sql, &[&before, &most]).await?;
            Ok(rows.iter().map(entry).collect::<Result<_, _>>()?)
        })
    }

    /// Answers an alarm, and remembers where it was about somebody else.
    pub(crate) fn answer(&self, alarm: AlarmId, answer: Answer) -> Result<bool, GalleryError> {
        self.change("answering an alarm", 0, async |change| {
            if answer == Answer::Denied {
                let sql = "INSERT INTO visavis.denial (person, vector) SELECT person, vector::vector FROM visavis.alarm
                           WHERE id = $1 AND person IS NOT NULL AND vector IS NOT NULL";
                change.execute(sql, &[&alarm.0]).await?;
            }
            let sql = "UPDATE visavis.alarm SET answer = $2, vector = NULL WHERE id = $1";
            Ok(change.execute(sql, &[&alarm.0, &answer.word()]).await? > 0)
        })
    }
}

fn entry(row: &Row) -> Result<AlarmEntry, tokio_postgres::Error> {
    let person: Option<i64> = row.try_get(2)?;
    Ok(AlarmEntry {
        id: AlarmId(row.try_get(0)?),
        time: row.try_get(1)?,
        person: person.map(PersonId).zip(row.try_get(3)?),
        similarity: row.try_get(4)?,
        has_crop: row.try_get(5)?,
        answer: Answer::of(row.try_get(6)?),
        source: row.try_get(7)?,
    })
}

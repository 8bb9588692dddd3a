//! The list of alarms.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use visavis_face::gallery::{self, AlarmEntry, AlarmId};

use super::{Answer, Json, Path, Query, jpeg};
use crate::desk::{Desk, News};
use crate::problem::Problem;

/// What somebody said of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AlarmAnswer {
    /// Nothing yet.
    Open,
    /// It was seen.
    Acknowledged,
    /// It was about somebody else: that face is not taken for this person again.
    Denied,
}

/// An alarm.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct AlarmView {
    /// The number.
    id: i64,
    /// Seconds since 1970.
    time: i64,
    /// Where the face was seen: the name of the camera or the film; null: an older version rang.
    source: Option<String>,
    /// Whom the face was taken for; null: nobody in the gallery.
    person: Option<i64>,
    /// The name.
    name: Option<String>,
    /// How much it resembled them, 0 to 1.
    similarity: Option<f32>,
    /// Whether there is a picture of the face.
    has_crop: bool,
    /// What was said of it.
    answer: AlarmAnswer,
}

impl From<AlarmEntry> for AlarmView {
    fn from(alarm: AlarmEntry) -> Self {
        let (person, name) = alarm.person.map(|(person, name)| (person.0, name)).unzip();
        let answer = match alarm.answer {
            gallery::Answer::Open => AlarmAnswer::Open,
            gallery::Answer::Acknowledged => AlarmAnswer::Acknowledged,
            gallery::Answer::Denied => AlarmAnswer::Denied,
        };
        let AlarmEntry { id, time, source, similarity, has_crop, .. } = alarm;
        Self { id: id.0, time, source, person, name, similarity, has_crop, answer }
    }
}

/// Which alarms.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AlarmsQuery {
    /// Only those with a lower number.
    before: Option<i64>,
    /// How many, 200 at most.
    #[serde(default = "page_size")]
    limit: usize,
}

fn page_size() -> usize {
    50
}

/// The alarms that rang, newest first
#[utoipa::path(get, path = "/api/v1/alarms", tag = "alarms", params(AlarmsQuery),
    responses((status = 200, body = Vec<AlarmView>), (status = 400, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn list(
    State(desk): State<Arc<Desk>>,
    Query(query): Query<AlarmsQuery>,
) -> Answer<Json<Vec<AlarmView>>> {
    desk.apart(move |desk| {
        let alarms = desk.gallery()?.alarms(query.before.map(AlarmId), query.limit.min(200))?;
        Ok(Json(alarms.into_iter().map(AlarmView::from).collect()))
    })
    .await
}

/// An answer to an alarm.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerRequest {
    /// `acknowledged` or `denied`.
    answer: AlarmAnswer,
}

/// Acknowledge an alarm, or say that it was about somebody else
#[utoipa::path(patch, path = "/api/v1/alarms/{id}", tag = "alarms", params(("id" = i64, Path)), request_body = AnswerRequest,
    responses((status = 204), (status = 400, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn answer(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<i64>,
    Json(wanted): Json<AnswerRequest>,
) -> Answer<StatusCode> {
    let answer = match wanted.answer {
        AlarmAnswer::Open => return Err(Problem::unprocessable("what was answered stays answered")),
        AlarmAnswer::Acknowledged => gallery::Answer::Acknowledged,
        AlarmAnswer::Denied => gallery::Answer::Denied,
    };
    desk.apart(move |desk| {
        if !desk.gallery()?.answer_alarm(AlarmId(id), answer)? {
            return Err(Problem::not_found("there is no such alarm"));
        }
        desk.say(&News::GalleryChanged);
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// The face that rang, where alarms carry it (`--alarm-crops`)
#[utoipa::path(get, path = "/api/v1/alarms/{id}/crop", tag = "alarms", params(("id" = i64, Path)),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub(crate) async fn crop(State(desk): State<Arc<Desk>>, Path(id): Path<i64>) -> Answer<Response> {
    let found = desk.apart(move |desk| Ok(desk.gallery()?.alarm_crop(AlarmId(id))?)).await?;
    found.map(|bytes| jpeg(bytes, true)).ok_or_else(|| Problem::not_found("that alarm has no picture"))
}

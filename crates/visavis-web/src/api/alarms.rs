//! The list of alarms.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use visavis_gallery::{self as gallery, AlarmEntry, AlarmId};

use super::{ApiResult, Json, Path, Query, jpeg};
use crate::app_state::{AppState, Notification};
use crate::audit::Client;
use crate::problem::Problem;

/// The answer to an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AlarmAnswer {
    /// Not answered.
    Open,
    /// Acknowledged.
    Acknowledged,
    /// Wrong person. That face is not taken for this person again.
    Denied,
}

/// An alarm.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct AlarmView {
    /// Number of the alarm.
    id: i64,
    /// Seconds since 1970.
    time: i64,
    /// Name of the camera or the film; null for alarms of older versions.
    source: Option<String>,
    /// Number of the person that the face was taken for; null: no person of the gallery.
    person: Option<i64>,
    /// Present name of the person.
    name: Option<String>,
    /// Chance that the face is this person, 0 to 1.
    identified: Option<f32>,
    /// Whether there is a picture of the face.
    has_crop: bool,
    /// The answer.
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
        let AlarmEntry { id, time, source, identified, has_crop, .. } = alarm;
        Self { id: id.0, time, source, person, name, identified, has_crop, answer }
    }
}

/// The alarms to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AlarmsQuery {
    /// Only those with a lower number.
    before: Option<i64>,
    /// Largest number of alarms, at most 200.
    #[serde(default = "page_size")]
    limit: usize,
}

fn page_size() -> usize {
    50
}

/// The list of alarms, newest first
#[utoipa::path(get, path = "/api/v1/alarms", tag = "alarms", params(AlarmsQuery),
    responses((status = 200, body = Vec<AlarmView>), (status = 400, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    Query(query): Query<AlarmsQuery>,
) -> ApiResult<Json<Vec<AlarmView>>> {
    state
        .run_blocking(move |state| {
            let alarms = state.gallery()?.alarms(query.before.map(AlarmId), query.limit.min(200))?;
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

/// Acknowledge an alarm, or deny that it named the right person
#[utoipa::path(patch, path = "/api/v1/alarms/{id}", tag = "alarms", params(("id" = i64, Path)), request_body = AnswerRequest,
    responses((status = 204), (status = 400, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn answer(
    State(state): State<Arc<AppState>>,
    client: Client,
    Path(id): Path<i64>,
    Json(wanted): Json<AnswerRequest>,
) -> ApiResult<StatusCode> {
    let answer = match wanted.answer {
        AlarmAnswer::Open => {
            return Err(Problem::unprocessable("an answer cannot be withdrawn: acknowledged or denied is possible"));
        }
        AlarmAnswer::Acknowledged => gallery::Answer::Acknowledged,
        AlarmAnswer::Denied => gallery::Answer::Denied,
    };
    state
        .run_blocking(move |state| {
            if !state.gallery()?.answer_alarm(AlarmId(id), answer)? {
                return Err(Problem::not_found("there is no alarm with this number"));
            }
            let action = match answer {
                gallery::Answer::Denied => "alarm_denied",
                _ => "alarm_acknowledged",
            };
            state.audit(&client, action, json!({ "alarm": id }));
            state.notify(&Notification::GalleryChanged);
            Ok(StatusCode::NO_CONTENT)
        })
        .await
}

/// The face of an alarm, if alarms contain it
#[utoipa::path(get, path = "/api/v1/alarms/{id}/crop", tag = "alarms", params(("id" = i64, Path)),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub(crate) async fn crop(State(state): State<Arc<AppState>>, Path(id): Path<i64>) -> ApiResult<Response> {
    let found = state.run_blocking(move |state| Ok(state.gallery()?.alarm_crop(AlarmId(id))?)).await?;
    found.map(|bytes| jpeg(bytes, true)).ok_or_else(|| Problem::not_found("this alarm has no picture"))
}

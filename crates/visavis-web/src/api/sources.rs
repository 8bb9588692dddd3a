//! The sources of pictures that can be chosen.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use visavis_live::short_name;

use super::{ApiResult, Json};
use crate::app_state::AppState;
use crate::audit::Client;
use crate::problem::Problem;

/// A source that can be chosen.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct SourceView {
    /// Its id, by which it is chosen.
    id: String,
    /// Its name for display.
    name: String,
    /// `start`, `camera` or `offer`.
    kind: &'static str,
}

/// The sources, each with what [`visavis_video::open`] takes; `None` for the first source. Nothing else can be opened.
fn sources(state: &AppState) -> Vec<(SourceView, Option<String>)> {
    let mut sources = Vec::new();
    let first = state.config.switch.first();
    if !state.config.waiting {
        sources.push((SourceView { id: "start".into(), name: short_name(&first), kind: "start" }, None));
    }
    for camera in visavis_video::cameras().into_iter().filter(|camera| camera.path != first) {
        let name = if camera.name.is_empty() { camera.path.clone() } else { camera.name };
        let id = format!("camera:{}", camera.path);
        sources.push((SourceView { id, name, kind: "camera" }, Some(camera.path)));
    }
    for (number, offer) in state.config.offers.iter().enumerate() {
        let id = format!("offer:{number}");
        sources.push((SourceView { id, name: short_name(offer), kind: "offer" }, Some(offer.clone())));
    }
    sources
}

/// The sources that can be chosen, besides the camera of a browser
#[utoipa::path(get, path = "/api/v1/sources", tag = "steering", responses((status = 200, body = Vec<SourceView>)))]
pub(crate) async fn list(State(state): State<Arc<AppState>>) -> ApiResult<Json<Vec<SourceView>>> {
    state.run_blocking(|state| Ok(Json(sources(state).into_iter().map(|(view, _)| view).collect()))).await
}

/// The source to play.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceChoice {
    /// Its id.
    id: String,
}

/// Play another source
///
/// A film plays again and again; if a source ends or breaks, the one of the start goes on.
#[utoipa::path(put, path = "/api/v1/source", tag = "steering", request_body = SourceChoice,
    responses((status = 204), (status = 400, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn choose(
    State(state): State<Arc<AppState>>,
    client: Client,
    Json(choice): Json<SourceChoice>,
) -> ApiResult<StatusCode> {
    state
        .run_blocking(move |state| {
            let SourceChoice { id } = choice;
            let known = sources(state).into_iter().find(|(view, _)| view.id == id);
            let name = known.as_ref().map(|(view, _)| view.name.clone());
            match known {
                None => return Err(Problem::not_found("there is no such source: see /api/v1/sources")),
                Some((_, None)) => state.config.switch.back(),
                Some((_, Some(spec))) => {
                    let source = visavis_video::open(&spec, &state.config.opening)?;
                    let turn = state.config.switch.playing().turn + 1;
                    *state.chosen.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some((turn, id));
                    state.config.switch.put(source, None);
                }
            }
            state.audit(&client, "source_chosen", json!({ "source": name }));
            Ok(StatusCode::NO_CONTENT)
        })
        .await
}

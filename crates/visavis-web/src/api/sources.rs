//! Where the pictures come from.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, Json};
use crate::desk::Desk;
use crate::problem::Problem;

/// A source that can be chosen.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct SourceView {
    /// What to choose it by.
    id: String,
    /// For people.
    name: String,
    /// `start`, `camera` or `offer`.
    kind: &'static str,
}

/// What is behind the ids: nothing else can be opened.
fn sources(desk: &Desk) -> Vec<(SourceView, Option<String>)> {
    let mut sources = Vec::new();
    let first = desk.parts.switch.first();
    if !desk.parts.waiting {
        sources.push((SourceView { id: "start".into(), name: short(&first), kind: "start" }, None));
    }
    for camera in visavis_video::cameras().into_iter().filter(|camera| camera.path != first) {
        let name = if camera.name.is_empty() { camera.path.clone() } else { camera.name };
        let id = format!("camera:{}", camera.path);
        sources.push((SourceView { id, name, kind: "camera" }, Some(camera.path)));
    }
    for (number, offer) in desk.parts.offers.iter().enumerate() {
        let id = format!("offer:{number}");
        sources.push((SourceView { id, name: short(offer), kind: "offer" }, Some(offer.clone())));
    }
    sources
}

/// The last part of a path: where things lie on this machine is nobody's business.
pub(crate) fn short(spec: &str) -> String {
    let last = spec.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or(spec);
    if last.is_empty() { spec.to_owned() } else { last.to_owned() }
}

/// The sources that can be chosen, besides the camera of a browser
#[utoipa::path(get, path = "/api/v1/sources", tag = "steering", responses((status = 200, body = Vec<SourceView>)))]
pub(crate) async fn list(State(desk): State<Arc<Desk>>) -> Answer<Json<Vec<SourceView>>> {
    desk.apart(|desk| Ok(Json(sources(desk).into_iter().map(|(view, _)| view).collect()))).await
}

/// Which source is to play.
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
pub(crate) async fn choose(State(desk): State<Arc<Desk>>, Json(choice): Json<SourceChoice>) -> Answer<StatusCode> {
    desk.apart(move |desk| {
        let SourceChoice { id } = choice;
        let known = sources(desk).into_iter().find(|(view, _)| view.id == id);
        match known {
            None => return Err(Problem::not_found("there is no such source: see /api/v1/sources")),
            Some((_, None)) => desk.parts.switch.back(),
            Some((_, Some(spec))) => {
                let source = visavis_video::open(&spec, &desk.parts.opening)?;
                let turn = desk.parts.switch.playing().turn + 1;
                *desk.chosen.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some((turn, id));
                desk.parts.switch.put(source, None);
            }
        }
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hide_folders() {
        for (spec, name) in [
            ("/home/ada/film.mp4", "film.mp4"),
            ("virtual:/a/photos/", "photos"),
            ("-", "-"),
            ("/", "/"),
            ("a.mp4", "a.mp4"),
        ] {
            assert_eq!(short(spec), name, "{spec}");
        }
    }
}

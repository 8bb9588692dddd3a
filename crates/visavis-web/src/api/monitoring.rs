//! What other programs watch: metrics for Prometheus, and whether the program runs and is ready.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};
use serde::Serialize;
use visavis_infer::Task;
use visavis_live::rfc3339;

use super::{ApiResult, Json};
use crate::app_state::AppState;
use crate::guard::{self, Guard};
use crate::metrics;
use crate::output_counts::OutputCounts;
use crate::problem::Problem;

/// All cameras by name, and the outputs of events.
struct Watched {
    cameras: Vec<(String, Arc<AppState>)>,
    outputs: Vec<Arc<OutputCounts>>,
}

/// `/metrics`, and without a token `/healthz` and `/readyz`.
pub(super) fn router(
    cameras: Vec<(String, Arc<AppState>)>,
    outputs: Vec<Arc<OutputCounts>>,
    guard: &Arc<Guard>,
) -> Router {
    let watched = Arc::new(Watched { cameras, outputs });
    let open = Router::new()
        .route("/healthz", get(|| async { Json(Health { status: "ok", not_ready: None }) }))
        .route("/readyz", get(ready))
        .with_state(Arc::clone(&watched))
        .layer(middleware::from_fn_with_state(Arc::clone(guard), guard::check_host));
    let closed = Router::new()
        .route("/metrics", get(metrics))
        .with_state(watched)
        .layer(middleware::from_fn_with_state(Arc::clone(guard), guard::check));
    open.merge(closed)
}

async fn metrics(State(watched): State<Arc<Watched>>) -> ApiResult<Response> {
    let text = metrics::text(&watched.cameras, &watched.outputs).map_err(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// Whether the program runs or is ready.
#[derive(Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_ready: Option<Vec<Fault>>,
}

/// What is not ready.
#[derive(Debug, PartialEq, Serialize)]
struct Fault {
    camera: String,
    /// `pipeline`, `source`, `network` or `gallery`.
    what: &'static str,
    /// No error messages of the source and of the gallery: they may contain addresses.
    reason: String,
}

async fn ready(State(watched): State<Arc<Watched>>) -> Response {
    let faults: Vec<Fault> = watched.cameras.iter().flat_map(|(name, state)| faults(name, state)).collect();
    if faults.is_empty() {
        return Json(Health { status: "ready", not_ready: None }).into_response();
    }
    let health = Health { status: "not ready", not_ready: Some(faults) };
    (StatusCode::SERVICE_UNAVAILABLE, Json(health)).into_response()
}

fn faults(camera: &str, state: &AppState) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut add = |what, reason: String| faults.push(Fault { camera: camera.to_owned(), what, reason });
    let config = &state.config;
    let snapshot = config.pipeline.snapshot();
    let source = &snapshot.source;
    if config.pipeline.statistics().is_none() {
        add("pipeline", "the pipeline has ended".to_owned());
    } else if config.waiting && source.playing.first {
        if !config.sourceless {
            let reason = match &source.playing.failure {
                Some(_) => "the chosen source has failed: choose another one; the log says why",
                None => "no source was chosen yet: choose one on the page",
            };
            add("source", reason.to_owned());
        }
    } else if let Some(since) = source.stalled_since {
        add("source", format!("no picture since {}", rfc3339(since)));
    } else if state.scene.borrow().is_none() {
        add("source", "no picture yet".to_owned());
    }
    for task in Task::ALL {
        let failed = snapshot.tasks.get(&task).is_some_and(|state| state.failure.is_some());
        if failed && snapshot.params.choice.of(task).is_none() {
            add("network", format!("the network for {task} has failed and was disabled"));
        }
    }
    if snapshot.gallery.as_ref().is_some_and(|gallery| gallery.failure.is_some()) {
        let reason =
            "the file or the database of the gallery cannot be used: check it and its address; the log says why";
        add("gallery", reason.to_owned());
    }
    faults
}

//! The list of networks, and switching to another.

use std::fs;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use visavis_infer::manifest::Figure;
use visavis_infer::{Entry, Task, WeightsLocation};

use super::{ApiResult, Json, Path};
use crate::app_state::AppState;
use crate::audit::Client;
use crate::problem::Problem;

/// A network that can be loaded.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct NetworkView {
    /// Its name.
    name: String,
    /// One line of description.
    title: String,
    /// All its tasks: detection, keypoints, smile, expression, age, gender, head_pose, similarity.
    tasks: Vec<String>,
    /// SPDX expression.
    licence: String,
    /// Size of its weights in bytes.
    bytes: Option<u64>,
    /// Width and height of its input; null for a forest, which takes any picture.
    input: Option<[u32; 2]>,
    /// If not null, a detector takes any input size that is a multiple of this.
    multiple_of: Option<u32>,
    /// Measured figures.
    figures: Vec<FigureView>,
    /// The data it was trained on.
    training_data: Option<String>,
}

/// A measured figure.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct FigureView {
    /// The quantity, and the data that it was measured on.
    what: String,
    /// The figure.
    value: String,
    /// The command or paper that the figure comes from.
    by: String,
}

impl NetworkView {
    fn new(entry: &Entry) -> Self {
        let manifest = &entry.manifest;
        let bytes = match &entry.weights {
            WeightsLocation::Embedded(bytes) => Some(bytes.len() as u64),
            WeightsLocation::File(path) => fs::metadata(path).ok().map(|file| file.len()),
        };
        let figure = |figure: &Figure| {
            let Figure { what, value, by } = figure.clone();
            FigureView { what, value, by }
        };
        Self {
            name: manifest.name.clone(),
            title: manifest.title.clone(),
            // A detector that also determines keypoints cannot be chosen for keypoints alone.
            tasks: manifest
                .tasks
                .iter()
                .filter(|task| manifest.detector.is_none() || **task == Task::Detection)
                .map(Task::to_string)
                .collect(),
            licence: manifest.licence.clone(),
            bytes,
            input: (!manifest.input.is_empty()).then_some(manifest.input.size),
            multiple_of: manifest.input.multiple_of,
            figures: manifest.figures.iter().map(figure).collect(),
            training_data: manifest.training_data.clone(),
        }
    }
}

/// The networks that can be chosen
#[utoipa::path(get, path = "/api/v1/networks", tag = "steering", responses((status = 200, body = Vec<NetworkView>)))]
pub(crate) async fn list(State(state): State<Arc<AppState>>) -> Json<Vec<NetworkView>> {
    Json(state.config.loader.registry.entries().map(NetworkView::new).collect())
}

/// The network for a task.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchRequest {
    /// Its name; null to switch the task off (keypoints: those of the detector are used then).
    // With a function of its own, the field may not be missing.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required)]
    network: Option<String>,
}

/// Switch a task to another network
///
/// Applies to all cameras. Answers at once. The result is reported by `status` and by messages.
#[utoipa::path(put, path = "/api/v1/tasks/{task}", tag = "steering", request_body = SwitchRequest,
    params(("task" = String, Path, description = "detection, keypoints, smile, expression, age, gender, head_pose or similarity")),
    responses((status = 202), (status = 400, body = Problem), (status = 404, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn switch(
    State(state): State<Arc<AppState>>,
    client: Client,
    Path(task): Path<String>,
    Json(wanted): Json<SwitchRequest>,
) -> ApiResult<StatusCode> {
    let task: Task = task.parse().map_err(Problem::not_found)?;
    match &wanted.network {
        None if task == Task::Detection => {
            return Err(Problem::unprocessable("a detector is always needed: choose one"));
        }
        None => {}
        Some(name) => {
            let entry = state.config.loader.registry.get(name).map_err(Problem::unprocessable)?;
            if !NetworkView::new(entry).tasks.contains(&task.to_string()) {
                return Err(Problem::unprocessable(format!("{name} does not do {task}")));
            }
        }
    }
    let details = json!({ "task": task.to_string(), "network": wanted.network });
    state.config.pipeline.switch(task, wanted.network);
    let record = move |state: &AppState| {
        state.audit(&client, "network_switched", details);
        Ok(())
    };
    state.run_blocking(record).await?;
    Ok(StatusCode::ACCEPTED)
}

//! Which networks there are, and switching to another.

use std::fs;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use visavis_infer::manifest::Figure;
use visavis_infer::{Entry, Task, WeightsLocation};

use super::{Answer, Json, Path};
use crate::desk::Desk;
use crate::problem::Problem;

/// A network that can be loaded.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct NetworkView {
    /// Its name.
    name: String,
    /// One line for people.
    title: String,
    /// All that it tells: detection, keypoints, smile, age, gender, similarity.
    tasks: Vec<String>,
    /// SPDX expression.
    licence: String,
    /// Bytes of its weights.
    bytes: Option<u64>,
    /// Width and height of its input; none for a forest, which takes any picture.
    input: Option<[u32; 2]>,
    /// Given where a detector takes any size that is a multiple of this.
    multiple_of: Option<u32>,
    /// What was measured.
    figures: Vec<FigureView>,
    /// What it was trained on.
    training_data: Option<String>,
}

/// A measured figure.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct FigureView {
    /// What was measured, and on what.
    what: String,
    /// The figure.
    value: String,
    /// The command or paper that it comes from.
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
            // A detector that gives keypoints too cannot be chosen for them alone.
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

/// The networks on the shelves
#[utoipa::path(get, path = "/api/v1/networks", tag = "steering", responses((status = 200, body = Vec<NetworkView>)))]
pub(crate) async fn list(State(desk): State<Arc<Desk>>) -> Json<Vec<NetworkView>> {
    Json(desk.parts.loader.registry.entries().map(NetworkView::new).collect())
}

/// Which network is to do a task.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchRequest {
    /// Its name; null for none (for keypoints: those of the detector).
    network: Option<String>,
}

/// Switch a task to another network
///
/// Answers at once; what comes of it is told by `status` and by messages.
#[utoipa::path(put, path = "/api/v1/tasks/{task}", tag = "steering", request_body = SwitchRequest,
    params(("task" = String, Path, description = "detection, keypoints, smile, age, gender or similarity")),
    responses((status = 202), (status = 400, body = Problem), (status = 404, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn switch(
    State(desk): State<Arc<Desk>>,
    Path(task): Path<String>,
    Json(wanted): Json<SwitchRequest>,
) -> Answer<StatusCode> {
    let task: Task = task.parse().map_err(Problem::not_found)?;
    match &wanted.network {
        None if task == Task::Detection => {
            return Err(Problem::unprocessable("without a detector no face is found: choose one"));
        }
        None => {}
        Some(name) => {
            let entry = desk.parts.loader.registry.get(name).map_err(Problem::unprocessable)?;
            if !NetworkView::new(entry).tasks.contains(&task.to_string()) {
                return Err(Problem::unprocessable(format!("{name} does not do {task}")));
            }
        }
    }
    desk.parts.steering.switch(task, wanted.network);
    Ok(StatusCode::ACCEPTED)
}

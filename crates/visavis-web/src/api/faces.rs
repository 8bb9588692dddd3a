//! What is seen: scenes, single faces, the picture.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::watch;
use utoipa::IntoParams;
use visavis_face::align;
use visavis_image::{Picture, codec};
use visavis_infer::Task;
use visavis_live::Scene;

use super::{Answer, Json, Path, Query, jpeg};
use crate::desk::Desk;
use crate::problem::Problem;
use crate::scene::{FaceDetail, SceneView};

/// How long somebody who asks for a scene waits for the first one.
const PATIENCE: Duration = Duration::from_secs(5);

/// The newest scene.
pub(super) async fn newest(desk: &Desk) -> Answer<Arc<Scene>> {
    let mut scenes = desk.scene.subscribe();
    let there = tokio::time::timeout(PATIENCE, scenes.wait_for(Option::is_some)).await;
    let scene = there.ok().and_then(Result::ok).and_then(|scene| scene.clone());
    scene.ok_or_else(|| Problem::conflict("no picture has come yet: choose a source"))
}

/// What is known of the newest frame
#[utoipa::path(get, path = "/api/v1/scene", tag = "live",
    responses((status = 200, body = SceneView), (status = 409, body = Problem)))]
pub(crate) async fn scene(State(desk): State<Arc<Desk>>) -> Answer<Json<SceneView>> {
    Ok(Json(SceneView::new(newest(&desk).await?.as_ref())))
}

/// What is known of every frame, one JSON line each, for ever; frames that come too fast for the reader are left out
#[utoipa::path(get, path = "/api/v1/scenes", tag = "live",
    responses((status = 200, content_type = "application/x-ndjson", body = String)))]
pub(crate) async fn scenes(State(desk): State<Arc<Desk>>) -> Response {
    let lines = Lines { scenes: desk.scene.subscribe() };
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines.stream())).into_response()
}

struct Lines {
    scenes: watch::Receiver<Option<Arc<Scene>>>,
}

impl Lines {
    fn stream(self) -> impl futures_util::Stream<Item = Result<Vec<u8>, std::convert::Infallible>> {
        futures_util::stream::unfold(self.scenes, |mut scenes| async {
            loop {
                scenes.changed().await.ok()?;
                let scene = scenes.borrow_and_update().clone();
                let Some(line) = scene.and_then(|scene| serde_json::to_vec(&SceneView::new(&scene)).ok()) else {
                    continue;
                };
                return Some((Ok([&line[..], b"\n"].concat()), scenes));
            }
        })
    }
}

/// One face in detail: the age distribution, the people whom it resembles most
#[utoipa::path(get, path = "/api/v1/faces/{track}", tag = "live", params(("track" = u64, Path)),
    responses((status = 200, body = FaceDetail), (status = 404, body = Problem)))]
pub(crate) async fn face(State(desk): State<Arc<Desk>>, Path(track): Path<u64>) -> Answer<Json<FaceDetail>> {
    let scene = newest(&desk).await?;
    let face = scene.faces.iter().find(|face| face.track == track);
    face.map(|face| Json(FaceDetail::new(face))).ok_or_else(|| Problem::not_found("that face is not in view"))
}

/// Of which network.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CropQuery {
    /// What it tells: smile, age, gender or similarity.
    task: String,
}

/// One face as a network is shown it: cut out, turned upright and scaled, by the keypoints of the detector
#[utoipa::path(get, path = "/api/v1/faces/{track}/crop", tag = "live", params(("track" = u64, Path), CropQuery),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>),
        (status = 204, description = "The face is not in view any more"), (status = 400, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn crop(
    State(desk): State<Arc<Desk>>,
    Path(track): Path<u64>,
    Query(query): Query<CropQuery>,
) -> Answer<Response> {
    let task: Task = query.task.parse().map_err(Problem::not_found)?;
    let scene = newest(&desk).await?;
    desk.apart(move |desk| {
        // Faces come and go while somebody looks at them: no reason for an error.
        let Some(face) = scene.faces.iter().find(|face| face.track == track) else {
            return Ok(StatusCode::NO_CONTENT.into_response());
        };
        let network = desk.status.borrow().network(task).map(str::to_owned);
        let network = network.ok_or_else(|| Problem::conflict(format!("no network tells {task} now")))?;
        let manifest = &desk.parts.loader.registry.get(&network).map_err(Problem::conflict)?.manifest;
        let uncut = || Problem::conflict(format!("{network} looks at whole pictures"));
        let [width, height] = manifest.input.size;
        let mut cut = Picture::new(width, height);
        let crop = manifest.crop.as_ref().ok_or_else(uncut)?;
        align::cut(&scene.frame.picture, crop, &face.rect, face.landmarks.as_ref(), &mut cut);
        Ok(jpeg(codec::encode_jpeg(&cut, 90)?, false))
    })
    .await
}

/// The newest picture as PNG
#[utoipa::path(get, path = "/api/v1/snapshot", tag = "live",
    responses((status = 200, content_type = "image/png", body = Vec<u8>), (status = 409, body = Problem)))]
pub(crate) async fn snapshot(State(desk): State<Arc<Desk>>) -> Answer<Response> {
    let scene = newest(&desk).await?;
    let png = desk.apart(move |_| Ok(codec::encode_png(&scene.frame.picture)?)).await?;
    Ok(([(header::CONTENT_TYPE, "image/png")], png).into_response())
}

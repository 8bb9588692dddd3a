//! What is seen: scenes, single faces, the picture.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;
use visavis_image::codec;
use visavis_live::Scene;

use super::{Answer, Json, Path};
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

/// The newest picture as PNG
#[utoipa::path(get, path = "/api/v1/snapshot", tag = "live",
    responses((status = 200, content_type = "image/png", body = Vec<u8>), (status = 409, body = Problem)))]
pub(crate) async fn snapshot(State(desk): State<Arc<Desk>>) -> Answer<Response> {
    let scene = newest(&desk).await?;
    let png = desk.apart(move |_| Ok(codec::encode_png(&scene.frame.picture)?)).await?;
    Ok(([(header::CONTENT_TYPE, "image/png")], png).into_response())
}

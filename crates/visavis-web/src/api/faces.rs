//! Scenes, single faces, the picture.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::{IntoParams, ToSchema};
use visavis_face::{FaceView, Quality, QualityParams, align};
use visavis_image::{Picture, codec};
use visavis_infer::Task;
use visavis_live::Scene;

use super::{ApiResult, Json, Path, Query, jpeg};
use crate::app_state::AppState;
use crate::problem::Problem;
use crate::scene::{FaceDetail, SceneView};

/// How long a request waits for the first scene.
const FIRST_SCENE_TIMEOUT: Duration = Duration::from_secs(5);

/// The newest scene.
pub(super) async fn newest(state: &AppState) -> ApiResult<Arc<Scene>> {
    let mut scenes = state.scene.subscribe();
    let there = tokio::time::timeout(FIRST_SCENE_TIMEOUT, scenes.wait_for(Option::is_some)).await;
    let scene = there.ok().and_then(Result::ok).and_then(|scene| scene.clone());
    scene.ok_or_else(|| Problem::conflict("the source has delivered no picture yet: choose a source"))
}

/// The newest frame with its faces
#[utoipa::path(get, path = "/api/v1/scene", tag = "live",
    responses((status = 200, body = SceneView), (status = 409, body = Problem)))]
pub(crate) async fn scene(State(state): State<Arc<AppState>>) -> ApiResult<Json<SceneView>> {
    Ok(Json(SceneView::new(newest(&state).await?.as_ref())))
}

/// Every frame with its faces, as one JSON line, without end; frames that come too fast for the reader are skipped
#[utoipa::path(get, path = "/api/v1/scenes", tag = "live",
    responses((status = 200, content_type = "application/x-ndjson", body = String)))]
pub(crate) async fn scenes(State(state): State<Arc<AppState>>) -> Response {
    let lines = Lines { scenes: state.scene.subscribe() };
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

/// One face in detail, with age distribution and most similar people
#[utoipa::path(get, path = "/api/v1/faces/{track}", tag = "live", params(("track" = u64, Path)),
    responses((status = 200, body = FaceDetail), (status = 404, body = Problem)))]
pub(crate) async fn face(State(state): State<Arc<AppState>>, Path(track): Path<u64>) -> ApiResult<Json<FaceDetail>> {
    let scene = newest(&state).await?;
    let face = scene.faces.iter().find(|face| face.track == track);
    face.map(|face| Json(FaceDetail::new(face))).ok_or_else(|| Problem::not_found("that face is not in view"))
}

/// Why a face is identified as a person of the gallery, or as none.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecognitionView {
    /// Shorter side of the face in pixels of the picture.
    size: f32,
    /// Sharpness of the face: about 5 for a face out of focus, 20 and more for a sharp one.
    sharpness: f32,
    /// What makes the face hard to recognise: small, blurred, or turned to the side.
    flaws: Vec<String>,
    /// Number of photos of the gallery that the face was compared with.
    photos: usize,
    /// The most similar person; null if the gallery is empty.
    nearest: Option<String>,
    /// Distance of the face, the mean of the last looks, from the nearest photo of that person.
    distance: Option<f32>,
    /// Largest distance at which a face is identified, with this number of photos.
    limit: f32,
    /// Whether the last looks identify the face.
    identified: bool,
    /// The decision in words.
    reason: String,
}

/// Why a face is identified, or not: what the last looks show
#[utoipa::path(get, path = "/api/v1/faces/{track}/recognition", tag = "live", params(("track" = u64, Path)),
    responses((status = 200, body = RecognitionView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn recognition(
    State(state): State<Arc<AppState>>,
    Path(track): Path<u64>,
) -> ApiResult<Json<RecognitionView>> {
    let scene = newest(&state).await?;
    state
        .run_blocking(move |state| {
            let face = scene.faces.iter().find(|face| face.track == track);
            let face = face.ok_or_else(|| Problem::not_found("that face is not in view"))?;
            let gallery = state.gallery()?;
            let view = FaceView { rect: face.rect, landmarks: face.landmarks, turn: face.turn };
            let quality = Quality::measure(&scene.frame.picture, &view, face.pose);
            let flaws: Vec<String> =
                quality.flaws(&QualityParams::default()).iter().map(ToString::to_string).collect();
            let found = face.embedding.as_deref().map(|embedding| gallery.search(embedding, 1)).transpose()?;
            let nearest = found.as_ref().and_then(|found| found.first());
            let identified = face.resembles.as_ref().filter(|found| found.same_person);
            let (photos, limit) = (gallery.size(), gallery.identity_distance());
            let reason = match (&face.embedding, nearest, identified) {
                (None, ..) => "the face was not compared with the gallery yet".to_owned(),
                (_, None, _) => "the gallery is empty".to_owned(),
                (_, _, Some(found)) => format!("most of the last looks identify {}", found.name),
                (_, Some(nearest), None) if nearest.distance <= limit => {
                    format!("{} is near enough, but too few of the last looks agree", nearest.name)
                }
                (_, Some(nearest), None) => format!(
                    "the most similar person, {}, is at distance {:.2}: with {photos} photos, at most {limit:.2} counts",
                    nearest.name, nearest.distance
                ),
            };
            Ok(Json(RecognitionView {
                size: quality.size.round(),
                sharpness: (quality.sharpness * 10.0).round() / 10.0,
                flaws,
                photos,
                nearest: nearest.map(|nearest| nearest.name.to_string()),
                distance: nearest.map(|nearest| nearest.distance),
                limit,
                identified: identified.is_some(),
                reason,
            }))
        })
        .await
}

/// The network whose input is shown.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CropQuery {
    /// Its task: smile, age, gender or similarity.
    task: String,
}

/// One face as the input of a network: cropped, rotated and scaled by the keypoints of the detector
#[utoipa::path(get, path = "/api/v1/faces/{track}/crop", tag = "live", params(("track" = u64, Path), CropQuery),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>),
        (status = 204, description = "The face is not in view any more"), (status = 400, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn crop(
    State(state): State<Arc<AppState>>,
    Path(track): Path<u64>,
    Query(query): Query<CropQuery>,
) -> ApiResult<Response> {
    let task: Task = query.task.parse().map_err(Problem::not_found)?;
    let scene = newest(&state).await?;
    state
        .run_blocking(move |state| {
            // Not an error: the face may have left the picture since the client saw it.
            let Some(face) = scene.faces.iter().find(|face| face.track == track) else {
                return Ok(StatusCode::NO_CONTENT.into_response());
            };
            let network = state.config.pipeline.snapshot().params.choice.of(task).map(str::to_owned);
            let network = network.ok_or_else(|| Problem::conflict(format!("no network does {task} at present")))?;
            let manifest = &state.config.loader.registry.get(&network).map_err(Problem::conflict)?.manifest;
            let uncut = || Problem::conflict(format!("the input of {network} is the whole picture"));
            let [width, height] = manifest.input.size;
            let mut cut = Picture::new(width, height);
            let crop = manifest.crop.as_ref().ok_or_else(uncut)?;
            let view = FaceView { rect: face.rect, landmarks: face.landmarks, turn: face.turn };
            align::cut(&scene.frame.picture, crop, &view, &mut cut);
            Ok(jpeg(codec::encode_jpeg(&cut, 90)?, false))
        })
        .await
}

/// The newest picture as PNG
#[utoipa::path(get, path = "/api/v1/snapshot", tag = "live",
    responses((status = 200, content_type = "image/png", body = Vec<u8>), (status = 409, body = Problem)))]
pub(crate) async fn snapshot(State(state): State<Arc<AppState>>) -> ApiResult<Response> {
    let scene = newest(&state).await?;
    let png = state.run_blocking(move |_| Ok(codec::encode_png(&scene.frame.picture)?)).await?;
    Ok(([(header::CONTENT_TYPE, "image/png")], png).into_response())
}

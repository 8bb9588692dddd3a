//! Uploaded photos.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;
use visavis_face::QualityParams;

use super::people::{self, Enrolled};
use super::{ApiResult, Json, Query, Upload};
use crate::app_state::AppState;
use crate::audit::Client;
use crate::problem::Problem;
use crate::scene::ResemblanceView;

/// The person on a photo.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PhotoQuery {
    /// Name of the person. A new name makes a new person.
    name: String,
    /// The photo's file name.
    #[serde(default)]
    file: String,
    /// Whether to add the face even if it is small, blurred or turned to the side.
    #[serde(default)]
    accept_poor: bool,
}

/// Enrol the largest face of a photo
///
/// The body is the photo: JPEG, PNG, WebP, BMP or GIF, at most 25 MiB and 40 million pixels. The answer says which face was taken. A
/// face that is small, blurred or turned to the side is refused with status 422, unless `accept_poor` is true.
#[utoipa::path(post, path = "/api/v1/people", tag = "gallery", params(PhotoQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = Enrolled), (status = 400, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn enrol(
    State(state): State<Arc<AppState>>,
    client: Client,
    Query(query): Query<PhotoQuery>,
    Upload(photo): Upload,
) -> ApiResult<(StatusCode, Json<Enrolled>)> {
    state
        .run_blocking(move |state| {
            let (gallery, networks) = (state.gallery()?, state.networks()?);
            let found = state.common.enroller.photo(&state.config.loader, &networks, &photo)?;
            let flaws = found.quality.flaws(&QualityParams::default());
            if !query.accept_poor && !flaws.is_empty() {
                return Err(Problem::poor(&flaws));
            }
            people::add(state, &client, &gallery, &query.name, found, query.file, Some(&photo))
        })
        .await
}

/// The people most similar to the main face of a photo
///
/// The body is the photo, as for enrolment. Returns the five nearest people, nearest first.
#[utoipa::path(post, path = "/api/v1/people/search", tag = "gallery",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = Vec<ResemblanceView>), (status = 400, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn search(
    State(state): State<Arc<AppState>>,
    Upload(photo): Upload,
) -> ApiResult<Json<Vec<ResemblanceView>>> {
    state
        .run_blocking(move |state| {
            let (gallery, networks) = (state.gallery()?, state.networks()?);
            let face = state.common.enroller.photo(&state.config.loader, &networks, &photo)?;
            let found = gallery.search(&face.vector, 5)?;
            Ok(Json(found.into_iter().map(ResemblanceView::from).collect()))
        })
        .await
}

//! Photos that somebody brings.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::people::Enrolled;
use super::{Answer, Json, Query, Upload};
use crate::desk::{Desk, News};
use crate::problem::Problem;
use crate::scene::ResemblanceView;

/// Whose photo it is.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PhotoQuery {
    /// Whose; a new name makes a new person.
    name: String,
    /// The photo's file name.
    #[serde(default)]
    file: String,
}

/// Enrol the main face of a photo
///
/// The body is the photo: JPEG, PNG, WebP, BMP or GIF, at most 25 MiB and 40 million pixels.
#[utoipa::path(post, path = "/api/v1/people", tag = "gallery", params(PhotoQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = Enrolled), (status = 400, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn enrol(
    State(desk): State<Arc<Desk>>,
    Query(query): Query<PhotoQuery>,
    Upload(photo): Upload,
) -> Answer<(StatusCode, Json<Enrolled>)> {
    desk.apart(move |desk| {
        let (gallery, networks) = (desk.gallery()?, desk.networks()?);
        let photo = desk.looker.photo(&desk.parts.loader, &networks, &photo, &query.file)?;
        let added = gallery.add(&query.name, &[photo])?;
        desk.say(&News::GalleryChanged);
        Ok((StatusCode::CREATED, Json(Enrolled { person: added.person.0, photos: added.photos })))
    })
    .await
}

/// Whom the main face of a photo resembles
///
/// The body is the photo, as for enrolling. Answers the five nearest people, nearest first.
#[utoipa::path(post, path = "/api/v1/people/search", tag = "gallery",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = Vec<ResemblanceView>), (status = 400, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn search(State(desk): State<Arc<Desk>>, Upload(photo): Upload) -> Answer<Json<Vec<ResemblanceView>>> {
    desk.apart(move |desk| {
        let (gallery, networks) = (desk.gallery()?, desk.networks()?);
        let photo = desk.looker.photo(&desk.parts.loader, &networks, &photo, "")?;
        let found = gallery.search(&photo.vector, 5)?;
        Ok(Json(found.into_iter().map(ResemblanceView::from).collect()))
    })
    .await
}

//! Sightings: who was seen when.

use std::io::Cursor;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use visavis_gallery::{Gallery, PersonId, SightingEntry, SightingFilter, SightingId, SightingMatch};

use super::people::person;
use super::{ApiResult, Json, Path, Query, Upload, faces, jpeg};
use crate::app_state::{AppState, Notification};
use crate::audit::Client;
use crate::problem::Problem;

/// Number of sightings that are returned for a face.
const MOST_ALIKE: usize = 50;
/// Number of sightings that are grouped.
const MOST_GROUPED: usize = 2_000;
/// Largest number of sightings that are named at once.
const MOST_NAMED: usize = 2_000;

/// A visit of one face.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct SightingView {
    /// Number of the sighting.
    id: i64,
    /// Name of the camera or the film.
    camera: String,
    /// When the face appeared, in seconds since 1970.
    first_seen: i64,
    /// When the face was last seen, in seconds since 1970.
    last_seen: i64,
    /// Number of the person that the face was identified as; null: no person of the gallery.
    person: Option<i64>,
    /// Present name of the person.
    name: Option<String>,
    /// Chance that the face is this person, 0 to 1.
    identified: Option<f32>,
    /// Age in years.
    age: Option<f32>,
    /// Probability of "female".
    female: Option<f32>,
    /// Share of the looks with a smile, 0 to 1.
    smiling: Option<f32>,
    /// Whether there is a picture of the face.
    has_crop: bool,
}

impl From<SightingEntry> for SightingView {
    fn from(entry: SightingEntry) -> Self {
        let (person, name) = entry.person.map(|(person, name)| (person.0, name)).unzip();
        let SightingEntry { id, camera, first_seen, last_seen, identified, age, female, smiling, has_crop, .. } = entry;
        Self { id: id.0, camera, first_seen, last_seen, person, name, identified, age, female, smiling, has_crop }
    }
}

/// A sighting that was compared with a face.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct SimilarSighting {
    /// The sighting.
    #[serde(flatten)]
    sighting: SightingView,
    /// Likeness of the faces on a scale from 0 to 1; not a probability.
    likeness: f32,
    /// Whether the faces count as one person.
    same_person: bool,
}

impl From<SightingMatch> for SimilarSighting {
    fn from(found: SightingMatch) -> Self {
        let SightingMatch { sighting, likeness, same_person, .. } = found;
        Self { sighting: sighting.into(), likeness, same_person }
    }
}

/// The sightings to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SightingQuery {
    /// Only sightings that began at this time or later, in seconds since 1970.
    from: Option<i64>,
    /// Only sightings that began before this time, in seconds since 1970.
    until: Option<i64>,
    /// Only sightings by this camera.
    camera: Option<String>,
    /// Only sightings of the person with this number.
    person: Option<i64>,
    /// Only sightings of faces that were not identified.
    #[serde(default)]
    unnamed: bool,
    /// The last sighting of the page before.
    after: Option<i64>,
    /// Largest number of sightings, at most 200.
    #[serde(default = "page_size")]
    limit: usize,
}

fn page_size() -> usize {
    60
}

impl SightingQuery {
    fn filter(&self) -> SightingFilter {
        SightingFilter {
            from: self.from,
            until: self.until,
            camera: self.camera.clone(),
            person: self.person.map(PersonId),
            unnamed: self.unnamed,
            after: self.after.map(SightingId),
        }
    }
}

/// Part of the sightings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SightingPage {
    /// Whether sightings are being recorded at present.
    recording: bool,
    /// The names of all cameras that have sightings.
    cameras: Vec<String>,
    /// The sightings, the one that began last first.
    sightings: Vec<SightingView>,
}

/// The sightings
#[utoipa::path(get, path = "/api/v1/sightings", tag = "sightings", params(SightingQuery),
    responses((status = 200, body = SightingPage), (status = 400, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    Query(query): Query<SightingQuery>,
) -> ApiResult<Json<SightingPage>> {
    state
        .run_blocking(move |state| {
            let gallery = state.gallery()?;
            let sightings = gallery.sightings(&query.filter(), query.limit.min(200))?;
            Ok(Json(SightingPage {
                recording: state.config.pipeline.snapshot().params.sightings.is_some(),
                cameras: gallery.sighting_cameras()?,
                sightings: sightings.into_iter().map(SightingView::from).collect(),
            }))
        })
        .await
}

/// Sightings that are probably of one person.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SightingGroup {
    /// The sightings, the one that began last first.
    sightings: Vec<SightingView>,
}

/// The sightings grouped by their faces: each group is probably one person
///
/// Takes the same parameters as the list, without `limit`: the newest 2,000 sightings are grouped. The largest group comes first.
#[utoipa::path(get, path = "/api/v1/sightings/groups", tag = "sightings", params(SightingQuery),
    responses((status = 200, body = Vec<SightingGroup>), (status = 400, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn groups(
    State(state): State<Arc<AppState>>,
    Query(query): Query<SightingQuery>,
) -> ApiResult<Json<Vec<SightingGroup>>> {
    state
        .run_blocking(move |state| {
            let groups = state.gallery()?.sighting_groups(&query.filter(), MOST_GROUPED)?;
            let group = |group: Vec<SightingEntry>| group.into_iter().map(SightingView::from).collect();
            Ok(Json(groups.into_iter().map(|sightings| SightingGroup { sightings: group(sightings) }).collect()))
        })
        .await
}

/// Delete a sighting
#[utoipa::path(delete, path = "/api/v1/sightings/{id}", tag = "sightings", params(("id" = i64, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn remove(
    State(state): State<Arc<AppState>>,
    client: Client,
    Path(id): Path<i64>,
) -> ApiResult<StatusCode> {
    state
        .run_blocking(move |state| {
            if !state.gallery()?.remove_sighting(SightingId(id))? {
                return Err(no_such_sighting());
            }
            state.audit(&client, "sighting_removed", json!({ "sighting": id }));
            state.notify(&Notification::SightingsChanged);
            Ok(StatusCode::NO_CONTENT)
        })
        .await
}

/// The best picture of a sighting
#[utoipa::path(get, path = "/api/v1/sightings/{id}/crop", tag = "sightings", params(("id" = i64, Path)),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub(crate) async fn crop(State(state): State<Arc<AppState>>, Path(id): Path<i64>) -> ApiResult<Response> {
    let found = state.run_blocking(move |state| Ok(state.gallery()?.sighting_crop(SightingId(id))?)).await?;
    found.map(|bytes| jpeg(bytes, false)).ok_or_else(|| Problem::not_found("this sighting has no picture"))
}

/// The sightings most similar to the main face of a photo, most similar first
///
/// The body is the photo: JPEG, PNG, WebP, BMP or GIF, at most 25 MiB and 40 million pixels. The photo is not stored.
#[utoipa::path(post, path = "/api/v1/sightings/search", tag = "sightings",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = Vec<SimilarSighting>), (status = 400, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn search(
    State(state): State<Arc<AppState>>,
    Upload(photo): Upload,
) -> ApiResult<Json<Vec<SimilarSighting>>> {
    state
        .run_blocking(move |state| {
            let (gallery, networks) = (state.gallery()?, state.networks()?);
            let face = state.common.enroller.photo(&state.config.loader, &networks, &photo)?;
            alike(&gallery, &face.vector)
        })
        .await
}

/// The sightings most similar to a face in view, most similar first
#[utoipa::path(get, path = "/api/v1/faces/{track}/sightings", tag = "sightings", params(("track" = u64, Path)),
    responses((status = 200, body = Vec<SimilarSighting>), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn of_face(
    State(state): State<Arc<AppState>>,
    Path(track): Path<u64>,
) -> ApiResult<Json<Vec<SimilarSighting>>> {
    let scene = faces::newest(&state).await?;
    state
        .run_blocking(move |state| {
            let face = scene.faces.iter().find(|face| face.track == track);
            let face = face.ok_or_else(|| Problem::not_found("that face is not in view"))?;
            let unknown = || Problem::conflict("the face was not compared with the gallery yet: try again");
            alike(&*state.gallery()?, face.embedding.as_deref().ok_or_else(unknown)?)
        })
        .await
}

/// The sightings most similar to another one, most similar first
#[utoipa::path(get, path = "/api/v1/sightings/{id}/alike", tag = "sightings", params(("id" = i64, Path)),
    responses((status = 200, body = Vec<SimilarSighting>), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn of_sighting(
    State(state): State<Arc<AppState>>,
    Path(id): Path<i64>,
) -> ApiResult<Json<Vec<SimilarSighting>>> {
    state
        .run_blocking(move |state| {
            let gallery = state.gallery()?;
            let vector = gallery.sighting_vector(SightingId(id))?.ok_or_else(no_such_sighting)?;
            alike(&gallery, &vector)
        })
        .await
}

fn alike(gallery: &Gallery, vector: &[f32]) -> ApiResult<Json<Vec<SimilarSighting>>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    let found = gallery.sightings_like(vector, MOST_ALIKE, now)?;
    Ok(Json(found.into_iter().map(SimilarSighting::from).collect()))
}

/// Sightings that are of one person.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamingRequest {
    /// Numbers of the sightings, at most 2,000.
    sightings: Vec<i64>,
    /// Name of the person. A new name makes a new person.
    name: String,
    /// Whether the pictures of the sightings are added to the person's photos, at most ten.
    #[serde(default)]
    learn: bool,
}

/// The person that sightings were assigned to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Named {
    /// Number of the person.
    person: i64,
}

/// State who the person of one or more sightings is
#[utoipa::path(post, path = "/api/v1/sightings/name", tag = "sightings", request_body = NamingRequest,
    responses((status = 200, body = Named), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn name(
    State(state): State<Arc<AppState>>,
    client: Client,
    Json(wanted): Json<NamingRequest>,
) -> ApiResult<Json<Named>> {
    if wanted.sightings.len() > MOST_NAMED {
        return Err(Problem::unprocessable(format!("at most {MOST_NAMED} sightings can be named at once")));
    }
    state
        .run_blocking(move |state| {
            let sightings: Vec<SightingId> = wanted.sightings.iter().copied().map(SightingId).collect();
            let named = state.gallery()?.name_sightings(&sightings, &wanted.name, wanted.learn)?;
            let person = named.ok_or_else(no_such_sighting)?;
            let NamingRequest { sightings, name, learn } = &wanted;
            let details = json!({ "person": person.0, "name": name.trim(), "sightings": sightings, "learn": learn });
            state.audit(&client, "sightings_named", details);
            state.notify(&Notification::GalleryChanged);
            state.notify(&Notification::SightingsChanged);
            Ok(Json(Named { person: person.0 }))
        })
        .await
}

/// Everything stored about a person, as a ZIP file: photos, embeddings, alarms and sightings
#[utoipa::path(get, path = "/api/v1/people/{id}/export", tag = "gallery", params(("id" = i64, Path)),
    responses((status = 200, content_type = "application/zip", body = Vec<u8>), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub(crate) async fn export(
    State(state): State<Arc<AppState>>,
    client: Client,
    Path(id): Path<i64>,
) -> ApiResult<Response> {
    let zip = state
        .run_blocking(move |state| {
            let mut zip = Cursor::new(Vec::new());
            let gallery = state.gallery()?;
            let name = person(&gallery, id)?.name;
            let there = gallery.export_person(PersonId(id), &mut zip)?;
            let missing = || Problem::not_found("there is no such person in the gallery");
            let zip = there.then(|| zip.into_inner()).ok_or_else(missing)?;
            state.audit(&client, "person_exported", json!({ "person": id, "name": name }));
            Ok(zip)
        })
        .await?;
    let file = format!("attachment; filename=\"person-{id}.zip\"");
    let headers = [
        (header::CONTENT_TYPE, "application/zip"),
        (header::CONTENT_DISPOSITION, file.as_str()),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, zip).into_response())
}

fn no_such_sighting() -> Problem {
    Problem::not_found("there is no such sighting, or it cannot be compared")
}

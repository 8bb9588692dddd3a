//! The people of the gallery.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use visavis_face::QualityParams;
use visavis_gallery::{Gallery, Match, PersonId, PersonSummary, PhotoId, Removed, Wanted};

use super::{ApiResult, Json, Path, Query, faces, jpeg};
use crate::app_state::{AppState, Notification};
use crate::audit::Client;
use crate::enrol::new_photo;
use crate::problem::Problem;
use crate::scene::ResemblanceView;
use crate::undo_log::{UNDO_TIME, UndoableAction};

/// A person of the gallery.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct PersonView {
    /// Number of the person. Never used for another person.
    id: i64,
    /// The name.
    name: String,
    /// Number of photos.
    photos: usize,
    /// Whether an alarm is raised when the person is seen.
    watched: bool,
    /// Whether the person is ignored: a face on a poster or a screen. No sightings of it are recorded.
    ignored: bool,
    /// Whether the person is a visitor: added automatically, and removed after a time.
    met: bool,
    /// Number of visits.
    seen: usize,
    /// When the person was last seen, in seconds since 1970.
    last_seen: Option<i64>,
}

impl From<PersonSummary> for PersonView {
    fn from(person: PersonSummary) -> Self {
        let PersonSummary { id: PersonId(id), name, photos, watched, ignored, met, seen, last_seen } = person;
        Self { id, name, photos, watched, ignored, met, seen, last_seen }
    }
}

/// A part of the gallery.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PeoplePage {
    /// Number of all people that match.
    total: usize,
    /// The requested part of them, by name.
    people: Vec<PersonView>,
}

/// The people to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PeopleQuery {
    /// Only people whose name contains this, in upper or lower case.
    #[serde(default)]
    name: String,
    /// Only watched people.
    #[serde(default)]
    watched: bool,
    /// Number of people to skip.
    #[serde(default)]
    offset: usize,
    /// Largest number of people, at most 200.
    #[serde(default = "page_size")]
    limit: usize,
}

fn page_size() -> usize {
    60
}

pub(super) fn person(gallery: &Gallery, id: i64) -> ApiResult<PersonSummary> {
    gallery.person(PersonId(id))?.ok_or_else(|| Problem::not_found("there is no such person in the gallery"))
}

/// The people of the gallery
#[utoipa::path(get, path = "/api/v1/people", tag = "gallery", params(PeopleQuery),
    responses((status = 200, body = PeoplePage), (status = 400, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    Query(query): Query<PeopleQuery>,
) -> ApiResult<Json<PeoplePage>> {
    state
        .run_blocking(move |state| {
            let PeopleQuery { name, watched, offset, limit } = query;
            let wanted = Wanted { name, watched, named: false, offset, limit: limit.min(200) };
            let (total, people) = state.gallery()?.people_like(&wanted)?;
            Ok(Json(PeoplePage { total, people: people.into_iter().map(PersonView::from).collect() }))
        })
        .await
}

/// A person of the gallery
#[utoipa::path(get, path = "/api/v1/people/{id}", tag = "gallery", params(("id" = i64, Path)),
    responses((status = 200, body = PersonView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn get(State(state): State<Arc<AppState>>, Path(id): Path<i64>) -> ApiResult<Json<PersonView>> {
    state.run_blocking(move |state| Ok(Json(person(state.gallery()?.as_ref(), id)?.into()))).await
}

/// A face to enrol.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaceEnrolment {
    /// Number of the face's track.
    track: u64,
    /// Name of the person. A new name makes a new person.
    name: String,
}

/// The result of an enrolment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Enrolled {
    /// Number of the person.
    pub(super) person: i64,
    /// Number of photos added: 0 if the person has this photo already.
    pub(super) photos: usize,
    /// Number of faces in the photo.
    faces: usize,
    /// The face that was taken: x, y, width, height in pixels of the photo.
    #[serde(rename = "box")]
    bounds: [f32; 4],
    /// Sharpness of the face: about 5 for a face out of focus, 20 and more for a sharp one.
    sharpness: f32,
    /// What a person should check: why the face is poor, and which face was taken if there are several.
    warnings: Vec<String>,
}

/// Adds the face that was found to the gallery. `encoded`: the photo, if it is one.
pub(super) fn add(
    state: &AppState,
    client: &Client,
    gallery: &Gallery,
    name: &str,
    found: visavis_face::Enrolled,
    source: String,
    encoded: Option<&[u8]>,
) -> ApiResult<(StatusCode, Json<Enrolled>)> {
    let faces = found.faces;
    let bounds = <[f32; 4]>::from(found.face.rect).map(f32::round);
    let sharpness = (found.quality.sharpness * 10.0).round() / 10.0;
    let warnings = found.warnings(&QualityParams::default());
    let added = gallery.add(name, &[new_photo(found, source, encoded)])?;
    state.notify(&Notification::GalleryChanged);
    let (person, photos) = (added.person.0, added.photos);
    state.audit(client, "photo_added", json!({ "person": person, "name": name.trim(), "photos": photos }));
    Ok((StatusCode::CREATED, Json(Enrolled { person, photos, faces, bounds, sharpness, warnings })))
}

/// Enrol a face of the live picture
#[utoipa::path(post, path = "/api/v1/people/from-face", tag = "gallery", request_body = FaceEnrolment,
    responses((status = 201, body = Enrolled), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn enrol_face(
    State(state): State<Arc<AppState>>,
    client: Client,
    Json(wanted): Json<FaceEnrolment>,
) -> ApiResult<(StatusCode, Json<Enrolled>)> {
    let scene = faces::newest(&state).await?;
    let face = scene.faces.iter().find(|face| face.track == wanted.track);
    let rect = face.ok_or_else(|| Problem::not_found("this face is not in view any more"))?.rect;
    state
        .run_blocking(move |state| {
            let (gallery, networks) = (state.gallery()?, state.networks()?);
            let source = format!("frame {}", scene.frame.seq);
            let found = state.common.enroller.face(&state.config.loader, &networks, &scene.frame.picture, &rect)?;
            add(state, &client, &gallery, &wanted.name, found, source, None)
        })
        .await
}

/// The changes of a person. Values that are not given stay unchanged.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PersonChange {
    /// A new name.
    name: Option<String>,
    /// Whether an alarm is to be raised when the person is seen.
    watched: Option<bool>,
    /// Whether the person is ignored: a face on a poster or a screen.
    ignored: Option<bool>,
}

/// Rename a person, or set whether the person is watched or ignored
#[utoipa::path(patch, path = "/api/v1/people/{id}", tag = "gallery", params(("id" = i64, Path)), request_body = PersonChange,
    responses((status = 200, body = PersonView), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn change(
    State(state): State<Arc<AppState>>,
    client: Client,
    Path(id): Path<i64>,
    Json(change): Json<PersonChange>,
) -> ApiResult<Json<PersonView>> {
    state
        .run_blocking(move |state| {
            let gallery = state.gallery()?;
            let gallery = gallery.as_ref();
            let before = person(gallery, id)?.name;
            if let Some(name) = &change.name {
                gallery.rename(PersonId(id), name)?;
                state.audit(
                    &client,
                    "person_renamed",
                    json!({ "person": id, "name": before, "new_name": name.trim() }),
                );
            }
            if let Some(watched) = change.watched {
                gallery.watch(PersonId(id), watched)?;
                let action = if watched { "person_watched" } else { "person_unwatched" };
                state.audit(&client, action, json!({ "person": id, "name": before }));
            }
            if let Some(ignored) = change.ignored {
                gallery.ignore(PersonId(id), ignored)?;
                let action = if ignored { "person_ignored" } else { "person_unignored" };
                state.audit(&client, action, json!({ "person": id, "name": before }));
            }
            state.notify(&Notification::GalleryChanged);
            Ok(Json(person(gallery, id)?.into()))
        })
        .await
}

/// The other entry of the same person.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MergeRequest {
    /// Number of the person that remains, with the photos of both.
    into: i64,
}

/// The result of a merge.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Merged {
    /// The person that remains.
    person: PersonView,
    /// Number by which the action is undone; null if it cannot be undone.
    undo: Option<u64>,
    /// For how many seconds it can be undone.
    undo_seconds: u64,
}

/// Merge two people who are the same person
#[utoipa::path(post, path = "/api/v1/people/{id}/merge", tag = "gallery", params(("id" = i64, Path)),
    request_body = MergeRequest, responses((status = 200, body = Merged), (status = 400, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn merge(
    State(state): State<Arc<AppState>>,
    client: Client,
    Path(id): Path<i64>,
    Json(wanted): Json<MergeRequest>,
) -> ApiResult<Json<Merged>> {
    state
        .run_blocking(move |state| {
            let gallery = state.gallery()?;
            let gallery = gallery.as_ref();
            let (other, remaining) = (person(gallery, id)?, person(gallery, wanted.into)?);
            let (from, into) = (other.id, remaining.id);
            let undo = gallery.merge(from, into)?.map(|merge| state.undo.add(UndoableAction::Merged(merge)));
            let details = json!({ "person": from.0, "name": other.name, "into": into.0, "into_name": remaining.name });
            state.audit(&client, "people_merged", details);
            state.notify(&Notification::GalleryChanged);
            Ok(Json(Merged { person: person(gallery, into.0)?.into(), undo, undo_seconds: UNDO_TIME.as_secs() }))
        })
        .await
}

/// The result of a removal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Removal {
    /// Number of removed photos.
    photos: usize,
    /// Whether the data was also erased from unused parts of the gallery's file.
    erased: bool,
    /// Number by which the action is undone; null if it cannot be undone.
    undo: Option<u64>,
    /// For how many seconds it can be undone.
    undo_seconds: u64,
}

/// Remove a person with all photos and alarms
///
/// The removal is permanent when it is answered. For a minute it can be undone, since this program keeps the person in memory.
#[utoipa::path(delete, path = "/api/v1/people/{id}", tag = "gallery", params(("id" = i64, Path)),
    responses((status = 200, body = Removal), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn remove(
    State(state): State<Arc<AppState>>,
    client: Client,
    Path(id): Path<i64>,
) -> ApiResult<Json<Removal>> {
    state
        .run_blocking(move |state| {
            let gallery = state.gallery()?;
            let Removed { record, erased } = gallery.remove_person(PersonId(id))?;
            let photos = record.photos.len();
            state.audit(&client, "person_removed", json!({ "person": id, "name": record.name, "photos": photos }));
            let undo = Some(state.undo.add(UndoableAction::Removed(record)));
            state.notify(&Notification::GalleryChanged);
            Ok(Json(Removal { photos, erased, undo, undo_seconds: UNDO_TIME.as_secs() }))
        })
        .await
}

/// The action to undo.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UndoRequest {
    /// The number in the result of the removal or merge.
    undo: u64,
}

/// Undo an action: restore a removed person or photo, or separate two merged people
///
/// Returns the restored person.
#[utoipa::path(post, path = "/api/v1/people/undo", tag = "gallery", request_body = UndoRequest,
    responses((status = 200, body = PersonView), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn undo(
    State(state): State<Arc<AppState>>,
    client: Client,
    Json(wanted): Json<UndoRequest>,
) -> ApiResult<Json<PersonView>> {
    state
        .run_blocking(move |state| {
            let gallery = state.gallery()?;
            let action = state.undo.take(wanted.undo).ok_or_else(|| {
                Problem::not_found("this action cannot be undone any more: the time is over, or it was undone already")
            })?;
            let gone = || Problem::not_found("the person of this action does not exist any more");
            let back = action.undo(gallery.as_ref())?.ok_or_else(gone)?;
            let person = person(gallery.as_ref(), back.0)?;
            let details = json!({ "undone": action.name(), "person": back.0, "name": person.name });
            state.audit(&client, "action_undone", details);
            state.notify(&Notification::GalleryChanged);
            Ok(Json(person.into()))
        })
        .await
}

/// Number of similar people that are listed.
const SIMILAR: usize = 5;

/// The people most similar to a person, nearest first; some may be the same person
#[utoipa::path(get, path = "/api/v1/people/{id}/alike", tag = "gallery", params(("id" = i64, Path)),
    responses((status = 200, body = Vec<ResemblanceView>), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn alike(
    State(state): State<Arc<AppState>>,
    Path(id): Path<i64>,
) -> ApiResult<Json<Vec<ResemblanceView>>> {
    state
        .run_blocking(move |state| {
            let gallery = state.gallery()?;
            let person = person(gallery.as_ref(), id)?.id;
            let record = gallery.person_record(person)?;
            let mut nearest: Vec<Match> = Vec::new();
            for photo in record.iter().flat_map(|record| &record.photos) {
                // One more, since the nearest is the person itself.
                for found in
                    gallery.search(&photo.vector, SIMILAR + 1)?.into_iter().filter(|found| found.person != person)
                {
                    match nearest.iter_mut().find(|known| known.person == found.person) {
                        Some(known) if known.distance <= found.distance => {}
                        Some(known) => *known = found,
                        None => nearest.push(found),
                    }
                }
            }
            nearest.sort_by(|a, b| a.distance.total_cmp(&b.distance));
            nearest.truncate(SIMILAR);
            Ok(Json(nearest.into_iter().map(ResemblanceView::from).collect()))
        })
        .await
}

/// The photo that shows a person best
#[utoipa::path(get, path = "/api/v1/people/{id}/portrait", tag = "gallery", params(("id" = i64, Path)),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub(crate) async fn portrait(State(state): State<Arc<AppState>>, Path(id): Path<i64>) -> ApiResult<Response> {
    let found = state.run_blocking(move |state| Ok(state.gallery()?.portrait(PersonId(id))?)).await?;
    found.map(|bytes| jpeg(bytes, false)).ok_or_else(|| Problem::not_found("there is no photo of this person"))
}

/// The numbers of a person's photos
#[utoipa::path(get, path = "/api/v1/people/{id}/photos", tag = "gallery", params(("id" = i64, Path)),
    responses((status = 200, body = Vec<i64>), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn photo_ids(State(state): State<Arc<AppState>>, Path(id): Path<i64>) -> ApiResult<Json<Vec<i64>>> {
    let photos = state.run_blocking(move |state| Ok(state.gallery()?.photos(PersonId(id))?)).await?;
    if photos.is_empty() {
        return Err(Problem::not_found("there is no photo of this person"));
    }
    Ok(Json(photos.into_iter().map(|PhotoId(photo)| photo).collect()))
}

/// A photo
#[utoipa::path(get, path = "/api/v1/photos/{id}", tag = "gallery", params(("id" = i64, Path)),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub(crate) async fn photo(State(state): State<Arc<AppState>>, Path(id): Path<i64>) -> ApiResult<Response> {
    let found = state.run_blocking(move |state| Ok(state.gallery()?.thumbnail(PhotoId(id))?)).await?;
    found.map(|bytes| jpeg(bytes, true)).ok_or_else(|| Problem::not_found("there is no such photo"))
}

/// Remove a photo; the last one of a person goes with the person only
#[utoipa::path(delete, path = "/api/v1/photos/{id}", tag = "gallery", params(("id" = i64, Path)),
    responses((status = 200, body = Removal), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn remove_photo(
    State(state): State<Arc<AppState>>,
    client: Client,
    Path(id): Path<i64>,
) -> ApiResult<Json<Removal>> {
    state
        .run_blocking(move |state| {
            let removed = state.gallery()?.remove_photo(PhotoId(id))?;
            let removed = removed.ok_or_else(|| Problem::not_found("there is no such photo"))?;
            let erased = removed.erased;
            state.audit(&client, "photo_removed", json!({ "photo": id, "person": removed.person.0 }));
            let undo = Some(state.undo.add(UndoableAction::PhotoRemoved(removed)));
            state.notify(&Notification::GalleryChanged);
            Ok(Json(Removal { photos: 1, erased, undo, undo_seconds: UNDO_TIME.as_secs() }))
        })
        .await
}

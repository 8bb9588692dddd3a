//! The people of the gallery.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use visavis_face::gallery::{Gallery, Match, PersonId, PersonSummary, PhotoId, Wanted};

use super::{Answer, Json, Path, Query, faces, jpeg};
use crate::desk::{Desk, News};
use crate::problem::Problem;
use crate::scene::ResemblanceView;
use crate::undo::{Deed, KEPT};

/// Somebody in the gallery.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct PersonView {
    /// The number. Never given to anybody else.
    id: i64,
    /// The name.
    name: String,
    /// Number of photos.
    photos: usize,
    /// Whether an alarm rings when they are seen.
    watched: bool,
    /// Whether nobody added them: they were seen, and are forgotten again after a time.
    met: bool,
    /// How often they were seen, visits long.
    seen: usize,
    /// When last, in seconds since 1970.
    last_seen: Option<i64>,
}

impl From<PersonSummary> for PersonView {
    fn from(person: PersonSummary) -> Self {
        let PersonSummary { id: PersonId(id), name, photos, watched, met, seen, last_seen } = person;
        Self { id, name, photos, watched, met, seen, last_seen }
    }
}

/// A part of the gallery.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PeoplePage {
    /// How many people there are in all that fit.
    total: usize,
    /// Some of them, by name.
    people: Vec<PersonView>,
}

/// Which people.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PeopleQuery {
    /// Only those with this in their names, whatever the case.
    #[serde(default)]
    name: String,
    /// Only those on the watch list.
    #[serde(default)]
    watched: bool,
    /// How many to pass over.
    #[serde(default)]
    offset: usize,
    /// How many to list, 200 at most.
    #[serde(default = "page_size")]
    limit: usize,
}

fn page_size() -> usize {
    60
}

pub(super) fn person(gallery: &dyn Gallery, id: i64) -> Answer<PersonSummary> {
    gallery.person(PersonId(id))?.ok_or_else(|| Problem::not_found("there is no such person in the gallery"))
}

/// Who is in the gallery
#[utoipa::path(get, path = "/api/v1/people", tag = "gallery", params(PeopleQuery),
    responses((status = 200, body = PeoplePage), (status = 400, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn list(State(desk): State<Arc<Desk>>, Query(query): Query<PeopleQuery>) -> Answer<Json<PeoplePage>> {
    desk.apart(move |desk| {
        let PeopleQuery { name, watched, offset, limit } = query;
        let wanted = Wanted { name, watched, offset, limit: limit.min(200) };
        let (total, people) = desk.gallery()?.people_like(&wanted)?;
        Ok(Json(PeoplePage { total, people: people.into_iter().map(PersonView::from).collect() }))
    })
    .await
}

/// Somebody in the gallery
#[utoipa::path(get, path = "/api/v1/people/{id}", tag = "gallery", params(("id" = i64, Path)),
    responses((status = 200, body = PersonView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn get(State(desk): State<Arc<Desk>>, Path(id): Path<i64>) -> Answer<Json<PersonView>> {
    desk.apart(move |desk| Ok(Json(person(desk.gallery()?.as_ref(), id)?.into()))).await
}

/// A face to enrol.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaceEnrolment {
    /// The face's number in the picture.
    track: u64,
    /// Whose it is; a new name makes a new person.
    name: String,
}

/// What was added.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Enrolled {
    /// To whom.
    pub(super) person: i64,
    /// Photos added: none where the person has that photo already.
    pub(super) photos: usize,
}

/// Enrol a face of the live picture
#[utoipa::path(post, path = "/api/v1/people/from-face", tag = "gallery", request_body = FaceEnrolment,
    responses((status = 201, body = Enrolled), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn enrol_face(
    State(desk): State<Arc<Desk>>,
    Json(wanted): Json<FaceEnrolment>,
) -> Answer<(StatusCode, Json<Enrolled>)> {
    let scene = faces::newest(&desk).await?;
    let face = scene.faces.iter().find(|face| face.track == wanted.track);
    let rect = face.ok_or_else(|| Problem::not_found("that face is not in view any more"))?.rect;
    desk.apart(move |desk| {
        let (gallery, networks) = (desk.gallery()?, desk.networks()?);
        let source = format!("frame {}", scene.frame.seq);
        let photo = desk.looker.face(&desk.parts.loader, &networks, &scene.frame.picture, &rect, source)?;
        let added = gallery.add(&wanted.name, &[photo])?;
        desk.say(&News::GalleryChanged);
        Ok((StatusCode::CREATED, Json(Enrolled { person: added.person.0, photos: added.photos })))
    })
    .await
}

/// What is to change of a person; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PersonChange {
    /// A new name.
    name: Option<String>,
    /// Whether an alarm is to ring when they are seen.
    watched: Option<bool>,
}

/// Rename a person, or put them on the watch list or off it
#[utoipa::path(patch, path = "/api/v1/people/{id}", tag = "gallery", params(("id" = i64, Path)), request_body = PersonChange,
    responses((status = 200, body = PersonView), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn change(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<i64>,
    Json(change): Json<PersonChange>,
) -> Answer<Json<PersonView>> {
    desk.apart(move |desk| {
        let gallery = desk.gallery()?;
        let gallery = gallery.as_ref();
        if let Some(name) = &change.name {
            gallery.rename(&person(gallery, id)?.name, name)?;
        }
        if let Some(watched) = change.watched {
            gallery.watch(&person(gallery, id)?.name, watched)?;
        }
        desk.say(&News::GalleryChanged);
        Ok(Json(person(gallery, id)?.into()))
    })
    .await
}

/// Somebody who is the same person.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MergeRequest {
    /// Who stays, with the photos of both.
    into: i64,
}

/// What was joined.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Merged {
    /// Who stayed.
    person: PersonView,
    /// What to undo it by; null where it cannot be undone.
    undo: Option<u64>,
    /// For how long, in seconds.
    undo_seconds: u64,
}

/// Join two people who are one
#[utoipa::path(post, path = "/api/v1/people/{id}/merge", tag = "gallery", params(("id" = i64, Path)),
    request_body = MergeRequest, responses((status = 200, body = Merged), (status = 400, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn merge(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<i64>,
    Json(wanted): Json<MergeRequest>,
) -> Answer<Json<Merged>> {
    desk.apart(move |desk| {
        let gallery = desk.gallery()?;
        let gallery = gallery.as_ref();
        let (from, into) = (person(gallery, id)?.id, person(gallery, wanted.into)?.id);
        let undo = gallery.join(from, into)?.map(|joint| desk.undo.keep(Deed::Joined(joint)));
        desk.say(&News::GalleryChanged);
        Ok(Json(Merged { person: person(gallery, into.0)?.into(), undo, undo_seconds: KEPT.as_secs() }))
    })
    .await
}

/// A removal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Removal {
    /// Photos that are gone.
    photos: usize,
    /// Whether nothing is left in unused parts of the gallery's file either.
    erased: bool,
    /// What to undo it by; null where it cannot be undone.
    undo: Option<u64>,
    /// For how long, in seconds.
    undo_seconds: u64,
}

/// Remove a person with all photos and alarms
///
/// Done and lasting when it is answered. For a minute this program remembers the person in its memory, to put them back.
#[utoipa::path(delete, path = "/api/v1/people/{id}", tag = "gallery", params(("id" = i64, Path)),
    responses((status = 200, body = Removal), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn remove(State(desk): State<Arc<Desk>>, Path(id): Path<i64>) -> Answer<Json<Removal>> {
    desk.apart(move |desk| {
        let gallery = desk.gallery()?;
        let gallery = gallery.as_ref();
        let person = person(gallery, id)?;
        let record = gallery.person_record(person.id)?;
        let removed = gallery.remove_person(&person.name)?;
        let undo = record.map(|record| desk.undo.keep(Deed::Removed(record)));
        desk.say(&News::GalleryChanged);
        let (photos, erased) = (removed.photos, removed.erased);
        Ok(Json(Removal { photos, erased, undo, undo_seconds: KEPT.as_secs() }))
    })
    .await
}

/// Something to take back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UndoRequest {
    /// What the removal or the joining said.
    undo: u64,
}

/// Take back what was just done: put a person or a photo back that was removed, or take two apart who were joined
///
/// Answers who is there again.
#[utoipa::path(post, path = "/api/v1/people/undo", tag = "gallery", request_body = UndoRequest,
    responses((status = 200, body = PersonView), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn undo(State(desk): State<Arc<Desk>>, Json(wanted): Json<UndoRequest>) -> Answer<Json<PersonView>> {
    desk.apart(move |desk| {
        let gallery = desk.gallery()?;
        let deed = desk.undo.take(wanted.undo).ok_or_else(|| Problem::not_found("that is too long ago"))?;
        let gone = || Problem::not_found("who that was about is not there any more");
        let back = deed.undo(gallery.as_ref())?.ok_or_else(gone)?;
        desk.say(&News::GalleryChanged);
        Ok(Json(person(gallery.as_ref(), back.0)?.into()))
    })
    .await
}

/// People listed who resemble somebody.
const ALIKE: usize = 5;

/// The people who resemble a person most, nearest first: some may be the same person
#[utoipa::path(get, path = "/api/v1/people/{id}/alike", tag = "gallery", params(("id" = i64, Path)),
    responses((status = 200, body = Vec<ResemblanceView>), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn alike(State(desk): State<Arc<Desk>>, Path(id): Path<i64>) -> Answer<Json<Vec<ResemblanceView>>> {
    desk.apart(move |desk| {
        let gallery = desk.gallery()?;
        let person = person(gallery.as_ref(), id)?.id;
        let record = gallery.person_record(person)?;
        let mut nearest: Vec<Match> = Vec::new();
        for photo in record.iter().flat_map(|record| &record.photos) {
            // One more, since the nearest is the person.
            for found in gallery.search(&photo.vector, ALIKE + 1)?.into_iter().filter(|found| found.person != person) {
                match nearest.iter_mut().find(|known| known.person == found.person) {
                    Some(known) if known.distance <= found.distance => {}
                    Some(known) => *known = found,
                    None => nearest.push(found),
                }
            }
        }
        nearest.sort_by(|a, b| a.distance.total_cmp(&b.distance));
        nearest.truncate(ALIKE);
        Ok(Json(nearest.into_iter().map(ResemblanceView::from).collect()))
    })
    .await
}

/// The photo that shows a person best
#[utoipa::path(get, path = "/api/v1/people/{id}/portrait", tag = "gallery", params(("id" = i64, Path)),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub(crate) async fn portrait(State(desk): State<Arc<Desk>>, Path(id): Path<i64>) -> Answer<Response> {
    let found = desk.apart(move |desk| Ok(desk.gallery()?.portrait(PersonId(id))?)).await?;
    found.map(|bytes| jpeg(bytes, false)).ok_or_else(|| Problem::not_found("there is no photo of that person"))
}

/// The numbers of a person's photos
#[utoipa::path(get, path = "/api/v1/people/{id}/photos", tag = "gallery", params(("id" = i64, Path)),
    responses((status = 200, body = Vec<i64>), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn photo_ids(State(desk): State<Arc<Desk>>, Path(id): Path<i64>) -> Answer<Json<Vec<i64>>> {
    let photos = desk.apart(move |desk| Ok(desk.gallery()?.photos(PersonId(id))?)).await?;
    if photos.is_empty() {
        return Err(Problem::not_found("there is no photo of that person"));
    }
    Ok(Json(photos.into_iter().map(|PhotoId(photo)| photo).collect()))
}

/// A photo
#[utoipa::path(get, path = "/api/v1/photos/{id}", tag = "gallery", params(("id" = i64, Path)),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub(crate) async fn photo(State(desk): State<Arc<Desk>>, Path(id): Path<i64>) -> Answer<Response> {
    let found = desk.apart(move |desk| Ok(desk.gallery()?.thumbnail(PhotoId(id))?)).await?;
    found.map(|bytes| jpeg(bytes, true)).ok_or_else(|| Problem::not_found("there is no such photo"))
}

/// Remove a photo; the last one of a person goes with the person only
#[utoipa::path(delete, path = "/api/v1/photos/{id}", tag = "gallery", params(("id" = i64, Path)),
    responses((status = 200, body = Removal), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn remove_photo(State(desk): State<Arc<Desk>>, Path(id): Path<i64>) -> Answer<Json<Removal>> {
    desk.apart(move |desk| {
        let removed = desk.gallery()?.remove_photo(PhotoId(id))?;
        let removed = removed.ok_or_else(|| Problem::not_found("there is no such photo"))?;
        let erased = removed.erased;
        let undo = Some(desk.undo.keep(Deed::PhotoRemoved(removed)));
        desk.say(&News::GalleryChanged);
        Ok(Json(Removal { photos: 1, erased, undo, undo_seconds: KEPT.as_secs() }))
    })
    .await
}

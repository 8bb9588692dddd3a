//! What spoils the gallery.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use visavis_gallery::{CheckParams, Finding, Gallery, GalleryError, PersonId, PhotoId};

use super::{ApiResult, Json};
use crate::app_state::AppState;
use crate::problem::Problem;

/// Something in the gallery that a person should look at.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FindingView {
    /// `other_person`: a photo looks like another person. `unlike`: a photo looks like no other photo of its person.
    /// `same_person`: two people are probably one. `redundant`: a photo is almost the same as another one of its person.
    kind: &'static str,
    /// Number of the person.
    person: i64,
    /// Name of the person.
    name: String,
    /// Number of the photo, if one photo is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    photo: Option<i64>,
    /// Number of the other person, if two are meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<i64>,
    /// Name of the other person.
    #[serde(skip_serializing_if = "Option::is_none")]
    other_name: Option<String>,
}

impl FindingView {
    /// `None` if a person was removed meanwhile.
    fn new(gallery: &Gallery, finding: Finding) -> Result<Option<Self>, GalleryError> {
        let (kind, person, photo, other) = (finding.kind(), finding.person(), finding.photo(), finding.other());
        let name = |id: PersonId| Ok::<_, GalleryError>(gallery.person(id)?.map(|person| person.name));
        let Some(own) = name(person)? else { return Ok(None) };
        let other_name = other.map_or(Ok(None), name)?;
        if other.is_some() && other_name.is_none() {
            return Ok(None);
        }
        let (photo, other) = (photo.map(|PhotoId(id)| id), other.map(|PersonId(id)| id));
        Ok(Some(Self { kind, person: person.0, name: own, photo, other, other_name }))
    }
}

/// Find photos of another person, one person under two names, and photos that add nothing
///
/// Takes one search for each photo of the gallery. Changes nothing.
#[utoipa::path(get, path = "/api/v1/people/check", tag = "gallery",
    responses((status = 200, body = Vec<FindingView>), (status = 409, body = Problem)))]
pub(crate) async fn check(State(state): State<Arc<AppState>>) -> ApiResult<Json<Vec<FindingView>>> {
    state
        .run_blocking(|state| {
            let gallery = state.gallery()?;
            let findings = gallery.check(&CheckParams::default(), |_, _| {})?;
            let views = findings.into_iter().map(|finding| FindingView::new(&gallery, finding));
            Ok(Json(views.filter_map(Result::transpose).collect::<Result<_, _>>()?))
        })
        .await
}

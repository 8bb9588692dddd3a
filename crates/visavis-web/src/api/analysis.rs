//! Photos analysed on request, without the pipeline and without a gallery.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use visavis_face::Choice;
use visavis_gallery::{distance, false_match_rate};

use super::{ApiResult, Json, Query, Upload};
use crate::app_state::AppState;
use crate::photo_analyzer::Analyzed;
use crate::problem::Problem;
use crate::scene::PhotoFace;

/// What to leave in the answer.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AnalysisQuery {
    /// Whether to give the embedding of each face.
    #[serde(default)]
    embeddings: bool,
}

/// The faces of a photo.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PhotoAnalysis {
    /// Width of the photo in pixels.
    width: u32,
    /// Height of the photo in pixels.
    height: u32,
    /// The network that made the embeddings, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<String>,
    /// All faces, the one with the highest score first.
    faces: Vec<PhotoFace>,
}

/// Analyse a photo
///
/// The body is the photo: JPEG, PNG, WebP, BMP or GIF, at most 25 MiB. The networks are those chosen for the live picture. The photo
/// is not stored, and it is not compared with the gallery.
#[utoipa::path(post, path = "/api/v1/analyze", tag = "photos", params(AnalysisQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = PhotoAnalysis), (status = 400, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem)))]
pub(crate) async fn analyze(
    State(state): State<Arc<AppState>>,
    Query(query): Query<AnalysisQuery>,
    Upload(photo): Upload,
) -> ApiResult<Json<PhotoAnalysis>> {
    state
        .run_blocking(move |state| {
            let network = query.embeddings.then(|| comparing(state)).transpose()?;
            let choice = Choice { similarity: network.clone(), ..choice(state) };
            let analyzed = state.common.analyzer.analyze(&state.config.loader, &choice, &photo)?;
            let Analyzed { width, height, scene, embeddings } = analyzed;
            let faces = scene.faces.iter().zip(embeddings);
            let faces = faces.map(|(face, embedding)| PhotoFace::new(face, scene.frame.shrunk, embedding)).collect();
            Ok(Json(PhotoAnalysis { width, height, network, faces }))
        })
        .await
}

/// The networks that are chosen now.
fn choice(state: &AppState) -> Choice {
    state.config.pipeline.snapshot().params.choice.clone()
}

/// The network that compares faces: the chosen one, or the default if none is chosen.
fn comparing(state: &AppState) -> ApiResult<String> {
    let chosen = choice(state).similarity.or_else(|| state.config.comparing.clone());
    chosen.ok_or_else(|| Problem::conflict("there is no network that compares faces: choose one for similarity"))
}

/// Two photos, in the parts `a` and `b` of a form.
pub(crate) struct TwoPhotos([Bytes; 2]);

impl<S: Send + Sync> FromRequest<S> for TwoPhotos {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let mut form = Multipart::from_request(request, state).await?;
        let mut photos = [const { None }; 2];
        while let Some(part) = form.next_field().await? {
            let Some(at) = ["a", "b"].into_iter().position(|name| part.name() == Some(name)) else { continue };
            photos[at] = Some(part.bytes().await?);
        }
        match photos {
            [Some(a), Some(b)] => Ok(Self([a, b])),
            _ => Err(Problem::new(StatusCode::BAD_REQUEST, "the form needs two photos, in the parts `a` and `b`")),
        }
    }
}

/// Two photos to compare.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form")]
pub(crate) struct ComparisonForm {
    /// A photo: JPEG, PNG, WebP, BMP or GIF.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    a: Vec<u8>,
    /// Another one.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    b: Vec<u8>,
}

/// How alike the largest faces of two photos are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Comparison {
    /// The network that compared them.
    network: String,
    /// Distance of the embeddings: smaller is more alike.
    distance: f32,
    /// How alike the two faces are, on a scale from 0 (as two people usually are) to 1 (as two photos of one person usually are).
    /// It is no probability. Absent if the network's distances were not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    likeness: Option<f64>,
    /// The share of pairs of photos of two people that are at least as near. Absent if the network's distances were not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    false_match_rate: Option<f64>,
    /// Whether the faces count as one person.
    same_person: bool,
    /// The face of photo `a`.
    a: PhotoFace,
    /// The face of photo `b`.
    b: PhotoFace,
}

/// Compare the largest faces of two photos
///
/// The body is a form (`multipart/form-data`) with the photos in its parts `a` and `b`, at most 25 MiB each. Nothing is stored.
#[utoipa::path(post, path = "/api/v1/compare", tag = "photos",
    request_body(content = ComparisonForm, content_type = "multipart/form-data"),
    responses((status = 200, body = Comparison), (status = 400, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn compare(
    State(state): State<Arc<AppState>>,
    TwoPhotos(photos): TwoPhotos,
) -> ApiResult<Json<Comparison>> {
    state
        .run_blocking(move |state| {
            let network = comparing(state)?;
            let embedding = state.config.loader.embedding_id(&network)?;
            let choice = Choice { similarity: Some(network.clone()), ..choice(state) };
            let mut largest = Vec::with_capacity(2);
            for (photo, name) in photos.iter().zip(["a", "b"]) {
                let analyzed = state.common.analyzer.analyze(&state.config.loader, &choice, photo)?;
                let faces = analyzed.scene.faces.iter().zip(analyzed.embeddings);
                let face = faces.max_by(|(one, _), (other, _)| one.rect.area().total_cmp(&other.rect.area()));
                let Some((face, Some(vector))) = face else {
                    return Err(Problem::unprocessable(format!("no face was found in photo {name}")));
                };
                largest.push((PhotoFace::new(face, analyzed.scene.frame.shrunk, None), vector));
            }
            let (Some((b, of_b)), Some((a, of_a))) = (largest.pop(), largest.pop()) else {
                return Err(Problem::internal("two photos gave fewer than two faces"));
            };
            let distance = distance(embedding.metric, &of_a, &of_b);
            Ok(Json(Comparison {
                network,
                distance,
                likeness: embedding.likeness.map(|likeness| likeness.scale(f64::from(distance))),
                false_match_rate: embedding.likeness.map(|likeness| false_match_rate(&likeness, distance.into(), 1)),
                same_person: distance <= embedding.same_person,
                a,
                b,
            }))
        })
        .await
}

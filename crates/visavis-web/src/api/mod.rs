//! The HTTP API and its OpenAPI document.

mod alarms;
mod analysis;
mod browser_camera;
mod check;
mod faces;
mod live;
mod monitoring;
mod networks;
mod people;
mod photos;
mod recording;
mod settings;
mod sightings;
mod sources;
mod status;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::OpenApi;
use utoipa::openapi::{Content, OpenApi as Document, Ref, RefOr, ResponseBuilder, Server};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::app_state::AppState;
use crate::guard::{self, Guard, VIEWER};
use crate::notice;
use crate::output_counts::OutputCounts;
use crate::page;
use crate::problem::Problem;
use crate::request_body;

/// The path that the paths of all operations begin with. The document leaves it out.
const API: &str = "/api/v1";
const DOCUMENT: &str = "/api/v1/openapi.json";
/// [`API`] relative to the address of the document, which is also below a base path, or below the path of one of several cameras.
///
/// A client puts a path of the document right behind it. So it must not end with a slash: `../..` would.
const SERVER: &str = "../v1";
/// Largest size of a photo in bytes.
const MAX_PHOTO: usize = 25 << 20;
/// Largest size of any other body in bytes.
const MAX_BODY: usize = 64 << 10;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "visavis",
        description = "Watch and control a running pipeline. The page uses only this API. All paths are below `/api/v1`.\n\n\
            Pictures and their results come over the WebSocket `/api/v1/live`: binary messages, each the length of a \
            JSON text (4 bytes, little-endian), that text (a `SceneView`) and a JPEG. A client answers each with the text \
            `seen`; with two unanswered it is sent no more, so that a slow client always gets the newest. Text messages are JSON \
            objects with a `type`: `status`, `statistics`, `event`, `alarm`, `sighting`, `gallery_changed`, \
            `sightings_changed`. A browser's camera sends its \
            pictures as binary messages (JPEG) over `/api/v1/camera` and gets `seen` for each. Errors are problem documents \
            (RFC 9457)."
    ),
    tags(
        (name = "live", description = "Pictures, faces and measurements"),
        (name = "steering", description = "Networks, sources, settings"),
        (name = "gallery", description = "The people that faces are compared with"),
        (name = "photos", description = "Photos analysed on request; nothing is stored"),
        (name = "alarms", description = "The list of alarms"),
        (name = "sightings", description = "Who was seen when, if this is recorded")
    )
)]
struct Description;

/// The routes of the API with their descriptions.
fn routes() -> OpenApiRouter<Arc<AppState>> {
    let photos = OpenApiRouter::new()
        .routes(routes!(photos::enrol))
        .routes(routes!(photos::search))
        .routes(routes!(sightings::search))
        .routes(routes!(analysis::analyze))
        .layer(DefaultBodyLimit::max(MAX_PHOTO));
    let two_photos =
        OpenApiRouter::new().routes(routes!(analysis::compare)).layer(DefaultBodyLimit::max(2 * MAX_PHOTO + MAX_BODY));
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(status::status))
        .routes(routes!(status::statistics))
        .routes(routes!(faces::scene))
        .routes(routes!(faces::scenes))
        .routes(routes!(faces::face))
        .routes(routes!(faces::crop))
        .routes(routes!(faces::recognition))
        .routes(routes!(faces::snapshot))
        .routes(routes!(recording::start, recording::stop, recording::film))
        .routes(routes!(networks::list))
        .routes(routes!(networks::switch))
        .routes(routes!(sources::list))
        .routes(routes!(sources::choose))
        .routes(routes!(settings::get, settings::change))
        .routes(routes!(people::list))
        .routes(routes!(people::enrol_face))
        .routes(routes!(check::check))
        .routes(routes!(people::get, people::change, people::remove))
        .routes(routes!(people::alike))
        .routes(routes!(people::merge))
        .routes(routes!(people::undo))
        .routes(routes!(people::portrait))
        .routes(routes!(people::photo_ids))
        .routes(routes!(people::photo, people::remove_photo))
        .routes(routes!(sightings::export))
        .routes(routes!(sightings::list))
        .routes(routes!(sightings::groups))
        .routes(routes!(sightings::name))
        .routes(routes!(sightings::remove))
        .routes(routes!(sightings::crop))
        .routes(routes!(sightings::of_sighting))
        .routes(routes!(sightings::of_face))
        .routes(routes!(alarms::list))
        .routes(routes!(alarms::answer))
        .routes(routes!(alarms::crop))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .merge(photos)
        .merge(two_photos)
}

/// The OpenAPI document of the API.
pub(crate) fn document() -> Document {
    completed(routes().into_openapi())
}

/// Adds the address of the server and what is the same for all operations: the content type of errors, the answer to a body that stops,
/// a description of each response, a name of each operation.
fn completed(mut document: Document) -> Document {
    document.servers = Some(vec![Server::new(SERVER)]);
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths =
        paths.into_iter().map(|(path, item)| (path.trim_start_matches(API).to_owned(), item)).collect();
    for (path, item) in &mut document.paths.paths {
        let named: String = path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let named = named.replace("__", "_");
        let operations = [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("patch", &mut item.patch),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            // The names of the handlers are not unique: several modules have a `list`.
            operation.operation_id = Some(format!("{method}{}", named.trim_end_matches('_')));
            if operation.request_body.is_some() {
                let problem = Content::new(Some(Ref::from_schema_name("Problem")));
                let stalled = ResponseBuilder::new().content("application/json", problem).build();
                operation.responses.responses.insert("408".to_owned(), RefOr::T(stalled));
            }
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                if response.description.is_empty() {
                    let status = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok());
                    let words = status.and_then(|status| status.canonical_reason()).unwrap_or("Answer");
                    words.clone_into(&mut response.description);
                }
                if status.starts_with(['4', '5'])
                    && let Some(content) = response.content.shift_remove("application/json")
                {
                    response.content.insert("application/problem+json".into(), content);
                }
            }
        }
    }
    document
}

/// Everything that is served, under `base_path` and at the root, since some proxies remove the base path and others do not.
pub(crate) fn app(
    mut cameras: Vec<(String, Arc<AppState>)>,
    outputs: Vec<Arc<OutputCounts>>,
    guard: &Arc<Guard>,
    base_path: &str,
) -> Router {
    let monitoring = monitoring::router(cameras.clone(), outputs, guard);
    let notice = notice::router(cameras.iter().map(|(_, state)| Arc::clone(state)).collect(), guard);
    let app = match cameras.pop() {
        Some((_, only)) if cameras.is_empty() => camera_app(only, Arc::clone(guard)),
        last => {
            cameras.extend(last);
            grid_app(cameras, guard)
        }
    }
    .merge(monitoring)
    .merge(notice);
    let app = if base_path.is_empty() { app } else { under(base_path, app.clone()).fallback_service(app) };
    app.layer(middleware::from_fn(request_body::receive))
}

/// An app under a path.
fn under(path: &str, app: Router) -> Router {
    // The page uses relative addresses, so its own address must end with a slash.
    let to_page = |uri: Uri| async move {
        let name = uri.path().rsplit('/').next().unwrap_or_default();
        let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
        (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, format!("{name}/{query}"))])
    };
    Router::new().route(path, axum::routing::get(to_page)).nest(&format!("{path}/"), app)
}

/// The page and the API of each camera under `/cameras/1`, `/cameras/2`, …, and a page with the pictures of all.
fn grid_app(cameras: Vec<(String, Arc<AppState>)>, guard: &Arc<Guard>) -> Router {
    let list: Vec<CameraView> = (1..).zip(&cameras).map(|(number, (name, _))| CameraView::new(number, name)).collect();
    let grid = Router::new()
        .route("/api/v1/cameras", axum::routing::get(move || async move { Json(list) }))
        .merge(page::grid())
        .fallback(nothing_here)
        .layer(middleware::from_fn_with_state(Arc::clone(guard), guard::check));
    (1..).zip(cameras).fold(grid, |grid, (number, (_, state))| {
        let notice = notice::router(vec![Arc::clone(&state)], guard);
        grid.merge(under(&format!("/cameras/{number}"), camera_app(state, Arc::clone(guard)).merge(notice)))
    })
}

/// A camera of several, in the list of cameras.
#[derive(Clone, Serialize)]
struct CameraView {
    name: String,
    /// The address of its page, relative to that of the page with all pictures. Its API is beside it.
    path: String,
}

impl CameraView {
    fn new(number: usize, name: &str) -> Self {
        Self { name: name.to_owned(), path: format!("cameras/{number}/") }
    }
}

async fn nothing_here(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {}", uri.path()))
}

/// The page and the API of one camera.
fn camera_app(state: Arc<AppState>, guard: Arc<Guard>) -> Router {
    let (api, document) = routes().split_for_parts();
    // The address of the document is relative to that of the viewer.
    let viewer = SwaggerUi::new(VIEWER).url(DOCUMENT, completed(document)).config(Config::new(["../openapi.json"]));
    api.route("/api/v1/live", axum::routing::get(live::live))
        .route("/api/v1/camera", axum::routing::get(browser_camera::camera))
        .with_state(state)
        .merge(page::router())
        .merge(viewer)
        .fallback(nothing_here)
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not take this method: see /api/v1/docs")
        })
        .layer(middleware::from_fn_with_state(guard, guard::check))
}

/// JSON in and out.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Problem))]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Parts of the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub(crate) struct Path<T>(pub(crate) T);

/// The query of the address.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // axum would replace what is not valid.
        if percent_decode_str(parts.uri.query().unwrap_or_default()).decode_utf8().is_err() {
            let detail = "the query of the address is not valid UTF-8: encode its text as UTF-8, then as %XX";
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
        let axum::extract::Query(query) = axum::extract::Query::try_from_uri(&parts.uri)?;
        Ok(Self(query))
    }
}

/// An uploaded file.
pub(crate) struct Upload(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Upload {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        // Checked before the body is read, so that the client need not send it.
        let announced =
            request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|bytes: u64| bytes > MAX_PHOTO as u64) {
            let detail = format!("a photo has at most {} MiB", MAX_PHOTO >> 20);
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        Ok(Self(Bytes::from_request(request, state).await?))
    }
}

/// A JPEG. `lasting`: the browser may keep it, since the picture with this number never changes.
fn jpeg(bytes: Vec<u8>, lasting: bool) -> Response {
    let cache = if lasting { "private, max-age=86400, immutable" } else { "no-cache" };
    ([(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, cache)], bytes).into_response()
}

type ApiResult<T> = Result<T, Problem>;

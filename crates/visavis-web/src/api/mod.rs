//! Everything that can be asked, and its description.

mod alarms;
mod browser_camera;
mod faces;
mod live;
mod networks;
mod people;
mod photos;
mod recording;
mod settings;
mod sources;
mod status;

pub(crate) use sources::short;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use serde::Serialize;
use utoipa::OpenApi;
use utoipa::openapi::{OpenApi as Document, RefOr};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::desk::Desk;
use crate::guard::{self, Guard};
use crate::page;
use crate::problem::Problem;

/// Where the viewer of the API is.
pub(crate) const VIEWER: &str = "/api/v1/docs";
const DOCUMENT: &str = "/api/v1/openapi.json";
/// Bytes of a photo at most.
const MAX_PHOTO: usize = 25 << 20;
/// Bytes of anything else.
const MAX_BODY: usize = 64 << 10;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "visavis",
        description = "See a running pipeline and steer it. All that the page does goes through here.\n\n\
            Pictures and what is said of them come over the WebSocket `/api/v1/live`: binary messages, each the length of a \
            JSON text (4 bytes, little-endian), that text (a `SceneView`) and a JPEG. A client answers each with the text \
            `seen`; with two unanswered it is sent no more, so that a slow one always gets the newest. Text messages are JSON \
            objects with a `type`: `status`, `statistics`, `event`, `alarm`, `gallery_changed`. A browser's camera sends its \
            pictures as binary messages (JPEG) over `/api/v1/camera` and gets `seen` for each. Errors are problem documents \
            (RFC 9457)."
    ),
    tags(
        (name = "live", description = "What is seen and how it runs"),
        (name = "steering", description = "Networks, sources, settings"),
        (name = "gallery", description = "People to compare faces with"),
        (name = "alarms", description = "The list of alarms")
    )
)]
struct Description;

/// The API with its description.
fn routes() -> OpenApiRouter<Arc<Desk>> {
    let photos = OpenApiRouter::new()
        .routes(routes!(photos::enrol))
        .routes(routes!(photos::search))
        .layer(DefaultBodyLimit::max(MAX_PHOTO));
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(status::status))
        .routes(routes!(status::statistics))
        .routes(routes!(faces::scene))
        .routes(routes!(faces::scenes))
        .routes(routes!(faces::face))
        .routes(routes!(faces::crop))
        .routes(routes!(faces::snapshot))
        .routes(routes!(recording::start, recording::stop, recording::film))
        .routes(routes!(networks::list))
        .routes(routes!(networks::switch))
        .routes(routes!(sources::list))
        .routes(routes!(sources::choose))
        .routes(routes!(settings::get, settings::change))
        .routes(routes!(people::list))
        .routes(routes!(people::enrol_face))
        .routes(routes!(people::get, people::change, people::remove))
        .routes(routes!(people::alike))
        .routes(routes!(people::merge))
        .routes(routes!(people::undo))
        .routes(routes!(people::portrait))
        .routes(routes!(people::photo_ids))
        .routes(routes!(people::photo, people::remove_photo))
        .routes(routes!(alarms::list))
        .routes(routes!(alarms::answer))
        .routes(routes!(alarms::crop))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .merge(photos)
}

/// The description of the API.
pub(crate) fn document() -> Document {
    completed(routes().into_openapi())
}

/// Says of errors that they are problem documents, of every answer what its status means, and how each request is called, which
/// each of them would have to say of itself otherwise.
fn completed(mut document: Document) -> Document {
    for (path, item) in &mut document.paths.paths {
        let named: String = path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let named = named.trim_start_matches("_api_v1").replace("__", "_");
        let operations = [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("patch", &mut item.patch),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            // The names of the functions are those of one module each.
            operation.operation_id = Some(format!("{method}{}", named.trim_end_matches('_')));
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

/// Everything that is served.
pub(crate) fn app(desk: Arc<Desk>, guard: Arc<Guard>) -> Router {
    let (api, document) = routes().split_for_parts();
    let viewer = SwaggerUi::new(VIEWER).url(DOCUMENT, completed(document));
    api.route("/api/v1/live", axum::routing::get(live::live))
        .route("/api/v1/camera", axum::routing::get(browser_camera::camera))
        .with_state(desk)
        .merge(page::router())
        .merge(viewer)
        .fallback(|uri: Uri| async move { Problem::not_found(format!("there is nothing at {}", uri.path())) })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "that cannot be done here: see /api/v1/docs")
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

/// What stands behind the question mark.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub(crate) struct Query<T>(pub(crate) T);

/// An uploaded file as it came.
pub(crate) struct Upload(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Upload {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        // Said before anything is read: whoever announces too much need not send it.
        let announced =
            request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|bytes: u64| bytes > MAX_PHOTO as u64) {
            let detail = format!("a photo has at most {} MiB", MAX_PHOTO >> 20);
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        Ok(Self(Bytes::from_request(request, state).await?))
    }
}

/// A JPEG, which a browser may keep: the picture under a number never changes.
fn jpeg(bytes: Vec<u8>, lasting: bool) -> Response {
    let cache = if lasting { "private, max-age=86400, immutable" } else { "no-cache" };
    ([(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, cache)], bytes).into_response()
}

type Answer<T> = Result<T, Problem>;

//! The notice for the people in front of the cameras: what is analysed and stored now, who is responsible, which rights they have.
//!
//! `/notice` is made at each request from the parameters in use, in five languages, and needs no token: people in front of a camera have
//! none. It contains no faces, no names of people and no names of sources. `/notice.css` is its only other file.

mod facts;
mod html;
mod language;
mod words;

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};

use crate::app_state::AppState;
use crate::guard::{self, Guard};
use facts::Facts;
pub use language::Language;
use words::words;

const STYLE: &str = include_str!("../page/style/notice.css");

/// The heading of the notice, and an invitation to read it, for a sheet of paper with its address.
#[must_use]
pub fn notice_invitation(language: Language) -> (&'static str, &'static str) {
    let words = words(language);
    (words.title, words.invitation)
}

/// `/notice` about these cameras, and its style sheet.
pub(crate) fn router(cameras: Vec<Arc<AppState>>, guard: &Arc<Guard>) -> Router {
    let style =
        || async { ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")], STYLE) };
    Router::new()
        .route("/notice", get(notice))
        .route("/notice.css", get(style))
        .with_state(Arc::new(cameras))
        .layer(middleware::from_fn_with_state(Arc::clone(guard), guard::check_host))
}

async fn notice(
    State(cameras): State<Arc<Vec<Arc<AppState>>>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|accepted| accepted.to_str().ok());
    let language = language::chosen(query.as_deref(), accepted);
    let page = html::page(&Facts::of(&cameras), language);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_LANGUAGE, HeaderValue::from_static(language.code())),
        (header::VARY, HeaderValue::from_static("accept-language")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, page).into_response()
}

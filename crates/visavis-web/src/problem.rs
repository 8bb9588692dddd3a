//! The errors of the API: problem documents (RFC 9457).

use axum::extract::multipart::{MultipartError, MultipartRejection};
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use visavis_face::{FaceError, Flaw};
use visavis_gallery::GalleryError;
use visavis_image::codec::CodecError;
use visavis_live::LiveError;
use visavis_video::VideoError;

use crate::request_body::Stalled;

/// A problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `about:blank`: the kind of problem is given by the status.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong, and what to do.
    detail: String,
    /// Why a photo is poor, if it was refused for that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flaws: Vec<String>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl ToString) -> Self {
        let title = status.canonical_reason().unwrap_or("Problem");
        Self { kind: "about:blank", title, status: status.as_u16(), detail: detail.to_string(), flaws: Vec::new() }
    }

    pub(crate) fn not_found(what: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, what)
    }

    pub(crate) fn unprocessable(why: impl ToString) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, why)
    }

    /// The face in a photo is poor.
    pub(crate) fn poor(flaws: &[Flaw]) -> Self {
        let flaws: Vec<String> = flaws.iter().map(ToString::to_string).collect();
        let detail = format!("{} (accept_poor=true adds the photo nevertheless)", flaws.join(", "));
        Self { flaws, ..Self::unprocessable(detail) }
    }

    pub(crate) fn conflict(why: impl ToString) -> Self {
        Self::new(StatusCode::CONFLICT, why)
    }

    /// The body of a request could not be read or parsed. `status` and `why` are those of `error`, unless the client stopped sending.
    fn of_body(error: &(dyn std::error::Error + 'static), status: StatusCode, why: String) -> Self {
        let mut causes = std::iter::successors(Some(error), |error| error.source());
        match causes.find_map(|cause| cause.downcast_ref::<Stalled>()) {
            Some(stalled) => Self::new(StatusCode::REQUEST_TIMEOUT, stalled),
            None => Self::new(status, why),
        }
    }

    pub(crate) fn is_unauthorized(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED.as_u16()
    }

    /// A failure of the program or the machine. It is logged, since the client cannot correct it.
    pub(crate) fn internal(why: impl ToString) -> Self {
        let problem = Self::new(StatusCode::INTERNAL_SERVER_ERROR, why);
        log::error!("{}", problem.detail);
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_string(&self).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}

impl From<GalleryError> for Problem {
    fn from(error: GalleryError) -> Self {
        // Messages with paths of this machine are replaced.
        match &error {
            GalleryError::UnknownPerson { name, .. } => Self::not_found(format!("there is no person named {name}")),
            GalleryError::NoSuchPerson { .. } => Self::not_found("there is no such person in the gallery"),
            GalleryError::NameTaken { name, .. } => Self::conflict(format!("another person is named {name} already")),
            GalleryError::OnlyPhoto { name, .. } => {
                Self::conflict(format!("there is no other photo of {name}: remove the person instead"))
            }
            GalleryError::Name { reason, .. } => Self::unprocessable(format!("the name is not valid: {reason}")),
            GalleryError::NoPhoto { .. } | GalleryError::Photo { .. } | GalleryError::Query { .. } => {
                Self::unprocessable(error)
            }
            GalleryError::OtherNetwork { .. } => {
                Self::conflict("the gallery was converted to another network meanwhile: try again")
            }
            GalleryError::KeyChanged { .. } => {
                Self::conflict("the key of the gallery was changed: start visavis again with the new one")
            }
            GalleryError::InUse { .. } => Self::conflict("another program is using the gallery: try again"),
            GalleryError::ReadOnly { .. } => Self::conflict("the gallery is read-only"),
            GalleryError::AlarmAcknowledged { .. } => Self::conflict(error),
            GalleryError::Unreachable { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the database of the gallery cannot be reached: try again later",
            ),
            _ => {
                log::error!("{error}");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the gallery failed; the log of visavis says why")
            }
        }
    }
}

impl From<CodecError> for Problem {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, error),
            CodecError::Empty | CodecError::Decode(_) | CodecError::Truncated => {
                Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error)
            }
            CodecError::Encode(_) => Self::internal(error),
        }
    }
}

impl From<VideoError> for Problem {
    fn from(error: VideoError) -> Self {
        Self::conflict(error)
    }
}

impl From<LiveError> for Problem {
    fn from(error: LiveError) -> Self {
        match error {
            LiveError::Gallery(error) => error.into(),
            LiveError::WrongTask { .. } | LiveError::NoDetector | LiveError::Face(FaceError::InputSize { .. }) => {
                Self::unprocessable(error)
            }
            _ => Self::internal(error),
        }
    }
}

impl From<FaceError> for Problem {
    fn from(error: FaceError) -> Self {
        Self::internal(error)
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::of_body(&rejection, rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        // A path with an invalid number does not exist.
        Self::not_found(rejection.body_text())
    }
}

impl From<WebSocketUpgradeRejection> for Problem {
    fn from(rejection: WebSocketUpgradeRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        Self::of_body(&rejection, rejection.status(), rejection.body_text())
    }
}

impl From<MultipartRejection> for Problem {
    fn from(rejection: MultipartRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<MultipartError> for Problem {
    fn from(error: MultipartError) -> Self {
        Self::of_body(&error, error.status(), error.body_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreachable_database_is_told_as_a_passing_fault_without_its_address() {
        let place = "postgresql://door@db.example/faces".to_owned();
        let problem = Problem::from(GalleryError::Unreachable { place, reason: "timed out".to_owned() });
        assert_eq!(problem.status, 503);
        assert!(!problem.detail.contains("db.example"), "{}", problem.detail);
    }
}

//! Recording on request.

use std::io::Read;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Answer;
use crate::desk::Desk;
use crate::problem::Problem;
use crate::record::length;

/// Begin to record the picture with everything drawn in
///
/// The film before it is gone. A recording ends by itself after half an hour.
#[utoipa::path(post, path = "/api/v1/recording", tag = "live", responses((status = 204), (status = 409, body = Problem)))]
pub(crate) async fn start(State(desk): State<Arc<Desk>>) -> Answer<StatusCode> {
    desk.apart(|desk| desk.recorder.start(&desk.parts.record)).await?;
    desk.status.send_modify(|status| status.recording = true);
    Ok(StatusCode::NO_CONTENT)
}

/// End the recording
#[utoipa::path(delete, path = "/api/v1/recording", tag = "live",
    responses((status = 204), (status = 409, body = Problem)))]
pub(crate) async fn stop(State(desk): State<Arc<Desk>>) -> Answer<StatusCode> {
    let stopped = desk.apart(|desk| desk.recorder.stop()).await;
    desk.status.send_modify(|status| status.recording = false);
    stopped.map(|()| StatusCode::NO_CONTENT)
}

/// The film that was recorded last, an MP4
#[utoipa::path(get, path = "/api/v1/recording", tag = "live",
    responses((status = 200, content_type = "video/mp4", body = Vec<u8>), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub(crate) async fn film(State(desk): State<Arc<Desk>>) -> Answer<Response> {
    let file = desk.apart(|desk| desk.recorder.film()).await?;
    let length = length(&file).map_err(Problem::internal)?;
    // Read piece by piece, off the threads that serve, as fast as it is fetched.
    let pieces = futures_util::stream::unfold(file, |mut file| async {
        tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; 256 << 10];
            let read = file.read(&mut piece);
            match read {
                Ok(0) => None,
                Ok(count) => {
                    piece.truncate(count);
                    Some((Ok(piece), file))
                }
                Err(error) => Some((Err(error), file)),
            }
        })
        .await
        .unwrap_or(None)
    });
    let headers = [
        (header::CONTENT_TYPE, "video/mp4".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"visavis.mp4\"".to_owned()),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

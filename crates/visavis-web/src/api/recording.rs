//! Recording on request.

use std::io::Read;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::ApiResult;
use crate::app_state::AppState;
use crate::audit::Client;
use crate::problem::Problem;
use crate::record::length;

/// Start a recording of the picture with everything drawn in
///
/// The last film is removed. A recording takes no more pictures after half an hour.
#[utoipa::path(post, path = "/api/v1/recording", tag = "live", responses((status = 204), (status = 409, body = Problem)))]
pub(crate) async fn start(State(state): State<Arc<AppState>>, client: Client) -> ApiResult<StatusCode> {
    let start = move |state: &AppState| {
        state.recorder.start(&state.config.record, &state.scene)?;
        state.audit(&client, "recording_started", json!({}));
        Ok(())
    };
    state.run_blocking(start).await?;
    state.status_changed.send_replace(());
    Ok(StatusCode::NO_CONTENT)
}

/// Stop the recording
#[utoipa::path(delete, path = "/api/v1/recording", tag = "live",
    responses((status = 204), (status = 409, body = Problem)))]
pub(crate) async fn stop(State(state): State<Arc<AppState>>) -> ApiResult<StatusCode> {
    let stopped = state.run_blocking(|state| state.recorder.stop()).await;
    state.status_changed.send_replace(());
    stopped.map(|()| StatusCode::NO_CONTENT)
}

/// The last film, an MP4
#[utoipa::path(get, path = "/api/v1/recording", tag = "live",
    responses((status = 200, content_type = "video/mp4", body = Vec<u8>), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub(crate) async fn film(State(state): State<Arc<AppState>>, client: Client) -> ApiResult<Response> {
    let film = move |state: &AppState| {
        let film = state.recorder.film()?;
        state.audit(&client, "recording_exported", json!({}));
        Ok(film)
    };
    let file = state.run_blocking(film).await?;
    let length = length(&file).map_err(Problem::internal)?;
    // Read in pieces as the client receives them, on a thread that may wait for the disk.
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

//! The WebSocket of the page: pictures, status, events.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{self, MissedTickBehavior};

use super::ApiResult;
use super::status::StatisticsView;
use crate::app_state::AppState;
use crate::status::Status;

/// Largest number of pictures that a client has not confirmed: one is sent while the one before is drawn.
const MAX_UNCONFIRMED: u32 = 2;
/// A client that accepts no message for this time is disconnected.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);
/// How often the statistics are sent.
const STATISTICS_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Report {
    Status(Status),
    Statistics(StatisticsView),
}

pub(crate) async fn live(
    State(state): State<Arc<AppState>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> ApiResult<Response> {
    // Clients send only short confirmations.
    Ok(upgrade?.max_message_size(1024).max_frame_size(1024).on_upgrade(|socket| serve(state, socket)))
}

/// Serves one client until it disconnects. A slow client delays no other client; at most one message waits for it.
async fn serve(state: Arc<AppState>, mut socket: WebSocket) {
    let _viewer = state.viewer();
    let (mut frames, mut status) = (state.frames.subscribe(), state.status_changed.subscribe());
    let mut notifications = state.notifications.subscribe();
    status.mark_changed();
    let mut statistics_due = time::interval(STATISTICS_INTERVAL);
    statistics_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unconfirmed = 0;
    loop {
        let message = tokio::select! {
            received = socket.recv() => match received {
                Some(Ok(Message::Text(text))) if text.as_str() == "seen" => {
                    unconfirmed = u32::saturating_sub(unconfirmed, 1);
                    continue;
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
            changed = frames.changed(), if unconfirmed < MAX_UNCONFIRMED => {
                if changed.is_err() {
                    return;
                }
                let Some(frame) = frames.borrow_and_update().clone() else { continue };
                unconfirmed += 1;
                Message::Binary(frame)
            }
            changed = status.changed() => {
                if changed.is_err() {
                    return;
                }
                let json = serde_json::to_string(&Report::Status(state.status()));
                Message::Text(json.unwrap_or_default().into())
            }
            notification = notifications.recv() => match notification {
                Ok(json) => Message::Text(json.as_ref().into()),
                // There were too many notifications at once. The client still gets the status and can read the lists.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            },
            _ = statistics_due.tick() => {
                let Some(statistics) = StatisticsView::of(&state) else { continue };
                Message::Text(serde_json::to_string(&Report::Statistics(statistics)).unwrap_or_default().into())
            }
        };
        if !matches!(time::timeout(SEND_TIMEOUT, socket.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

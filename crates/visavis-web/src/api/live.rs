//! The stream to a page: pictures, and what happens.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{self, MissedTickBehavior};

use super::status::StatisticsView;
use crate::desk::Desk;
use crate::status::Status;

/// Pictures that a client may have unanswered: one on its way while the one before is drawn.
const MOST_UNSEEN: u32 = 2;
/// A client that takes nothing for so long is let go.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often clients are told what is measured.
const MEASURED_EVERY: Duration = Duration::from_secs(1);

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Report<'a> {
    Status(&'a Status),
    Statistics(StatisticsView),
}

pub(crate) async fn live(State(desk): State<Arc<Desk>>, upgrade: WebSocketUpgrade) -> Response {
    // Clients say next to nothing.
    upgrade.max_message_size(1024).max_frame_size(1024).on_upgrade(|socket| serve(desk, socket))
}

/// Serves one client until it goes. Whatever it does, nobody else waits, and no more than one message waits for it.
async fn serve(desk: Arc<Desk>, mut socket: WebSocket) {
    let _watcher = desk.watcher();
    let (mut frames, mut status) = (desk.frames.subscribe(), desk.status.subscribe());
    let mut news = desk.news.subscribe();
    status.mark_changed();
    let mut measured = time::interval(MEASURED_EVERY);
    measured.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unseen = 0;
    loop {
        let message = tokio::select! {
            said = socket.recv() => match said {
                Some(Ok(Message::Text(text))) if text.as_str() == "seen" => {
                    unseen = u32::saturating_sub(unseen, 1);
                    continue;
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
            changed = frames.changed(), if unseen < MOST_UNSEEN => {
                if changed.is_err() {
                    return;
                }
                let Some(frame) = frames.borrow_and_update().clone() else { continue };
                unseen += 1;
                Message::Binary(frame)
            }
            changed = status.changed() => {
                if changed.is_err() {
                    return;
                }
                let json = serde_json::to_string(&Report::Status(&status.borrow_and_update()));
                Message::Text(json.unwrap_or_default().into())
            }
            told = news.recv() => match told {
                Ok(json) => Message::Text(json.as_ref().into()),
                // It was told too much at once: what it missed, the status and the lists tell.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            },
            _ = measured.tick() => {
                let Some(statistics) = StatisticsView::of(&desk) else { continue };
                Message::Text(serde_json::to_string(&Report::Statistics(statistics)).unwrap_or_default().into())
            }
        };
        if !matches!(time::timeout(PATIENCE, socket.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

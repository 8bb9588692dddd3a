//! The camera of a browser as a source.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use visavis_video::{Pusher, pushed};

use super::ApiResult;
use crate::app_state::AppState;

/// Largest size of a picture in bytes.
const MAX_BYTES: usize = 4 << 20;
/// Largest number of pixels of a picture: 4K.
const MAX_PIXELS: u64 = 3840 * 2160;

/// Close code for "another source was chosen": the browser must not connect again (RFC 6455, 7.4.2: codes for private use).
const REPLACED: u16 = 4000;

pub(crate) async fn camera(
    State(state): State<Arc<AppState>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> ApiResult<Response> {
    Ok(upgrade?.max_message_size(MAX_BYTES).max_frame_size(MAX_BYTES).on_upgrade(|socket| serve(state, socket)))
}

/// Closes the source when the connection ends.
struct ClosesSource(Pusher);

impl Drop for ClosesSource {
    fn drop(&mut self) {
        self.0.close();
    }
}

async fn serve(state: Arc<AppState>, mut socket: WebSocket) {
    let (pusher, source) = pushed("camera of a browser", MAX_PIXELS);
    let closing = pusher.clone();
    let source_guard = ClosesSource(pusher);
    state.config.switch.put(source, Some(Box::new(move || closing.close())));
    while let Some(Ok(message)) = socket.recv().await {
        match message {
            Message::Binary(picture) => {
                // Another source was chosen.
                if !source_guard.0.push(picture.into()) {
                    let replaced = CloseFrame { code: REPLACED, reason: "another source was chosen".into() };
                    let frame = (!state.ending.load(Ordering::Relaxed)).then_some(replaced);
                    let _ = socket.send(Message::Close(frame)).await;
                    return;
                }
                if socket.send(Message::Text("seen".into())).await.is_err() {
                    return;
                }
            }
            Message::Close(_) => return,
            _ => {}
        }
    }
}

//! The camera of a browser as a source.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use visavis_video::{Pusher, pushed};

use crate::desk::Desk;

/// Bytes of a picture at most.
const MAX_BYTES: usize = 4 << 20;
/// Pixels of a picture at most: 4K.
const MAX_PIXELS: u64 = 3840 * 2160;

pub(crate) async fn camera(State(desk): State<Arc<Desk>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.max_message_size(MAX_BYTES).max_frame_size(MAX_BYTES).on_upgrade(|socket| serve(desk, socket))
}

/// Ends the source with the connection, whatever ends that.
struct Ending(Pusher);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.close();
    }
}

async fn serve(desk: Arc<Desk>, mut socket: WebSocket) {
    let (pusher, source) = pushed("camera of a browser", MAX_PIXELS);
    let closing = pusher.clone();
    let ending = Ending(pusher);
    desk.parts.switch.put(source, Some(Box::new(move || closing.close())));
    while let Some(Ok(message)) = socket.recv().await {
        match message {
            Message::Binary(picture) => {
                // Something else was chosen: the browser is told to stop.
                if !ending.0.push(picture.into()) {
                    let _ = socket.send(Message::Close(None)).await;
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

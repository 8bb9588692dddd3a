//! The bodies of requests: how long a handler waits for the next part of one, and what happens to a rest that no handler reads.
//!
//! A client that sends nothing more would keep its connection and its handler waiting without end. So the wait for each part of a
//! body is limited; the request is then answered with status 408.
//!
//! A server that closes a connection while the client is still sending makes the client's write fail ("broken pipe"), and the
//! client never sees the answer that says what was wrong. So the rest of a body is read and thrown away before the answer is sent.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::{Stream, StreamExt};
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep, timeout};

/// Longest wait for the next part of a body.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Most bytes that are thrown away: more than any request may have.
const MOST: u64 = 64 << 20;
/// Longest time that is spent on throwing them away.
const LONGEST_DISCARD: Duration = Duration::from_secs(10);

/// The client sent nothing more of a body for [`LONGEST_WAIT`].
#[derive(Debug, thiserror::Error)]
#[error(
    "the body of the request is not complete, and nothing more of it came for {} s: send the request again",
    LONGEST_WAIT.as_secs()
)]
pub(crate) struct Stalled;

/// Answers a request. A handler that reads the body gets the error [`Stalled`] if the client stops sending.
///
/// The answer is sent after the rest of the body has been read. A body that announces more than [`MOST`] bytes is not read, nor is one
/// whose client waits for a "100 Continue" before it sends it.
pub(crate) async fn receive(request: Request, next: Next) -> Response {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let waits = request.headers().contains_key(header::EXPECT);
    let discards = !waits && announced.is_none_or(|bytes: u64| bytes <= MOST);
    let (give_back, mut given_back) = oneshot::channel();
    let request = request.map(|body| {
        Body::from_stream(Received { body: Some(body.into_data_stream()), wait: None, give_back: Some(give_back) })
    });
    let response = next.run(request).await;
    if discards && let Ok(body) = given_back.try_recv() {
        let _ = timeout(LONGEST_DISCARD, discard_rest(body)).await;
    }
    response
}

async fn discard_rest(mut body: BodyDataStream) {
    let mut read = 0;
    while let Some(Ok(bytes)) = body.next().await {
        read += bytes.len() as u64;
        if read > MOST {
            return;
        }
    }
}

/// A body that ends with the error [`Stalled`] if nothing more of it comes, and that is given back when it is dropped before its end.
struct Received {
    body: Option<BodyDataStream>,
    /// Ends when the wait for the next part is too long; `None` while nothing is waited for.
    wait: Option<Pin<Box<Sleep>>>,
    give_back: Option<oneshot::Sender<BodyDataStream>>,
}

impl Stream for Received {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = body.poll_next_unpin(context);
        let part = match polled {
            Poll::Ready(part) => {
                self.wait = None;
                part
            }
            Poll::Pending => {
                let wait = self.wait.get_or_insert_with(|| Box::pin(sleep(LONGEST_WAIT)));
                ready!(wait.as_mut().poll(context));
                Some(Err(axum::Error::new(Stalled)))
            }
        };
        if matches!(part, None | Some(Err(_))) {
            self.body = None;
        }
        Poll::Ready(part)
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if let (Some(body), Some(give_back)) = (self.body.take(), self.give_back.take()) {
            let _ = give_back.send(body);
        }
    }
}

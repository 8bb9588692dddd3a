//! Bodies of requests that were answered before they were read.
//!
//! A server that closes a connection while the client is still sending makes the client's write fail ("broken pipe"), and the
//! client never sees the answer that says what was wrong. So the rest of a body is read and thrown away before the answer is sent.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::{Stream, StreamExt};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Most bytes that are thrown away: more than any request may have.
const MOST: u64 = 64 << 20;
/// Longest time that is spent on it.
const LONGEST: Duration = Duration::from_secs(10);

/// Answers a request, after the rest of its body has been read. A body that announces more than [`MOST`] bytes is not read, nor is
/// one whose client waits for a "100 Continue" before it sends it.
pub(crate) async fn discard(request: Request, next: Next) -> Response {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if request.headers().contains_key(header::EXPECT) || announced.is_some_and(|bytes: u64| bytes > MOST) {
        return next.run(request).await;
    }
    let (give_back, mut given_back) = oneshot::channel();
    let request = request
        .map(|body| Body::from_stream(Returned { body: Some(body.into_data_stream()), give_back: Some(give_back) }));
    let response = next.run(request).await;
    if let Ok(body) = given_back.try_recv() {
        let _ = timeout(LONGEST, discard_rest(body)).await;
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

/// A body that is given back when it is dropped before its end.
struct Returned {
    body: Option<BodyDataStream>,
    give_back: Option<oneshot::Sender<BodyDataStream>>,
}

impl Stream for Returned {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = body.poll_next_unpin(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }
}

impl Drop for Returned {
    fn drop(&mut self) {
        if let (Some(body), Some(give_back)) = (self.body.take(), self.give_back.take()) {
            let _ = give_back.send(body);
        }
    }
}

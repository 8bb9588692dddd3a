//! A picture in time.

use std::sync::Arc;
use std::time::Duration;

use crate::Picture;

/// One frame of a source. Cloning shares the picture: no stage ever copies the pixels.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Counts up by one with every frame that the source delivered.
    pub seq: u64,
    /// When it was captured, on the source's clock (since its start).
    pub captured_at: Duration,
    /// The pixels.
    pub picture: Arc<Picture>,
}

impl Frame {
    /// Wraps a picture.
    #[must_use]
    pub fn new(seq: u64, captured_at: Duration, picture: Picture) -> Self {
        Self { seq, captured_at, picture: Arc::new(picture) }
    }
}

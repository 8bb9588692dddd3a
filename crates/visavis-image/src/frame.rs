//! A picture with its time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::Picture;

/// One frame of a source. A clone shares the picture, so that the pipeline never copies the pixels.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Number of the frame; counts up by one with each frame of the source.
    pub seq: u64,
    /// When it was captured, on the source's clock (since its start).
    pub captured_at: Duration,
    /// The calendar time of the capture; `None` for recordings.
    pub wall_time: Option<SystemTime>,
    /// Counts up when a picture is unrelated to the one before: with each photo of a folder, with another source.
    pub sequence: u64,
    /// Pixels of the source per pixel of the picture: above 1 if a photo was too large and was shrunk.
    pub shrunk: f32,
    /// The pixels.
    pub picture: Arc<Picture>,
}

impl Frame {
    /// A frame of a recording, at the source's own size.
    #[must_use]
    pub fn new(seq: u64, captured_at: Duration, picture: Picture) -> Self {
        Self { seq, captured_at, wall_time: None, sequence: 0, shrunk: 1.0, picture: Arc::new(picture) }
    }
}

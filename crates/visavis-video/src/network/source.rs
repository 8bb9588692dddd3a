//! A stream as a source.

use std::sync::Arc;
use std::time::Instant;

use super::Newest;
use crate::source::Interrupter;
use crate::{Pace, Shot, Source, SourceInfo, VideoError};

/// Reads the newest picture that the threads of a stream have stored.
pub(crate) struct NetworkSource {
    info: SourceInfo,
    newest: Arc<Newest>,
    started: Instant,
    /// The threads of the stream, which are ended when this is dropped.
    _threads: Box<dyn Send>,
}

impl NetworkSource {
    /// `threads` ends and joins the threads of the stream when it is dropped. `size` and `frame_rate` are given if they are
    /// known.
    pub(crate) fn new(
        name: String,
        size: Option<(u32, u32)>,
        frame_rate: Option<f64>,
        newest: Arc<Newest>,
        threads: Box<dyn Send>,
    ) -> Self {
        let (width, height) = size.unwrap_or_default();
        let info = SourceInfo { name, width, height, frame_rate, frames: None, pace: Pace::Own };
        Self { info, newest, started: Instant::now(), _threads: threads }
    }
}

impl Source for NetworkSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    /// The next picture. Returns one error for each failure of the stream, and continues when the stream does.
    fn read(&mut self) -> Result<Option<Shot>, VideoError> {
        let Some(arrived) = self.newest.take(&self.info.name)? else { return Ok(None) };
        let at = arrived.at.saturating_duration_since(self.started);
        Ok(Some(Shot { cut: arrived.cut, ..Shot::new(arrived.picture, at) }))
    }

    /// A live stream just continues.
    fn rewind(&mut self) -> Result<(), VideoError> {
        Ok(())
    }

    fn interrupter(&self) -> Option<Interrupter> {
        Some(self.newest.interrupter())
    }
}

impl Drop for NetworkSource {
    fn drop(&mut self) {
        self.newest.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_camera_is_not_mirrored() {
        let named =
            |name: &str| NetworkSource::new(name.into(), None, None, Arc::default(), Box::new(())).info().clone();
        assert!(!named("rtsp://door.local/1").is_mirrored_by_default());
        assert!(named("/dev/video0").is_mirrored_by_default());
    }
}

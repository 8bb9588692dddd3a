//! A dark source that is used until another one is chosen.

use std::time::Duration;

use visavis_image::{Picture, PicturePool};

use crate::{Pace, Shot, Source, SourceInfo, VideoError};

const FRAME_RATE: f64 = 5.0;

/// Dark pictures without end, if there is no camera yet.
#[must_use]
pub fn standby() -> Box<dyn Source> {
    let info = SourceInfo {
        name: "no source".into(),
        width: 1280,
        height: 720,
        frame_rate: Some(FRAME_RATE),
        frames: None,
        pace: Pace::Timeline,
    };
    Box::new(Standby { info, number: 0, pool: PicturePool::new(12) })
}

struct Standby {
    info: SourceInfo,
    number: u64,
    pool: PicturePool,
}

impl Source for Standby {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn read(&mut self) -> Result<Option<Shot>, VideoError> {
        let mut picture: Picture = self.pool.take(self.info.width, self.info.height);
        picture.pixels_mut().fill(12);
        let at = Duration::from_secs_f64(self.number as f64 / FRAME_RATE);
        self.number += 1;
        Ok(Some(Shot::new(picture, at)))
    }

    fn rewind(&mut self) -> Result<(), VideoError> {
        self.number = 0;
        Ok(())
    }
}

//! The forest as a locator, interchangeable with a keypoint network.

use visavis_image::{Landmarks, Picture, Rect};
use visavis_infer::Placement;

use super::Forest;
use crate::{FaceError, Locate};

/// Locates keypoints with a [`Forest`]: one core, no engine, no copy of the picture.
#[derive(Debug, Clone)]
pub struct ForestLocator {
    forest: Forest,
    values: Vec<i16>,
}

impl ForestLocator {
    /// A locator of its own for each worker.
    #[must_use]
    pub fn new(forest: Forest) -> Self {
        Self { forest, values: Vec::new() }
    }
}

impl Locate for ForestLocator {
    /// Never fails: whatever the box and the picture, five points come out.
    fn locate(&mut self, picture: &Picture, rect: &Rect) -> Result<Landmarks, FaceError> {
        Ok(self.forest.locate(picture, rect, &mut self.values))
    }

    fn placement(&self) -> Placement {
        Placement { engine: "regression forest".into(), device: "CPU".into(), threads: 1 }
    }
}

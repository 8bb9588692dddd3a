//! The forest as a locator; it can replace a keypoint network.

use visavis_image::{Landmarks, Picture, Rect, Turn};
use visavis_infer::Placement;

use super::Forest;
use crate::{FaceError, Locate};

/// Locates keypoints with a [`Forest`]: on one core, without an engine and without copying the picture.
#[derive(Debug, Clone)]
pub struct ForestLocator {
    forest: Forest,
    values: Vec<i16>,
}

impl ForestLocator {
    /// Makes a locator. Each worker needs its own.
    #[must_use]
    pub fn new(forest: Forest) -> Self {
        Self { forest, values: Vec::new() }
    }
}

impl Locate for ForestLocator {
    /// Never fails: any box in any picture gives five points.
    fn locate(&mut self, picture: &Picture, rect: &Rect, turn: Turn) -> Result<Landmarks, FaceError> {
        Ok(self.forest.locate_turned(picture, rect, turn, &mut self.values))
    }

    fn placement(&self) -> Placement {
        Placement { engine: "regression forest".into(), device: "CPU".into(), threads: 1 }
    }
}

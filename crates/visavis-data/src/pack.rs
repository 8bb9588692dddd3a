//! Packed faces: what training and evaluation read.
//!
//! A pack is a folder with `pack.json` (format, side, how it was made), `faces.jsonl` (a line for each face) and `faces.bin`
//! (the crops as JPEG, one after the other).

use serde::{Deserialize, Serialize};
use visavis_image::{Landmarks, Rect};

use crate::{Labels, Split};

/// One face of a pack. Boxes and keypoints are in pixels of its crop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackedFace {
    /// Name of the set it comes from.
    pub set: String,
    /// Its file in the set.
    pub file: String,
    /// Who it is, where the set says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Training or validation.
    pub split: Split,
    /// What the set says of it.
    pub labels: Labels,
    /// Crop pixels for each pixel of the stored picture.
    pub scale: f32,
    /// The labelled box; where the set gives only keypoints, the box that belongs to them; where it gives neither, the
    /// detector's.
    pub rect: Rect,
    /// The labelled keypoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landmarks: Option<Landmarks>,
    /// What the detector found there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detected: Option<DetectedFace>,
}

impl PackedFace {
    /// The keypoints to align by: the labelled ones, else the detector's.
    #[must_use]
    pub fn any_landmarks(&self) -> Option<Landmarks> {
        self.landmarks.or_else(|| self.detected.and_then(|found| found.landmarks))
    }
}

/// A detector's answer for a packed face.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DetectedFace {
    /// Its box.
    pub rect: Rect,
    /// Its confidence.
    pub score: f32,
    /// Its keypoints, where the detector has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landmarks: Option<Landmarks>,
}

//! The position of a face in a picture.

use visavis_image::{Landmarks, Rect, Turn};

/// Where a face is in a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceView {
    /// The detector's box.
    pub rect: Rect,
    /// Keypoints, if known.
    pub landmarks: Option<Landmarks>,
    /// How the face is rotated in the picture.
    pub turn: Turn,
}

impl FaceView {
    /// A face that is upright in the picture.
    #[must_use]
    pub fn upright(rect: Rect, landmarks: Option<Landmarks>) -> Self {
        Self { rect, landmarks, turn: Turn::None }
    }
}

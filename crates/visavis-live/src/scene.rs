//! What is shown for one frame: an immutable snapshot.

use std::collections::HashMap;
use std::sync::Arc;

use visavis_face::{Estimates, Resemblance, TrackId};
use visavis_image::{Frame, Landmarks, Rect};

/// A frame with everything that is known of its faces when it is shown.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The picture.
    pub frame: Frame,
    /// Faces in view, longest known first.
    pub faces: Vec<SceneFace>,
}

/// A face in a scene.
#[derive(Debug, Clone, PartialEq)]
pub struct SceneFace {
    /// Its name while it stays in view.
    pub track: TrackId,
    /// Where, smoothed over the last detections.
    pub rect: Rect,
    /// Keypoints, smoothed, where the detector gives them.
    pub landmarks: Option<Landmarks>,
    /// Score of its last detection.
    pub score: f32,
    /// Whether it was detected in this very frame (every frame) or in the last frame detected (live).
    pub detected: bool,
    /// Years.
    pub age: Option<f32>,
    /// Share of "female".
    pub female: Option<f32>,
    /// Share of "smiling".
    pub smile: Option<f32>,
    /// Whether that counts as a smile.
    pub smiling: Option<bool>,
    /// Probability of each year from 0 on, of the last look, where the network tells it.
    pub ages: Option<Arc<[f32]>>,
    /// Whom it resembles.
    pub resembles: Option<Resemblance>,
    /// Everybody whom it resembled of late, best first.
    pub candidates: Vec<Resemblance>,
}

impl SceneFace {
    /// A face with the estimates that there are; whom it resembles is said of all faces of a frame at once.
    pub(crate) fn new(
        track: TrackId,
        (rect, landmarks, score): (Rect, Option<Landmarks>, f32),
        detected: bool,
        estimates: Option<&Estimates>,
    ) -> Self {
        Self {
            track,
            rect,
            landmarks,
            score,
            detected,
            age: estimates.and_then(Estimates::age),
            female: estimates.and_then(Estimates::female),
            smile: estimates.and_then(Estimates::smile),
            smiling: estimates.and_then(Estimates::is_smiling),
            ages: estimates.and_then(Estimates::age_distribution).map(Arc::clone),
            resembles: None,
            candidates: Vec::new(),
        }
    }
}

/// Says of the faces of a frame whom they resemble, each somebody else where there are enough.
pub(crate) fn tell_apart(faces: &mut [SceneFace], estimates: &HashMap<TrackId, Estimates>) {
    let wishes: Vec<Vec<Resemblance>> =
        faces.iter().map(|face| estimates.get(&face.track).map_or_else(Vec::new, Estimates::resemblances)).collect();
    // Without a gallery there is nothing to be told.
    if wishes.iter().all(Vec::is_empty) {
        return;
    }
    let told = visavis_face::tell_apart(&wishes);
    for ((face, resembles), candidates) in faces.iter_mut().zip(told).zip(wishes) {
        (face.resembles, face.candidates) = (resembles, candidates);
    }
}

//! A frame with the results for its faces, as it is shown.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use visavis_face::{AnalyzedFace, EstimatesParams, Expression, HeadPose, Track, TrackId, TrackerParams};
use visavis_gallery::{Gallery, GalleryError, Resemblance};
use visavis_image::{Frame, Landmarks, Rect, Turn};

use crate::estimates::{Estimates, NEAREST};

/// A frame with everything that is known about its faces at the time when it is shown. Immutable.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The frame.
    pub frame: Frame,
    /// The faces in view, oldest track first.
    pub faces: Vec<SceneFace>,
    /// When the source delivered this picture, its last one, if the source has stalled.
    pub stalled_since: Option<SystemTime>,
}

impl Scene {
    /// The scene of a photo. Its faces are numbered from `first` on; embeddings are compared with `gallery`.
    ///
    /// # Errors
    /// [`GalleryError`] if the search in the gallery fails.
    pub fn of_photo(
        frame: Frame,
        analyzed: Vec<AnalyzedFace>,
        first: TrackId,
        gallery: Option<&Gallery>,
    ) -> Result<Self, GalleryError> {
        let (mut faces, mut estimates) = (Vec::new(), HashMap::new());
        for (track, AnalyzedFace { face, findings }) in (first..).zip(analyzed) {
            let nearest = match (gallery, &findings.embedding) {
                (Some(gallery), Some(embedding)) => gallery.search(embedding, NEAREST)?,
                _ => Vec::new(),
            };
            let mut of_face = Estimates::default();
            of_face.add(&findings, nearest, &EstimatesParams::default());
            let position =
                FacePosition { rect: face.rect, landmarks: face.landmarks, score: face.score, turn: face.turn };
            faces.push(SceneFace::new(track, position, true, Some(&of_face)));
            estimates.insert(track, of_face);
        }
        assign_people(&mut faces, &estimates);
        Ok(Self { frame, faces, stalled_since: None })
    }
}

/// A face in a scene.
#[derive(Debug, Clone, PartialEq)]
pub struct SceneFace {
    /// Number of the track: the same while the face stays in view.
    pub track: TrackId,
    /// Box, smoothed over the last detections.
    pub rect: Rect,
    /// Keypoints, smoothed, if the detector determines them.
    pub landmarks: Option<Landmarks>,
    /// Score of the last detection.
    pub score: f32,
    /// Rotation in the picture, if rotated faces are searched for, as in photos.
    pub turn: Turn,
    /// Whether the face was detected in this frame (every frame), or in the last frame with detections (live).
    pub detected: bool,
    /// Age in years.
    pub age: Option<f32>,
    /// Probability of "female".
    pub female: Option<f32>,
    /// Probability of "smiling".
    pub smile: Option<f32>,
    /// Whether that probability counts as a smile.
    pub smiling: Option<bool>,
    /// Probabilities of the expressions.
    pub expression: Option<Expression>,
    /// Head pose.
    pub pose: Option<HeadPose>,
    /// Probability of each age from 0 years on, from the last result, if the network determines it.
    pub ages: Option<Arc<[f32]>>,
    /// The most similar person of the gallery.
    pub resembles: Option<Resemblance>,
    /// Whether the face is identified as a person who is ignored.
    pub ignored: bool,
    /// The most similar people of the last results, best first.
    pub candidates: Vec<Resemblance>,
    /// `[length]`: the mean embedding of the last results, if they were compared with a gallery.
    pub embedding: Option<Arc<[f32]>>,
}

/// Position of a face in a picture.
pub(crate) struct FacePosition {
    rect: Rect,
    landmarks: Option<Landmarks>,
    score: f32,
    turn: Turn,
}

impl FacePosition {
    /// The position of a track at time `at`.
    pub(crate) fn of(track: &Track, at: Duration, params: &TrackerParams) -> Self {
        let (rect, landmarks) = (track.rect_at(at, params), track.landmarks_at(at, params));
        Self { rect, landmarks, score: track.score, turn: track.turn }
    }
}

impl SceneFace {
    /// The position.
    pub(crate) fn position(&self) -> FacePosition {
        FacePosition { rect: self.rect, landmarks: self.landmarks, score: self.score, turn: self.turn }
    }

    /// A face with its estimates. The similar people are set by [`assign_people`].
    pub(crate) fn new(
        track: TrackId,
        FacePosition { rect, landmarks, score, turn }: FacePosition,
        detected: bool,
        estimates: Option<&Estimates>,
    ) -> Self {
        let face = estimates.map(|estimates| &**estimates);
        Self {
            track,
            rect,
            landmarks,
            score,
            turn,
            detected,
            age: face.and_then(visavis_face::Estimates::age),
            female: face.and_then(visavis_face::Estimates::female),
            smile: face.and_then(visavis_face::Estimates::smile),
            smiling: face.and_then(visavis_face::Estimates::is_smiling),
            expression: face.and_then(visavis_face::Estimates::expression).cloned(),
            pose: face.and_then(visavis_face::Estimates::pose),
            ages: face.and_then(visavis_face::Estimates::age_distribution).map(Arc::clone),
            resembles: None,
            ignored: false,
            candidates: Vec::new(),
            embedding: face.and_then(visavis_face::Estimates::embedding).map(Arc::clone),
        }
    }
}

/// Sets the most similar person of each face of a frame. Two faces get different people if possible.
pub(crate) fn assign_people(faces: &mut [SceneFace], estimates: &HashMap<TrackId, Estimates>) {
    let candidates = |face: &SceneFace| {
        estimates.get(&face.track).map_or_else(Vec::new, |estimates| estimates.comparisons().resemblances())
    };
    let candidates: Vec<Vec<Resemblance>> = faces.iter().map(candidates).collect();
    // There is no gallery.
    if candidates.iter().all(Vec::is_empty) {
        return;
    }
    let assigned = visavis_gallery::tell_apart(&candidates);
    for ((face, resembles), candidates) in faces.iter_mut().zip(assigned).zip(candidates) {
        (face.resembles, face.candidates) = (resembles, candidates);
    }
}

//! The protocol of an evaluation: which faces, under which [`View`]s. All networks run on exactly the same ones, with the
//! code that the live program uses.

mod viewed_face;
mod walk;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use visavis_data::{DataError, Split, pack::Pack, pack::PackedFace};
use visavis_face::{Detect, FaceError, Findings, Locate, Recognise};
use visavis_image::{Landmarks, Picture, Rect, Turn};

pub use walk::{Progress, attributes, embeddings, gallery_embeddings, keypoints};

/// A source of faces: a pack, or a fake in a test.
pub trait FaceSource: Sync {
    /// All faces.
    fn faces(&self) -> &[PackedFace];

    /// The picture around face `index`; box and keypoints are in its pixels.
    ///
    /// # Errors
    /// [`DataError`] if it cannot be read or decoded.
    fn picture(&self, index: usize) -> Result<Picture, DataError>;
}

impl FaceSource for Pack {
    fn faces(&self) -> &[PackedFace] {
        Pack::faces(self)
    }

    fn picture(&self, index: usize) -> Result<Picture, DataError> {
        Pack::picture(self, index)
    }
}

/// Which box, keypoints and picture of a face a network gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum View {
    /// The labelled box and the labelled keypoints; if there are none, the detector's.
    Labelled,
    /// The detector's box, as live, and keypoints by the locator, else the detector's own. Faces that the detector missed are
    /// left out for every network.
    Detected,
    /// The labelled box shifted and scaled at random; keypoints by the locator.
    Jitter,
    /// The picture shrunk until the labelled box is at most 64 pixels wide, like a face far from the camera; keypoints by
    /// the locator, else the labelled ones.
    Small,
    /// The picture without fine detail, as if out of focus: shrunk to a third and enlarged again; keypoints as for
    /// [`View::Small`].
    Blurred,
}

impl View {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Labelled, Self::Detected, Self::Jitter, Self::Small, Self::Blurred];
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Labelled => "labelled",
            Self::Detected => "detected",
            Self::Jitter => "jitter",
            Self::Small => "small",
            Self::Blurred => "blurred",
        })
    }
}

impl FromStr for View {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|view| view.to_string() == text)
            .ok_or_else(|| format!("`{text}` is not one of labelled, detected, jitter, small, blurred"))
    }
}

/// Which faces are used, under which views.
#[derive(Debug, Clone, PartialEq)]
pub struct ProtocolParams {
    /// The views of each face.
    pub views: Vec<View>,
    /// Only faces on this side of the split; all if `None`.
    pub split: Option<Split>,
    /// At most this many faces, chosen at even distances.
    pub limit: Option<usize>,
    /// Seed of the random boxes. A face's box depends on this and its name only.
    pub seed: u64,
    /// Largest shift of a random box, as a share of its sides, and largest change of its size. 0.1 by default.
    pub jitter: f32,
    /// Width of a small face's box in pixels. The paper's demo left out faces below 60.
    pub small: f32,
    /// Number of threads, each with its own networks.
    pub workers: usize,
}

impl Default for ProtocolParams {
    fn default() -> Self {
        Self {
            views: vec![View::Labelled],
            split: Some(Split::Validation),
            limit: None,
            seed: 1,
            jitter: 0.10,
            small: 64.0,
            workers: 1,
        }
    }
}

/// What locates the keypoints of a face.
pub enum KeypointFinder {
    /// A keypoint network.
    Network(Box<dyn Locate>),
    /// A detector that gives keypoints: it runs on the picture, and the face that overlaps the box most is used.
    Detector(Box<dyn Detect>),
}

/// With less overlap (intersection over union) it is another face.
const SAME_FACE: f32 = 0.3;

impl KeypointFinder {
    /// The keypoints in pixels of `picture`; `None` if a detector found no face in the box.
    ///
    /// # Errors
    /// [`FaceError`] if the network fails.
    pub fn find(&mut self, picture: &Picture, rect: &Rect) -> Result<Option<Landmarks>, FaceError> {
        match self {
            Self::Network(network) => network.locate(picture, rect, Turn::None).map(Some),
            Self::Detector(detector) => {
                let faces = detector.detect(picture)?;
                let near = faces.iter().filter(|face| face.landmarks.is_some() && face.rect.iou(rect) >= SAME_FACE);
                let best = near.max_by(|a, b| a.rect.iou(rect).total_cmp(&b.rect.iou(rect)));
                Ok(best.and_then(|face| face.landmarks))
            }
        }
    }
}

/// The networks of one worker for attributes.
pub struct AttributeNetworks {
    /// Locates the keypoints for networks that need them.
    pub keypoints: Option<KeypointFinder>,
    /// The networks under test.
    pub tested: Vec<Box<dyn Recognise>>,
}

/// The results of all networks for all faces under one view.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewAnswers<A> {
    /// The view.
    pub view: View,
    /// The faces in the order of their source.
    pub faces: Vec<FaceAnswers<A>>,
    /// Number of faces without this view, because the detector missed them.
    pub left_out: usize,
    /// Number of faces that the view does not change, because for [`View::Small`] they are small already.
    pub unchanged: usize,
}

impl<A> ViewAnswers<A> {
    /// The results of one network, with the face's index in its source.
    pub fn of(&self, network: usize) -> impl Iterator<Item = (usize, &A)> {
        self.faces.iter().filter_map(move |face| Some((face.face, face.answers.get(network)?)))
    }
}

/// The results of all networks for one face.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceAnswers<A> {
    /// Its index in its source.
    pub face: usize,
    /// One for each network.
    pub answers: Vec<A>,
}

/// Keypoints in the pixels of the face's own picture, whatever the view; `None` if nothing was found.
pub type KeypointAnswer = Option<Landmarks>;

/// The result of an attribute network for a face.
pub type AttributeAnswer = Findings;

/// A run failed.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// A face cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A network failed.
    #[error(transparent)]
    Face(#[from] FaceError),
    /// The networks cannot be loaded.
    #[error(transparent)]
    Networks(Box<dyn std::error::Error + Send + Sync>),
    /// A view needs keypoints, but nothing locates them.
    #[error("the view `{view}` needs a keypoint locator, because a network crops faces by their keypoints")]
    NoLocator {
        /// The view.
        view: View,
    },
    /// No face can be used.
    #[error("none of its {faces} faces{} has {wanted}", of_part(.split))]
    NoFaces {
        /// Number of faces on the side of the split that was asked for.
        faces: usize,
        /// That side; all faces if `None`.
        split: Option<Split>,
        /// What a face needs, such as "an identity".
        wanted: &'static str,
    },
    /// A parameter out of range.
    #[error("{name}: {reason}")]
    Params {
        /// The field of [`ProtocolParams`].
        name: &'static str,
        /// What is wrong and what is allowed.
        reason: String,
    },
}

fn of_part(split: &Option<Split>) -> &'static str {
    match split {
        None => "",
        Some(Split::Train) => " of the training part",
        Some(Split::Validation) => " of the validation part",
    }
}

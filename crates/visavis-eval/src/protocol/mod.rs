//! What networks are run on and how: the faces of a pack's validation part, each under several [`View`]s, every network on
//! the very same ones, through the code that live runs.

mod look;
mod walk;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use visavis_data::{DataError, Split, pack::Pack, pack::PackedFace};
use visavis_face::{Detect, FaceError, Findings, Locate, Recognise};
use visavis_image::{Landmarks, Picture, Rect};

pub use walk::{Progress, attributes, embeddings, keypoints};

/// Where faces come from: a pack, or what a test makes up.
pub trait FaceSource: Sync {
    /// All faces.
    fn faces(&self) -> &[PackedFace];

    /// The picture around face `index`, in whose pixels its box and keypoints are.
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

/// How a face is come upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum View {
    /// Where the labels say: labelled box and labelled keypoints; the detector's where there are none.
    Labelled,
    /// Where the detector says, as live: its box, and keypoints by the locator, else the detector's own. Faces that the
    /// detector missed are left out, for every network.
    Detected,
    /// The labelled box shifted and scaled at random; keypoints by the locator.
    Jitter,
    /// The picture shrunk until the labelled box is no wider than 64 pixels, as a face far from the camera; keypoints by
    /// the locator, else the labelled ones.
    Small,
    /// The picture without its fine detail, as one out of focus: shrunk to a third and enlarged again; keypoints as for
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
            .ok_or_else(|| format!("`{text}` is none of labelled, detected, jitter, small, blurred"))
    }
}

/// Which faces, and how they are come upon.
#[derive(Debug, Clone, PartialEq)]
pub struct ProtocolParams {
    /// Each face is shown under each of these.
    pub views: Vec<View>,
    /// Only faces on this side; all if `None`.
    pub split: Option<Split>,
    /// At most so many faces, taken at even distances.
    pub limit: Option<usize>,
    /// Seed of the random boxes. A face's box depends on this and its name only.
    pub seed: u64,
    /// Largest shift of a random box, as a share of its sides, and largest change of its size. The issue asks for ±10 %.
    pub jitter: f32,
    /// Width of a small face's box in pixels. The paper's demo left out faces below 60.
    pub small: f32,
    /// Threads, each with networks of its own.
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

/// What finds the keypoints of a face.
pub enum KeypointFinder {
    /// A keypoint network.
    Network(Box<dyn Locate>),
    /// A detector that gives keypoints: it is run on the picture, and the face that overlaps the box most is taken.
    Detector(Box<dyn Detect>),
}

/// Less overlap (intersection over union) means another face.
const SAME_FACE: f32 = 0.3;

impl KeypointFinder {
    /// The keypoints in pixels of `picture`; `None` where a detector saw no face in the box.
    ///
    /// # Errors
    /// [`FaceError`] if the network fails.
    pub fn find(&mut self, picture: &Picture, rect: &Rect) -> Result<Option<Landmarks>, FaceError> {
        match self {
            Self::Network(network) => network.locate(picture, rect).map(Some),
            Self::Detector(detector) => {
                let faces = detector.detect(picture)?;
                let near = faces.iter().filter(|face| face.landmarks.is_some() && face.rect.iou(rect) >= SAME_FACE);
                let best = near.max_by(|a, b| a.rect.iou(rect).total_cmp(&b.rect.iou(rect)));
                Ok(best.and_then(|face| face.landmarks))
            }
        }
    }
}

/// The networks of one worker that tell of faces.
pub struct AttributeNetworks {
    /// What finds the keypoints for those that need them.
    pub keypoints: Option<KeypointFinder>,
    /// The networks under test.
    pub tested: Vec<Box<dyn Recognise>>,
}

/// What all networks said of all faces under one view.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewAnswers<A> {
    /// The view.
    pub view: View,
    /// The faces in the order of their source.
    pub faces: Vec<FaceAnswers<A>>,
    /// Faces that there is no such view of: the detector missed them.
    pub left_out: usize,
    /// Faces that the view leaves as they are: for [`View::Small`] they were as small already.
    pub unchanged: usize,
}

impl<A> ViewAnswers<A> {
    /// What one network said, by the face's place in its source.
    pub fn of(&self, network: usize) -> impl Iterator<Item = (usize, &A)> {
        self.faces.iter().filter_map(move |face| Some((face.face, face.answers.get(network)?)))
    }
}

/// What all networks said of one face.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceAnswers<A> {
    /// Its place in its source.
    pub face: usize,
    /// One for each network.
    pub answers: Vec<A>,
}

/// Keypoints in the pixels of the face's own picture, whatever the view did to it; `None` where nothing was found.
pub type KeypointAnswer = Option<Landmarks>;

/// What a network tells of a face.
pub type AttributeAnswer = Findings;

/// A run that came to no end.
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
    /// A view that needs keypoints and has none to start from.
    #[error("the view `{view}` needs something that finds the keypoints for networks whose crop is cut by them")]
    NoLocator {
        /// The view.
        view: View,
    },
    /// A parameter out of range.
    #[error("{name}: {reason}")]
    Params {
        /// The field of [`ProtocolParams`].
        name: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
}

//! Faces: detection, keypoints, alignment, attributes, embedding, tracking, gallery.
//!
//! Pure logic over [`visavis_infer::Model`]s. No threads, no clocks (time is an argument), no network.

pub mod align;
pub mod detect;
mod enrol;
mod estimates;
mod findings;
pub mod forest;
pub mod gallery;
mod input;
mod keypoints;
mod recognise;
mod resemblance;
mod track;
pub mod visitors;

pub use detect::{Detect, Face, FaceDetector};
pub use enrol::{Enrolled, Enroller, thumbnail};
pub use estimates::{Estimates, EstimatesParams};
pub use findings::{Age, Findings, Smile};
pub use keypoints::{KeypointNetwork, Locate, load_locator};
pub use recognise::{FaceNetwork, FaceView, Recognise};
pub use resemblance::{Resemblance, tell_apart};
pub use track::{Track, TrackId, Tracker, TrackerParams};

use visavis_infer::InferError;

/// What can go wrong between a picture and what is said about its faces.
#[derive(Debug, thiserror::Error)]
pub enum FaceError {
    /// The network did not run.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// The file of a regression forest makes no sense.
    #[error("{model}: {error}")]
    Forest {
        /// The forest.
        model: String,
        /// What is wrong with its file.
        error: forest::ForestError,
    },
    /// An output does not have the shape that its decoder needs.
    #[error("{model}: output `{tensor}` has shape {found:?}, its decoder needs {expected}")]
    OutputShape {
        /// The network.
        model: String,
        /// The output.
        tensor: String,
        /// What came.
        found: Vec<usize>,
        /// What was needed, in words.
        expected: String,
    },
    /// The network cannot do what it was asked to.
    #[error("{model} does not do {task}: choose another one (`visavis models list --task {task}`)")]
    WrongTask {
        /// The network.
        model: String,
        /// What it was wanted for.
        task: String,
    },
    /// A size that the detector does not take.
    #[error("{model} takes {allowed}, not {width}x{height}")]
    InputSize {
        /// The network.
        model: String,
        /// What it takes.
        allowed: String,
        /// Asked for, pixels across.
        width: u32,
        /// Asked for, pixels down.
        height: u32,
    },
}

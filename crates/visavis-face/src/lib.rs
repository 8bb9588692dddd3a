//! Faces: detection, keypoints, alignment, attributes, embedding, tracking.
//!
//! Pure logic over [`visavis_infer::Model`]s. No threads, no clocks (time is an argument), no network.

pub mod align;
mod analyzer;
mod choice;
pub mod detect;
mod enrol;
mod estimates;
mod face_view;
mod findings;
pub mod forest;
mod input;
mod keypoints;
mod locator;
mod mirror;
mod quality;
mod recognise;
mod record;
mod track;

pub use analyzer::{AnalyzedFace, AnalyzerParams, FaceAnalyzer, FaceCrops};
pub use choice::{Choice, NetworkNames, RECOGNITION, default_network, preferred_networks};
pub use detect::{Detect, Face, FaceDetector};
pub use enrol::{Enrolled, Enroller, thumbnail, thumbnail_rect};
pub use estimates::{Estimates, EstimatesParams, PoseWeights};
pub use face_view::FaceView;
pub use findings::{Age, Expression, Findings, HeadPose, Smile};
pub use keypoints::{KeypointNetwork, Locate};
pub use locator::load_locator;
pub use mirror::MirroredAverage;
pub use quality::{Flaw, Quality, QualityParams};
pub use recognise::{CutFace, FaceNetwork, Recognise};
pub use record::{Attributes, ExpressionRecord, FaceRecord, HeadPoseRecord, rounded};
pub use track::{Track, TrackId, Tracker, TrackerParams};

use visavis_infer::{InferError, Task};

/// What can fail between a picture and the results for its faces.
#[derive(Debug, thiserror::Error)]
pub enum FaceError {
    /// An error of the network.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// The file of a regression forest is invalid.
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
        /// Its shape.
        found: Vec<usize>,
        /// The shape that is needed, as text.
        expected: String,
    },
    /// The network does not have the task.
    #[error("{model} does not do {task}: choose another network")]
    WrongTask {
        /// The network.
        model: String,
        /// The task.
        task: String,
    },
    /// `none` was named for a task that cannot be left out.
    #[error("{task} cannot be left out: name a network instead of `none`")]
    Needed {
        /// The task.
        task: Task,
    },
    /// There is no network for a task that needs one.
    #[error("no network for {task} was found: add one to a folder of networks")]
    NoNetwork {
        /// The task.
        task: Task,
    },
    /// The detector does not accept this size.
    #[error("{model} takes {allowed}, not {width}x{height}")]
    InputSize {
        /// The network.
        model: String,
        /// The sizes that it accepts.
        allowed: String,
        /// Requested width in pixels.
        width: u32,
        /// Requested height in pixels.
        height: u32,
    },
}

//! Trains the regression forest of `visavis_face::forest` (V. Kazemi and J. Sullivan, CVPR 2014).
//!
//! Each level of the cascade is a gradient-boosted ensemble for the square loss: every tree is fitted to the residuals of the
//! trees before it, and only a share of its output is added (section 2.3 there). A split is the best of some random ones, which
//! prefer pixels near each other (section 2.4). Leaves are rounded to the file's eight bits *before* the next tree is fitted, so
//! that later trees correct the rounding errors of earlier ones.

mod boost;
mod card;
mod pack;
mod params;
mod pixels;
mod samples;
mod tree;

pub use boost::{Errors, Progress, train};
pub use card::{ForestCard, write_model};
pub use pack::{labelled_faces, rehearsal};
pub use params::TrainForestParams;
pub use samples::LabelledFace;

/// A forest cannot be trained.
#[derive(Debug, thiserror::Error)]
pub enum TrainForestError {
    /// An invalid parameter.
    #[error("{field}: {reason}")]
    Parameter {
        /// Its name.
        field: &'static str,
        /// The value and what is allowed.
        reason: String,
    },
    /// There are too few faces.
    #[error("{faces} faces with keypoints are too few to learn from: {needed} at least")]
    TooFewFaces {
        /// Their number.
        faces: usize,
        /// The least number.
        needed: usize,
    },
    /// The pack cannot be read.
    #[error(transparent)]
    Data(#[from] visavis_data::DataError),
    /// The result is invalid: an error in this program.
    #[error(transparent)]
    Forest(#[from] visavis_face::forest::ForestError),
    /// The manifest is invalid: an invalid name, or an error in this program.
    #[error(transparent)]
    Manifest(#[from] visavis_infer::InferError),
    /// A file cannot be written.
    #[error("{}: {reason}", .path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// The system's error.
        reason: String,
    },
}

#[cfg(test)]
mod tests;

//! Growing the regression forest of `visavis_face::forest` (V. Kazemi and J. Sullivan, CVPR 2014).
//!
//! Each level of the cascade is a gradient-boosted ensemble for the square loss: every tree is fitted to what the trees
//! before it left over, and only a share of what it says is added (section 2.3 there). A split is the best of some drawn
//! at random, pixels near each other more often (section 2.4). Leaves are rounded to the file's eight bits *before* the
//! next tree is fitted, so that later trees mend the rounding of earlier ones.

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

/// A forest that cannot be grown.
#[derive(Debug, thiserror::Error)]
pub enum TrainForestError {
    /// A parameter makes no sense.
    #[error("{field}: {reason}")]
    Parameter {
        /// Which.
        field: &'static str,
        /// The value and what would be right.
        reason: String,
    },
    /// Nothing to learn from.
    #[error("{faces} faces with keypoints are too few to learn from: {needed} at least")]
    TooFewFaces {
        /// How many there are.
        faces: usize,
        /// How many it takes.
        needed: usize,
    },
    /// The pack cannot be read.
    #[error(transparent)]
    Data(#[from] visavis_data::DataError),
    /// What was grown is no forest: a mistake of this program.
    #[error(transparent)]
    Forest(#[from] visavis_face::forest::ForestError),
    /// The manifest does not hold: a mistake of this program, or a name that cannot be one.
    #[error(transparent)]
    Manifest(#[from] visavis_infer::InferError),
    /// A file cannot be written.
    #[error("{}: {reason}", .path.display())]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// What the system said.
        reason: String,
    },
}

#[cfg(test)]
mod tests;

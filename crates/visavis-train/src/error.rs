//! What can go wrong while training.

use std::path::{Path, PathBuf};

use visavis_data::DataError;
use visavis_data::boxes::CocoError;
use visavis_eval::detection::DetectionError;
use visavis_face::FaceError;
use visavis_infer::InferError;

/// A training that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Weights that are none, or not of this network.
    #[error("weights: {reason}")]
    Weights {
        /// What is wrong.
        reason: String,
    },
    /// A recipe that asks for what is not there.
    #[error("recipe: {reason}")]
    Recipe {
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The folder of a run that cannot be gone on with.
    #[error("{path}: {reason}")]
    Run {
        /// The folder.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A loss that is no number any more.
    #[error("the loss is {value} at step {step}: lower the learning rate (now {rate:.1e}) and resume")]
    Diverged {
        /// The loss.
        value: f32,
        /// At which step.
        step: usize,
        /// Learning rate by then.
        rate: f64,
    },
    /// The exported network does not give what the trained one gives.
    #[error("{engine} gives `{output}` up to {difference:.1e} away from the trained network (allowed: {allowed:.1e})")]
    Export {
        /// The engine.
        engine: String,
        /// The output tensor.
        output: String,
        /// Largest difference.
        difference: f32,
        /// Largest allowed.
        allowed: f32,
    },
    /// A picture that cannot be decoded.
    #[error("{path}: {reason}")]
    Picture {
        /// The picture.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A box file that cannot be used.
    #[error(transparent)]
    Boxes(#[from] CocoError),
    /// Detections that cannot be evaluated.
    #[error(transparent)]
    Detections(#[from] DetectionError),
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A teacher did not run.
    #[error(transparent)]
    Face(#[from] FaceError),
    /// A network cannot be loaded or run.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// The user stopped it.
    #[error("stopped; the same command with --resume goes on")]
    Stopped,
}

impl TrainError {
    pub(crate) fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    pub(crate) fn weights(error: impl std::fmt::Display) -> Self {
        Self::Weights { reason: error.to_string() }
    }
}

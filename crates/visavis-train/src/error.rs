//! Errors of training.

use std::path::{Path, PathBuf};

use visavis_data::DataError;
use visavis_data::boxes::CocoError;
use visavis_eval::detection::DetectionError;
use visavis_face::FaceError;
use visavis_infer::InferError;

/// A training failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// Weights are invalid, or belong to another network.
    #[error("weights: {reason}")]
    Weights {
        /// What is wrong.
        reason: String,
    },
    /// A recipe is invalid.
    #[error("recipe: {reason}")]
    Recipe {
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// The folder of a run cannot be used.
    #[error("{path}: {reason}")]
    Run {
        /// The folder.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The folder contains a run that would be overwritten.
    #[error("{path}: it contains a run already")]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// The loss is not finite.
    #[error("the loss is {value} at step {step}: lower the learning rate (now {rate:.1e}) and resume")]
    Diverged {
        /// The loss.
        value: f32,
        /// The step.
        step: usize,
        /// The learning rate at that step.
        rate: f64,
    },
    /// The output of the exported network differs from that of the trained one.
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
    /// A picture cannot be decoded.
    #[error("{path}: {reason}")]
    Picture {
        /// The picture.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An invalid box file.
    #[error(transparent)]
    Boxes(#[from] CocoError),
    /// Detections that cannot be evaluated.
    #[error(transparent)]
    Detections(#[from] DetectionError),
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A teacher failed.
    #[error(transparent)]
    Face(#[from] FaceError),
    /// A network cannot be loaded or run.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// The user stopped it.
    #[error("stopped")]
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

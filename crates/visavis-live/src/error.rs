//! The error of this crate.

use visavis_face::FaceError;
use visavis_gallery::GalleryError;
use visavis_image::codec::CodecError;
use visavis_infer::{InferError, Task};
use visavis_video::VideoError;

/// Why a pipeline or a network could not be started, or why a gallery could not be converted.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The source failed.
    #[error(transparent)]
    Video(#[from] VideoError),
    /// A network could not be loaded.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// A network does not fit its use, or failed on a picture.
    #[error(transparent)]
    Face(#[from] FaceError),
    /// The gallery could not be opened or changed.
    #[error(transparent)]
    Gallery(#[from] GalleryError),
    /// A network was chosen for a task that it does not do.
    #[error("{model} does not do {task}: choose another network")]
    WrongTask {
        /// Name of the network.
        model: String,
        /// The task.
        task: Task,
    },
    /// A thumbnail in the gallery could not be decoded.
    #[error("a picture in the gallery: {0}")]
    Picture(#[from] CodecError),
    /// The caller stopped the work before it was complete.
    #[error("stopped before it was done")]
    Stopped,
    /// No detector was chosen.
    #[error("no detector was chosen, and without one no face is found")]
    NoDetector,
    /// The operating system did not start a thread.
    #[error("the {stage} thread could not be started: {reason}")]
    Thread {
        /// Name of the stage.
        stage: String,
        /// The system's error message.
        reason: String,
    },
}

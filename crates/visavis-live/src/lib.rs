//! The live pipeline: threads, scheduling, model switching, statistics.
//!
//! Named std threads around a bounded buffer of frames: a grabber reads the source, a detection thread takes the newest
//! frame not yet looked at, recognition workers take jobs by priority, a controller owns the tracks and publishes a
//! [`Scene`] for every frame, a loader brings up networks beside the running ones. Nothing here knows HTTP or terminals.

mod alarm;
mod board;
mod buffer;
#[cfg(test)]
mod buffer_tests;
mod clock;
mod controller;
mod crew;
mod detection;
mod event;
mod gallery;
mod grabber;
mod keeper;
mod lineup;
mod loader;
mod panic;
mod pipeline;
mod recognition;
mod scene;
mod schedule;
mod statistics;
mod steering;
mod subscription;
mod sync;

pub use alarm::{AlarmParams, Cause};
pub use buffer::Pacing;
pub use event::Event;
pub use keeper::{Alarm, GrowthParams};
pub use lineup::Choice;
pub use loader::{EmbedThumbnail, GalleryStore, Loader, RegistryLoader};
pub use pipeline::{Outcome, Pipeline, PipelineParams, Prepared};
pub use scene::{Scene, SceneFace};
pub use schedule::ScheduleParams;
pub use statistics::{StageReport, StatisticsReport, TrackReport};
pub use steering::Steering;
pub use subscription::{Delivery, Subscription};

use visavis_face::FaceError;
use visavis_face::gallery::GalleryError;
use visavis_image::codec::CodecError;
use visavis_infer::{InferError, Task};
use visavis_video::VideoError;

/// What keeps the pipeline from starting, or ends it.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The source failed.
    #[error(transparent)]
    Video(#[from] VideoError),
    /// A network could not be loaded.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// A network does not fit its use.
    #[error(transparent)]
    Face(#[from] FaceError),
    /// The gallery does not fit the similarity network.
    #[error(transparent)]
    Gallery(#[from] GalleryError),
    /// A network was asked for a task that it does not do.
    #[error("{model} does not do {task:?}: choose one of `visavis models list`")]
    WrongTask {
        /// The network.
        model: String,
        /// The task.
        task: Task,
    },
    /// A picture that the gallery keeps cannot be read.
    #[error("a picture in the gallery: {0}")]
    Picture(#[from] CodecError),
    /// Long work was ended before it was done.
    #[error("stopped before it was done")]
    Stopped,
    /// The pipeline needs a detector.
    #[error("no detector was chosen, and without one no face is found: choose one of `visavis models list`")]
    NoDetector,
    /// A thread could not be started.
    #[error("the {stage} thread could not be started: {reason}")]
    Thread {
        /// Which.
        stage: String,
        /// The system's own words.
        reason: String,
    },
}

//! The messages between the threads of a pipeline.

use std::sync::Arc;

use visavis_face::{EstimatesParams, Face, FaceView, Findings, HeadPose, TrackId};
use visavis_gallery::{Gallery, Match};
use visavis_image::Frame;
use visavis_infer::Task;

use crate::alarm::AlarmParams;
use crate::job_queue::Job;
use crate::visitors::GrowthParams;

/// A message to the controller.
pub(crate) enum Message {
    /// The source delivered a frame.
    Grabbed(Frame),
    /// The faces of a frame.
    Detected {
        frame: Frame,
        faces: Vec<Face>,
    },
    /// The results of a job, one for each of its faces; `None` if the job failed.
    Recognised {
        job: Job,
        results: Option<Vec<RecognitionResult>>,
    },
    /// The task has another network from now on. The averages of the old network's results are discarded.
    Switched(Task),
    /// Other parameters for averages.
    SetEstimates(EstimatesParams),
    /// The source delivers no more frames.
    SourceEnded(SourceEnd),
    Stop,
}

/// Output of a network for one face, and the nearest people of the gallery, nearest first.
pub(crate) type RecognitionResult = (Findings, Vec<Match>);

/// How a source ended.
#[derive(Debug, Default)]
pub(crate) struct SourceEnd {
    /// Number of frames delivered.
    pub(crate) frames: u64,
    /// Number of frames that could not be read while later ones could.
    pub(crate) skipped: u64,
    /// The error that ended it, if any.
    pub(crate) failure: Option<String>,
}

/// A request to the loader thread.
pub(crate) enum LoaderRequest {
    /// Use another network for a task. `None`: the task is switched off.
    Switch {
        task: Task,
        model: Option<String>,
    },
    /// Stop using a network that failed several times in a row.
    Disable {
        model: String,
        failures: u32,
    },
    /// Change the number of recognition workers.
    SetWorkers(usize),
    /// Load as many instances of the detector as the cameras can use, or drop those that they cannot use.
    LoadDetectors,
    Stop,
}

/// A request to the gallery worker.
pub(crate) enum GalleryRequest {
    /// A recognition result with an embedding.
    Observe(Box<Observation>),
    /// The last alarm named the wrong person.
    DenyLastAlarm,
    /// Other parameters.
    SetParams(Box<GalleryWorkerParams>),
    Stop,
}

/// What the gallery worker does. `None`: not at all.
#[derive(Debug, Clone, Default)]
pub(crate) struct GalleryWorkerParams {
    pub(crate) alarm: Option<AlarmParams>,
    pub(crate) growth: Option<GrowthParams>,
}

/// One recognition result of a tracked face, with its embedding.
pub(crate) struct Observation {
    pub(crate) track: TrackId,
    /// The tracks of all faces that were detected in the frame.
    pub(crate) in_view: Vec<TrackId>,
    pub(crate) frame: Frame,
    pub(crate) view: FaceView,
    /// The head pose, if the network that made the embedding also determines it.
    pub(crate) pose: Option<HeadPose>,
    pub(crate) vector: Vec<f32>,
    /// The gallery that the embedding was compared with.
    pub(crate) gallery: Arc<Gallery>,
    /// The nearest people of that gallery, nearest first.
    pub(crate) nearest: Vec<Match>,
}

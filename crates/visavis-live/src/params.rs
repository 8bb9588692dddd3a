//! The parameters of a pipeline, and the result of a run.

use std::time::Duration;

use visavis_face::{Choice, EstimatesParams, TrackerParams};

use crate::alarm::AlarmParams;
use crate::buffer::Pacing;
use crate::input_size::InputSizeParams;
use crate::schedule::ScheduleParams;
use crate::sighting::SightingParams;
use crate::visitors::GrowthParams;

/// The parameters of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineParams {
    /// Name of the camera in alarms and sightings; `None`: the name of the source.
    pub camera: Option<String>,
    /// Whether frames are dropped when a stage is slow (live), or every frame is processed.
    pub pacing: Pacing,
    /// Capacity of the frame buffer between the grabber and detection. The paper's demo had 8.
    pub buffer: usize,
    /// Number of recognition workers, at least 1. Workers times threads per engine should not exceed the number of cores.
    pub workers: usize,
    /// Whether a file is played again from its start when it ends.
    pub repeat: bool,
    /// Live: the source has stalled when a read takes longer than this.
    pub stalled_after: Duration,
    /// Whether the picture is mirrored left to right.
    pub mirror: bool,
    /// The networks.
    pub choice: Choice,
    /// Tracking of faces from frame to frame.
    pub tracker: TrackerParams,
    /// Averages of recognition results over time.
    pub estimates: EstimatesParams,
    /// The order of recognition jobs.
    pub schedule: ScheduleParams,
    /// The input size of the detector.
    pub input_size: InputSizeParams,
    /// Live: when alarms are raised. `None`: never.
    pub alarm: Option<AlarmParams>,
    /// Live: how visitors are added to the gallery. `None`: they are not added.
    pub growth: Option<GrowthParams>,
    /// Live: how sightings are recorded. `None`: they are not recorded.
    pub sightings: Option<SightingParams>,
}

impl Default for PipelineParams {
    fn default() -> Self {
        Self {
            camera: None,
            pacing: Pacing::Live,
            buffer: 8,
            workers: 1,
            repeat: false,
            stalled_after: Duration::from_secs(5),
            mirror: false,
            choice: Choice::default(),
            tracker: TrackerParams::default(),
            estimates: EstimatesParams::default(),
            schedule: ScheduleParams::default(),
            input_size: InputSizeParams::default(),
            alarm: None,
            growth: None,
            sightings: None,
        }
    }
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Number of published scenes.
    pub frames: u64,
    /// Why the source failed, if it did. All frames before the failure were published.
    pub source_failure: Option<String>,
    /// Number of frames or photos that could not be read while later ones could. The first of them were reported as
    /// [`crate::Event::FrameSkipped`].
    pub skipped: u64,
    /// Number of failures that were reported as events ([`crate::Event::is_failure`]).
    pub stage_failures: u32,
}

//! Events: everything besides frames that a user of the program should know. Each event is logged.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use visavis_gallery::{Converted, PersonId};
use visavis_infer::{Placement, Task};

use crate::alarm::{Alarm, Cause};
use crate::sighting::Sighting;

/// Something that happened in the pipeline.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A network was loaded.
    Running {
        /// Its task.
        task: Task,
        /// Name of the network.
        model: String,
        /// Engine, device and threads.
        placement: Placement,
    },
    /// The input size of the detector has changed.
    DetectorInput {
        /// Width and height in pixels.
        size: [u32; 2],
    },
    /// A network is being loaded while the old one runs.
    Loading {
        /// The task that it is loaded for.
        task: Task,
        /// Name of the network.
        model: String,
    },
    /// A task has another network from the next frame on.
    Switched {
        /// The task.
        task: Task,
        /// The network. `None`: the task is switched off.
        model: Option<String>,
    },
    /// A switch failed. The old network stays in use.
    SwitchFailed {
        /// The task.
        task: Task,
        /// The requested network.
        model: String,
        /// The error message.
        reason: String,
    },
    /// The gallery is being converted to another network. The old network stays in use meanwhile.
    Converting {
        /// Name of the new network.
        model: String,
        /// Number of photos converted.
        done: usize,
        /// Number of all photos.
        photos: usize,
    },
    /// The gallery was converted to another network.
    Converted {
        /// Name of the new network.
        model: String,
        /// Number of photos and denials converted.
        converted: Converted,
    },
    /// A stage failed on a frame or a job.
    StageFailed {
        /// Name of the stage.
        stage: String,
        /// The error message.
        reason: String,
    },
    /// A stage panicked and was started again.
    StageRestarted {
        /// Name of the stage.
        stage: String,
        /// The message of the panic.
        reason: String,
    },
    /// A network was disabled because it failed several times in a row.
    ModelDisabled {
        /// Name of the network.
        model: String,
        /// Number of failures in a row.
        failures: u32,
    },
    /// The gallery's store cannot be used until [`Event::GalleryRestored`]. Emitted once. Faces are compared with the people in
    /// memory meanwhile.
    GalleryFailed {
        /// The error message.
        reason: String,
    },
    /// The gallery's store can be used again.
    GalleryRestored,
    /// Another program changed the gallery. A view of the gallery must be read again.
    GalleryChanged,
    /// An alarm was raised.
    Alarm(Arc<Alarm>),
    /// The last alarm was denied. That face raises no more alarms for this person.
    AlarmDenied {
        /// The person that the alarm named.
        person: PersonId,
    },
    /// A visitor was added to the gallery.
    PersonAdded {
        /// Number of the person.
        person: PersonId,
    },
    /// Two people of the gallery were merged, since they are the same person.
    PeopleMerged {
        /// The person that was removed.
        from: PersonId,
        /// The person that has the photos of both.
        into: PersonId,
    },
    /// Visitors who were not seen for long were removed from the gallery.
    VisitorsRemoved {
        /// Number of people.
        people: usize,
    },
    /// A sighting has begun, got another identity, or ended. It is stored.
    Sighting(Arc<Sighting>),
    /// A frame or photo could not be read. The source goes on with the next one.
    FrameSkipped {
        /// The error message.
        reason: String,
    },
    /// The source delivers no pictures.
    SourceStalled {
        /// When it delivered its last picture; without one, when it was first read.
        since: SystemTime,
    },
    /// The source delivers pictures again.
    SourceResumed {
        /// How long it delivered no picture.
        after: Duration,
    },
    /// The source has no more pictures.
    SourceEnded,
    /// The source failed.
    SourceFailed {
        /// The error message.
        reason: String,
    },
}

impl Event {
    /// Whether the event is about the networks of a [`crate::WorkerPool`]. Each of its pipelines emits such an event.
    #[must_use]
    pub fn concerns_all_cameras(&self) -> bool {
        matches!(
            self,
            Self::Running { .. }
                | Self::Loading { .. }
                | Self::Switched { .. }
                | Self::SwitchFailed { .. }
                | Self::Converting { .. }
                | Self::Converted { .. }
                | Self::ModelDisabled { .. }
        )
    }

    /// The kind of event, such as `source_stalled`, for logs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Running { .. } => "running",
            Self::DetectorInput { .. } => "detector_input",
            Self::Loading { .. } => "loading",
            Self::Switched { .. } => "switched",
            Self::SwitchFailed { .. } => "switch_failed",
            Self::Converting { .. } => "converting",
            Self::Converted { .. } => "converted",
            Self::StageFailed { .. } => "stage_failed",
            Self::StageRestarted { .. } => "stage_restarted",
            Self::ModelDisabled { .. } => "model_disabled",
            Self::GalleryFailed { .. } => "gallery_failed",
            Self::GalleryRestored => "gallery_restored",
            Self::GalleryChanged => "gallery_changed",
            Self::Alarm(_) => "alarm",
            Self::AlarmDenied { .. } => "alarm_denied",
            Self::PersonAdded { .. } => "person_added",
            Self::PeopleMerged { .. } => "people_merged",
            Self::VisitorsRemoved { .. } => "visitors_removed",
            Self::Sighting(_) => "sighting",
            Self::FrameSkipped { .. } => "frame_skipped",
            Self::SourceStalled { .. } => "source_stalled",
            Self::SourceResumed { .. } => "source_resumed",
            Self::SourceEnded => "source_ended",
            Self::SourceFailed { .. } => "source_failed",
        }
    }

    /// Whether the event reports a failure.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::SwitchFailed { .. }
                | Self::StageFailed { .. }
                | Self::StageRestarted { .. }
                | Self::ModelDisabled { .. }
                | Self::GalleryFailed { .. }
                | Self::FrameSkipped { .. }
                | Self::SourceStalled { .. }
                | Self::SourceFailed { .. }
        )
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { task, model, placement } => write!(f, "{task}: {model} runs with {placement}"),
            Self::DetectorInput { size: [width, height] } => {
                write!(f, "detection: the input is {width}x{height} pixels")
            }
            Self::Loading { task, model } => write!(f, "{task}: loading {model}"),
            Self::Switched { task, model: Some(model) } => write!(f, "{task}: switched to {model}"),
            Self::Switched { task, model: None } => write!(f, "{task}: switched off"),
            Self::SwitchFailed { task, model, reason } => {
                write!(f, "{task}: {model} could not be loaded, the old network stays in use: {reason}")
            }
            Self::Converting { model, done, photos } => {
                write!(f, "gallery: converting to {model}, {done} of {photos} photos done")
            }
            Self::Converted { model, converted: Converted { photos, denials: 0 } } => {
                write!(f, "gallery: converted to {model}, {photos} photos")
            }
            Self::Converted { model, converted: Converted { photos, denials } } => {
                write!(
                    f,
                    "gallery: converted to {model}, {photos} photos; {denials} faces that were denied may raise alarms again"
                )
            }
            Self::StageFailed { stage, reason } => write!(f, "{stage} failed: {reason}"),
            Self::StageRestarted { stage, reason } => write!(f, "{stage} panicked and was started again: {reason}"),
            Self::ModelDisabled { model, failures } => {
                write!(f, "{model} failed {failures} times in a row and was disabled: switch to another network")
            }
            Self::GalleryFailed { reason } => {
                write!(f, "the gallery fails: {reason}; faces are compared with the people in memory meanwhile")
            }
            Self::GalleryRestored => write!(f, "the gallery is back"),
            Self::GalleryChanged => write!(f, "gallery: changed by another program"),
            Self::Alarm(alarm) => match &alarm.cause {
                Cause::Watched { name, identified, .. } => {
                    // At most 99 %: no comparison of faces is certain.
                    let chance = identified.map(|chance| format!(" (identified, {:.0} %)", (chance * 100.0).min(99.0)));
                    write!(f, "ALARM: {name}{}, face #{}", chance.unwrap_or_default(), alarm.track)
                }
                Cause::Unknown => write!(f, "ALARM: unknown person, face #{}", alarm.track),
            },
            Self::AlarmDenied { person } => {
                write!(f, "gallery: alarm denied; this face raises no more alarms for person {}", person.0)
            }
            Self::PersonAdded { person } => write!(f, "gallery: visitor added as person {}", person.0),
            Self::PeopleMerged { from, into } => write!(f, "gallery: person {} merged into person {}", from.0, into.0),
            Self::VisitorsRemoved { people } => {
                write!(f, "gallery: {people} visitors removed who were not seen for long")
            }
            Self::Sighting(sighting) => {
                let name = sighting.person.as_ref().map_or("unknown person", |(_, name)| name);
                let Sighting { kind, camera, id, .. } = &**sighting;
                write!(f, "{camera}: {name} {}, sighting {}", kind.word(), id.0)
            }
            Self::FrameSkipped { reason } => write!(f, "skipped: {reason}"),
            Self::SourceStalled { since } => {
                write!(f, "the source has delivered no picture since {}", crate::clock::rfc3339(*since))
            }
            Self::SourceResumed { after } => {
                write!(f, "the source delivers pictures again, after {:.1} s", after.as_secs_f64())
            }
            Self::SourceEnded => write!(f, "the source has ended"),
            Self::SourceFailed { reason } => write!(f, "the source failed: {reason}"),
        }
    }
}

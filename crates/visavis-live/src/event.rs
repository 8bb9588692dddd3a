//! What happens besides frames: said on the screen and in the log, never silence.

use std::fmt;
use std::sync::Arc;

use visavis_face::gallery::{Converted, PersonId};
use visavis_infer::{Placement, Task};

use crate::{Alarm, Cause};

/// Something that the people in front of the program should know.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A network runs.
    Running {
        /// What it does.
        task: Task,
        /// Its name.
        model: String,
        /// Where.
        placement: Placement,
    },
    /// A network is being loaded beside the running one.
    Loading {
        /// For what.
        task: Task,
        /// Its name.
        model: String,
    },
    /// From the next frame on, another network does this task; `None`: nobody does.
    Switched {
        /// The task.
        task: Task,
        /// The network.
        model: Option<String>,
    },
    /// The switch failed; the old network goes on.
    SwitchFailed {
        /// The task.
        task: Task,
        /// The network that was wanted.
        model: String,
        /// Why.
        reason: String,
    },
    /// The gallery's photos are looked at by another network, while the old one still answers.
    Converting {
        /// The new network.
        model: String,
        /// Photos that it has looked at.
        done: usize,
        /// All photos.
        photos: usize,
    },
    /// The gallery belongs to another network now.
    Converted {
        /// The new network.
        model: String,
        /// What was done.
        converted: Converted,
    },
    /// A stage could not do its work on a frame.
    StageFailed {
        /// Which.
        stage: String,
        /// Why.
        reason: String,
    },
    /// A stage died of a panic and was started again.
    StageRestarted {
        /// Which.
        stage: String,
        /// The panic's words.
        reason: String,
    },
    /// A network failed again and again and was taken out.
    GaveUp {
        /// The network.
        model: String,
        /// How often it failed in a row.
        failures: u32,
    },
    /// The gallery cannot be asked: nobody is recognised until [`Event::GalleryBack`]. Told once; everything else goes on.
    GalleryFailed {
        /// Why.
        reason: String,
    },
    /// The gallery can be asked again.
    GalleryBack,
    /// Another program changed the gallery: whoever shows it reads it again.
    GalleryChanged,
    /// Somebody is there of whom an alarm tells.
    Alarm(Arc<Alarm>),
    /// The last alarm was about somebody else; that face rings no more for this person.
    Denied {
        /// Who it was not.
        person: PersonId,
    },
    /// Somebody new was added to the gallery.
    Met {
        /// Who.
        person: PersonId,
    },
    /// Two people of the gallery were one.
    Joined {
        /// Who is gone.
        from: PersonId,
        /// Who has their photos now.
        into: PersonId,
    },
    /// People who were merely seen, and not for long, were forgotten.
    Forgot {
        /// How many.
        people: usize,
    },
    /// The source has no more frames.
    SourceEnded,
    /// The source broke.
    SourceFailed {
        /// Why.
        reason: String,
    },
}

impl Event {
    /// Whether it is bad news.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::SwitchFailed { .. }
                | Self::StageFailed { .. }
                | Self::StageRestarted { .. }
                | Self::GaveUp { .. }
                | Self::GalleryFailed { .. }
                | Self::SourceFailed { .. }
        )
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { task, model, placement } => write!(f, "{task}: {model} runs with {placement}"),
            Self::Loading { task, model } => write!(f, "{task}: loading {model}"),
            Self::Switched { task, model: Some(model) } => write!(f, "{task}: switched to {model}"),
            Self::Switched { task, model: None } => write!(f, "{task}: switched off"),
            Self::SwitchFailed { task, model, reason } => {
                write!(f, "{task}: {model} could not be loaded, the old network goes on: {reason}")
            }
            Self::Converting { model, done, photos } => {
                write!(f, "gallery: {model} has looked at {done} of {photos} photos")
            }
            Self::Converted { model, converted: Converted { photos, denials: 0 } } => {
                write!(f, "gallery: all {photos} photos are {model}'s now")
            }
            Self::Converted { model, converted: Converted { photos, denials } } => {
                write!(
                    f,
                    "gallery: all {photos} photos are {model}'s now; {denials} faces denied before may ring again"
                )
            }
            Self::StageFailed { stage, reason } => write!(f, "{stage} failed: {reason}"),
            Self::StageRestarted { stage, reason } => write!(f, "{stage} died and was started again: {reason}"),
            Self::GaveUp { model, failures } => {
                write!(f, "{model} failed {failures} times in a row and was taken out: switch to another network")
            }
            Self::GalleryFailed { reason } => write!(f, "nobody is recognised for now: {reason}"),
            Self::GalleryBack => write!(f, "the gallery is back: people are recognised again"),
            Self::GalleryChanged => write!(f, "gallery: changed by another program"),
            Self::Alarm(alarm) => match &alarm.cause {
                Cause::Watched { name, similarity, .. } => {
                    write!(f, "ALARM: {name} ({:.0} %), face #{}", similarity * 100.0, alarm.track)
                }
                Cause::Unknown => write!(f, "ALARM: somebody unknown, face #{}", alarm.track),
            },
            Self::Denied { person } => write!(f, "gallery: that was not person {}, and rings no more", person.0),
            Self::Met { person } => write!(f, "gallery: somebody new is person {}", person.0),
            Self::Joined { from, into } => write!(f, "gallery: person {} was person {}", from.0, into.0),
            Self::Forgot { people } => write!(f, "gallery: {people} not seen for long forgotten"),
            Self::SourceEnded => write!(f, "the source has ended"),
            Self::SourceFailed { reason } => write!(f, "the source broke: {reason}"),
        }
    }
}

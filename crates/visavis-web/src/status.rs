//! The state of the pipeline as the API shows it.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;
use visavis_live::{Snapshot, rfc3339};

/// The source, networks and gallery in use.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Status {
    /// The version of visavis.
    pub(crate) version: &'static str,
    /// The source of the pictures.
    pub(crate) source: SourceStatus,
    /// Whether a recording runs.
    pub(crate) recording: bool,
    /// The tasks by name.
    pub(crate) tasks: BTreeMap<String, TaskStatus>,
    /// The gallery; null without one.
    pub(crate) gallery: Option<GalleryStatus>,
}

/// The source of the pictures.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct SourceStatus {
    /// Its id in the list of sources; null for the camera of a browser.
    pub(crate) id: Option<String>,
    /// Its name for display.
    pub(crate) name: String,
    /// Whether the picture is mirrored.
    pub(crate) mirrored: bool,
    /// Whether no source was chosen yet.
    pub(crate) waiting: bool,
    /// Why the source before it failed, if it did.
    pub(crate) failure: Option<String>,
    /// When the source delivered its last picture (RFC 3339), if it has stalled; else null.
    pub(crate) stalled_since: Option<String>,
    /// Number of pictures that could not be read, since the start.
    pub(crate) skipped: u64,
}

/// The gallery that faces are compared with.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct GalleryStatus {
    /// The network that made its vectors.
    pub(crate) network: String,
    /// Whether visitors are added.
    pub(crate) grows: bool,
    /// Why its store cannot be used at present, if so. Faces are compared with the people in memory meanwhile.
    pub(crate) failure: Option<String>,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct TaskStatus {
    /// The network in use; null if the task is switched off.
    pub(crate) network: Option<String>,
    /// The network that is being loaded for the task.
    pub(crate) loading: Option<String>,
    /// Why the last switch failed, or why the network was disabled.
    pub(crate) failure: Option<String>,
    /// Engine, device and threads.
    pub(crate) runs_with: Option<String>,
    /// Detection: width and height of the network's input in pixels.
    pub(crate) input: Option<[u32; 2]>,
}

impl Status {
    /// `chosen`: the source that was chosen last, with the turn of the switch in which it plays. `waiting`: whether the first source
    /// is a placeholder.
    pub(crate) fn new(snapshot: &Snapshot, chosen: Option<(u64, String)>, waiting: bool, recording: bool) -> Self {
        let (params, source) = (&snapshot.params, &snapshot.source);
        let playing = &source.playing;
        let tasks = snapshot.tasks.iter().map(|(task, state)| {
            let status = TaskStatus {
                network: params.choice.of(*task).map(str::to_owned),
                loading: state.loading.clone(),
                failure: state.failure.clone(),
                runs_with: state.placement.as_ref().map(ToString::to_string),
                input: state.input,
            };
            (task.to_string(), status)
        });
        Self {
            version: env!("CARGO_PKG_VERSION"),
            source: SourceStatus {
                id: if playing.first {
                    Some("start".to_owned())
                } else {
                    chosen.filter(|(turn, _)| *turn == playing.turn).map(|(_, id)| id)
                },
                name: source.name(),
                mirrored: playing.mirrored,
                waiting: playing.first && waiting,
                failure: playing.failure.clone(),
                stalled_since: source.stalled_since.map(rfc3339),
                skipped: source.skipped,
            },
            recording,
            tasks: tasks.collect(),
            gallery: snapshot.gallery.as_ref().map(|state| GalleryStatus {
                network: state.gallery.embedding().name.clone(),
                grows: params.growth.is_some(),
                failure: state.failure.clone(),
            }),
        }
    }
}

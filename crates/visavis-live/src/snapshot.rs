//! The state of a pipeline as one immutable value. The page, the status line and the JSON API all read this value.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use visavis_gallery::Gallery;
use visavis_infer::{Placement, Task};
use visavis_video::{Playing, display_name};

use crate::event::Event;
use crate::params::PipelineParams;

/// The state of a pipeline at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Increases with every change.
    pub version: u64,
    /// The parameters in use, including the networks in use ([`PipelineParams::choice`]).
    pub params: PipelineParams,
    /// State of the network of each task. Contains all tasks.
    pub tasks: BTreeMap<Task, TaskState>,
    /// State of the source.
    pub source: SourceState,
    /// State of the gallery, if there is one. Stays when the similarity network is switched off: the people in the gallery can
    /// still be listed and changed.
    pub gallery: Option<GalleryState>,
}

impl Snapshot {
    /// The name of the camera for alarms and sightings.
    pub(crate) fn camera(&self) -> String {
        self.params.camera.clone().unwrap_or_else(|| self.source.name())
    }
}

/// State of one task. The network that does it is in [`PipelineParams::choice`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TaskState {
    /// The network that is being loaded for the task.
    pub loading: Option<String>,
    /// Why the last switch failed, or why the network was disabled.
    pub failure: Option<String>,
    /// Engine, device and threads of the network.
    pub placement: Option<Placement>,
    /// Detection: width and height of the network's input in pixels.
    pub input: Option<[u32; 2]>,
}

/// State of the source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceState {
    /// The source that is played.
    pub playing: Playing,
    /// When the source delivered its last picture, if it has stalled.
    pub stalled_since: Option<SystemTime>,
    /// Number of pictures that could not be read, since the start.
    pub skipped: u64,
}

impl SourceState {
    /// The name of the source, without the folder of a file and without the password of an address.
    #[must_use]
    pub fn name(&self) -> String {
        short_name(&self.playing.info.name)
    }
}

/// State of the gallery.
#[derive(Debug, Clone)]
pub struct GalleryState {
    /// The gallery that faces are compared with.
    pub gallery: Arc<Gallery>,
    /// Why its store cannot be used at present. Faces are compared with the vectors in memory meanwhile.
    pub failure: Option<String>,
}

/// The name of a source for display: the last part of a path, or an address without its password. The folders of this machine
/// are not shown to clients.
#[must_use]
pub fn short_name(spec: &str) -> String {
    if spec.contains("://") {
        return display_name(spec);
    }
    let last = spec.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or(spec);
    if last.is_empty() { spec.to_owned() } else { last.to_owned() }
}

impl Snapshot {
    /// The state before the first frame.
    pub(crate) fn new(params: PipelineParams, playing: Playing, gallery: Option<Arc<Gallery>>) -> Self {
        Self {
            version: 0,
            params,
            tasks: Task::ALL.into_iter().map(|task| (task, TaskState::default())).collect(),
            source: SourceState { playing, stalled_since: None, skipped: 0 },
            gallery: gallery.map(|gallery| GalleryState { gallery, failure: None }),
        }
    }

    /// Applies what an event changes. Returns whether anything changed.
    pub(crate) fn apply(&mut self, event: &Event) -> bool {
        match event {
            Event::Running { task, placement, .. } => self.task(*task).placement = Some(placement.clone()),
            Event::DetectorInput { size } => self.task(Task::Detection).input = Some(*size),
            Event::Loading { task, model } => {
                let state = self.task(*task);
                (state.loading, state.failure) = (Some(model.clone()), None);
            }
            Event::Switched { task, model } => {
                self.params.choice.set(*task, model.clone());
                let state = self.task(*task);
                (state.loading, state.failure) = (None, None);
                if model.is_none() {
                    state.placement = None;
                }
            }
            Event::SwitchFailed { task, reason, .. } => {
                let state = self.task(*task);
                (state.loading, state.failure) = (None, Some(reason.clone()));
            }
            Event::ModelDisabled { model, .. } => {
                for task in Task::ALL {
                    if self.params.choice.of(task) == Some(model) {
                        self.params.choice.set(task, None);
                        *self.task(task) = TaskState { failure: Some(event.to_string()), ..TaskState::default() };
                    }
                }
            }
            Event::FrameSkipped { .. } => self.source.skipped += 1,
            Event::SourceStalled { since } => self.source.stalled_since = Some(*since),
            Event::SourceResumed { .. } => self.source.stalled_since = None,
            Event::GalleryFailed { reason } => self.set_gallery_failure(Some(reason.clone())),
            Event::GalleryRestored => self.set_gallery_failure(None),
            _ => return false,
        }
        true
    }

    fn task(&mut self, task: Task) -> &mut TaskState {
        self.tasks.entry(task).or_default()
    }

    fn set_gallery_failure(&mut self, failure: Option<String>) {
        if let Some(gallery) = &mut self.gallery {
            gallery.failure = failure;
        }
    }

    /// Sets the gallery that faces are compared with from now on. Returns whether it is another one.
    pub(crate) fn set_gallery(&mut self, gallery: Arc<Gallery>) -> bool {
        match &mut self.gallery {
            Some(state) if Arc::ptr_eq(&state.gallery, &gallery) => return false,
            Some(state) => state.gallery = gallery,
            None => self.gallery = Some(GalleryState { gallery, failure: None }),
        }
        true
    }
}

struct State {
    newest: Arc<Snapshot>,
    closed: bool,
}

/// Holds the newest snapshot and wakes the threads that wait for the next one.
pub(crate) struct SnapshotCell {
    state: Mutex<State>,
    changed: Condvar,
}

impl SnapshotCell {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        let state = State { newest: Arc::new(snapshot), closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn newest(&self) -> Arc<Snapshot> {
        Arc::clone(&self.lock().newest)
    }

    /// Publishes a changed copy of the newest snapshot. `change` returns whether it changed anything; if not, nothing is
    /// published.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Snapshot) -> bool) {
        let mut state = self.lock();
        let mut next = Snapshot::clone(&state.newest);
        if change(&mut next) {
            next.version += 1;
            state.newest = Arc::new(next);
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Ends every [`Snapshots`].
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

/// The snapshots of a pipeline, one after the other. A slow reader skips older ones. Does not keep the pipeline running.
pub struct Snapshots {
    pub(crate) cell: Arc<SnapshotCell>,
    pub(crate) last: Option<u64>,
}

impl Snapshots {
    /// Waits for a snapshot that was not returned yet. `None` once the pipeline has ended and its last snapshot was returned.
    #[must_use]
    pub fn recv(&mut self) -> Option<Arc<Snapshot>> {
        let mut state = self.cell.lock();
        while self.last == Some(state.newest.version) {
            if state.closed {
                return None;
            }
            state = self.cell.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.last = Some(state.newest.version);
        Some(Arc::clone(&state.newest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};
    use visavis_face::Choice;
    use visavis_video::{Pace, SourceInfo};

    fn snapshot() -> Snapshot {
        let choice = Choice { detector: "d".into(), age: Some("a".into()), ..Choice::default() };
        let info = SourceInfo {
            name: "/films/film.mp4".into(),
            width: 1,
            height: 1,
            frame_rate: None,
            frames: None,
            pace: Pace::Own,
        };
        Snapshot::new(PipelineParams { choice, ..PipelineParams::default() }, Playing::only(info), None)
    }

    #[test]
    fn a_switch_shows_loading_and_its_result() {
        let mut snapshot = snapshot();
        let (task, model) = (Task::Age, "b".to_owned());
        let age = |snapshot: &Snapshot| snapshot.params.choice.age.clone();
        assert!(snapshot.apply(&Event::Loading { task, model: model.clone() }));
        assert_eq!((age(&snapshot).as_deref(), snapshot.tasks[&task].loading.as_deref()), (Some("a"), Some("b")));
        snapshot.apply(&Event::SwitchFailed { task, model: model.clone(), reason: "no".into() });
        assert_eq!((age(&snapshot).as_deref(), snapshot.tasks[&task].failure.as_deref()), (Some("a"), Some("no")));
        snapshot.apply(&Event::Loading { task, model: model.clone() });
        snapshot.apply(&Event::Switched { task, model: Some(model.clone()) });
        assert_eq!((age(&snapshot).as_deref(), &snapshot.tasks[&task]), (Some("b"), &TaskState::default()));
        snapshot.apply(&Event::ModelDisabled { model, failures: 5 });
        assert!(age(&snapshot).is_none() && snapshot.tasks[&task].failure.is_some());
        assert!(snapshot.apply(&Event::DetectorInput { size: [640, 384] }));
        assert_eq!(snapshot.tasks[&Task::Detection].input, Some([640, 384]));
        assert!(!snapshot.apply(&Event::SourceEnded));
    }

    #[test]
    fn a_stalled_source_is_part_of_the_state() {
        let mut snapshot = snapshot();
        assert_eq!(snapshot.source.name(), "film.mp4");
        snapshot.apply(&Event::SourceStalled { since: UNIX_EPOCH });
        assert_eq!(snapshot.source.stalled_since, Some(UNIX_EPOCH));
        snapshot.apply(&Event::SourceResumed { after: Duration::from_secs(7) });
        snapshot.apply(&Event::FrameSkipped { reason: "torn".into() });
        assert_eq!((snapshot.source.stalled_since, snapshot.source.skipped), (None, 1));
    }

    #[test]
    fn a_reader_gets_the_newest_snapshot_and_then_the_end() {
        let cell = Arc::new(SnapshotCell::new(snapshot()));
        let mut snapshots = Snapshots { cell: Arc::clone(&cell), last: None };
        assert_eq!(snapshots.recv().map(|snapshot| snapshot.version), Some(0));
        for _ in 0..3 {
            cell.update(|snapshot| snapshot.apply(&Event::FrameSkipped { reason: "torn".into() }));
        }
        cell.update(|_| false);
        assert_eq!(snapshots.recv().map(|snapshot| (snapshot.version, snapshot.source.skipped)), Some((3, 3)));
        cell.close();
        assert!(snapshots.recv().is_none());
    }

    #[test]
    fn names_of_sources_hide_folders_and_passwords() {
        for (spec, name) in [
            ("/home/ada/film.mp4", "film.mp4"),
            ("virtual:/a/photos/", "photos"),
            ("-", "-"),
            ("/", "/"),
            ("a.mp4", "a.mp4"),
            ("rtsp://u:p@cam/1?x=y", "rtsp://cam/1?…"),
        ] {
            assert_eq!(short_name(spec), name, "{spec}");
        }
    }
}

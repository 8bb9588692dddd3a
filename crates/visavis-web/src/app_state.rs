//! The state that all requests share. The state of the pipeline itself is in its snapshot, which is read and not copied here.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{broadcast, watch};
use tokio::task;
use visavis_gallery::{AlarmId, Gallery};
use visavis_live::{Alarm, Cause, Event, PipelineHandle, RegistryLoader, Scene, Sighting};
use visavis_video::{OpenOptions, SourceSwitch};

use crate::audit::{Audit, AuditRecord, Client};
use crate::enrol::{CachedEnroller, Networks};
use crate::notice_params::NoticeParams;
use crate::photo_analyzer::CachedAnalyzer;
use crate::problem::Problem;
use crate::record::{BeginRecord, Recorder};
use crate::status::Status;
use crate::undo_log::UndoLog;

/// The running pipeline and the settings of a server.
pub struct ServerConfig {
    /// Controls the pipeline.
    pub pipeline: PipelineHandle,
    /// Loads networks.
    pub loader: Arc<RegistryLoader>,
    /// Switches the source of the pipeline.
    pub switch: SourceSwitch,
    /// Whether the first source is a placeholder until a source is chosen on the page.
    pub waiting: bool,
    /// Whether the server is ready without a source, since it serves photos.
    pub sourceless: bool,
    /// Sources that can be chosen besides the first one and the cameras, as [`visavis_video::open`] takes them.
    pub offers: Vec<String>,
    /// How sources are opened.
    pub opening: OpenOptions,
    /// The network that compares two photos if none is chosen for similarity.
    pub comparing: Option<String>,
    /// Starts a recording of scenes with everything drawn in.
    pub record: BeginRecord,
    /// Records who changed what; `None`: nothing is recorded.
    pub audit: Option<Audit>,
    /// The name of the camera, for these records.
    pub name: String,
    /// What the notice for people in front of the camera says besides the state of the pipeline.
    pub notice: NoticeParams,
}

/// What the pages of all cameras share.
#[derive(Default)]
pub(crate) struct ForAllCameras {
    pub(crate) enroller: CachedEnroller,
    pub(crate) analyzer: CachedAnalyzer,
    /// Held while settings are changed, so that a change is based on the result of the one before. The settings of the detector
    /// belong to all cameras.
    settings: Mutex<()>,
}

pub(crate) struct AppState {
    pub(crate) config: ServerConfig,
    pub(crate) common: Arc<ForAllCameras>,
    pub(crate) undo: UndoLog,
    pub(crate) recorder: Recorder,
    /// The newest picture with its scene, encoded once for all clients.
    pub(crate) frames: watch::Sender<Option<Bytes>>,
    pub(crate) scene: watch::Sender<Option<Arc<Scene>>>,
    /// Wakes the clients that show the status.
    pub(crate) status_changed: watch::Sender<()>,
    /// Messages to all clients.
    pub(crate) notifications: broadcast::Sender<Arc<str>>,
    /// The source that was chosen last: the turn of the switch in which it plays, and its id in the API.
    pub(crate) chosen: Mutex<Option<(u64, String)>>,
    viewers: AtomicUsize,
    /// Whether the server is about to end. Sources of browsers are closed and not replaced then.
    pub(crate) ending: AtomicBool,
}

/// A message to clients besides pictures and the status.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Notification<'a> {
    /// An event of the pipeline.
    Event { text: String, failure: bool },
    /// An alarm was raised.
    Alarm {
        /// Its number in the list of alarms; `None` if it could not be recorded.
        id: Option<i64>,
        time: i64,
        track: u64,
        person: Option<i64>,
        name: Option<&'a str>,
        identified: Option<f32>,
    },
    /// A sighting has begun, got another identity, or ended.
    Sighting {
        /// `appeared`, `identified` or `left`.
        event: &'static str,
        /// Its number in the list of sightings.
        id: i64,
        camera: &'a str,
        first_seen: i64,
        last_seen: i64,
        person: Option<i64>,
        name: Option<&'a str>,
    },
    /// The gallery or the list of alarms has changed and must be read again.
    GalleryChanged,
    /// The list of sightings has changed and must be read again.
    SightingsChanged,
}

impl<'a> Notification<'a> {
    fn of_alarm(alarm: &'a Alarm) -> Self {
        let (person, name, identified) = match &alarm.cause {
            Cause::Watched { person, name, identified, .. } => (Some(person.0), Some(&**name), *identified),
            Cause::Unknown => (None, None, None),
        };
        let id = alarm.id.map(|AlarmId(id)| id);
        Self::Alarm { id, time: alarm.time, track: alarm.track, person, name, identified }
    }

    fn of_sighting(sighting: &'a Sighting) -> Self {
        let (person, name) = sighting.person.as_ref().map(|(person, name)| (person.0, &**name)).unzip();
        let Sighting { kind, id, camera, first_seen, last_seen, .. } = sighting;
        Self::Sighting {
            event: kind.word(),
            id: id.0,
            camera,
            first_seen: *first_seen,
            last_seen: *last_seen,
            person,
            name,
        }
    }
}

impl AppState {
    pub(crate) fn new(config: ServerConfig, common: Arc<ForAllCameras>) -> Self {
        Self {
            common,
            undo: UndoLog::default(),
            recorder: Recorder::default(),
            frames: watch::Sender::new(None),
            scene: watch::Sender::new(None),
            status_changed: watch::Sender::new(()),
            notifications: broadcast::Sender::new(64),
            chosen: Mutex::new(None),
            viewers: AtomicUsize::new(0),
            ending: AtomicBool::new(false),
            config,
        }
    }

    /// Sends a message to all clients.
    pub(crate) fn notify(&self, notification: &Notification<'_>) {
        if let Ok(json) = serde_json::to_string(notification) {
            let _ = self.notifications.send(json.into());
        }
    }

    /// Passes an event of the pipeline to all clients.
    pub(crate) fn handle_event(&self, event: &Event) {
        match event {
            Event::Alarm(alarm) => self.notify(&Notification::of_alarm(alarm)),
            Event::Sighting(sighting) => self.notify(&Notification::of_sighting(sighting)),
            Event::GalleryChanged
            | Event::PersonAdded { .. }
            | Event::PeopleMerged { .. }
            | Event::VisitorsRemoved { .. }
            | Event::AlarmDenied { .. } => self.notify(&Notification::GalleryChanged),
            _ => self.notify(&Notification::Event { text: event.to_string(), failure: event.is_failure() }),
        }
    }

    /// Records a change. `details` must be an object.
    pub(crate) fn audit(&self, client: &Client, action: &'static str, mut details: Value) {
        let Some(audit) = &self.config.audit else { return };
        if let Some(details) = details.as_object_mut() {
            details.insert("camera".into(), self.config.name.as_str().into());
        }
        audit(&AuditRecord { who: client.to_json(), action, details });
    }

    /// The present status.
    pub(crate) fn status(&self) -> Status {
        let chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Status::new(&self.config.pipeline.snapshot(), chosen, self.config.waiting, self.recorder.is_running())
    }

    /// Whether any client shows pictures.
    pub(crate) fn has_viewers(&self) -> bool {
        self.viewers.load(Ordering::Relaxed) > 0
    }

    /// Counts a client that shows pictures until the returned value is dropped.
    pub(crate) fn viewer(self: &Arc<Self>) -> Viewer {
        self.viewers.fetch_add(1, Ordering::Relaxed);
        Viewer(Arc::clone(self))
    }

    /// Waits until no other request changes settings, of this or another camera.
    pub(crate) fn lock_settings(&self) -> MutexGuard<'_, ()> {
        self.common.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The gallery.
    pub(crate) fn gallery(&self) -> Result<Arc<Gallery>, Problem> {
        let gallery = self.config.pipeline.snapshot().gallery.as_ref().map(|state| Arc::clone(&state.gallery));
        gallery.ok_or_else(|| Problem::conflict("visavis runs without a gallery"))
    }

    /// The networks for photos that are added to the gallery.
    pub(crate) fn networks(&self) -> Result<Networks, Problem> {
        let snapshot = self.config.pipeline.snapshot();
        let choice = &snapshot.params.choice;
        Ok(Networks {
            detector: choice.detector.clone(),
            keypoints: choice.keypoints.clone(),
            similarity: self.gallery()?.embedding().name.clone(),
        })
    }

    /// Runs work that waits for a disk or a network on another thread than those that serve requests.
    pub(crate) async fn run_blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let state = Arc::clone(self);
        task::spawn_blocking(move || work(&state)).await.unwrap_or_else(|error| Err(Problem::internal(error)))
    }
}

/// Counts a client that shows pictures.
pub(crate) struct Viewer(Arc<AppState>);

impl Drop for Viewer {
    fn drop(&mut self) {
        self.0.viewers.fetch_sub(1, Ordering::Relaxed);
    }
}

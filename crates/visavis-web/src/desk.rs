//! What all requests share: the running pipeline, its sources, its gallery, and what was last told of them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Bytes;
use serde::Serialize;
use tokio::sync::{broadcast, watch};
use tokio::task;
use visavis_face::gallery::{AlarmId, Gallery, NewAlarm};
use visavis_infer::Task;
use visavis_live::{Alarm, Cause, Event, Loader, PipelineParams, RegistryLoader, Scene, Steering};
use visavis_video::{OpenOptions, SourceSwitch};

use crate::api::short;
use crate::enrol::{Looker, Networks};
use crate::problem::Problem;
use crate::record::{BeginRecord, Recorder};
use crate::status::{GalleryStatus, SourceStatus, Status};
use crate::undo::Undo;

/// What a server needs of a running pipeline.
pub struct Parts {
    /// Steers it.
    pub steering: Steering,
    /// Loads its networks.
    pub loader: Arc<RegistryLoader>,
    /// How it began.
    pub params: PipelineParams,
    /// Puts other sources in the place of its own.
    pub switch: SourceSwitch,
    /// Whether its own source is just a placeholder until somebody chooses one.
    pub waiting: bool,
    /// Sources besides it and the cameras that may be chosen, as [`visavis_video::open`] takes them.
    pub offers: Vec<String>,
    /// How sources are opened.
    pub opening: OpenOptions,
    /// Begins a film of scenes with everything drawn in.
    pub record: BeginRecord,
}

pub(crate) struct Desk {
    pub(crate) parts: Parts,
    /// Another one whenever the gallery goes over to another network.
    gallery: Mutex<Option<Arc<dyn Gallery>>>,
    pub(crate) looker: Looker,
    pub(crate) undo: Undo,
    pub(crate) recorder: Recorder,
    /// How the pipeline runs now, as far as it can be set while it does.
    params: Mutex<PipelineParams>,
    /// The newest picture with its scene, for all clients.
    pub(crate) frames: watch::Sender<Option<Bytes>>,
    pub(crate) scene: watch::Sender<Option<Arc<Scene>>>,
    pub(crate) status: watch::Sender<Status>,
    /// What happens, as messages to clients.
    pub(crate) news: broadcast::Sender<Arc<str>>,
    /// The source that was chosen by its id, and the turn of the switch in which it plays.
    pub(crate) chosen: Mutex<Option<(u64, String)>>,
    noted_turn: AtomicU64,
    watching: AtomicUsize,
}

/// A message to clients besides pictures.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum News<'a> {
    /// Something happened.
    Event { text: String, failure: bool },
    /// Somebody is there of whom an alarm tells.
    Alarm {
        /// Its number in the list of alarms, where there is one.
        id: Option<i64>,
        time: i64,
        track: u64,
        person: Option<i64>,
        name: Option<&'a str>,
        similarity: Option<f32>,
    },
    /// The gallery or the list of alarms changed: whoever shows it reads it again.
    GalleryChanged,
}

impl Desk {
    pub(crate) fn new(parts: Parts) -> Self {
        let similarity = parts.params.choice.similarity.clone();
        // Loaded by the pipeline already: a failure would have been told.
        let gallery = similarity.and_then(|network| parts.loader.gallery(&network).ok().flatten());
        let playing = parts.switch.playing();
        let status = Status {
            version: env!("CARGO_PKG_VERSION"),
            source: SourceStatus {
                id: Some("start".into()),
                name: short(&playing.info.name),
                mirrored: parts.switch.is_mirrored(),
                waiting: parts.waiting,
                failure: None,
            },
            recording: false,
            tasks: Status::tasks_of(&parts.params.choice),
            gallery: gallery.as_ref().map(|gallery| GalleryStatus {
                network: gallery.embedding().name.clone(),
                grows: parts.params.growth.is_some(),
            }),
        };
        Self {
            gallery: Mutex::new(gallery),
            looker: Looker::default(),
            undo: Undo::default(),
            recorder: Recorder::default(),
            params: Mutex::new(parts.params.clone()),
            frames: watch::Sender::new(None),
            scene: watch::Sender::new(None),
            status: watch::Sender::new(status),
            news: broadcast::Sender::new(64),
            chosen: Mutex::new(None),
            noted_turn: AtomicU64::new(playing.turn),
            watching: AtomicUsize::new(0),
            parts,
        }
    }

    /// Tells all clients, if there are any.
    pub(crate) fn say(&self, news: &News<'_>) {
        if let Ok(json) = serde_json::to_string(news) {
            let _ = self.news.send(json.into());
        }
    }

    /// Takes in what the pipeline tells.
    pub(crate) fn tell(&self, event: &Event) {
        self.status.send_if_modified(|status| status.absorb(event));
        if let Event::Switched { task: Task::Similarity, model: Some(model) } = event {
            self.take_gallery_of(model);
        }
        match event {
            Event::Alarm(alarm) => self.ring(alarm),
            Event::GalleryChanged
            | Event::Met { .. }
            | Event::Joined { .. }
            | Event::Forgot { .. }
            | Event::Denied { .. } => self.say(&News::GalleryChanged),
            _ => self.say(&News::Event { text: event.to_string(), failure: event.is_failure() }),
        }
    }

    /// Whatever network the faces are compared by now, the gallery is its.
    fn take_gallery_of(&self, model: &str) {
        // Loaded by the pipeline already: a failure would have been told.
        let Ok(Some(gallery)) = self.parts.loader.gallery(model) else { return };
        self.status.send_if_modified(|status| {
            let status = status.gallery.as_mut().filter(|status| status.network != model);
            status.map(|status| model.clone_into(&mut status.network)).is_some()
        });
        *self.gallery.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(gallery);
    }

    fn ring(&self, alarm: &Alarm) {
        let (person, name, similarity) = match &alarm.cause {
            Cause::Watched { person, name, similarity, .. } => (Some(*person), Some(&**name), Some(*similarity)),
            Cause::Unknown => (None, None, None),
        };
        let kept = self.gallery().ok().map(|gallery| {
            let (vector, crop) = (&*alarm.vector, alarm.crop.as_deref());
            let source = &self.status.borrow().source.name.clone();
            gallery.record_alarm(&NewAlarm { time: alarm.time, source, person, similarity, vector, crop })
        });
        let id = kept.and_then(|kept| {
            kept.unwrap_or_else(|error| {
                log::error!("alarm {} was not kept: {error}", alarm.number);
                None
            })
        });
        let (time, track) = (alarm.time, alarm.track);
        let person = person.map(|person| person.0);
        self.say(&News::Alarm { id: id.map(|AlarmId(id)| id), time, track, person, name, similarity });
    }

    /// Looks whether another source plays than before.
    pub(crate) fn note_source(&self) {
        let playing = self.parts.switch.playing();
        let mirrored = self.parts.switch.is_mirrored();
        if self.noted_turn.swap(playing.turn, Ordering::Relaxed) == playing.turn
            && self.status.borrow().source.mirrored == mirrored
        {
            return;
        }
        let chosen = self.chosen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let id = match &*chosen {
            _ if playing.first => Some("start".to_owned()),
            Some((turn, id)) if *turn == playing.turn => Some(id.clone()),
            _ => None,
        };
        if let Some(reason) = &playing.failure {
            self.say(&News::Event { text: format!("the source broke: {reason}"), failure: true });
        }
        self.status.send_modify(|status| {
            status.source = SourceStatus {
                id,
                name: short(&playing.info.name),
                mirrored,
                waiting: playing.first && self.parts.waiting,
                failure: playing.failure.clone(),
            };
        });
    }

    /// Whether any client wants pictures.
    pub(crate) fn is_watched(&self) -> bool {
        self.watching.load(Ordering::Relaxed) > 0
    }

    /// A client wants pictures until the answer is dropped.
    pub(crate) fn watcher(self: &Arc<Self>) -> Watcher {
        self.watching.fetch_add(1, Ordering::Relaxed);
        Watcher(Arc::clone(self))
    }

    /// How the pipeline runs now, as far as it can be set while it does.
    pub(crate) fn params(&self) -> MutexGuard<'_, PipelineParams> {
        self.params.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The gallery.
    pub(crate) fn gallery(&self) -> Result<Arc<dyn Gallery>, Problem> {
        let gallery = self.gallery.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        gallery.clone().ok_or_else(|| Problem::conflict("visavis runs without a gallery: start it with --gallery FILE"))
    }

    /// The networks that look at photos for the gallery.
    pub(crate) fn networks(&self) -> Result<Networks, Problem> {
        let status = self.status.borrow();
        Ok(Networks {
            detector: status.network(Task::Detection).unwrap_or_default().to_owned(),
            keypoints: status.network(Task::Keypoints).map(str::to_owned),
            similarity: self.gallery()?.embedding().name.clone(),
        })
    }

    /// Does something that waits for a disk or a network, off the threads that serve.
    pub(crate) async fn apart<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let desk = Arc::clone(self);
        task::spawn_blocking(move || work(&desk)).await.unwrap_or_else(|died| Err(Problem::internal(died)))
    }
}

/// Counts a client that wants pictures.
pub(crate) struct Watcher(Arc<Desk>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.watching.fetch_sub(1, Ordering::Relaxed);
    }
}

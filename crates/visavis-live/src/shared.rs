//! The state that all threads of a pipeline share.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use visavis_face::TrackId;
use visavis_gallery::GalleryError;
use visavis_image::Frame;
use visavis_video::{Interrupter, Playing};

use crate::buffer::{FrameBuffer, Pacing};
use crate::clock::Clock;
use crate::event::Event;
use crate::gallery_health::{GalleryClient, GalleryHealth};
use crate::job_queue::{CameraId, Work};
use crate::message::{GalleryRequest, Message};
use crate::model_set::ModelSet;
use crate::params::PipelineParams;
use crate::pool::{Pool, PoolClient};
use crate::snapshot::{Snapshot, SnapshotCell};
use crate::statistics::{Statistics, StatisticsReport};
use crate::subscription::Channel;

/// A camera as the workers and the loader see it.
pub(crate) struct Camera {
    pub(crate) id: CameraId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) messages: Sender<Message>,
}

/// What the workers, the loader and the pipelines share.
pub(crate) type CameraPool = Pool<Camera>;

impl PoolClient for Camera {
    fn id(&self) -> CameraId {
        self.id
    }

    fn emit(&self, event: Event) {
        self.shared.emit(event);
    }

    fn tell(&self, message: Message) {
        // Fails if the controller has ended.
        let _ = self.messages.send(message);
    }

    fn update(&self, change: &dyn Fn(&mut Snapshot) -> bool) {
        self.shared.snapshots.update(change);
    }

    fn is_stopped(&self) -> bool {
        self.shared.clock.is_stopped()
    }
}

/// The jobs of this pipeline's camera in the queue of the worker pool.
pub(crate) struct CameraJobs {
    pub(crate) pool: Arc<CameraPool>,
    pub(crate) id: CameraId,
}

impl CameraJobs {
    /// As [`crate::job_queue::JobQueue::add`].
    pub(crate) fn add(&self, work: &Arc<Work>, pacing: Pacing, alive: &[TrackId]) -> usize {
        self.pool.jobs.add(self.id, work, pacing, alive)
    }

    /// The networks in use.
    pub(crate) fn models(&self) -> Arc<ModelSet> {
        self.pool.jobs.models()
    }

    /// As [`crate::job_queue::JobQueue::reopen_identity`].
    pub(crate) fn reopen_identity(&self, track: TrackId) {
        self.pool.jobs.reopen_identity(self.id, track);
    }

    /// As [`crate::job_queue::JobQueue::reopen_identities`].
    pub(crate) fn reopen_identities(&self) {
        self.pool.jobs.reopen_identities(self.id);
    }
}

/// The state that all threads of a pipeline share.
pub(crate) struct Shared {
    /// The parameters that the pipeline was started with. Those in use are in the snapshot.
    pub(crate) params: PipelineParams,
    pub(crate) clock: Arc<Clock>,
    pub(crate) statistics: Arc<Statistics>,
    pub(crate) buffer: FrameBuffer<Frame>,
    pub(crate) jobs: CameraJobs,
    /// The subscriptions to scenes.
    pub(crate) channels: Vec<Arc<Channel>>,
    pub(crate) snapshots: Arc<SnapshotCell>,
    pub(crate) gallery_health: GalleryHealth,
    pub(crate) events: Sender<Event>,
    /// Requests to the gallery worker. `None`: there is no gallery worker.
    pub(crate) gallery_requests: Option<SyncSender<GalleryRequest>>,
    /// Number of failure events.
    pub(crate) failures: AtomicU32,
    /// When the grabber began to read the source; `None` while it does not read.
    pub(crate) reading_since: Mutex<Option<Duration>>,
    /// Ends a read of the source that waits.
    pub(crate) interrupter: Option<Interrupter>,
}

impl Shared {
    /// Logs an event, applies it to the snapshot and sends it to the receiver of events, if there is one.
    pub(crate) fn emit(&self, event: Event) {
        if event.is_failure() {
            self.failures.fetch_add(1, Ordering::Relaxed);
            log::warn!("{event}");
        } else {
            log::info!("{event}");
        }
        if matches!(event, Event::Alarm(_)) {
            self.statistics.alarm();
        }
        self.snapshots.update(|snapshot| snapshot.apply(&event));
        // Fails if the receiver was dropped, which is allowed.
        let _ = self.events.send(event);
    }

    /// Sets whether the grabber waits for the source from now on.
    pub(crate) fn set_reading(&self, reading: bool) {
        let since = reading.then(|| self.clock.now());
        *self.reading_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// When the grabber began to wait for the source; `None` if it does not wait.
    pub(crate) fn reading_since(&self) -> Option<Duration> {
        *self.reading_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes the source that is played, if that has changed. A source that was replaced because it failed is reported.
    pub(crate) fn set_playing(&self, playing: Playing) {
        let newest = self.snapshots.newest();
        let before = &newest.source.playing;
        if *before == playing {
            return;
        }
        let failure = playing.failure.clone().filter(|_| before.turn != playing.turn);
        self.snapshots.update(|snapshot| {
            snapshot.source.playing = playing;
            true
        });
        if let Some(reason) = failure {
            self.emit(Event::SourceFailed { reason });
        }
    }

    /// Records whether the gallery worked, and emits an event when it begins to fail or works again.
    pub(crate) fn gallery_used<T>(&self, client: GalleryClient, result: &Result<T, GalleryError>) {
        let refused = matches!(result, Err(GalleryError::OtherNetwork { .. }));
        if refused && self.jobs.pool.is_converting() {
            return;
        }
        self.gallery_health.record(client, result.as_ref().err(), |event| self.emit(event));
    }

    /// Sends a request to the gallery worker, or drops it if the worker's queue is full.
    pub(crate) fn offer_to_gallery(&self, request: impl FnOnce() -> GalleryRequest) {
        if let Some(requests) = &self.gallery_requests {
            let _ = requests.try_send(request());
        }
    }

    /// Sends a request to the gallery worker. Waits while the worker's queue is full.
    pub(crate) fn send_to_gallery(&self, request: GalleryRequest) {
        if let Some(requests) = &self.gallery_requests {
            let _ = requests.send(request);
        }
    }

    /// The measurements since the start.
    pub(crate) fn report(&self) -> StatisticsReport {
        self.statistics.report(self.clock.now(), self.buffer.skipped(), self.buffer.len())
    }

    /// Ends every wait for the clock and for the source.
    pub(crate) fn stop(&self) {
        self.clock.stop();
        if let Some(interrupt) = &self.interrupter {
            interrupt();
        }
    }

    /// Ends all threads. Called by the controller when it ends, for whatever reason.
    pub(crate) fn shut_down(&self) {
        self.stop();
        self.buffer.abort();
        self.jobs.pool.jobs.disconnect(self.jobs.id);
        // Waits if the queue is full; the worker empties it.
        self.send_to_gallery(GalleryRequest::Stop);
        for channel in &self.channels {
            channel.close();
        }
        self.snapshots.close();
    }
}

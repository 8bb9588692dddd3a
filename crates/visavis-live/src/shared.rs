//! The state that all threads of a pipeline share.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use visavis_gallery::GalleryError;
use visavis_image::Frame;
use visavis_video::{Interrupter, Playing};

use crate::buffer::FrameBuffer;
use crate::clock::Clock;
use crate::event::Event;
use crate::gallery_health::{GalleryClient, GalleryHealth};
use crate::job_queue::JobQueue;
use crate::loader::Loader;
use crate::message::{GalleryRequest, LoaderRequest};
use crate::model_set::{DetectionModel, ModelSet};
use crate::params::PipelineParams;
use crate::snapshot::SnapshotCell;
use crate::statistics::{Statistics, StatisticsReport};
use crate::subscription::Channel;

/// The state that all threads of a pipeline share.
pub(crate) struct Shared {
    /// The parameters that the pipeline was started with. Those in use are in the snapshot.
    pub(crate) params: PipelineParams,
    pub(crate) clock: Arc<Clock>,
    pub(crate) statistics: Arc<Statistics>,
    pub(crate) buffer: FrameBuffer<Frame>,
    pub(crate) jobs: JobQueue,
    pub(crate) loader: Arc<dyn Loader>,
    /// The subscriptions to scenes.
    pub(crate) channels: Vec<Arc<Channel>>,
    pub(crate) snapshots: Arc<SnapshotCell>,
    pub(crate) detector: Mutex<Arc<DetectionModel>>,
    pub(crate) gallery_health: GalleryHealth,
    pub(crate) events: Sender<Event>,
    pub(crate) loader_requests: Sender<LoaderRequest>,
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

    /// The detector in use.
    pub(crate) fn detector(&self) -> Arc<DetectionModel> {
        Arc::clone(&self.detector.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Uses another detector from the next frame on.
    pub(crate) fn replace_detector(&self, detector: DetectionModel) {
        *self.detector.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(detector);
    }

    /// Uses other recognition networks from the next job on.
    pub(crate) fn replace_models(&self, models: ModelSet) {
        let gallery = models.gallery.clone();
        self.jobs.replace(models);
        if let Some(gallery) = gallery {
            self.snapshots.update(|snapshot| snapshot.set_gallery(gallery));
        }
    }

    /// Records whether the gallery worked, and emits an event when it begins to fail or works again.
    pub(crate) fn gallery_used<T>(&self, client: GalleryClient, result: &Result<T, GalleryError>) {
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

    /// Sends a request to the loader thread.
    pub(crate) fn request(&self, request: LoaderRequest) {
        let _ = self.loader_requests.send(request);
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
        self.jobs.close();
        self.request(LoaderRequest::Stop);
        // Waits if the queue is full; the worker empties it.
        self.send_to_gallery(GalleryRequest::Stop);
        for channel in &self.channels {
            channel.close();
        }
        self.snapshots.close();
    }
}

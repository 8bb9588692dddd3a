//! Starting a pipeline and waiting for its end.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use visavis_infer::Task;
use visavis_video::Source;

use crate::buffer::{FrameBuffer, Pacing};
use crate::clock::Clock;
use crate::controller::Controller;
use crate::error::LiveError;
use crate::event::Event;
use crate::gallery_health::GalleryHealth;
use crate::grabber::Grabber;
use crate::handle::PipelineHandle;
use crate::loader::Loader;
use crate::message::{GalleryRequest, LoaderRequest, Message, SourceEnd};
use crate::params::{Outcome, PipelineParams};
use crate::shared::{Camera, CameraJobs, Shared};
use crate::snapshot::{Snapshot, SnapshotCell};
use crate::statistics::{Statistics, StatisticsReport};
use crate::subscription::{Channel, Delivery, Subscription};
use crate::thread::{catch_panic, spawn};
use crate::worker_pool::WorkerPool;
use crate::{detection, gallery_worker, sighting_recorder};

/// A pipeline whose networks are loaded and whose threads are not started. Subscriptions made here miss no frame.
pub struct Prepared {
    params: PipelineParams,
    pool: Arc<WorkerPool>,
    clock: Arc<Clock>,
    statistics: Arc<Statistics>,
    channels: Vec<Arc<Channel>>,
}

impl Prepared {
    /// A pipeline with its own [`WorkerPool`]: loads the networks of `params.choice`.
    ///
    /// # Errors
    /// Those of [`WorkerPool::new`].
    pub fn new(params: PipelineParams, loader: Arc<dyn Loader>) -> Result<Self, LiveError> {
        let pool = WorkerPool::new(loader, &params.choice, params.workers)?;
        Ok(Self::with_pool(params, Arc::new(pool)))
    }

    /// A pipeline with the workers and networks of `pool`, which replace those of `params`.
    #[must_use]
    pub fn with_pool(params: PipelineParams, pool: Arc<WorkerPool>) -> Self {
        let params = PipelineParams { choice: pool.choice(), workers: pool.workers(), ..params };
        let (clock, statistics) = (Arc::new(Clock::start()), Arc::new(Statistics::new()));
        Self { params, pool, clock, statistics, channels: Vec::new() }
    }

    /// A stream of scenes.
    pub fn subscribe(&mut self, delivery: Delivery) -> Subscription {
        let channel = Arc::new(Channel::new(delivery, self.params.pacing == Pacing::EveryFrame));
        self.channels.push(Arc::clone(&channel));
        Subscription { channel, clock: Arc::clone(&self.clock), statistics: Arc::clone(&self.statistics) }
    }

    /// Starts all threads on `source`.
    ///
    /// # Errors
    /// [`LiveError::Thread`] if the system does not start a thread; the threads started before are ended.
    pub fn start(self, source: Box<dyn Source>) -> Result<Pipeline, LiveError> {
        let (events_in, events) = mpsc::channel();
        let (messages, messages_out) = mpsc::channel();
        let (params, pool) = (self.params, Arc::clone(self.pool.inner()));
        let has_gallery_worker = params.pacing == Pacing::Live && (params.alarm.is_some() || params.growth.is_some());
        let (gallery_requests, gallery_requests_out) =
            has_gallery_worker.then(|| mpsc::sync_channel(gallery_worker::QUEUE)).unzip();
        let recorded =
            (params.pacing == Pacing::Live && params.sightings.is_some()).then(|| Arc::new(Channel::uncounted()));
        let mut channels = self.channels;
        channels.extend(recorded.clone());
        let snapshot = Snapshot::new(params.clone(), source.playing(), pool.jobs.models().gallery.clone());
        let shared = Arc::new(Shared {
            clock: self.clock,
            statistics: self.statistics,
            buffer: FrameBuffer::new(params.buffer, params.pacing),
            jobs: CameraJobs { id: pool.jobs.register(params.schedule.clone()), pool },
            channels,
            snapshots: Arc::new(SnapshotCell::new(snapshot)),
            gallery_health: GalleryHealth::default(),
            events: events_in,
            gallery_requests,
            failures: AtomicU32::new(0),
            reading_since: Mutex::new(None),
            interrupter: source.interrupter(),
            params,
        });
        shared.jobs.pool.connect(Camera {
            id: shared.jobs.id,
            shared: Arc::clone(&shared),
            messages: messages.clone(),
        });
        let mut pipeline = Pipeline {
            shared,
            messages,
            events: Some(events),
            threads: Vec::new(),
            controller: None,
            grabber: None,
            _pool: self.pool,
        };
        // On an error the pipeline is dropped, which ends the threads that were started.
        pipeline.spawn_all(source, messages_out, gallery_requests_out)?;
        if let Some(channel) = recorded {
            pipeline.spawn_sighting_recorder(channel)?;
        }
        Ok(pipeline)
    }
}

/// A running pipeline. Dropping it stops all its threads and waits for them.
pub struct Pipeline {
    shared: Arc<Shared>,
    messages: Sender<Message>,
    events: Option<Receiver<Event>>,
    threads: Vec<JoinHandle<()>>,
    controller: Option<JoinHandle<Outcome>>,
    /// The thread of the grabber, and a channel that is disconnected when the thread ends.
    grabber: Option<(JoinHandle<()>, Receiver<()>)>,
    /// Declared last: its threads end after the pipeline, if no other pipeline uses it.
    _pool: Arc<WorkerPool>,
}

/// How long the end of a pipeline waits for a read of the source. After that the thread of the grabber is left running.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

impl Pipeline {
    fn spawn_all(
        &mut self,
        source: Box<dyn Source>,
        messages_out: Receiver<Message>,
        gallery_requests: Option<Receiver<GalleryRequest>>,
    ) -> Result<(), LiveError> {
        let controller = Controller::new(&self.shared);
        let shared = Arc::clone(&self.shared);
        self.controller = Some(spawn("controller", move || {
            let outcome = catch_panic(|| controller.run(&shared, &messages_out));
            // Ends the other threads and the streams of scenes, also after a panic.
            shared.shut_down();
            outcome.unwrap_or_else(|reason| {
                shared.emit(Event::StageFailed { stage: "controller".into(), reason: reason.clone() });
                Outcome { source_failure: Some(format!("the controller panicked: {reason}")), ..Outcome::default() }
            })
        })?);
        if let Some(requests) = gallery_requests {
            let shared = Arc::clone(&self.shared);
            self.threads.push(spawn("gallery", move || gallery_worker::run(&shared, &requests))?);
        }
        let (shared, messages) = (Arc::clone(&self.shared), self.messages.clone());
        self.threads.push(spawn("detection", move || detection::run(&shared, &messages))?);
        let (shared, messages) = (Arc::clone(&self.shared), self.messages.clone());
        let grabber = Grabber { source, repeat: shared.params.repeat, mirror: shared.params.mirror };
        let (ends, ended) = mpsc::channel();
        let thread = spawn("grabber", move || {
            let _ends: Sender<()> = ends;
            if let Err(reason) = catch_panic(|| grabber.run(&shared, &messages)) {
                shared.buffer.close();
                let end = SourceEnd { failure: Some(reason), ..SourceEnd::default() };
                let _ = messages.send(Message::SourceEnded(end));
            }
        })?;
        self.grabber = Some((thread, ended));
        Ok(())
    }

    fn spawn_sighting_recorder(&mut self, channel: Arc<Channel>) -> Result<(), LiveError> {
        let shared = Arc::clone(&self.shared);
        let (clock, statistics) = (Arc::clone(&shared.clock), Arc::clone(&shared.statistics));
        let scenes = Subscription { channel, clock, statistics };
        self.threads.push(spawn("sightings", move || sighting_recorder::run(&shared, &scenes))?);
        Ok(())
    }

    /// The stream of events. `None` from the second call on.
    pub fn events(&mut self) -> Option<Receiver<Event>> {
        self.events.take()
    }

    /// Requests another network for a task (`None`: the task is switched off), for all pipelines of the [`WorkerPool`]. Returns at
    /// once; the result is an [`Event`].
    pub fn switch(&self, task: Task, model: Option<String>) {
        self.shared.jobs.pool.request(LoaderRequest::Switch { task, model });
    }

    /// Records that the last alarm named the wrong person. That face is not taken for this person again.
    pub fn deny_last_alarm(&self) {
        self.shared.send_to_gallery(GalleryRequest::DenyLastAlarm);
    }

    /// The measurements since the start.
    #[must_use]
    pub fn statistics(&self) -> StatisticsReport {
        self.shared.report()
    }

    /// The present state.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshots.newest()
    }

    /// Asks all threads to end. Returns at once. May be called from any thread and more than once.
    pub fn stop(&self) {
        self.shared.stop();
        let _ = self.messages.send(Message::Stop);
    }

    /// A handle that controls the pipeline from any thread.
    #[must_use]
    pub fn handle(&self) -> PipelineHandle {
        PipelineHandle::new(&self.shared, &self.messages)
    }

    /// A function that stops the pipeline, for example for a Ctrl-C handler.
    pub fn stopper(&self) -> impl Fn() + Send + 'static {
        let handle = self.handle();
        move || handle.stop()
    }

    /// Waits for the end of the source, or for the end after [`Pipeline::stop`].
    #[must_use]
    pub fn join(mut self) -> Outcome {
        self.finish()
    }

    fn finish(&mut self) -> Outcome {
        let outcome = self.controller.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        self.shared.shut_down();
        self.shared.jobs.pool.remove(self.shared.jobs.id);
        for thread in self.threads.drain(..) {
            // Fails if the thread panicked, which it has reported as an event.
            let _ = thread.join();
        }
        if let Some((grabber, ended)) = self.grabber.take() {
            if ended.recv_timeout(READ_TIMEOUT) == Err(mpsc::RecvTimeoutError::Timeout) {
                log::warn!("the source does not return from a read; its thread is left running");
            } else {
                let _ = grabber.join();
            }
        }
        Outcome { stage_failures: self.shared.failures.load(Ordering::Relaxed), ..outcome }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.stop();
        self.finish();
    }
}

//! The worker pool: recognition workers and networks, which all cameras of a process share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use visavis_infer::Task;

use crate::choice::Choice;
use crate::error::LiveError;
use crate::event::Event;
use crate::job_queue::{CameraId, JobQueue};
use crate::loader::Loader;
use crate::message::{LoaderRequest, Message};
use crate::model_loading::{load_detector, load_models};
use crate::model_set::{DetectionModel, ModelSet};
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::thread::spawn;
use crate::{model_switching, recognition};

/// The recognition workers and the networks of a process. Any number of pipelines share one pool, each with its own camera.
///
/// Each network is loaded once for each worker, and the detector at most once for each worker, whatever the number of cameras. The
/// workers divide their time equally among the cameras. A switch of a network and a change of the number of workers apply to all
/// pipelines of the pool, and each of them gets the events.
///
/// Dropping the pool waits for the end of its threads. The pipelines keep it: it lives at least as long as they do.
pub struct WorkerPool {
    inner: Arc<Pool>,
    loader: Option<JoinHandle<()>>,
}

impl WorkerPool {
    /// Loads the networks of `choice` and starts `workers` recognition workers, at least 1.
    ///
    /// # Errors
    /// [`LiveError`] for the first network that cannot be loaded; [`LiveError::Thread`] if the system does not start a thread.
    pub fn new(loader: Arc<dyn Loader>, choice: &Choice, workers: usize) -> Result<Self, LiveError> {
        let workers = workers.max(1);
        let mut events = Vec::new();
        let detector = load_detector(loader.as_ref(), &choice.detector, 1, 1, &mut events)?;
        let models = load_models(loader.as_ref(), choice, workers, &ModelSet::default(), &mut events)?;
        let (requests, requests_out) = mpsc::channel();
        let networks = Networks { choice: choice.clone(), running: events, cameras: Vec::new() };
        let inner = Arc::new(Pool {
            jobs: JobQueue::new(models, workers),
            loader,
            converting: AtomicBool::new(false),
            detector: Mutex::new(Arc::new(detector)),
            requests,
            loader_busy: Mutex::new(false),
            loader_idle: Condvar::new(),
            networks: Mutex::new(networks),
        });
        let mut pool = Self { inner, loader: None };
        // On an error the pool is dropped, which ends the threads that were started.
        let threads = WorkerThreads::start(&pool.inner)?;
        let shared = Arc::clone(&pool.inner);
        pool.loader = Some(spawn("loader", move || model_switching::run(&shared, &requests_out, threads))?);
        Ok(pool)
    }

    /// The networks in use.
    #[must_use]
    pub fn choice(&self) -> Choice {
        self.inner.lock().choice.clone()
    }

    /// The number of recognition workers.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.inner.jobs.workers()
    }

    pub(crate) fn inner(&self) -> &Arc<Pool> {
        &self.inner
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.inner.jobs.close();
        self.inner.request(LoaderRequest::Stop);
        if let Some(loader) = self.loader.take() {
            // Fails if the thread panicked.
            let _ = loader.join();
        }
    }
}

/// A camera as the workers and the loader see it.
pub(crate) struct Camera {
    pub(crate) id: CameraId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) messages: Sender<Message>,
}

/// What the workers, the loader and the pipelines of a pool share.
pub(crate) struct Pool {
    pub(crate) jobs: JobQueue<Arc<Camera>>,
    pub(crate) loader: Arc<dyn Loader>,
    /// Whether the gallery is being converted to another network. Until the new model set is in use, workers use the gallery with
    /// the old network and are refused; this is not a fault.
    pub(crate) converting: AtomicBool,
    detector: Mutex<Arc<DetectionModel>>,
    requests: Sender<LoaderRequest>,
    /// Whether the loader handles a request.
    loader_busy: Mutex<bool>,
    loader_idle: Condvar,
    networks: Mutex<Networks>,
}

/// A request that the loader handles.
pub(crate) struct LoaderBusy<'a>(&'a Pool);

impl Drop for LoaderBusy<'_> {
    fn drop(&mut self) {
        *self.0.loader_busy.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.loader_idle.notify_all();
    }
}

/// The networks in use, and the cameras that are told about a change.
struct Networks {
    choice: Choice,
    /// An [`Event::Running`] for each network in use.
    running: Vec<Event>,
    cameras: Vec<Arc<Camera>>,
}

impl Networks {
    fn apply(&mut self, event: &Event) {
        match event {
            Event::Running { task, .. } => {
                self.forget(*task);
                self.running.push(event.clone());
            }
            Event::Switched { task, model } => {
                self.choice.set(*task, model.clone());
                if model.is_none() && *task != Task::Detection {
                    self.forget(*task);
                }
            }
            Event::ModelDisabled { model, .. } => {
                for task in Task::ALL {
                    if self.choice.of(task) == Some(model) {
                        self.choice.set(task, None);
                        self.forget(task);
                    }
                }
            }
            _ => {}
        }
    }

    fn forget(&mut self, of: Task) {
        self.running.retain(|event| !matches!(event, Event::Running { task, .. } if *task == of));
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Networks> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a camera: it gets workers, and events about the networks, beginning with one for each network in use.
    pub(crate) fn connect(&self, camera: Camera) {
        let camera = Arc::new(camera);
        let mut networks = self.lock();
        let (choice, workers) = (networks.choice.clone(), self.jobs.workers());
        camera.shared.snapshots.update(|snapshot| {
            (snapshot.params.choice, snapshot.params.workers) = (choice, workers);
            if let Some(gallery) = self.jobs.models().gallery.clone() {
                snapshot.set_gallery(gallery);
            }
            true
        });
        networks.running.iter().for_each(|event| camera.shared.emit(event.clone()));
        self.jobs.connect(camera.id, Arc::clone(&camera));
        networks.cameras.push(camera);
        drop(networks);
        self.request(LoaderRequest::LoadDetectors);
    }

    /// Removes a camera. Waits for its jobs that run, and, if it is the last one, for the request that the loader handles: the
    /// conversion of a gallery ends early then. After that the camera gets no more events.
    pub(crate) fn remove(&self, id: CameraId) {
        self.jobs.remove(id);
        if !self.is_in_use() {
            let busy = self.loader_busy.lock().unwrap_or_else(PoisonError::into_inner);
            drop(self.loader_idle.wait_while(busy, |busy| *busy));
        }
        let removed: Vec<_> = self.lock().cameras.extract_if(.., |camera| camera.id == id).collect();
        if !removed.is_empty() {
            self.request(LoaderRequest::LoadDetectors);
        }
    }

    /// Records that the loader handles a request until the returned value is dropped.
    pub(crate) fn begin_request(&self) -> LoaderBusy<'_> {
        *self.loader_busy.lock().unwrap_or_else(PoisonError::into_inner) = true;
        LoaderBusy(self)
    }

    /// The networks in use.
    pub(crate) fn choice(&self) -> Choice {
        self.lock().choice.clone()
    }

    /// Sends an event about the networks to all cameras.
    pub(crate) fn emit(&self, event: &Event) {
        let mut networks = self.lock();
        networks.apply(event);
        networks.cameras.iter().for_each(|camera| camera.shared.emit(event.clone()));
    }

    /// Sends a message to the controllers of all cameras.
    pub(crate) fn tell(&self, message: impl Fn() -> Message) {
        for camera in &self.lock().cameras {
            let _ = camera.messages.send(message());
        }
    }

    /// Changes the snapshots of all cameras. `change` returns whether it changed anything.
    pub(crate) fn update(&self, change: impl Fn(&mut Snapshot) -> bool) {
        for camera in &self.lock().cameras {
            camera.shared.snapshots.update(&change);
        }
    }

    /// Whether a camera still runs.
    pub(crate) fn is_in_use(&self) -> bool {
        self.lock().cameras.iter().any(|camera| !camera.shared.clock.is_stopped())
    }

    /// Uses other recognition networks from the next job on.
    pub(crate) fn replace_models(&self, models: ModelSet) {
        let gallery = models.gallery.clone();
        self.jobs.replace(models);
        if let Some(gallery) = gallery {
            self.update(|snapshot| snapshot.set_gallery(Arc::clone(&gallery)));
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

    /// The largest number of instances of the detector: one for each camera, and not more than workers, since both are about the
    /// number of cores.
    pub(crate) fn detector_limit(&self) -> usize {
        self.lock().cameras.len().min(self.jobs.workers()).max(1)
    }

    /// Changes the number of workers, at least 1.
    pub(crate) fn set_workers(&self, workers: usize) {
        let workers = workers.max(1);
        self.update(|snapshot| std::mem::replace(&mut snapshot.params.workers, workers) != workers);
        self.request(LoaderRequest::SetWorkers(workers));
    }

    /// Sends a request to the loader thread.
    pub(crate) fn request(&self, request: LoaderRequest) {
        let _ = self.requests.send(request);
    }

    /// Whether the gallery is being converted.
    pub(crate) fn is_converting(&self) -> bool {
        self.converting.load(Ordering::Acquire)
    }
}

/// The threads of all workers, by their numbers. Their number can be changed while they run.
pub(crate) struct WorkerThreads {
    pool: Arc<Pool>,
    workers: Vec<JoinHandle<()>>,
}

impl WorkerThreads {
    /// Starts the number of workers that the job queue is set to.
    ///
    /// # Errors
    /// [`LiveError::Thread`] if the system does not start a thread. The threads started before end when the job queue is closed.
    fn start(pool: &Arc<Pool>) -> Result<Self, LiveError> {
        let mut threads = Self { pool: Arc::clone(pool), workers: Vec::new() };
        threads.start_missing()?;
        Ok(threads)
    }

    /// Changes the number of workers, at least 1. Waits until the workers that are removed have finished their last job.
    ///
    /// # Errors
    /// [`LiveError::Thread`] if the system does not start a thread. There are fewer workers then.
    pub(crate) fn resize(&mut self, count: usize) -> Result<(), LiveError> {
        let count = count.max(1);
        self.pool.jobs.set_workers(count);
        join_all(self.workers.drain(count.min(self.workers.len())..));
        self.start_missing().inspect_err(|_| self.pool.jobs.set_workers(self.workers.len()))
    }

    /// Waits until all workers have ended. The job queue must have been closed.
    pub(crate) fn join(mut self) {
        join_all(self.workers.drain(..));
    }

    fn start_missing(&mut self) -> Result<(), LiveError> {
        for number in self.workers.len() + 1..=self.pool.jobs.workers() {
            let pool = Arc::clone(&self.pool);
            self.workers.push(spawn(&format!("recognition-{number}"), move || recognition::run(&pool, number))?);
        }
        Ok(())
    }
}

fn join_all(workers: impl Iterator<Item = JoinHandle<()>>) {
    for worker in workers {
        // Fails if the thread panicked, which it has reported as an event.
        let _ = worker.join();
    }
}

//! What the workers, the loader and the pipelines of a worker pool share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use visavis_face::Choice;
use visavis_infer::Task;

use crate::event::Event;
use crate::job_queue::{CameraId, JobQueue};
use crate::loader::Loader;
use crate::message::{LoaderRequest, Message};
use crate::model_set::{DetectionModel, ModelSet};
use crate::snapshot::Snapshot;

/// A camera as the pool sees it.
pub(crate) trait PoolClient {
    fn id(&self) -> CameraId;
    /// Emits an event about the networks.
    fn emit(&self, event: Event);
    /// Sends a message to the controller.
    fn tell(&self, message: Message);
    /// Changes the snapshot. `change` returns whether it changed anything.
    fn update(&self, change: &dyn Fn(&mut Snapshot) -> bool);
    /// Whether the pipeline was stopped or has ended.
    fn is_stopped(&self) -> bool;
}

/// What the workers, the loader and the pipelines of a pool share.
pub(crate) struct Pool<C> {
    pub(crate) jobs: JobQueue<Arc<C>>,
    pub(crate) loader: Arc<dyn Loader>,
    /// Whether the gallery is being converted to another network. Until the new model set is in use, workers use the gallery with
    /// the old network and are refused; this is not a fault.
    pub(crate) converting: AtomicBool,
    detector: Mutex<Arc<DetectionModel>>,
    requests: Sender<LoaderRequest>,
    /// Whether the loader handles a request.
    loader_busy: Mutex<bool>,
    loader_idle: Condvar,
    networks: Mutex<Networks<C>>,
}

/// A request that the loader handles.
pub(crate) struct LoaderBusy<'a> {
    busy: &'a Mutex<bool>,
    idle: &'a Condvar,
}

impl Drop for LoaderBusy<'_> {
    fn drop(&mut self) {
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.idle.notify_all();
    }
}

/// The networks in use, and the cameras that are told about a change.
struct Networks<C> {
    choice: Choice,
    /// An [`Event::Running`] for each network in use.
    running: Vec<Event>,
    cameras: Vec<Arc<C>>,
}

impl<C> Networks<C> {
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

impl<C: PoolClient> Pool<C> {
    /// With the loaded networks of `choice`. `running`: an [`Event::Running`] for each of them.
    pub(crate) fn new(
        jobs: JobQueue<Arc<C>>,
        loader: Arc<dyn Loader>,
        detector: DetectionModel,
        requests: Sender<LoaderRequest>,
        choice: Choice,
        running: Vec<Event>,
    ) -> Self {
        Self {
            jobs,
            loader,
            converting: AtomicBool::new(false),
            detector: Mutex::new(Arc::new(detector)),
            requests,
            loader_busy: Mutex::new(false),
            loader_idle: Condvar::new(),
            networks: Mutex::new(Networks { choice, running, cameras: Vec::new() }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Networks<C>> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a camera: it gets workers, and events about the networks, beginning with one for each network in use.
    pub(crate) fn connect(&self, camera: C) {
        let camera = Arc::new(camera);
        let mut networks = self.lock();
        let (choice, workers) = (networks.choice.clone(), self.jobs.workers());
        camera.update(&|snapshot| {
            (snapshot.params.choice, snapshot.params.workers) = (choice.clone(), workers);
            if let Some(gallery) = self.jobs.models().gallery.clone() {
                snapshot.set_gallery(gallery);
            }
            true
        });
        networks.running.iter().for_each(|event| camera.emit(event.clone()));
        self.jobs.connect(camera.id(), Arc::clone(&camera));
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
        let removed: Vec<_> = self.lock().cameras.extract_if(.., |camera| camera.id() == id).collect();
        if !removed.is_empty() {
            self.request(LoaderRequest::LoadDetectors);
        }
    }

    /// Records that the loader handles a request until the returned value is dropped.
    pub(crate) fn begin_request(&self) -> LoaderBusy<'_> {
        *self.loader_busy.lock().unwrap_or_else(PoisonError::into_inner) = true;
        LoaderBusy { busy: &self.loader_busy, idle: &self.loader_idle }
    }

    /// The networks in use.
    pub(crate) fn choice(&self) -> Choice {
        self.lock().choice.clone()
    }

    /// Sends an event about the networks to all cameras.
    pub(crate) fn emit(&self, event: &Event) {
        let mut networks = self.lock();
        networks.apply(event);
        networks.cameras.iter().for_each(|camera| camera.emit(event.clone()));
    }

    /// Sends a message to the controllers of all cameras.
    pub(crate) fn tell(&self, message: impl Fn() -> Message) {
        for camera in &self.lock().cameras {
            camera.tell(message());
        }
    }

    /// Changes the snapshots of all cameras. `change` returns whether it changed anything.
    pub(crate) fn update(&self, change: impl Fn(&mut Snapshot) -> bool) {
        for camera in &self.lock().cameras {
            camera.update(&change);
        }
    }

    /// Whether a camera still runs.
    pub(crate) fn is_in_use(&self) -> bool {
        self.lock().cameras.iter().any(|camera| !camera.is_stopped())
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

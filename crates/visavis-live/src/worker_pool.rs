//! The worker pool: recognition workers and networks, which all cameras of a process share.

use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use visavis_face::Choice;

use crate::error::LiveError;
use crate::job_queue::JobQueue;
use crate::loader::Loader;
use crate::message::LoaderRequest;
use crate::model_loading::{load_detector, load_models};
use crate::model_set::ModelSet;
use crate::model_switching;
use crate::shared::CameraPool;
use crate::thread::spawn;
use crate::worker_threads::WorkerThreads;

/// The recognition workers and the networks of a process. Any number of pipelines share one pool, each with its own camera.
///
/// Each network is loaded once for each worker, and the detector at most once for each worker, whatever the number of cameras. The
/// workers divide their time equally among the cameras. A switch of a network and a change of the number of workers apply to all
/// pipelines of the pool, and each of them gets the events.
///
/// Dropping the pool waits for the end of its threads. The pipelines keep it: it lives at least as long as they do.
pub struct WorkerPool {
    inner: Arc<CameraPool>,
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
        let jobs = JobQueue::new(models, workers);
        let inner = Arc::new(CameraPool::new(jobs, loader, detector, requests, choice.clone(), events));
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
        self.inner.choice()
    }

    /// The number of recognition workers.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.inner.jobs.workers()
    }

    pub(crate) fn inner(&self) -> &Arc<CameraPool> {
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

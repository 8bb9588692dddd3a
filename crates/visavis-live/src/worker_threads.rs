//! The threads of the recognition workers. Their number can be changed while they run.

use std::sync::Arc;
use std::thread::JoinHandle;

use crate::error::LiveError;
use crate::recognition;
use crate::shared::CameraPool;
use crate::thread::spawn;

/// The threads of all workers, by their numbers.
pub(crate) struct WorkerThreads {
    pool: Arc<CameraPool>,
    workers: Vec<JoinHandle<()>>,
}

impl WorkerThreads {
    /// Starts the number of workers that the job queue is set to.
    ///
    /// # Errors
    /// [`LiveError::Thread`] if the system does not start a thread. The threads started before end when the job queue is closed.
    pub(crate) fn start(pool: &Arc<CameraPool>) -> Result<Self, LiveError> {
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

//! The threads of the recognition workers. Their number can be changed while they run.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use crate::error::LiveError;
use crate::message::Message;
use crate::recognition;
use crate::shared::Shared;
use crate::thread::spawn;

/// The threads of all workers, by their numbers.
pub(crate) struct WorkerPool {
    shared: Arc<Shared>,
    messages: Sender<Message>,
    workers: Vec<JoinHandle<()>>,
}

impl WorkerPool {
    /// Starts the number of workers that the job queue is set to.
    ///
    /// # Errors
    /// [`LiveError::Thread`] if the system does not start a thread. The threads started before end when the job queue is closed.
    pub(crate) fn start(shared: &Arc<Shared>, messages: &Sender<Message>) -> Result<Self, LiveError> {
        let mut pool = Self { shared: Arc::clone(shared), messages: messages.clone(), workers: Vec::new() };
        pool.start_missing()?;
        Ok(pool)
    }

    /// Changes the number of workers, at least 1. Waits until the workers that are removed have finished their last job.
    ///
    /// # Errors
    /// [`LiveError::Thread`] if the system does not start a thread. There are fewer workers then.
    pub(crate) fn resize(&mut self, count: usize) -> Result<(), LiveError> {
        let count = count.max(1);
        self.shared.jobs.set_workers(count);
        join_all(self.workers.drain(count.min(self.workers.len())..));
        self.start_missing().inspect_err(|_| self.shared.jobs.set_workers(self.workers.len()))
    }

    /// Waits until all workers have ended. The job queue must have been closed.
    pub(crate) fn join(mut self) {
        join_all(self.workers.drain(..));
    }

    fn start_missing(&mut self) -> Result<(), LiveError> {
        for number in self.workers.len() + 1..=self.shared.jobs.workers() {
            let (shared, messages) = (Arc::clone(&self.shared), self.messages.clone());
            let run = move || recognition::run(&shared, number, &messages);
            self.workers.push(spawn(&format!("recognition-{number}"), run)?);
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

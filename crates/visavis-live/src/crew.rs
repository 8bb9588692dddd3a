//! The recognition workers as a crew that grows and shrinks while it works.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use crate::controller::Message;
use crate::pipeline::{Shared, spawn};
use crate::{LiveError, recognition};

/// The threads of all workers, in the order of their numbers.
pub(crate) struct Crew {
    shared: Arc<Shared>,
    messages: Sender<Message>,
    workers: Vec<JoinHandle<()>>,
}

impl Crew {
    /// As many workers as the board wants.
    ///
    /// # Errors
    /// [`LiveError::Thread`] if the system gives no thread; those already started end with the board.
    pub(crate) fn hire(shared: &Arc<Shared>, messages: &Sender<Message>) -> Result<Self, LiveError> {
        let mut crew = Self { shared: Arc::clone(shared), messages: messages.clone(), workers: Vec::new() };
        crew.fill()?;
        Ok(crew)
    }

    /// From now on there are `count` workers, at least one. Waits for the last job of those who leave.
    ///
    /// # Errors
    /// [`LiveError::Thread`] if the system gives no thread; there are fewer workers then.
    pub(crate) fn resize(&mut self, count: usize) -> Result<(), LiveError> {
        let count = count.max(1);
        self.shared.board.set_workers(count);
        join(self.workers.drain(count.min(self.workers.len())..));
        self.fill().inspect_err(|_| self.shared.board.set_workers(self.workers.len()))
    }

    /// Waits for all; the board has been closed.
    pub(crate) fn dismiss(mut self) {
        join(self.workers.drain(..));
    }

    fn fill(&mut self) -> Result<(), LiveError> {
        for number in self.workers.len() + 1..=self.shared.board.workers() {
            let (shared, messages) = (Arc::clone(&self.shared), self.messages.clone());
            let run = move || recognition::run(&shared, number, &messages);
            self.workers.push(spawn(&format!("recognition-{number}"), run)?);
        }
        Ok(())
    }
}

fn join(workers: impl Iterator<Item = JoinHandle<()>>) {
    for worker in workers {
        // A worker that died has told why; there is nothing more to learn from it here.
        let _ = worker.join();
    }
}

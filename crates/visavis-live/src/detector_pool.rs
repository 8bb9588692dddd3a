//! The loaded instances of the detector. All cameras of a worker pool use them, each for one frame at a time.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use visavis_face::Detect;

use crate::error::LiveError;

struct State {
    idle: Vec<Box<dyn Detect>>,
    /// Number of instances that are idle, in use or being loaded.
    loaded: usize,
    /// The largest number of instances.
    limit: usize,
    /// The threads that wait, first come first.
    waiting: VecDeque<u64>,
    /// Number of threads that have waited so far.
    tickets: u64,
}

/// Instances of one detector. Threads get them in the order in which they ask.
pub(crate) struct DetectorPool {
    state: Mutex<State>,
    changed: Condvar,
}

impl DetectorPool {
    /// A pool of at most `limit` instances, at least 1, of which the first is loaded.
    pub(crate) fn new(first: Box<dyn Detect>, limit: usize) -> Self {
        let state = State { idle: vec![first], loaded: 1, limit: limit.max(1), waiting: VecDeque::new(), tickets: 0 };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until this number of threads wait.
    #[cfg(test)]
    pub(crate) fn wait_for_waiting(&self, threads: usize) {
        let (timeout, state) = (std::time::Duration::from_secs(60), self.lock());
        let waited = self.changed.wait_timeout_while(state, timeout, |state| state.waiting.len() < threads);
        assert!(!waited.unwrap_or_else(PoisonError::into_inner).1.timed_out(), "the threads do not wait");
    }

    /// Sets the largest number of instances, at least 1. Surplus instances are dropped when they are idle.
    pub(crate) fn set_limit(&self, limit: usize) {
        let mut surplus = Vec::new();
        let mut state = self.lock();
        state.limit = limit.max(1);
        while state.loaded > state.limit
            && let Some(idle) = state.idle.pop()
        {
            state.loaded -= 1;
            surplus.push(idle);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Loads instances until there are as many as the limit allows.
    ///
    /// # Errors
    /// Those of `load`.
    pub(crate) fn fill(&self, load: impl Fn() -> Result<Box<dyn Detect>, LiveError>) -> Result<(), LiveError> {
        loop {
            {
                let mut state = self.lock();
                if state.loaded >= state.limit {
                    return Ok(());
                }
                state.loaded += 1;
            }
            // On an error or a panic the place is free again.
            let place = DetectorLease { pool: self, detector: None };
            let detector = load()?;
            place.give_back(detector);
        }
    }

    /// Waits for an instance. Calls `load` if none is idle and there are fewer than the limit, for instance after a panic.
    ///
    /// # Errors
    /// Those of `load`.
    pub(crate) fn take(
        &self,
        load: impl FnOnce() -> Result<Box<dyn Detect>, LiveError>,
    ) -> Result<DetectorLease<'_>, LiveError> {
        let mut state = self.lock();
        let ticket = state.tickets;
        state.tickets += 1;
        state.waiting.push_back(ticket);
        #[cfg(test)]
        self.changed.notify_all();
        while state.waiting.front() != Some(&ticket) || (state.idle.is_empty() && state.loaded >= state.limit) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting.pop_front();
        let idle = state.idle.pop();
        state.loaded += usize::from(idle.is_none());
        drop(state);
        // The next thread that waits may find an instance too.
        self.changed.notify_all();
        let mut lease = DetectorLease { pool: self, detector: idle };
        if lease.detector.is_none() {
            lease.detector = Some(load()?);
        }
        Ok(lease)
    }
}

/// An instance of the detector in use by one thread. It is given back when this is dropped; without an instance, another one may be
/// loaded in its place.
pub(crate) struct DetectorLease<'a> {
    pool: &'a DetectorPool,
    detector: Option<Box<dyn Detect>>,
}

impl DetectorLease<'_> {
    /// The instance; `None` after [`DetectorLease::discard`].
    pub(crate) fn detector(&mut self) -> Option<&mut dyn Detect> {
        match &mut self.detector {
            Some(detector) => Some(&mut **detector),
            None => None,
        }
    }

    /// Drops the instance, whose state may be inconsistent after a panic.
    pub(crate) fn discard(mut self) {
        self.detector = None;
    }

    fn give_back(mut self, detector: Box<dyn Detect>) {
        self.detector = Some(detector);
    }
}

impl Drop for DetectorLease<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        match self.detector.take() {
            Some(detector) if state.loaded <= state.limit => state.idle.push(detector),
            // A panic, an error, or a surplus instance.
            dropped => {
                state.loaded -= 1;
                drop(state);
                drop(dropped);
            }
        }
        self.pool.changed.notify_all();
    }
}

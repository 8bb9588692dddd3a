//! The one clock of a running pipeline, and a wait that a stop interrupts.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What calendars and other programs count.
pub(crate) fn seconds_since_1970() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Counts from the start of the pipeline.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), stopped: Mutex::new(false), changed: Condvar::new() }
    }

    /// Time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Waits until the clock shows `at`; `false` if it was stopped before.
    pub(crate) fn wait_until(&self, at: Duration) -> bool {
        let mut stopped = self.stopped.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        loop {
            if *stopped {
                return false;
            }
            let Some(left) = at.checked_sub(self.now()).filter(|left| !left.is_zero()) else { return true };
            stopped = self
                .changed
                .wait_timeout(stopped, left)
                .map(|(guard, _)| guard)
                .unwrap_or_else(|poisoned| poisoned.into_inner().0);
        }
    }

    /// Ends every wait, now and from now on.
    pub(crate) fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        *self.stopped.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

//! The clock of a pipeline, with waits that end when the pipeline is stopped.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A time in RFC 3339 format, in UTC, with milliseconds: `2026-03-01T08:05:09.120Z`.
#[must_use]
pub fn rfc3339(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or_default();
    format!("{time:.3}")
}

/// The present time in seconds since 1970.
pub(crate) fn seconds_since_1970() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// A duration in seconds, rounded to microseconds.
#[must_use]
pub fn seconds(time: Duration) -> f64 {
    (time.as_nanos() as f64 / 1e3).round() / 1e6
}

/// The time since the start of the pipeline.
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

    /// Waits until time `at`. Returns `false` if the clock is stopped before.
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

    /// Ends all waits; later waits return at once.
    pub(crate) fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        *self.stopped.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_keep_different_times_after_days() {
        let at = |frame: u64| seconds(Duration::from_secs(1_000_000) + Duration::from_millis(40 * frame));
        assert_eq!([at(0), at(1), at(2)], [1_000_000.0, 1_000_000.04, 1_000_000.08]);
    }

    #[test]
    fn times_are_written_in_rfc_3339() {
        let at = |millis| UNIX_EPOCH + Duration::from_millis(millis);
        assert_eq!(rfc3339(at(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(at(1_709_210_096_789)), "2024-02-29T12:34:56.789Z");
    }
}

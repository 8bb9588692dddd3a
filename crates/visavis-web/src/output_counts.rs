//! Counts of what an output of events has done.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many events an output, such as a web hook, has delivered and dropped. Shown by the metrics.
#[derive(Debug)]
pub struct OutputCounts {
    name: String,
    delivered: AtomicU64,
    dropped: AtomicU64,
}

impl OutputCounts {
    /// `name`: the output in the metrics, such as `alarm_webhook`.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), delivered: AtomicU64::new(0), dropped: AtomicU64::new(0) }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds events that were delivered.
    pub fn delivered(&self, events: u64) {
        self.delivered.fetch_add(events, Ordering::Relaxed);
    }

    /// Adds events that were dropped.
    pub fn dropped(&self, events: u64) {
        self.dropped.fetch_add(events, Ordering::Relaxed);
    }

    /// The numbers of events that were delivered and dropped.
    #[must_use]
    pub fn get(&self) -> (u64, u64) {
        (self.delivered.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }
}

//! Streams of scenes for the code that shows, records or writes them. Live, the controller never waits for a reader.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::scene::Scene;
use crate::statistics::Statistics;

/// Which scenes a subscription delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Only the newest. A scene that is not received before the next one comes is dropped and counted. For screens.
    Newest,
    /// All, through a queue. When the queue is full, an `EveryFrame` pipeline waits and a live pipeline drops the oldest scene. For
    /// files.
    All {
        /// Capacity of the queue.
        queue: usize,
    },
}

struct State {
    queue: VecDeque<Arc<Scene>>,
    closed: bool,
}

/// The queue of one subscription, shared by the controller and the reader.
pub(crate) struct Channel {
    state: Mutex<State>,
    changed: Condvar,
    delivery: Delivery,
    waits: bool,
    /// Whether scenes that were not received are counted.
    counted: bool,
}

impl Channel {
    pub(crate) fn new(delivery: Delivery, every_frame: bool) -> Self {
        let waits = every_frame && matches!(delivery, Delivery::All { .. });
        let state = State { queue: VecDeque::new(), closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), delivery, waits, counted: true }
    }

    /// Delivers the newest scene to a reader that need not see every scene.
    pub(crate) fn uncounted() -> Self {
        Self { counted: false, ..Self::new(Delivery::Newest, false) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Adds a scene.
    pub(crate) fn push(&self, scene: &Arc<Scene>, statistics: &Statistics) {
        let most = match self.delivery {
            Delivery::Newest => 1,
            Delivery::All { queue } => queue.max(1),
        };
        let mut state = self.lock();
        while self.waits && state.queue.len() >= most && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        if state.closed {
            return;
        }
        if state.queue.len() >= most {
            state.queue.pop_front();
            if self.counted {
                statistics.undelivered();
            }
        }
        state.queue.push_back(Arc::clone(scene));
        drop(state);
        self.changed.notify_all();
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

/// Result of a wait for a scene.
#[derive(Debug, Clone)]
pub enum Received {
    /// The next scene.
    Scene(Arc<Scene>),
    /// No scene came in time.
    Nothing,
    /// The pipeline has ended and all scenes were received.
    Ended,
}

/// A stream of scenes. Dropping it ends the subscription.
pub struct Subscription {
    pub(crate) channel: Arc<Channel>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) statistics: Arc<Statistics>,
}

impl Subscription {
    /// Waits for the next scene. `None` once the pipeline has ended and all scenes were received.
    #[must_use]
    pub fn recv(&self) -> Option<Arc<Scene>> {
        loop {
            match self.recv_within(Duration::from_secs(3600)) {
                Received::Scene(scene) => return Some(scene),
                Received::Nothing => {}
                Received::Ended => return None,
            }
        }
    }

    /// Waits for the next scene, at most `longest`.
    #[must_use]
    pub fn recv_within(&self, longest: Duration) -> Received {
        let until = Instant::now() + longest;
        let mut state = self.channel.lock();
        loop {
            if let Some(scene) = state.queue.pop_front() {
                drop(state);
                self.channel.changed.notify_all();
                return Received::Scene(scene);
            }
            if state.closed {
                return Received::Ended;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Received::Nothing;
            }
            let waited = self.channel.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
    }

    /// Records that a scene is on the screen, which measures the latency since its capture. For live pipelines.
    pub fn shown(&self, scene: &Scene) {
        let now = self.clock.now();
        self.statistics.shown(now, now.saturating_sub(scene.frame.captured_at));
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.channel.close();
    }
}

//! How scenes reach those who show, draw, record or write them, without the controller ever waiting for them while live.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use crate::Scene;
use crate::clock::Clock;
use crate::statistics::Statistics;

/// Which scenes a subscriber gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Only the newest: one that was not fetched in time is replaced and counted as dropped. For screens.
    Newest,
    /// All, through a queue of this length. For files. When it is full, an `EveryFrame` pipeline waits; a live one drops
    /// the oldest.
    All {
        /// Scenes kept at most.
        queue: usize,
    },
}

struct State {
    queue: VecDeque<Arc<Scene>>,
    closed: bool,
}

/// The shared end.
pub(crate) struct Channel {
    state: Mutex<State>,
    changed: Condvar,
    delivery: Delivery,
    waits: bool,
}

impl Channel {
    pub(crate) fn new(delivery: Delivery, every_frame: bool) -> Self {
        let waits = every_frame && matches!(delivery, Delivery::All { .. });
        let state = State { queue: VecDeque::new(), closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), delivery, waits }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Hands a scene over.
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
            statistics.undelivered();
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

/// A stream of scenes. Dropping it ends the subscription.
pub struct Subscription {
    pub(crate) channel: Arc<Channel>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) statistics: Arc<Statistics>,
}

impl Subscription {
    /// Waits for the next scene; `None` once the pipeline has ended and nothing is left.
    #[must_use]
    pub fn recv(&self) -> Option<Arc<Scene>> {
        let mut state = self.channel.lock();
        loop {
            if let Some(scene) = state.queue.pop_front() {
                drop(state);
                self.channel.changed.notify_all();
                return Some(scene);
            }
            if state.closed {
                return None;
            }
            state = self.channel.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// To be called once the scene is on the screen: measures the time since its capture (of a live pipeline).
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

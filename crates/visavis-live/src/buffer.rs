//! The buffer between the grabber and the detection thread: the last frames.
//!
//! `checks/loom` compiles this file against loom's locks and tries every interleaving.

use std::collections::VecDeque;

use crate::sync::{Condvar, Mutex, MutexGuard};

/// Whether frames may be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pacing {
    /// Detection takes the newest frame. Older frames are dropped and counted; no stage waits for another.
    #[default]
    Live,
    /// Every frame goes through every stage, in order. The source waits for the slowest stage.
    EveryFrame,
}

struct Slot<T> {
    seq: u64,
    item: T,
    /// Whether detection has taken it. Every frame: it stays in the buffer until it is released.
    taken: bool,
}

struct State<T> {
    slots: VecDeque<Slot<T>>,
    closed: bool,
    aborted: bool,
    skipped: u64,
}

/// A bounded buffer of frames. `T` is cheap to clone, such as a `Frame`.
pub(crate) struct FrameBuffer<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    capacity: usize,
    pacing: Pacing,
}

impl<T: Clone> FrameBuffer<T> {
    /// A buffer for `capacity` frames (at least 1).
    pub(crate) fn new(capacity: usize, pacing: Pacing) -> Self {
        let state = State { slots: VecDeque::new(), closed: false, aborted: false, skipped: 0 };
        Self { state: Mutex::new(state), changed: Condvar::new(), capacity: capacity.max(1), pacing }
    }

    /// Adds the next frame. Live: replaces the oldest frame if the buffer is full. Every frame: waits for room.
    ///
    /// Returns `false` if the buffer is closed.
    pub(crate) fn push(&self, seq: u64, item: T) -> bool {
        let mut state = self.lock();
        if self.pacing == Pacing::EveryFrame {
            while state.slots.len() >= self.capacity && !state.closed {
                state = self.wait(state);
            }
        }
        if state.closed {
            return false;
        }
        if state.slots.len() >= self.capacity && state.slots.pop_front().is_some() {
            state.skipped += 1;
        }
        state.slots.push_back(Slot { seq, item, taken: false });
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Waits for a frame that detection has not taken.
    ///
    /// Returns `false` once the buffer is closed and no such frame is left, or the buffer is aborted.
    pub(crate) fn wait_undetected(&self) -> bool {
        self.lock_undetected().is_some()
    }

    /// Waits for a frame that detection has not taken, and takes the newest (live) or the oldest (every frame). Live: the older
    /// ones are dropped, so that the buffer keeps no pictures that are not used any more.
    ///
    /// Returns `None` once the buffer is closed and no such frame is left, or the buffer is aborted.
    pub(crate) fn take_undetected(&self) -> Option<T> {
        let mut state = self.lock_undetected()?;
        if self.pacing == Pacing::Live {
            let newest = state.slots.pop_back()?;
            state.skipped += state.slots.len() as u64;
            state.slots.clear();
            return Some(newest.item);
        }
        let slot = state.slots.iter_mut().find(|slot| !slot.taken)?;
        slot.taken = true;
        Some(slot.item.clone())
    }

    fn lock_undetected(&self) -> Option<MutexGuard<'_, State<T>>> {
        let mut state = self.lock();
        loop {
            if state.aborted {
                return None;
            }
            if state.slots.iter().any(|slot| !slot.taken) {
                return Some(state);
            }
            if state.closed {
                return None;
            }
            state = self.wait(state);
        }
    }

    /// Every frame: removes a finished frame, which makes room for the next.
    pub(crate) fn release(&self, seq: u64) {
        self.lock().slots.retain(|slot| slot.seq != seq);
        self.changed.notify_all();
    }

    /// Refuses further frames. Those in the buffer can still be taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Refuses further frames and drops those in the buffer. All waits end at once.
    pub(crate) fn abort(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.aborted = true;
        state.slots.clear();
        drop(state);
        self.changed.notify_all();
    }

    /// Number of frames that detection never took.
    pub(crate) fn skipped(&self) -> u64 {
        self.lock().skipped
    }

    /// Number of frames in the buffer. Live: those that wait for detection.
    pub(crate) fn len(&self) -> usize {
        self.lock().slots.len()
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Every change under the lock is a single step, so a panic leaves the state consistent.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

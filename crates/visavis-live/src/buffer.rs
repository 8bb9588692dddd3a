//! The buffer between the grabber and the detection thread: the last frames, each with its stage.
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

/// The stage of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not yet taken by detection.
    New,
    /// Being processed by detection.
    Detecting,
    /// Detection has ended.
    Detected,
    /// Dropped, because a newer frame was taken.
    Skipped,
}

struct Slot<T> {
    seq: u64,
    item: T,
    stage: Stage,
}

struct State<T> {
    slots: VecDeque<Slot<T>>,
    closed: bool,
    aborted: bool,
    skipped: u64,
}

/// A bounded buffer of frames with their stages. `T` is cheap to clone, such as a `Frame`.
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
        if state.slots.len() >= self.capacity
            && let Some(oldest) = state.slots.pop_front()
            && oldest.stage == Stage::New
        {
            state.skipped += 1;
        }
        state.slots.push_back(Slot { seq, item, stage: Stage::New });
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Waits for a frame that detection has not taken: the newest (live) or the oldest (every frame).
    ///
    /// Returns `None` once the buffer is closed and no such frame is left, or the buffer is aborted.
    pub(crate) fn take_undetected(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if state.aborted {
                return None;
            }
            let found = match self.pacing {
                Pacing::Live => state.slots.iter().rposition(|slot| slot.stage == Stage::New),
                Pacing::EveryFrame => state.slots.iter().position(|slot| slot.stage == Stage::New),
            };
            if let Some(index) = found {
                if self.pacing == Pacing::Live {
                    let mut skipped = 0;
                    for older in state.slots.iter_mut().take(index).filter(|slot| slot.stage == Stage::New) {
                        older.stage = Stage::Skipped;
                        skipped += 1;
                    }
                    state.skipped += skipped;
                }
                let slot = &mut state.slots[index];
                slot.stage = Stage::Detecting;
                return Some(slot.item.clone());
            }
            if state.closed {
                return None;
            }
            state = self.wait(state);
        }
    }

    /// Marks a frame as detected, if it is still in the buffer.
    pub(crate) fn mark_detected(&self, seq: u64) {
        if let Some(slot) = self.lock().slots.iter_mut().find(|slot| slot.seq == seq) {
            slot.stage = Stage::Detected;
        }
    }

    /// Removes a finished frame, which makes room for the next.
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

    /// Number of frames in the buffer.
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

//! Coded pictures between the connection and the decoder.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::Codec;

/// Maximum number of queued pictures: some seconds.
const MOST_UNITS: usize = 120;
/// Maximum number of queued bytes. A key frame in 4K has one or two million.
const MOST_BYTES: usize = 32 << 20;

/// One coded picture.
#[derive(Debug)]
pub(super) struct Unit {
    /// The number of the connection that it came over.
    pub(super) session: u64,
    pub(super) codec: Codec,
    /// Units of annex B with parameter sets before key frames, or a JPEG.
    pub(super) data: Vec<u8>,
    /// Whether decoding can begin with it.
    pub(super) key: bool,
    /// Number of packets that were lost before it.
    pub(super) lost: u16,
    /// When it arrived.
    pub(super) arrived: Instant,
    /// How late it is, compared with the fastest recent pictures.
    pub(super) late: Duration,
    /// Time at which it is shown, in milliseconds on a clock that does not jump back.
    pub(super) media_ms: u64,
}

/// Coded pictures in the order of their arrival. If the decoder is too slow, all queued pictures are dropped, and it
/// continues with the next key frame.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    units: VecDeque<Unit>,
    bytes: usize,
    /// Pictures are dropped until the next key frame.
    needs_key: bool,
    dropped: u64,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn push(&self, unit: Unit) {
        let mut state = self.lock();
        state.needs_key &= !unit.key;
        if state.needs_key || state.closed {
            state.dropped += 1;
            return;
        }
        if state.units.len() >= MOST_UNITS || state.bytes + unit.data.len() > MOST_BYTES {
            state.dropped += state.units.len() as u64 + 1;
            log::warn!("decoding is too slow: {} coded pictures were dropped so far", state.dropped);
            state.units.clear();
            state.bytes = 0;
            if !unit.key || unit.data.len() > MOST_BYTES {
                state.needs_key = true;
                return;
            }
        }
        state.bytes += unit.data.len();
        state.units.push_back(unit);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for the next picture; `None` if it is closed.
    pub(super) fn pop(&self) -> Option<Unit> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(unit) = state.units.pop_front() {
                state.bytes -= unit.data.len();
                return Some(unit);
            }
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// Whether more pictures wait.
    pub(super) fn has_more(&self) -> bool {
        !self.lock().units.is_empty()
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(number: u64, key: bool, bytes: usize) -> Unit {
        Unit {
            session: 1,
            codec: Codec::H264,
            data: vec![0; bytes],
            key,
            lost: 0,
            arrived: Instant::now(),
            late: Duration::ZERO,
            media_ms: number,
        }
    }

    #[test]
    fn a_decoder_that_does_not_keep_up_goes_on_with_a_key_frame() {
        let queue = Queue::default();
        for number in 0..MOST_UNITS as u64 {
            queue.push(unit(number, number == 0, 10));
        }
        assert!(queue.has_more());
        queue.push(unit(1000, false, 10));
        assert!(!queue.has_more(), "the one too many drops all");
        queue.push(unit(1001, false, 10));
        queue.push(unit(1002, true, 10));
        queue.push(unit(1003, false, 10));
        assert_eq!(queue.pop().map(|unit| unit.media_ms), Some(1002));
        assert_eq!(queue.pop().map(|unit| unit.media_ms), Some(1003));
        queue.close();
        assert!(queue.pop().is_none());
    }

    #[test]
    fn bytes_are_bounded() {
        let queue = Queue::default();
        for number in 0..10 {
            queue.push(unit(number, true, MOST_BYTES / 4));
        }
        assert!(queue.lock().bytes <= MOST_BYTES);
        queue.push(unit(11, true, MOST_BYTES + 1));
        assert!(!queue.has_more());
    }
}

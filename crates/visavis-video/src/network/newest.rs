//! Passes the newest picture of a stream from the decoding thread to the reader.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use visavis_image::Picture;

use crate::VideoError;
use crate::source::Interrupter;

/// Maximum number of failures that wait to be read; further ones are dropped.
const MOST_FAILURES: usize = 4;

/// A decoded picture.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) picture: Picture,
    /// When its last byte was received.
    pub(crate) at: Instant,
    /// Whether there is a gap before it, or its size has changed.
    pub(crate) cut: bool,
}

/// Holds at most one picture: a newer one replaces one that was not read yet.
#[derive(Default)]
pub(crate) struct Newest {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    arrived: Option<Arrived>,
    failures: VecDeque<VideoError>,
    /// When the last picture was stored.
    last: Option<Instant>,
    size: Option<(u32, u32)>,
    /// Number of pictures that were replaced before they were read.
    replaced: u64,
    interrupted: bool,
    closed: bool,
}

impl Newest {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Stores a picture; `cut`: there is a gap before it.
    pub(crate) fn put(&self, picture: Picture, at: Instant, cut: bool) {
        let mut state = self.lock();
        let size = Some((picture.width(), picture.height()));
        let other_size = state.size.is_some() && state.size != size;
        let mut cut = cut || other_size;
        if let Some(older) = state.arrived.take() {
            state.replaced += 1;
            cut |= older.cut;
        }
        state.arrived = Some(Arrived { picture, at, cut });
        (state.last, state.size) = (Some(Instant::now()), size);
        drop(state);
        self.changed.notify_all();
    }

    /// Reports a failure. The stream continues after it.
    pub(crate) fn fail(&self, error: VideoError) {
        let mut state = self.lock();
        if state.failures.len() < MOST_FAILURES {
            state.failures.push_back(error);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Ends the stream.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        log::debug!("{} pictures were replaced by newer ones before they were read", state.replaced);
        drop(state);
        self.changed.notify_all();
    }

    /// When the last picture was stored.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.lock().last
    }

    /// Waits for a picture that was not read yet; `None` if it is closed.
    pub(crate) fn take(&self, name: &str) -> Result<Option<Arrived>, VideoError> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return Ok(None);
            }
            if std::mem::take(&mut state.interrupted) {
                return Err(VideoError::Interrupted { name: name.to_owned() });
            }
            if let Some(error) = state.failures.pop_front() {
                return Err(error);
            }
            if let Some(arrived) = state.arrived.take() {
                return Ok(Some(arrived));
            }
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// Interrupts a waiting read, or the next one.
    pub(crate) fn interrupter(self: &Arc<Self>) -> Interrupter {
        let newest = Arc::clone(self);
        Arc::new(move || {
            newest.lock().interrupted = true;
            newest.changed.notify_all();
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn width(newest: &Newest) -> Option<(u32, bool)> {
        let arrived = newest.take("a camera").unwrap();
        arrived.map(|arrived| (arrived.picture.width(), arrived.cut))
    }

    #[test]
    fn the_newest_wins_and_a_gap_is_kept() {
        let newest = Arc::new(Newest::default());
        newest.put(Picture::new(2, 2), Instant::now(), true);
        newest.put(Picture::new(2, 2), Instant::now(), false);
        assert_eq!(width(&newest), Some((2, true)));
        newest.put(Picture::new(4, 2), Instant::now(), false);
        assert_eq!(width(&newest), Some((4, true)), "another size is a cut");
        newest.put(Picture::new(4, 2), Instant::now(), false);
        assert_eq!(width(&newest), Some((4, false)));
        let reader = Arc::clone(&newest);
        let reading = thread::spawn(move || width(&reader));
        newest.close();
        assert_eq!(reading.join().unwrap(), None);
    }

    #[test]
    fn failures_and_interruptions_are_told_once() {
        let newest = Arc::new(Newest::default());
        for number in 0..10 {
            newest.fail(VideoError::Stream { name: number.to_string(), reason: "broke".into() });
        }
        for number in 0..MOST_FAILURES {
            assert!(newest.take("x").unwrap_err().to_string().starts_with(&number.to_string()));
        }
        newest.interrupter()();
        assert!(matches!(newest.take("x"), Err(VideoError::Interrupted { .. })));
        newest.put(Picture::new(2, 2), Instant::now(), false);
        assert!(newest.take("x").unwrap().is_some());
    }
}

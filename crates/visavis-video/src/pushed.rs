//! A source whose pictures are pushed by another part of the program, such as those of a browser's camera.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use visavis_image::codec;

use crate::{Pace, Shot, Source, SourceInfo, VideoError};

#[derive(Default)]
struct State {
    /// The newest picture that was not read yet, encoded.
    newest: Option<Vec<u8>>,
    closed: bool,
}

#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    changed: Condvar,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

/// Pushes pictures to a source. When the last one is dropped, the source ends.
#[derive(Clone)]
pub struct Pusher(Arc<Bringing>);

struct Bringing(Arc<Slot>);

impl Drop for Bringing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Pusher {
    /// Pushes a JPEG (or another still picture). A picture that was not read yet is replaced. Returns false if the source is
    /// closed.
    pub fn push(&self, encoded: Vec<u8>) -> bool {
        let mut state = self.0.0.lock();
        if state.closed {
            return false;
        }
        state.newest = Some(encoded);
        drop(state);
        self.0.0.changed.notify_all();
        true
    }

    /// Ends the source. A waiting read returns.
    pub fn close(&self) {
        self.0.0.close();
    }
}

/// A live source named `name` of the pictures that come through the [`Pusher`]. Pictures that cannot be decoded or have more
/// than `max_pixels` are skipped.
#[must_use]
pub fn pushed(name: &str, max_pixels: u64) -> (Pusher, Box<dyn Source>) {
    let slot = Arc::new(Slot::default());
    let info = SourceInfo { name: name.into(), width: 0, height: 0, frame_rate: None, frames: None, pace: Pace::Own };
    let source = PushedSource { info, slot: Arc::clone(&slot), max_pixels, started: Instant::now() };
    (Pusher(Arc::new(Bringing(slot))), Box::new(source))
}

struct PushedSource {
    info: SourceInfo,
    slot: Arc<Slot>,
    max_pixels: u64,
    started: Instant,
}

impl Source for PushedSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn read(&mut self) -> Result<Option<Shot>, VideoError> {
        loop {
            let mut state = self.slot.lock();
            let encoded = loop {
                if state.closed {
                    return Ok(None);
                }
                match state.newest.take() {
                    Some(encoded) => break encoded,
                    None => state = self.slot.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner()),
                }
            };
            drop(state);
            // Invalid data affect only this picture.
            match codec::decode(&encoded, self.max_pixels) {
                Ok(picture) => return Ok(Some(Shot::new(picture, self.started.elapsed()))),
                Err(error) => log::debug!("{}: a picture was skipped: {error}", self.info.name),
            }
        }
    }

    fn rewind(&mut self) -> Result<(), VideoError> {
        Err(VideoError::CannotRewind { name: self.info.name.clone() })
    }
}

impl Drop for PushedSource {
    fn drop(&mut self) {
        self.slot.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use visavis_image::Picture;

    fn jpeg(width: u32) -> Vec<u8> {
        codec::encode_jpeg(&Picture::new(width, 8), 90).unwrap()
    }

    #[test]
    fn the_newest_picture_wins_and_nonsense_is_passed_over() {
        let (pusher, mut source) = pushed("a phone", 1000);
        assert!(pusher.push(jpeg(8)) && pusher.push(jpeg(16)));
        assert_eq!(source.read().unwrap().unwrap().picture.width(), 16);
        let reading = thread::spawn(move || source.read().unwrap().map(|shot| shot.picture.width()));
        // Whether these are read one by one or replaced, only the last one is a valid picture.
        pusher.push(b"no picture".to_vec());
        pusher.push(jpeg(4000));
        pusher.push(jpeg(24));
        assert_eq!(reading.join().unwrap(), Some(24));
        assert!(!pusher.push(jpeg(8)), "its source is gone");
    }

    #[test]
    fn it_ends_when_nobody_brings_any_more() {
        let (pusher, mut source) = pushed("a phone", 1000);
        let reading = thread::spawn(move || source.read().unwrap().is_none());
        drop(pusher);
        assert!(reading.join().unwrap());
    }
}

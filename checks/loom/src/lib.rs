//! The frame buffer of `visavis-live`, compiled against loom's locks: its tests try every interleaving of the threads.
//!
//! A package of its own, so that the check builds in seconds: the buffer knows nothing of networks or pictures.

/// loom's locks in place of the standard library's.
#[cfg(test)]
mod sync {
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
}

// Its own unit tests run where it lives; here only the tests below do.
#[cfg(test)]
#[allow(unreachable_pub, dead_code, reason = "the file is part of another crate, which exports and uses all of it")]
#[path = "../../../crates/visavis-live/src/buffer.rs"]
mod buffer;

#[cfg(test)]
mod tests {
    use loom::sync::Arc;
    use loom::thread;

    use crate::buffer::{FrameBuffer, Pacing};

    /// Live: whatever the order, a push never waits, the detector sees rising numbers, and once the last frame is in it
    /// is not lost: it is taken, or was taken.
    #[test]
    fn live_newest_wins() {
        loom::model(|| {
            let buffer = Arc::new(FrameBuffer::new(2, Pacing::Live));
            let taker = {
                let buffer = Arc::clone(&buffer);
                thread::spawn(move || {
                    let mut seen = Vec::new();
                    while let Some(seq) = buffer.take_undetected() {
                        buffer.mark_detected(seq);
                        seen.push(seq);
                    }
                    seen
                })
            };
            for seq in 0..3u64 {
                assert!(buffer.push(seq, seq));
            }
            buffer.close();
            let seen = taker.join().unwrap();
            assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
            assert_eq!(seen.last(), Some(&2), "the newest frame is never skipped");
            assert_eq!(seen.len() as u64 + buffer.skipped(), 3, "every frame is looked at or counted");
        });
    }

    /// Every frame: nothing is lost or doubled, the order is kept, nobody waits for ever.
    #[test]
    fn every_frame_in_order() {
        loom::model(|| {
            let buffer = Arc::new(FrameBuffer::new(1, Pacing::EveryFrame));
            let taker = {
                let buffer = Arc::clone(&buffer);
                thread::spawn(move || {
                    let mut seen = Vec::new();
                    while let Some(seq) = buffer.take_undetected() {
                        buffer.mark_detected(seq);
                        buffer.release(seq);
                        seen.push(seq);
                    }
                    seen
                })
            };
            for seq in 0..3u64 {
                assert!(buffer.push(seq, seq));
            }
            buffer.close();
            assert_eq!(taker.join().unwrap(), [0, 1, 2]);
        });
    }

    /// A stop in the middle frees the one that pushes and the one that takes.
    #[test]
    fn abort_frees_both_sides() {
        loom::model(|| {
            let buffer = Arc::new(FrameBuffer::new(1, Pacing::EveryFrame));
            let pusher = {
                let buffer = Arc::clone(&buffer);
                thread::spawn(move || (0..2u64).take_while(|&seq| buffer.push(seq, seq)).count())
            };
            let taker = {
                let buffer = Arc::clone(&buffer);
                thread::spawn(move || while buffer.take_undetected().is_some() {})
            };
            buffer.abort();
            pusher.join().unwrap();
            taker.join().unwrap();
            assert!(!buffer.push(9, 9));
        });
    }
}

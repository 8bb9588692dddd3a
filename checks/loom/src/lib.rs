//! Tests the frame buffer of `visavis-live` with loom's locks: the tests try every interleaving of the threads.
//!
//! It is a separate package that builds in seconds, because the buffer does not depend on networks or pictures.

/// loom's locks instead of the standard library's.
#[cfg(test)]
mod sync {
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
}

// Its unit tests run in its own crate; only the tests below run here.
#[cfg(test)]
#[allow(unreachable_pub, dead_code, reason = "the file is part of another crate, which exports and uses all of it")]
#[path = "../../../crates/visavis-live/src/buffer.rs"]
mod buffer;

#[cfg(test)]
mod tests {
    use loom::sync::Arc;
    use loom::thread;

    use crate::buffer::{FrameBuffer, Pacing};

    /// Live: in any order, a push never waits, the detector gets rising numbers, and the last frame is never lost.
    #[test]
    fn live_newest_wins() {
        loom::model(|| {
            let buffer = Arc::new(FrameBuffer::new(2, Pacing::Live));
            let taker = {
                let buffer = Arc::clone(&buffer);
                thread::spawn(move || {
                    let mut seen = Vec::new();
                    while buffer.wait_undetected() {
                        seen.extend(buffer.take_undetected());
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
            assert_eq!(seen.len() as u64 + buffer.skipped(), 3, "every frame is detected or counted as skipped");
        });
    }

    /// Every frame: no frame is lost or duplicated, the order is kept, no thread waits for ever.
    #[test]
    fn every_frame_in_order() {
        loom::model(|| {
            let buffer = Arc::new(FrameBuffer::new(1, Pacing::EveryFrame));
            let taker = {
                let buffer = Arc::clone(&buffer);
                thread::spawn(move || {
                    let mut seen = Vec::new();
                    while let Some(seq) = buffer.take_undetected() {
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

    /// A stop in the middle releases both threads, the one that pushes and the one that takes.
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

//! Tests of the buffer with the standard locks. Not in `buffer.rs`, which `checks/loom` compiles with the locks of loom.

use crate::buffer::{FrameBuffer, Pacing};

#[test]
fn live_takes_the_newest_and_counts_the_rest() {
    let buffer = FrameBuffer::new(4, Pacing::Live);
    for seq in 0..3 {
        buffer.push(seq, seq);
    }
    assert!(buffer.wait_undetected());
    assert_eq!(buffer.take_undetected(), Some(2));
    assert_eq!((buffer.skipped(), buffer.len()), (2, 0), "no picture is kept that is not used any more");
    buffer.push(3, 3);
    assert_eq!(buffer.take_undetected(), Some(3));
    buffer.close();
    assert!(!buffer.wait_undetected());
    assert_eq!(buffer.take_undetected(), None, "skipped frames do not come back");
}

#[test]
fn live_push_never_waits_and_drops_the_oldest() {
    let buffer = FrameBuffer::new(2, Pacing::Live);
    for seq in 0..5 {
        assert!(buffer.push(seq, seq));
    }
    assert_eq!((buffer.len(), buffer.skipped()), (2, 3));
}

#[test]
fn every_frame_gives_all_in_order() {
    let buffer = FrameBuffer::new(8, Pacing::EveryFrame);
    for seq in 0..5 {
        buffer.push(seq, seq);
    }
    buffer.close();
    let all: Vec<_> = std::iter::from_fn(|| buffer.take_undetected()).collect();
    assert_eq!(all, [0, 1, 2, 3, 4]);
}

#[test]
fn every_frame_push_waits_for_room() {
    let buffer = FrameBuffer::new(1, Pacing::EveryFrame);
    buffer.push(0, 0);
    std::thread::scope(|scope| {
        let pushed = scope.spawn(|| buffer.push(1, 1));
        assert_eq!(buffer.take_undetected(), Some(0));
        buffer.release(0);
        assert!(pushed.join().unwrap());
    });
    assert_eq!(buffer.take_undetected(), Some(1));
}

#[test]
fn abort_ends_all_waits() {
    let buffer = FrameBuffer::<u8>::new(1, Pacing::EveryFrame);
    buffer.push(0, 0);
    std::thread::scope(|scope| {
        let pusher = scope.spawn(|| buffer.push(1, 1));
        buffer.abort();
        assert!(!pusher.join().unwrap());
    });
    assert_eq!(buffer.take_undetected(), None);
}

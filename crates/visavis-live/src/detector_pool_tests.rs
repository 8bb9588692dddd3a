//! Tests of the instances of the detector.

use std::cell::Cell;
use std::sync::mpsc::channel;
use std::time::Duration;

use visavis_face::{Detect, Face, FaceError};
use visavis_image::Picture;
use visavis_infer::Placement;

use crate::detector_pool::DetectorPool;
use crate::error::LiveError;

const TIMEOUT: Duration = Duration::from_secs(60);

struct Fake;

impl Detect for Fake {
    fn detect(&mut self, _: &Picture) -> Result<Vec<Face>, FaceError> {
        Ok(Vec::new())
    }

    fn placement(&self) -> Placement {
        Placement { engine: "fake".into(), device: "none".into(), threads: 1 }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a loader")]
fn load() -> Result<Box<dyn Detect>, LiveError> {
    Ok(Box::new(Fake))
}

fn refused() -> Result<Box<dyn Detect>, LiveError> {
    Err(LiveError::NoDetector)
}

#[test]
fn as_many_instances_as_the_limit_are_in_use_at_a_time() {
    let pool = DetectorPool::new(Box::new(Fake), 2);
    let first = pool.take(refused).unwrap();
    let loaded = Cell::new(0);
    let count = || {
        loaded.set(loaded.get() + 1);
        load()
    };
    let second = pool.take(count).unwrap();
    assert_eq!(loaded.get(), 1);
    let (got, has_got) = channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let third = pool.take(refused).is_ok();
            got.send(third).unwrap();
        });
        assert!(has_got.recv_timeout(Duration::from_millis(50)).is_err(), "both are in use");
        drop(first);
        assert!(has_got.recv_timeout(TIMEOUT).unwrap(), "it gets the one that was given back");
    });
    drop(second);
}

#[test]
fn threads_get_an_instance_in_the_order_in_which_they_ask() {
    let pool = DetectorPool::new(Box::new(Fake), 1);
    let (served, order) = channel();
    std::thread::scope(|scope| {
        let held = pool.take(refused).unwrap();
        for number in 0..8 {
            let (served, pool) = (served.clone(), &pool);
            scope.spawn(move || {
                let lease = pool.take(refused).unwrap();
                served.send(number).unwrap();
                drop(lease);
            });
            pool.wait_for_waiting(number + 1);
        }
        drop(held);
        let order: Vec<usize> = (0..8).map(|_| order.recv_timeout(TIMEOUT).unwrap()).collect();
        assert_eq!(order, [0, 1, 2, 3, 4, 5, 6, 7]);
    });
}

#[test]
fn an_instance_that_was_discarded_or_could_not_be_loaded_is_loaded_by_the_next_thread() {
    let pool = DetectorPool::new(Box::new(Fake), 1);
    pool.take(refused).unwrap().discard();
    assert!(pool.take(refused).is_err());
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = pool.take(|| panic!("a fault of the fake"));
    }));
    assert!(panics.is_err());
    assert!(pool.take(load).is_ok());
    assert!(pool.take(refused).is_ok(), "it is kept");
}

#[test]
fn the_limit_can_be_changed() {
    let pool = DetectorPool::new(Box::new(Fake), 1);
    pool.set_limit(3);
    pool.fill(load).unwrap();
    let taken: Vec<_> = (0..3).map(|_| pool.take(refused).unwrap()).collect();
    pool.set_limit(1);
    drop(taken);
    let only = pool.take(refused).unwrap();
    pool.set_limit(2);
    assert!(pool.take(refused).is_err(), "the surplus instances were dropped");
    drop(only);
}

//! How much a connection has received since a picture was complete.
//!
//! retina has no limit for a message or a coded picture: it collects all that a camera sends until the picture ends. So the
//! thread of the connection looks now and then at how much came, and closes the connection when it is too much. All reads from
//! the camera over TCP are made by that thread, and the kernel counts their bytes. Datagrams are not counted by the kernel: over
//! UDP, and on systems without the count, the growth of the process is looked at instead.
//!
//! retina reads as long as something has come, into a buffer that doubles whenever it is full. So that the thread can look in between,
//! [`one_read_at_a_time`] makes it give back control after each read.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::task::coop;

/// How often the amount is looked at while no picture is complete.
const INTERVAL: Duration = Duration::from_millis(10);
/// The largest amount until a connection plays: answers with their headers and the description of the streams.
const MOST_OPENING: u64 = 8 << 20;
/// The largest amount for one picture. A key frame in 4K has one or two million bytes, an MJPEG picture in 4K up to five.
const MOST_PICTURE: u64 = 32 << 20;
/// The largest growth of the process, if the amount is not known: other parts of the program may grow at the same time.
const MOST_GROWTH: u64 = 512 << 20;

/// A limit on what one picture, or the opening of a connection, may receive.
#[derive(Debug)]
pub(super) struct Received {
    meter: Meter,
    most: u64,
    since: u64,
    looked: Instant,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meter {
    /// Bytes that this thread has read, from everything that is not a datagram.
    ReadByThread,
    /// Bytes of the process in memory.
    Resident,
}

impl Meter {
    /// Bytes; `None` if the system does not tell.
    fn read(self) -> Option<u64> {
        match self {
            Self::ReadByThread => {
                let text = std::fs::read_to_string("/proc/thread-self/io").ok()?;
                text.lines().find_map(|line| line.strip_prefix("rchar:"))?.trim().parse().ok()
            }
            Self::Resident => {
                let text = std::fs::read_to_string("/proc/self/status").ok()?;
                let kib: u64 = text
                    .lines()
                    .find_map(|line| line.strip_prefix("VmRSS:"))?
                    .trim_end_matches("kB")
                    .trim()
                    .parse()
                    .ok()?;
                Some(kib << 10)
            }
        }
    }
}

impl Received {
    /// A limit for the opening of a connection. Must be used by the thread of the connection alone.
    pub(super) fn opening() -> Self {
        Self::new(true, MOST_OPENING)
    }

    /// A limit for each picture. `over_tcp`: whether pictures come over TCP.
    pub(super) fn pictures(over_tcp: bool) -> Self {
        Self::new(over_tcp, MOST_PICTURE)
    }

    fn new(over_tcp: bool, most: u64) -> Self {
        let counted = over_tcp && Meter::ReadByThread.read().is_some();
        let (meter, most) = if counted { (Meter::ReadByThread, most) } else { (Meter::Resident, MOST_GROWTH) };
        Self { meter, most, since: meter.read().unwrap_or(u64::MAX), looked: Instant::now() }
    }

    /// Begins with the next picture.
    pub(super) fn complete(&mut self) {
        (self.since, self.looked) = (self.meter.read().unwrap_or(u64::MAX), Instant::now());
    }

    /// When to look again.
    pub(super) fn next_look(&self) -> Instant {
        self.looked + INTERVAL
    }

    /// Looks at the amount if it is time. Returns it in bytes if it is too much.
    pub(super) fn too_much(&mut self) -> Option<u64> {
        if self.looked.elapsed() < INTERVAL {
            return None;
        }
        self.looked = Instant::now();
        let now = self.meter.read()?;
        Some(now.saturating_sub(self.since)).filter(|amount| *amount > self.most)
    }
}

/// Runs a future that reads from connections of tokio. Whenever it has read once, the task gives back control, and timers and the other
/// futures of the task have their turn.
pub(super) async fn one_read_at_a_time<F: Future>(reading: F) -> F::Output {
    let mut reading = pin!(reading);
    poll_fn(|context| {
        leave_one_operation(context);
        reading.as_mut().poll(context)
    })
    .await
}

/// tokio lets a task do a number of operations, 128 at present, before it must give back control. Takes all of them away but one.
fn leave_one_operation(context: &mut Context<'_>) {
    let mut last = None;
    // tokio counts them in a byte.
    for _ in 0..u8::MAX {
        // Asked first, since `poll_proceed` wakes the task if there are none.
        if !coop::has_budget_remaining() {
            break;
        }
        let Poll::Ready(taken) = coop::poll_proceed(context) else { break };
        if let Some(before) = last.replace(taken) {
            // Keeps it taken. One that is dropped without this is given back.
            before.made_progress();
        }
    }
    // The last one is given back here.
    drop(last);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::Builder;

    /// How many operations of tokio a future can do at once.
    fn at_once(context: &mut Context<'_>) -> u32 {
        let mut done = 0;
        while coop::has_budget_remaining() {
            let Poll::Ready(taken) = coop::poll_proceed(context) else { break };
            taken.made_progress();
            done += 1;
        }
        done
    }

    #[test]
    fn control_is_given_back_after_each_read() {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            assert!(poll_fn(|context| Poll::Ready(at_once(context))).await > 1);
            tokio::task::yield_now().await;
            for _ in 0..2 {
                assert_eq!(one_read_at_a_time(poll_fn(|context| Poll::Ready(at_once(context)))).await, 1);
                tokio::task::yield_now().await;
            }
            assert_eq!(one_read_at_a_time(async { 7 }).await, 7);
        });
    }
}

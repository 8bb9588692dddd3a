//! How much a connection has received since a picture was complete.
//!
//! retina has no limit for a message or a coded picture: it collects all that a camera sends until the picture ends. So the
//! thread of the connection looks now and then at how much came, and closes the connection when it is too much. All reads from
//! the camera over TCP are made by that thread, and the kernel counts their bytes. Datagrams are not counted by the kernel: over
//! UDP, and on systems without the count, the growth of the process is looked at instead.

use std::time::{Duration, Instant};

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

//! How the program returns freed memory to the system. For glibc; other C libraries are not changed.
//!
//! By default glibc keeps much of what was freed. It maps a large allocation on its own and unmaps it when it is freed, but each time it
//! raises the size from which it does so, up to 32 MiB. Then the weights of networks lie between other data. Each thread allocates from
//! one of several heaps, and space that is free in the middle of a heap is not returned. So memory grew with each switch of networks,
//! and with photos that other threads analysed, to almost twice the size at the start.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Allocations of this many bytes or more are returned to the system as soon as they are freed.
///
/// A picture of 1280×720 pixels is smaller and is allocated for each frame; the weights of a network are larger.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const RETURNED_AT_ONCE: i32 = 4 << 20;

/// How often everything else that is free is returned.
const INTERVAL: Duration = Duration::from_secs(15);

/// Sets that large allocations are returned to the system when they are freed. Call it before threads start.
pub(crate) fn return_large_allocations() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes two numbers. It fails only for values that the C library does not accept; then its default remains.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, RETURNED_AT_ONCE);
    }
}

/// Returns all free memory to the system that fills whole pages.
fn return_free_pages() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes a number: how many bytes to keep. May be called at any time by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Returns free memory to the system at regular intervals, on a thread of its own, until it is dropped.
pub(crate) struct RegularReturn {
    going_on: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RegularReturn {
    /// # Errors
    /// If the system starts no thread.
    pub(crate) fn start() -> io::Result<Self> {
        let (going_on, over) = channel::<()>();
        let thread = thread::Builder::new().name("memory".into()).spawn(move || {
            while over.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                return_free_pages();
            }
        })?;
        Ok(Self { going_on: Some(going_on), thread: Some(thread) })
    }
}

impl Drop for RegularReturn {
    fn drop(&mut self) {
        self.going_on = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[cfg(test)]
mod tests {
    use std::fs;
    use std::hint::black_box;

    use super::*;

    const BLOCK: usize = 6 << 20;
    const BLOCKS: usize = 40;

    /// Resident memory of this process in bytes.
    fn resident() -> usize {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
    }

    #[test]
    fn freed_blocks_return_to_the_system_also_after_larger_ones_were_freed() {
        return_large_allocations();
        // By default this raises the size from which blocks are mapped on their own.
        drop(black_box(vec![1u8; 16 << 20]));
        let before = resident();
        let mut kept: Vec<Box<[u8]>> = Vec::new();
        // Between the blocks lie small allocations, which stay.
        let blocks: Vec<Vec<u8>> = (0..BLOCKS)
            .map(|_| {
                kept.push(vec![1; 3000].into());
                vec![1; BLOCK]
            })
            .collect();
        drop(black_box(blocks));
        // Other tests of this process allocate too.
        let more = resident().saturating_sub(before);
        assert!(more < BLOCK * BLOCKS / 2, "{} MiB stay", more >> 20);
    }

    #[test]
    fn free_space_in_the_middle_of_a_heap_returns_to_the_system() {
        const PIECE: usize = 100 << 10;
        let returned = (0..3).map(|_| {
            let mut pieces: Vec<Option<Vec<u8>>> = (0..2000).map(|_| Some(vec![1; PIECE])).collect();
            // The last one stays, so that the heap does not shrink.
            pieces[..1999].iter_mut().for_each(|piece| *piece = None);
            let before = resident();
            return_free_pages();
            before.saturating_sub(resident())
        });
        let most = returned.max().unwrap();
        assert!(most > PIECE * 1000, "only {} MiB were returned", most >> 20);
    }

    #[test]
    fn the_thread_ends_when_its_owner_is_dropped() {
        drop(RegularReturn::start().unwrap());
    }
}

//! Network cameras that send without end, and files and pipes that are larger than the memory.
//!
//! The memory of the process is measured, so the tests run one after the other, and no others are in this program.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a panic is how a test fails; a test that is skipped says so; it prints what it measured"
)]
#![cfg(target_os = "linux")]

mod files;
mod server;

use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use server::{Attack, Server};
use visavis_video::{Ffmpeg, OpenOptions, StreamParams, Transport, VideoError};

/// A wait that takes longer than this fails the test.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How much the process may grow. A picture may receive 32 MiB, and what comes until this is noticed; while a buffer grows, there is a
/// second one of half its size. Without the limit it would be gigabytes.
const MOST_GROWTH_MIB: u64 = 256;

/// Held by the test that runs.
static ALONE: Mutex<()> = Mutex::new(());

/// A number of `/proc/self/status`, in MiB.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<u64>().unwrap() >> 10
}

/// Forgets the peak of the memory until now.
fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// The first error of a source, of opening it or of reading; `None` if it ends without one.
fn first_error_or_end(url: String) -> Option<VideoError> {
    let (send, error) = channel();
    let reading = thread::spawn(move || {
        let stream = StreamParams {
            silent_after: Duration::from_secs(20),
            transport: Transport::Tcp,
            ..StreamParams::default()
        };
        let options = OpenOptions { stream, ..OpenOptions::default() };
        let error = match visavis_video::open(&url, &options) {
            Err(error) => Some(error),
            Ok(mut source) => loop {
                match source.read() {
                    Ok(Some(_)) => {}
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            },
        };
        send.send(error).unwrap();
    });
    let error = error.recv_timeout(TIMEOUT).expect("the source neither fails nor ends");
    reading.join().unwrap();
    error
}

#[test]
fn no_camera_fills_the_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let ffmpeg = Ffmpeg::installed().is_some();
    if !ffmpeg {
        eprintln!("skipped in part: ffmpeg, which reads HTTP, is not installed");
    }
    let opening = &["MiB while the connection was opened", "check the address"][..];
    let picture = &["MiB without a complete picture"][..];
    let size = &["16384x16384", "are more than"][..];
    let table = [
        (Attack::Headers, "rtsp", opening),
        (Attack::OneHeader, "rtsp", opening),
        (Attack::Description, "rtsp", opening),
        (Attack::Fragments, "rtsp", picture),
        (Attack::Packets, "rtsp", picture),
        (Attack::Size, "rtsp", size),
        // ffprobe reads these. It is ended after 20 s, or when it needs too much memory, whatever comes first.
        (Attack::Headers, "http", &["within 20 s"]),
        (Attack::Part, "http", &[]),
    ];
    for (attack, scheme, words) in table {
        if scheme == "http" && !ffmpeg {
            continue;
        }
        let server = Server::start(attack);
        forget_peak();
        let before = memory("VmRSS");
        let error = first_error_or_end(format!("{scheme}://127.0.0.1:{}/camera", server.port));
        let error = error.expect("the stream ended without an error").to_string();
        let (sent, grown) = (server.sent_mib(), memory("VmHWM").saturating_sub(before));
        println!("{attack:?} over {scheme}: {sent} MiB sent, grown by {grown} MiB: {error}");
        assert!(grown < MOST_GROWTH_MIB, "{attack:?}: {grown} MiB");
        assert!(error.contains("127.0.0.1"), "{attack:?}: {error}");
        for word in words {
            assert!(error.contains(word), "{attack:?}: {error}");
        }
    }
}

/// `retina` panics at such packets. Found by fuzzing.
#[test]
fn a_camera_that_contradicts_itself_is_reported() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let server = Server::start(Attack::Contradiction);
    let error = first_error_or_end(format!("rtsp://127.0.0.1:{}/camera", server.port));
    let error = error.expect("the stream ended without an error").to_string();
    assert!(error.contains("what the camera sent is not valid"), "{error}");
}

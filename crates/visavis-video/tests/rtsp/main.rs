//! Network streams. Without a server for tests these tests are skipped with a message.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a panic is how a test fails; a test that is skipped says so; a check prints its figures"
)]

mod camera;
mod faults;
mod relay;
mod web;

use std::net::TcpListener;
use std::time::Duration;

use visavis_video::{CameraCredentials, Ffmpeg, OpenOptions, StreamParams, Transport, VideoError};

use camera::{Camera, Reading, now, stamp};

fn options(stream: StreamParams) -> OpenOptions {
    OpenOptions { stream, ..OpenOptions::default() }
}

fn soon() -> StreamParams {
    StreamParams { silent_after: Duration::from_secs(2), ..StreamParams::default() }
}

/// Reads until pictures with readable, increasing times have arrived.
fn plays(reading: &Reading) {
    let first = stamp(&reading.shot(|shot| stamp(&shot.picture).is_some()).picture).unwrap();
    let mut last = first;
    for _ in 0..10 {
        let next = stamp(&reading.shot(|shot| stamp(&shot.picture).is_some()).picture).unwrap();
        assert!(next > last, "{next} after {last}");
        last = next;
    }
}

#[test]
fn h264_plays_and_comes_back_after_the_camera_was_restarted() {
    let Some(camera) = Camera::start(&[]) else { return };
    let reading = Reading::open(&camera.url(), &options(soon())).unwrap();
    plays(&reading);
    let port = camera.port;
    drop(camera);
    let error = reading.failure();
    assert!(error.to_string().contains(&format!("rtsp://127.0.0.1:{port}/camera")), "{error}");
    // Another size, after a gap.
    let _camera = Camera::again(&["--size", "640x480"], port);
    let shot = reading.shot(|shot| shot.picture.width() == 640);
    assert!(shot.cut, "what comes after a gap has nothing to do with what was before");
    plays(&reading);
}

#[test]
fn a_camera_that_freezes_is_told_and_comes_back() {
    let Some(camera) = Camera::start(&[]) else { return };
    let reading = Reading::open(&camera.url(), &options(soon())).unwrap();
    plays(&reading);
    camera.freeze();
    let error = reading.failure();
    assert!(error.to_string().contains("no picture came for 2 s"), "{error}");
    let frozen = now();
    camera.thaw();
    reading.shot(|shot| stamp(&shot.picture).is_some_and(|stamp| stamp > frozen));
    plays(&reading);
}

#[test]
fn other_codecs_and_udp() {
    let table: [(&[&str], Transport); 4] = [
        (&["--codec", "jpeg"], Transport::Any),
        (&["--codec", "h265"], Transport::Any),
        (&[], Transport::Udp),
        // It refuses TCP, so UDP is used.
        (&["--udp-only"], Transport::Any),
    ];
    for (words, transport) in table {
        if words.contains(&"h265") && Ffmpeg::installed().is_none() {
            eprintln!("skipped: ffmpeg and ffprobe are not installed");
            continue;
        }
        let Some(camera) = Camera::start(words) else { continue };
        let stream = StreamParams { transport, ..StreamParams::default() };
        let reading =
            Reading::open(&camera.url(), &options(stream)).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        plays(&reading);
    }
}

#[test]
fn passwords_are_asked_for_and_never_told() {
    let Some(camera) = Camera::start(&["--user", "ada", "--password", "l0ve:l@ce"]) else { return };
    let with = |user_info: &str| format!("rtsp://{user_info}127.0.0.1:{}/camera", camera.port);
    let refused = |spec: &str| {
        let error = Reading::open(spec, &options(soon())).err().expect("it is let in");
        assert!(matches!(error, VideoError::StreamDenied { .. }), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    };
    refused(&with(""));
    refused(&with("ada:secret@"));
    plays(&Reading::open(&with("ada:l0ve%3Al%40ce@"), &options(soon())).unwrap());
    let credentials = vec![CameraCredentials { host: None, user: "ada".into(), password: "l0ve:l@ce".into() }];
    let stream = StreamParams { credentials, ..soon() };
    plays(&Reading::open(&with(""), &options(stream)).unwrap());
}

#[test]
fn what_is_no_camera_is_an_error() {
    // Nothing listens on a port that was just released.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = Reading::open(&format!("rtsp://127.0.0.1:{port}/x"), &OpenOptions::default()).err().unwrap();
    assert!(error.to_string().contains("refused") && error.to_string().contains("check the address"), "{error}");
    // Another server answers, in three ways.
    for answer in [&b"HTTP/1.1 400 No\r\n\r\n"[..], b"\0\xFF\0\xFF".as_slice(), b""] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for mut client in listener.incoming().map_while(Result::ok) {
                let _ = std::io::Write::write_all(&mut client, answer);
            }
        });
        let error =
            Reading::open(&format!("rtsp://u:secret@127.0.0.1:{port}/x"), &OpenOptions::default()).err().unwrap();
        assert!(matches!(error, VideoError::Stream { .. }), "{error}");
        assert!(!error.to_string().contains("secret") && !error.to_string().contains('\n'), "{error}");
    }
    let Some(camera) = Camera::start(&[]) else { return };
    let error = Reading::open(&format!("{}/none", camera.url()), &OpenOptions::default()).err().unwrap();
    assert!(error.to_string().contains("404"), "{error}");
}

#[test]
fn a_source_that_is_dropped_ends_its_threads() {
    let Some(camera) = Camera::start(&[]) else { return };
    let source = visavis_video::open(&camera.url(), &options(soon())).unwrap();
    // Dropping joins the threads: a thread that does not end makes this test hang, which the test runner ends.
    let (send, dropped) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(source);
        let _ = send.send(());
    });
    dropped.recv_timeout(camera::PATIENCE).expect("the threads do not end");
}

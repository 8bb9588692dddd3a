//! MJPEG over HTTP, fetched by ffmpeg.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use visavis_image::{Picture, codec};
use visavis_video::{Ffmpeg, OpenOptions, StreamParams, VideoError};

use crate::camera::Reading;

/// Serves pictures of an adjustable size to clients with the right password.
struct Web {
    port: u16,
    silent: Arc<AtomicBool>,
}

impl Web {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let silent = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&silent);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let silent = Arc::clone(&shared);
                thread::spawn(move || serve(client, &silent));
            }
        });
        Self { port, silent }
    }
}

fn serve(mut client: TcpStream, silent: &AtomicBool) -> std::io::Result<()> {
    let mut allowed = false;
    for line in BufReader::new(client.try_clone()?).lines() {
        let line = line?;
        // `ada:word` in base64.
        allowed |= line.eq_ignore_ascii_case("authorization: basic YWRhOndvcmQ=");
        if line.is_empty() {
            break;
        }
    }
    if !allowed {
        return client.write_all(
            b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n",
        );
    }
    client.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=part\r\n\r\n")?;
    let mut grey = 0u8;
    loop {
        if !silent.load(Ordering::Relaxed) {
            grey = grey.wrapping_add(10);
            let jpeg = codec::encode_jpeg(&Picture::filled(160, 120, [grey; 3]), 90).unwrap();
            client.write_all(
                format!("--part\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len()).as_bytes(),
            )?;
            client.write_all(&jpeg)?;
            client.write_all(b"\r\n")?;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn mjpeg_over_http_plays_and_comes_back() {
    if Ffmpeg::installed().is_none() {
        return eprintln!("skipped: ffmpeg and ffprobe are not installed");
    }
    let web = Web::start();
    let stream = StreamParams { silent_after: Duration::from_secs(2), ..StreamParams::default() };
    let options = OpenOptions { stream, ..OpenOptions::default() };
    let denied = Reading::open(&format!("http://127.0.0.1:{}/v.mjpg", web.port), &options).err().unwrap();
    assert!(matches!(denied, VideoError::StreamDenied { given: false, .. }), "{denied}");
    let reading = Reading::open(&format!("http://ada:word@127.0.0.1:{}/v.mjpg?x=hidden", web.port), &options).unwrap();
    let shot = reading.shot(|_| true);
    assert_eq!((shot.picture.width(), shot.picture.height()), (160, 120));
    reading.shot(|other| other.picture.pixel(9, 9) != shot.picture.pixel(9, 9));
    web.silent.store(true, Ordering::Relaxed);
    let error = reading.failure().to_string();
    assert!(
        error.contains("no picture came for 2 s") && !error.contains("word") && !error.contains("hidden"),
        "{error}"
    );
    web.silent.store(false, Ordering::Relaxed);
    assert!(reading.shot(|shot| shot.cut).cut);
}

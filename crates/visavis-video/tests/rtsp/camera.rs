//! A camera for tests: GStreamer's RTSP server, and a reader for it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use visavis_image::Picture;
use visavis_video::{OpenOptions, Shot, VideoError, open};

/// Time limit of every step.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; killed on drop.
pub(crate) struct Camera {
    server: Child,
    pub(crate) port: u16,
}

impl Camera {
    /// Starts a server with these arguments, on a free port unless one is given. Returns `None`, and prints why, if there is
    /// no server.
    pub(crate) fn start(words: &[&str]) -> Option<Self> {
        // The system's own Python has GStreamer's bindings.
        let python = if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rtsp/server.py");
        let server = Command::new(python)
            .arg(script)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut server = match server {
            Ok(server) => server,
            Err(error) => {
                eprintln!("skipped: Python does not run: {error}");
                return None;
            }
        };
        let (stdout, stderr) = (server.stdout.take().unwrap(), server.stderr.take().unwrap());
        let (send, said) = channel();
        thread::spawn(move || {
            let first = BufReader::new(stdout).lines().map_while(Result::ok).find(|line| line.starts_with("ready"));
            let line = first.unwrap_or_else(|| {
                let lines = BufReader::new(stderr).lines().map_while(Result::ok);
                lines.last().unwrap_or_default()
            });
            let _ = send.send(line);
        });
        let line = said.recv_timeout(PATIENCE).expect("the server says nothing");
        match line.strip_prefix("ready ") {
            Some(port) => Some(Self { server, port: port.trim().parse().unwrap() }),
            None if line.contains("absent") => {
                eprintln!("skipped: no RTSP server to test with: {line} (`.ci/rtsp-server` installs one)");
                None
            }
            None => panic!("the server did not start: {line}"),
        }
    }

    /// Starts it again on this port.
    pub(crate) fn again(words: &[&str], port: u16) -> Self {
        let port = port.to_string();
        Self::start(&[words, &["--port", &port]].concat()).expect("it was there before")
    }

    pub(crate) fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/camera", self.port)
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.server.id().to_string()]).status().unwrap();
        assert!(sent.success(), "kill {name}");
    }

    /// Freezes it: it answers nothing until it is thawed, and its connections stay open.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Milliseconds of the clock that the pictures show.
pub(crate) fn now() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u32
}

/// When a picture was made; `None` if its blocks are damaged.
pub(crate) fn stamp(picture: &Picture) -> Option<u32> {
    let block = picture.width() / 32;
    let row = |y: u32| {
        (0..32).fold(0u32, |value, bit| value << 1 | u32::from(picture.pixel(bit * block + block / 2, y)[1] > 0x80))
    };
    let eighth = picture.height() / 8;
    let (value, complement) = (row(eighth / 2), row(eighth + eighth / 2));
    (value == !complement).then_some(value)
}

/// A source that is read by a thread, so that no test waits without end.
pub(crate) struct Reading(Receiver<Result<Shot, VideoError>>);

impl Reading {
    pub(crate) fn open(spec: &str, options: &OpenOptions) -> Result<Self, VideoError> {
        let mut source = open(spec, options)?;
        let (send, shots) = sync_channel(1);
        thread::spawn(move || {
            loop {
                let read = match source.read() {
                    Ok(Some(shot)) => Ok(shot),
                    Ok(None) => return,
                    Err(error) => Err(error),
                };
                if send.send(read).is_err() {
                    return;
                }
            }
        });
        Ok(Self(shots))
    }

    /// The next picture or failure; `None` if neither comes in time.
    pub(crate) fn next_within(&self, patience: Duration) -> Option<Result<Shot, VideoError>> {
        match self.0.recv_timeout(patience) {
            Ok(read) => Some(read),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the source has ended"),
        }
    }

    /// The next picture for which `wanted` holds; failures are skipped.
    pub(crate) fn shot(&self, wanted: impl Fn(&Shot) -> bool) -> Shot {
        for _ in 0..10_000 {
            if let Ok(shot) = self.next_within(PATIENCE).expect("no picture comes")
                && wanted(&shot)
            {
                return shot;
            }
        }
        panic!("no such picture comes");
    }

    /// The next failure; pictures are skipped.
    pub(crate) fn failure(&self) -> VideoError {
        for _ in 0..10_000 {
            if let Err(error) = self.next_within(PATIENCE).expect("no failure comes") {
                return error;
            }
        }
        panic!("no failure comes");
    }
}

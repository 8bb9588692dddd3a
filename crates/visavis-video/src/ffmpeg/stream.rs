//! Streams that ffmpeg reads: HTTP MJPEG, HLS, RTMP, SRT, RTSP over TLS, and so on.
//!
//! The address may contain a password, and every user of a machine can read the arguments of its programs. So ffmpeg gets
//! the address through its standard input, as the only entry of a list (its `concat` format).

use std::io::{self, BufReader, Write};
use std::process::{ChildStdout, Command};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Ffmpeg;
use super::child::{self, Killer, LOOKS_EVERY, Running};
use super::film::write_frames;
use super::frames::Frames;
use super::probe;
use crate::network::{Address, NetworkSource, Newest, Pause};
use crate::{OpenOptions, Source, VideoError};

/// Number of spare buffers, as for our own decoder.
const SPARE_PICTURES: usize = 12;
/// Protocols that a stream may make ffmpeg open: no file of this machine.
const PROTOCOLS: &str =
    "pipe,http,https,httpproxy,tls,tcp,udp,rtp,srtp,crypto,data,hls,rtmp,rtmps,rtmpt,srt,rtsp,rtsps";
/// Time limit for describing a stream.
const OPENING: Duration = Duration::from_secs(20);
/// Memory that ffmpeg may have, in bytes: this, and more for each pixel of a picture. It decodes several pictures at a time, each on
/// one thread.
const MEMORY: u64 = 512 << 20;
const MEMORY_PER_PIXEL: u64 = 96;

/// Opens a stream. Waits until its contents are known.
///
/// # Errors
/// [`VideoError`] if it cannot be reached or decoded. Later failures are returned by reads, and it is reopened.
pub(crate) fn open(address: &Address, options: &OpenOptions) -> Result<Box<dyn Source>, VideoError> {
    let name = address.name.clone();
    let Some(tools) = Ffmpeg::installed() else {
        let format = format!("a stream of {}://", address.url.scheme());
        return Err(VideoError::StreamNeedsFfmpeg { name, format });
    };
    let fetch = Fetch {
        tools,
        entry: entry(address),
        secrets: secrets(address),
        has_credentials: address.credentials.is_some(),
        paced: is_playlist(address),
        hardware: options.hardware_decoding,
        interlaced: false,
        max_pixels: options.max_pixels,
        most_memory: MEMORY,
        name,
        silent_after: options.stream.silent_after,
    };
    let probed = fetch.probe()?;
    let (width, height) = probed.size;
    if u64::from(width) * u64::from(height) > options.max_pixels {
        return Err(VideoError::TooLarge { name: fetch.name, width, height, most: options.max_pixels });
    }
    log::info!("{}: {width}x{height}, {}, fetched by {}", fetch.name, probed.codec, tools.version);
    let most_memory = MEMORY + MEMORY_PER_PIXEL * u64::from(width) * u64::from(height);
    let fetch = Fetch { interlaced: probed.interlaced, most_memory, ..fetch };
    let (name, newest) = (fetch.name.clone(), Arc::new(Newest::default()));
    let threads = Threads::start(fetch, Arc::clone(&newest)).map_err(|error| VideoError::Stream {
        name: name.clone(),
        reason: format!("its thread could not be started: {error}"),
    })?;
    Ok(Box::new(NetworkSource::new(name, Some(probed.size), probed.frame_rate, newest, Box::new(threads))))
}

/// The filters that make every picture upright, of square pixels and RGB. The size is kept.
pub(super) fn filters(interlaced: bool) -> String {
    let progressive = if interlaced { "bwdif=mode=send_frame:parity=auto:deint=interlaced," } else { "" };
    format!(
        "{progressive}scale=w='if(gte(sar,1),round(iw*sar),iw)':h='if(gte(sar,1),ih,round(ih/sar))',setsar=1,format=rgb24"
    )
}

/// A list with this address as its only entry.
fn entry(address: &Address) -> String {
    // A quote is written as '\'': it ends the quoted part, an escaped quote follows, and a new quoted part begins.
    let url = address.secret_url().replace('\'', r"'\''");
    let transport = if address.url.scheme() == "rtsps" { "option rtsp_transport tcp\n" } else { "" };
    format!("ffconcat version 1.0\nfile '{url}'\n{transport}")
}

/// Secrets that ffmpeg may repeat in a message, to be removed from it.
fn secrets(address: &Address) -> Vec<String> {
    let secret_url = address.secret_url();
    let encoded =
        secret_url.split_once("://").and_then(|(_, rest)| rest.split_once('@')).map(|(user, _)| user.to_owned());
    let mut secrets = vec![secret_url, address.url.to_string()];
    secrets.extend(encoded.filter(|_| address.credentials.is_some()));
    secrets.extend(address.url.query().map(str::to_owned));
    secrets.extend(address.credentials.iter().map(|(_, password)| password.clone()));
    secrets.retain(|secret| !secret.is_empty());
    secrets
}

/// HLS comes in segments of some seconds, which must be shown at their own pace.
fn is_playlist(address: &Address) -> bool {
    address.url.path().to_ascii_lowercase().ends_with(".m3u8")
}

/// How a stream is read.
struct Fetch {
    tools: &'static Ffmpeg,
    entry: String,
    secrets: Vec<String>,
    has_credentials: bool,
    paced: bool,
    hardware: bool,
    interlaced: bool,
    max_pixels: u64,
    /// Bytes of memory that ffmpeg may have.
    most_memory: u64,
    name: String,
    silent_after: Duration,
}

impl Fetch {
    fn failed(&self, reason: &str) -> VideoError {
        let mut reason = reason.to_owned();
        for secret in &self.secrets {
            reason = reason.replace(secret.as_str(), "…");
        }
        if reason.contains("401 Unauthorized") || reason.contains("403 Forbidden") {
            return VideoError::StreamDenied { name: self.name.clone(), given: self.has_credentials };
        }
        VideoError::Stream { name: self.name.clone(), reason }
    }

    fn input(&self, command: &mut Command) {
        command.args(["-protocol_whitelist", PROTOCOLS]);
        command.args(["-fflags", "nobuffer", "-probesize", "500000", "-analyzeduration", "1000000"]);
        command.arg("-max_pixels").arg(self.max_pixels.to_string());
        command.args(["-f", "concat", "-safe", "0", "-i", "pipe:0"]);
    }

    fn probe(&self) -> Result<probe::Probed, VideoError> {
        let mut command = Command::new(&self.tools.ffprobe);
        command.args(["-v", "error", "-of", "json", "-show_streams"]);
        self.input(&mut command);
        let told = child::output_of_fed(command, self.entry.as_bytes(), probe::MOST_JSON, OPENING, self.most_memory);
        let (json, _, messages) = told.map_err(|error| self.failed(&error.to_string()))?;
        probe::first_picture(&json).ok_or_else(|| match cause(&messages.lines) {
            Some(cause) => self.failed(&format!("{cause}: check the address")),
            None => self.failed("the stream has no pictures"),
        })
    }

    fn start(&self) -> io::Result<(Running, Frames<BufReader<ChildStdout>>)> {
        let mut command = Command::new(&self.tools.ffmpeg);
        command.args(["-nostdin", "-hide_banner", "-loglevel", "repeat+error", "-flags", "low_delay"]);
        if self.hardware {
            command.args(["-hwaccel", "auto"]);
        }
        if self.paced {
            command.arg("-re");
        }
        self.input(&mut command);
        command.args(["-map", "0:v:0"]).args(self.tools.every_frame()).args(["-enc_time_base", "-1"]);
        command.arg("-vf").arg(filters(self.interlaced));
        write_frames(&mut command);
        let (program, mut stdin, stdout) = Running::start_fed(command)?;
        stdin.write_all(self.entry.as_bytes())?;
        // The list is read to its end first.
        drop(stdin);
        let stdout = BufReader::with_capacity(256 << 10, stdout);
        Ok((program, Frames::of_any_size(stdout, self.max_pixels, SPARE_PICTURES)))
    }
}

/// The beginnings of messages about a connection. They name its host, but not the rest of the address, which may have a secret.
const ABOUT_CONNECTIONS: [&str; 4] = ["[tcp @ ", "[tls @ ", "[udp @ ", "[srt @ "];

/// Why ffmpeg cannot read a stream: its last message. If that is only an "Input/output error", as for a host that does not exist, the first
/// one about a connection, such as `[tcp @ 0x5581] Failed to resolve hostname …`.
fn cause(messages: &[String]) -> Option<&str> {
    let last = messages.last()?;
    let is_about_connection = |line: &&String| ABOUT_CONNECTIONS.iter().any(|begin| line.starts_with(begin));
    let connection = messages.iter().find(is_about_connection).and_then(|line| line.split_once("] "));
    match connection {
        Some((_, said)) if last.ends_with("Input/output error") => Some(said),
        _ => Some(last.strip_prefix("pipe:0: ").unwrap_or(last)),
    }
}

/// Why a program was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Killed {
    /// Nothing was received for too long.
    Silent,
    /// It had too much in memory.
    Memory,
}

#[derive(Default)]
struct State {
    killer: Option<Killer>,
    /// Since when nothing was received.
    since: Option<Instant>,
    /// Why the program was killed.
    killed: Option<Killed>,
    stopped: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Waits. Returns `false` if the stream was stopped.
    fn pause(&self, pause: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), pause, |state| !state.stopped);
        !waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0.stopped
    }
}

/// The thread that reads pictures, and the one that notices when none arrive. Both are ended and joined on drop.
struct Threads {
    shared: Arc<Shared>,
    running: Vec<JoinHandle<()>>,
}

impl Threads {
    fn start(fetch: Fetch, newest: Arc<Newest>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let mut threads = Self { shared: Arc::clone(&shared), running: Vec::new() };
        let (watched, silent_after, most_memory) = (Arc::clone(&shared), fetch.silent_after, fetch.most_memory);
        let watch = move || watch(&watched, silent_after, most_memory);
        threads.running.push(thread::Builder::new().name("stream-watch".into()).spawn(watch)?);
        let read = move || read_again_and_again(&fetch, &shared, &newest);
        threads.running.push(thread::Builder::new().name("stream".into()).spawn(read)?);
        Ok(threads)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopped = true;
        if let Some(killer) = state.killer.take() {
            killer.kill();
        }
        drop(state);
        self.shared.changed.notify_all();
        for thread in self.running.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Kills a program that delivers nothing for too long, or has too much in memory.
fn watch(shared: &Shared, silent_after: Duration, most_memory: u64) {
    let mut state = shared.lock();
    while !state.stopped {
        let left = match state.since {
            None => silent_after,
            Some(since) => silent_after.saturating_sub(since.elapsed()),
        };
        let resident = state.killer.as_ref().and_then(Killer::resident);
        let kill = match resident {
            _ if left.is_zero() => Some(Killed::Silent),
            Some(bytes) if bytes > most_memory => Some(Killed::Memory),
            _ => None,
        };
        if let Some(reason) = kill {
            (state.since, state.killed) = (None, Some(reason));
            if let Some(killer) = state.killer.take() {
                killer.kill();
            }
            continue;
        }
        let waited = shared.changed.wait_timeout(state, left.min(LOOKS_EVERY));
        state = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
    }
}

fn read_again_and_again(fetch: &Fetch, shared: &Shared, newest: &Newest) {
    let (mut pause, mut told) = (Pause::default(), None);
    loop {
        let error = read(fetch, shared, newest, &mut pause, &mut told);
        if shared.lock().stopped {
            return;
        }
        let reason = error.to_string();
        // A stream that stays away is reported once.
        if told.as_ref() != Some(&reason) {
            told = Some(reason);
            newest.fail(error);
        }
        if !shared.pause(pause.next()) {
            return;
        }
    }
}

/// Reads until the stream fails.
fn read(fetch: &Fetch, shared: &Shared, newest: &Newest, pause: &mut Pause, told: &mut Option<String>) -> VideoError {
    let (mut program, mut frames) = match fetch.start() {
        Ok(started) => started,
        Err(error) => return fetch.failed(&error.to_string()),
    };
    {
        let mut state = shared.lock();
        (state.killer, state.since, state.killed) = (Some(program.killer()), Some(Instant::now()), None);
        if state.stopped {
            program.killer().kill();
        }
    }
    let mut cut = true;
    let broken = loop {
        match frames.next() {
            Ok(Some((picture, _))) => {
                newest.put(picture, Instant::now(), std::mem::take(&mut cut));
                shared.lock().since = Some(Instant::now());
                pause.reset();
                *told = None;
            }
            Ok(None) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    program.killer().kill();
    let killed = {
        let mut state = shared.lock();
        (state.killer, state.since) = (None, None);
        state.killed
    };
    match killed {
        Some(Killed::Silent) => {
            let seconds = fetch.silent_after.as_secs_f64();
            return fetch.failed(&format!("no picture came for {seconds} s; the stream is opened again"));
        }
        Some(Killed::Memory) => return fetch.failed(&child::needs_too_much(fetch.most_memory)),
        None => {}
    }
    let said = program.wait().ok().and_then(|(_, messages)| cause(&messages.lines).map(str::to_owned));
    let reason = said.or(broken).unwrap_or_else(|| "the stream ended".to_owned());
    fetch.failed(&format!("the stream failed: {reason}; it is opened again"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StreamParams;

    fn address(spec: &str) -> Address {
        Address::parse(spec, &StreamParams::default()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_address_is_quoted() {
        let entry = entry(&address("rtsps://u:p'w@cam/x"));
        assert_eq!(entry, "ffconcat version 1.0\nfile 'rtsps://u:p'\\''w@cam/x'\noption rtsp_transport tcp\n");
        assert!(is_playlist(&address("https://cam/live/INDEX.m3u8?x=1")));
        assert!(!is_playlist(&address("http://cam/video.mjpg")));
    }

    #[test]
    fn the_message_that_says_something_is_taken() {
        let resolved = "[tcp @ 0x55f4] Failed to resolve hostname cam: Name or service not known";
        let not_opened = "[concat @ 0x55f5] Impossible to open 'http://cam/x'";
        let table: [(&[&str], Option<&str>); 5] = [
            (&[], None),
            (
                &[resolved, not_opened, "pipe:0: Input/output error"],
                Some("Failed to resolve hostname cam: Name or service not known"),
            ),
            (&[not_opened, "pipe:0: Server returned 404 Not Found"], Some("Server returned 404 Not Found")),
            (&[resolved, "pipe:0: Connection refused"], Some("Connection refused")),
            (&["pipe:0: Input/output error"], Some("Input/output error")),
        ];
        for (messages, said) in table {
            let messages: Vec<String> = messages.iter().map(ToString::to_string).collect();
            assert_eq!(cause(&messages), said, "{messages:?}");
        }
    }

    #[test]
    fn no_secret_is_repeated() {
        let secrets = secrets(&address("http://u:secret@cam/x?token=hidden"));
        let mut message = "http://u:secret@cam/x?token=hidden: Server returned 500; secret; token=hidden".to_owned();
        for secret in &secrets {
            message = message.replace(secret.as_str(), "…");
        }
        assert!(!message.contains("secret") && !message.contains("hidden"), "{message}");
    }
}

//! The connection to a camera.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use retina::client::{
    Credentials, Demuxed, PlayOptions, Session, SessionGroup, SessionOptions, SetupOptions, TcpTransportOptions,
    Transport as Way, UdpTransportOptions,
};
use retina::codec::{CodecItem, FrameFormat, ParametersRef, VideoFrame};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time;

use super::age::Age;
use super::queue::{Queue, Unit};
use super::received::{Received, one_read_at_a_time};
use super::{Child, Codec, Described, kill};
use crate::h264;
use crate::network::{Address, Newest, Pause};
use crate::{Ffmpeg, StreamParams, Transport, VideoError};

/// Time limit for opening a connection until it plays. An Internet camera over a slow line takes two or three seconds.
const OPENING: Duration = Duration::from_secs(8);
/// How long the program waits for the camera to end the session.
const CLOSING: Duration = Duration::from_millis(300);
/// Number of consecutive errors, each about one packet, after which a connection is closed.
const MOST_ERRORS: u32 = 20;
/// Number of different reasons why a connection cannot be opened that are reported. Further ones are only logged.
const MOST_TOLD: usize = 5;

/// Opens the connection, reopens it after failures, and passes what it receives to the decoder.
pub(super) struct Client {
    pub(super) address: Address,
    pub(super) params: StreamParams,
    pub(super) queue: Arc<Queue>,
    pub(super) newest: Arc<Newest>,
    pub(super) child: Child,
}

/// A connection that plays.
struct Playing {
    stream: Demuxed,
    codec: Codec,
    way: &'static str,
}

/// What is kept from one connection to the next.
struct History {
    /// Number of connections.
    sessions: u64,
    /// Gets the result of the first one.
    first: Option<Sender<Result<Described, VideoError>>>,
    pause: Pause,
    /// The failures that were reported since the last picture.
    told: Vec<String>,
}

/// Why a connection has ended.
struct Broken {
    error: VideoError,
    /// Whether the connection is closed at once, without asking the camera to end the session: because the camera sent more than is
    /// kept in memory, and reading its answer would receive still more; or because `retina` panicked.
    at_once: bool,
}

impl From<VideoError> for Broken {
    fn from(error: VideoError) -> Self {
        Self { error, at_once: false }
    }
}

/// How a sequence of connections ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The source is dropped, or the first connection failed. Sessions are ended as the protocol asks.
    Stopped,
    /// The first connection failed and is closed at once.
    Abandoned,
    /// All connections are closed at once, before the next one is opened.
    ClosedAtOnce,
}

/// Why there is no connection.
enum Failure {
    /// Reported unchanged.
    Error(VideoError),
    /// The camera does not support the requested transport.
    Transport,
}

impl Client {
    /// Runs until `stopped`. `first` gets the result of the first attempt; if it failed, this returns.
    pub(super) fn run(self, mut stopped: oneshot::Receiver<()>, first: Sender<Result<Described, VideoError>>) {
        let mut history = History { sessions: 0, first: Some(first), pause: Pause::default(), told: Vec::new() };
        loop {
            // Timers are looked at after every step, so that a camera that sends as fast as it can is disconnected in time.
            let runtime = match Builder::new_current_thread().enable_all().event_interval(1).build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let error = self.failed(format!("the runtime of the connection could not be started: {error}"));
                    match history.first.take() {
                        // The other end waits for this.
                        Some(first) => drop(first.send(Err(error))),
                        None => self.newest.fail(error),
                    }
                    return;
                }
            };
            let group = Arc::new(SessionGroup::default());
            let end = runtime.block_on(async {
                let end = tokio::select! {
                    // Nothing is ever sent: the channel is closed when the source is dropped.
                    _ = &mut stopped => End::Stopped,
                    end = self.connect_again_and_again(&group, &mut history) => end,
                };
                if end == End::Stopped {
                    // Sessions are ended by a separate task.
                    let _ = time::timeout(CLOSING, group.await_teardown()).await;
                }
                end
            });
            // Closes all connections. A DNS lookup may hang.
            runtime.shutdown_background();
            if end != End::ClosedAtOnce {
                return;
            }
        }
    }

    async fn connect_again_and_again(&self, group: &Arc<SessionGroup>, history: &mut History) -> End {
        loop {
            if history.sessions > 0 {
                time::sleep(history.pause.next()).await;
            }
            history.sessions += 1;
            // `retina` and its parser of descriptions (SDP) panic for some invalid data.
            let session = AssertUnwindSafe(self.session(group, history)).catch_unwind().await;
            let Broken { error, at_once } = match session {
                Ok(Err(broken)) => broken,
                Err(_) => {
                    let reason = "what the camera sent is not valid: check the address".into();
                    Broken { error: self.failed(reason), at_once: true }
                }
            };
            if let Some(first) = history.first.take() {
                // The other end waits for this.
                let _ = first.send(Err(error));
                return if at_once { End::Abandoned } else { End::Stopped };
            }
            let reason = error.to_string();
            if history.told.len() < MOST_TOLD && !history.told.contains(&reason) {
                history.told.push(reason);
                self.newest.fail(error);
            } else {
                log::debug!("{reason}");
            }
            // A decoder that hangs does not block the next connection.
            kill(&self.child);
            if at_once {
                return End::ClosedAtOnce;
            }
        }
    }

    fn failed(&self, reason: String) -> VideoError {
        VideoError::Stream { name: self.address.name.clone(), reason }
    }

    /// One connection, from opening it until it fails.
    async fn session(&self, group: &Arc<SessionGroup>, history: &mut History) -> Result<Infallible, Broken> {
        let Playing { mut stream, codec, way } = tokio::select! {
            // The limits are looked at first, before the connection reads on.
            biased;
            error = self.too_slow_or_too_much() => return Err(error),
            playing = one_read_at_a_time(self.open(group)) => playing?,
        };
        if let Some(first) = history.first.take() {
            // The other end waits for this.
            let _ = first.send(Ok(describe(&stream)));
        } else {
            log::info!("{}: reopened", self.address.name);
        }
        let started = Instant::now();
        let (mut last, mut age, mut errors) = (started, Age::default(), 0);
        let mut received = Received::pictures(way == "TCP");
        let mut broken = None;
        loop {
            let silent_at = last + self.params.silent_after;
            let look_at = silent_at.min(received.next_look());
            let item = time::timeout_at(look_at.into(), one_read_at_a_time(stream.next())).await;
            if let Some(bytes) = received.too_much() {
                return Err(self.flood(bytes, "without a complete picture"));
            }
            let item = match item {
                Ok(item) => item,
                Err(_) if Instant::now() >= silent_at => return Err(self.silent(way, last == started).into()),
                Err(_) => continue,
            };
            match item {
                Some(Ok(CodecItem::VideoFrame(frame))) => {
                    (last, errors) = (Instant::now(), 0);
                    received.complete();
                    // It plays, so further failures are reported again.
                    history.pause.reset();
                    history.told.clear();
                    let mut unit = unit(history.sessions, codec, frame, &mut age, started, last);
                    if codec == Codec::H265 && !unit.key && is_open_key_frame(&unit.data) {
                        begin_with_parameters(&mut unit, &stream);
                    }
                    self.queue.push(unit);
                    let shown = self.newest.last().map_or(started, |shown| shown.max(started));
                    if last.duration_since(shown) > self.params.silent_after {
                        let seconds = self.params.silent_after.as_secs();
                        let reason = format!(
                            "of what came for {seconds} s no picture could be shown; the connection is opened again"
                        );
                        return Err(self.failed(reason).into());
                    }
                }
                // Sound, metadata, and reports of the sender.
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    errors += 1;
                    log::debug!("{}: {error}", self.address.name);
                    if errors >= MOST_ERRORS {
                        return Err(self.lost(Some(error)).into());
                    }
                    broken = Some(error);
                }
                None => return Err(self.lost(broken).into()),
            }
        }
    }

    /// Waits until opening a connection takes too long or receives too much.
    async fn too_slow_or_too_much(&self) -> Broken {
        let (late, mut received) = (Instant::now() + OPENING, Received::opening());
        while Instant::now() < late {
            time::sleep_until(received.next_look().min(late).into()).await;
            if let Some(bytes) = received.too_much() {
                return self.flood(bytes, "while the connection was opened");
            }
        }
        self.failed(format!("no answer within {} s: check the address", OPENING.as_secs())).into()
    }

    fn flood(&self, bytes: u64, what: &str) -> Broken {
        let reason = format!(
            "the camera sent {} MiB {what}; that is no camera, or a broken one: check the address",
            bytes >> 20
        );
        Broken { error: self.failed(reason), at_once: true }
    }

    fn lost(&self, error: Option<retina::Error>) -> VideoError {
        let reason = error.map_or_else(|| "the camera ended the stream".to_owned(), |error| short(&error));
        self.failed(format!("the connection was lost: {reason}; it is opened again"))
    }

    fn silent(&self, way: &str, from_the_start: bool) -> VideoError {
        let seconds = self.params.silent_after.as_secs_f64();
        let hint = if from_the_start && way == "UDP" { " (a firewall may keep UDP out: ask for TCP)" } else { "" };
        self.failed(format!("no picture came for {seconds} s over {way}{hint}; the connection is opened again"))
    }

    /// Opens a connection until it plays.
    async fn open(&self, group: &Arc<SessionGroup>) -> Result<Playing, VideoError> {
        let first = if self.params.transport == Transport::Udp { Transport::Udp } else { Transport::Tcp };
        match self.open_by(group, first).await {
            Ok(playing) => Ok(playing),
            Err(Failure::Error(error)) => Err(error),
            Err(Failure::Transport) if self.params.transport == Transport::Any => {
                log::info!("{}: the camera refuses TCP: trying UDP", self.address.name);
                match self.open_by(group, Transport::Udp).await {
                    Ok(playing) => Ok(playing),
                    Err(Failure::Error(error)) => Err(error),
                    Err(Failure::Transport) => Err(self.failed("the camera refuses both TCP and UDP (461)".into())),
                }
            }
            Err(Failure::Transport) => {
                Err(self.failed("the camera refuses the requested transport (461): request the other one".into()))
            }
        }
    }

    async fn open_by(&self, group: &Arc<SessionGroup>, transport: Transport) -> Result<Playing, Failure> {
        let credentials = self.address.credentials.clone();
        let credentials = credentials.map(|(username, password)| Credentials { username, password });
        let given = credentials.is_some();
        let options =
            SessionOptions::default().creds(credentials).user_agent("visavis".into()).session_group(Arc::clone(group));
        let refused = |error: retina::Error| match error.status_code() {
            Some(401 | 403) => Failure::Error(VideoError::StreamDenied { name: self.address.name.clone(), given }),
            Some(404) => Failure::Error(
                self.failed("the camera has no stream under this path (404): its manual tells the path".into()),
            ),
            Some(461) => Failure::Transport,
            _ => Failure::Error(self.failed(not_opened(&error))),
        };
        let mut session = Session::describe(self.address.url.clone(), options).await.map_err(refused)?;
        let videos = session.streams().iter().enumerate().filter(|(_, stream)| stream.media() == "video");
        let videos: Vec<(usize, Option<Codec>, String)> = videos
            .map(|(number, stream)| (number, codec(stream.encoding_name()), stream.encoding_name().to_owned()))
            .collect();
        let Some((number, codec)) = videos.iter().find_map(|(number, codec, _)| Some((*number, (*codec)?))) else {
            let others: Vec<String> = videos.into_iter().map(|(.., name)| name.to_uppercase()).collect();
            let reason = match others.as_slice() {
                [] => "the stream has no pictures".to_owned(),
                others => format!(
                    "the stream is {}; H.264, H.265 and MJPEG are read: set the camera to one of them",
                    others.join(", ")
                ),
            };
            return Err(Failure::Error(self.failed(reason)));
        };
        if codec == Codec::H265 && Ffmpeg::installed().is_none() {
            let (name, format) = (self.address.name.clone(), "H.265".to_owned());
            return Err(Failure::Error(VideoError::StreamNeedsFfmpeg { name, format }));
        }
        let (way, way_name) = match transport {
            Transport::Udp => (Way::Udp(UdpTransportOptions::default()), "UDP"),
            Transport::Any | Transport::Tcp => (Way::Tcp(TcpTransportOptions::default()), "TCP"),
        };
        let setup = SetupOptions::default().transport(way).frame_format(FrameFormat::SIMPLE);
        session.setup(number, setup).await.map_err(refused)?;
        let playing = session.play(PlayOptions::default()).await.map_err(refused)?;
        let stream = playing.demuxed().map_err(refused)?;
        Ok(Playing { stream, codec, way: way_name })
    }
}

/// A codec name of SDP (RFC 4566), which retina returns in lower case.
fn codec(encoding_name: &str) -> Option<Codec> {
    match encoding_name {
        "h264" => Some(Codec::H264),
        "h265" => Some(Codec::H265),
        "jpeg" => Some(Codec::Jpeg),
        _ => None,
    }
}

/// What the camera reported about the stream that plays.
fn describe(stream: &Demuxed) -> Described {
    let video = stream.streams().iter().find_map(|stream| match (stream.ctx().is_some(), stream.parameters()) {
        (true, Some(ParametersRef::Video(video))) => Some((video.pixel_dimensions(), video.frame_rate())),
        _ => None,
    });
    let frame_rate = video.and_then(|(_, rate)| rate).and_then(|(seconds, frames)| {
        let rate = f64::from(frames) / f64::from(seconds);
        crate::source::FRAME_RATES.contains(&rate).then_some(rate)
    });
    Described { size: video.map(|(size, _)| size), frame_rate }
}

fn unit(session: u64, codec: Codec, frame: VideoFrame, age: &mut Age, started: Instant, arrived: Instant) -> Unit {
    let (late, media) = age.of(arrived.duration_since(started).as_secs_f64(), frame.timestamp().elapsed_secs());
    Unit {
        session,
        codec,
        key: frame.is_random_access_point() || codec == Codec::Jpeg,
        lost: frame.loss(),
        data: frame.into_data(),
        arrived,
        late,
        // The clock starts at one hour, so that earlier times are not negative.
        media_ms: ((media + 3600.0).max(0.0) * 1e3) as u64,
    }
}

/// `nal_unit_type` of a sequence parameter set (ITU-T H.265, table 7-1).
const H265_SPS: u8 = 33;

fn h265_unit_type(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |byte| byte >> 1 & 0x3F)
}

/// Whether decoding can begin with this picture. retina reports only IDR pictures, but cameras with open groups of pictures
/// use CRA or BLA pictures as key frames (types 16 to 21 of table 7-1).
fn is_open_key_frame(data: &[u8]) -> bool {
    let mut pictures = h264::annex_b_units(data).map(h265_unit_type).filter(|kind| *kind < 32);
    pictures.next().is_some_and(|kind| (16..=21).contains(&kind))
}

/// Makes a key frame of a picture: puts the parameter sets of the stream before it if it has none.
fn begin_with_parameters(unit: &mut Unit, stream: &Demuxed) {
    unit.key = true;
    if h264::annex_b_units(&unit.data).any(|unit| h265_unit_type(unit) == H265_SPS) {
        return;
    }
    let video = stream.streams().iter().find_map(|stream| match (stream.ctx().is_some(), stream.parameters()) {
        (true, Some(ParametersRef::Video(video))) => Some(video),
        _ => None,
    });
    if let Some(video) = video {
        let mut data = video.extra_data().to_vec();
        data.append(&mut unit.data);
        unit.data = data;
    }
}

/// The first line of an error of retina; addresses and positions follow it.
fn short(error: &retina::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim_end_matches([':', ' ']).to_owned()
}

/// Why a connection cannot be opened.
fn not_opened(error: &retina::Error) -> String {
    let text = short(error);
    match text.strip_prefix("Unable to connect to RTSP server: ") {
        Some(reason) => {
            format!("the camera cannot be reached: {reason}: check the address, and whether the camera runs")
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_of_h265() {
        let stream =
            |kinds: &[u8]| -> Vec<u8> { kinds.iter().flat_map(|kind| [0, 0, 0, 1, kind << 1, 1, 0x80]).collect() };
        // An access unit delimiter, parameter sets and a message may precede the picture.
        assert!(is_open_key_frame(&stream(&[35, 32, 33, 34, 39, 21])));
        assert!(is_open_key_frame(&stream(&[19])));
        assert!(!is_open_key_frame(&stream(&[35, 1])) && !is_open_key_frame(&stream(&[1, 21])));
        assert!(!is_open_key_frame(&[]));
    }
}

//! A film, frame by frame.

use std::fmt::Write;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::Ffmpeg;
use super::child::{Killer, Messages, Running};
use super::frames::Frames;
use super::probe::{Probed, add_input, probe, url};
use crate::source::Interrupter;
use crate::{OpenOptions, Pace, Shot, Source, SourceInfo, VideoError};

/// Number of spare buffers, as for our own decoder.
const SPARE_PICTURES: usize = 12;
/// A read that waits for less than this is not interrupted, since the next frame is about to come.
const HANGS: Duration = Duration::from_millis(500);
/// Messages about the output, which do not concern the film.
const HARMLESS: [&str; 2] = ["non monotonically increasing dts", "Last message repeated"];

/// A film that ffmpeg decodes.
pub(crate) struct FfmpegSource {
    info: SourceInfo,
    tools: &'static Ffmpeg,
    path: PathBuf,
    probed: Probed,
    hardware: bool,
    max_pixels: u64,
    decoding: Option<Decoding>,
    waiting: Arc<Mutex<Waiting>>,
    frames: u64,
    ended: bool,
}

struct Decoding {
    frames: Frames<BufReader<ChildStdout>>,
    program: Running,
}

/// The state of a waiting read.
#[derive(Default)]
struct Waiting {
    since: Option<Instant>,
    killer: Option<Killer>,
    killed: bool,
}

impl FfmpegSource {
    /// `format` is the name of the format in the error if there is no ffmpeg.
    pub(crate) fn open(path: &Path, format: &str, options: &OpenOptions) -> Result<Self, VideoError> {
        let name = path.display().to_string();
        let Some(tools) = Ffmpeg::installed() else {
            return Err(VideoError::NoFfmpeg { path: name, format: format.to_owned() });
        };
        let probed = probe(tools, path)?;
        let (width, height) = probed.size;
        let (coded_width, coded_height) = probed.coded;
        let pixels = (u64::from(width) * u64::from(height)).max(u64::from(coded_width) * u64::from(coded_height));
        if pixels > options.max_pixels {
            return Err(VideoError::TooLarge { name, width, height, most: options.max_pixels });
        }
        log::info!("{name}: {width}x{height}, {}, decoded by {}", probed.codec, tools.version);
        let info = SourceInfo {
            name,
            width,
            height,
            frame_rate: probed.frame_rate,
            frames: probed.frames,
            pace: Pace::Timeline,
        };
        let (path, hardware, max_pixels) = (path.to_owned(), options.hardware_decoding, options.max_pixels);
        let waiting = Arc::default();
        Ok(Self { info, tools, path, probed, hardware, max_pixels, decoding: None, waiting, frames: 0, ended: false })
    }

    fn start(&self) -> Result<Decoding, VideoError> {
        let mut command = Command::new(&self.tools.ffmpeg);
        command.args(["-nostdin", "-hide_banner", "-loglevel", "repeat+error"]);
        if self.hardware {
            command.args(["-hwaccel", "auto"]);
        }
        // The size may change within a film.
        command.arg("-max_pixels").arg(self.max_pixels.to_string());
        if self.probed.codec == "tiff" && !self.probed.has_matrix {
            // Newer versions apply the orientation of a TIFF, older ones do not: `still.rs` does.
            command.arg("-noautorotate");
        }
        add_input(&mut command, &self.path);
        command.arg("-map").arg(format!("0:{}", self.probed.index));
        command.args(self.tools.every_frame()).args(["-enc_time_base", "-1"]);
        command.arg("-vf").arg(filters(&self.probed));
        write_frames(&mut command);
        let (program, stdout) = Running::start(command).map_err(|error| self.failed(error.to_string()))?;
        let frames = Frames::new(BufReader::with_capacity(256 << 10, stdout), self.probed.size, SPARE_PICTURES);
        *lock(&self.waiting) = Waiting { killer: Some(program.killer()), ..Waiting::default() };
        Ok(Decoding { frames, program })
    }

    fn failed(&self, reason: String) -> VideoError {
        VideoError::Ffmpeg { name: self.info.name.clone(), reason }
    }

    /// The result after the last frame.
    fn finish(&mut self, mut decoding: Decoding, broken: Option<String>) -> Result<Option<Shot>, VideoError> {
        self.ended = true;
        if broken.is_some() {
            // It may wait for us to read more.
            decoding.program.killer().kill();
        }
        let (status, messages) = decoding.program.wait().map_err(|error| self.failed(error.to_string()))?;
        let (said, count) = about_the_film(&messages, &self.path);
        let name = self.info.name.clone();
        if self.frames == 0 || !status.success() || broken.is_some() {
            let reason = said.or(broken).unwrap_or_else(|| match self.frames {
                0 => "no picture could be decoded".to_owned(),
                frames => format!("decoding ended after {frames} frames: {status}"),
            });
            return Err(self.failed(reason));
        }
        match said {
            Some(reason) if count > 0 => Err(VideoError::PartlyDecoded { name, frames: self.frames, count, reason }),
            _ => Ok(None),
        }
    }
}

impl Source for FfmpegSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn read(&mut self) -> Result<Option<Shot>, VideoError> {
        if self.ended {
            return Ok(None);
        }
        let mut decoding = match self.decoding.take() {
            Some(decoding) => decoding,
            None => match self.start() {
                Ok(decoding) => decoding,
                Err(error) => {
                    self.ended = true;
                    return Err(error);
                }
            },
        };
        lock(&self.waiting).since = Some(Instant::now());
        let frame = decoding.frames.next();
        let killed = {
            let mut waiting = lock(&self.waiting);
            waiting.since = None;
            waiting.killed
        };
        if killed {
            // A further read starts again from the first frame.
            self.frames = 0;
            return Err(VideoError::Interrupted { name: self.info.name.clone() });
        }
        match frame {
            Ok(Some((picture, at))) => {
                self.frames += 1;
                self.decoding = Some(decoding);
                Ok(Some(Shot::new(picture, at)))
            }
            Ok(None) => self.finish(decoding, None),
            Err(error) => self.finish(decoding, Some(error.to_string())),
        }
    }

    fn rewind(&mut self) -> Result<(), VideoError> {
        self.decoding = None;
        (self.frames, self.ended) = (0, false);
        Ok(())
    }

    fn interrupter(&self) -> Option<Interrupter> {
        let waiting = Arc::clone(&self.waiting);
        Some(Arc::new(move || {
            let mut waiting = lock(&waiting);
            if waiting.since.is_some_and(|since| since.elapsed() > HANGS) {
                waiting.killed = true;
                if let Some(killer) = &waiting.killer {
                    killer.kill();
                }
            }
        }))
    }
}

/// Arguments with which ffmpeg writes what [`Frames`] reads.
pub(super) fn write_frames(command: &mut Command) {
    // Chapters and timecodes would be written as further tracks.
    command.args(["-an", "-sn", "-dn", "-map_chapters", "-1", "-map_metadata", "-1", "-write_tmcd", "0"]);
    command.args(["-c:v", "rawvideo", "-pix_fmt", "rgb24", "-f", "mov", "-flush_packets", "1"]);
    command.args(["-movflags", "frag_every_frame+empty_moov+default_base_moof", "pipe:1"]);
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The first message about the film, without its name, and the number of messages.
fn about_the_film(messages: &Messages, path: &Path) -> (Option<String>, u64) {
    let about = format!("{}: ", url(path).to_string_lossy());
    let mut lines = messages.lines.iter().filter(|line| !HARMLESS.iter().any(|harmless| line.contains(harmless)));
    let dropped = messages.lines.len() - lines.clone().count();
    let first = lines.next().map(|line| line.trim_start_matches(&about).to_owned());
    (first, messages.count - dropped as u64)
}

/// The filters that make every picture upright (ffmpeg puts the rotation before them), progressive, of square pixels, RGB,
/// and of one size: a film may change its size, and is then fitted into the first one.
pub(super) fn filters(probed: &Probed) -> String {
    let (width, height) = probed.size;
    let mut filters = String::new();
    if probed.interlaced {
        // Pictures that are not marked as interlaced are not changed.
        filters.push_str("bwdif=mode=send_frame:parity=auto:deint=interlaced,");
    }
    filters.push_str("scale=w='if(gte(sar,1),round(iw*sar),iw)':h='if(gte(sar,1),ih,round(ih/sar))',setsar=1,");
    // What players assume if a film does not specify it.
    let matrix = if probed.has_colour_space || height < 720 { "" } else { ":in_color_matrix=bt709" };
    // Writing to a String cannot fail.
    let _ = write!(
        filters,
        "scale=w={width}:h={height}:force_original_aspect_ratio=decrease{matrix},format=rgb24,\
         pad=w={width}:h={height}:x=(ow-iw)/2:y=(oh-ih)/2"
    );
    filters
}

//! What every source is, and which source a user means.

use std::io::{self, IsTerminal};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use visavis_image::{Picture, codec};

use crate::VideoError;
use crate::camera;
use crate::file_kind::FileKind;
use crate::gif::GifSource;
use crate::mp4::Mp4Source;
use crate::still::{FolderSource, StillSource};
use crate::stream::{MjpegSource, RawSource};
use crate::virtual_camera::{VirtualCamera, VirtualCameraParams};

/// One picture of a source.
#[derive(Debug)]
pub struct Shot {
    /// The pixels, upright.
    pub picture: Picture,
    /// When, since the start of the source, on its own clock.
    pub at: Duration,
}

/// Frame rates that can be meant; within them no time overflows.
pub(crate) const FRAME_RATES: RangeInclusive<f64> = 0.001..=1000.0;

/// Who keeps the pace of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// A camera or a live stream: a read waits until the next picture is there.
    Own,
    /// A recording: a read returns at once, whoever shows it waits until [`Shot::at`].
    Timeline,
}

/// What is known of a source before its first picture.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceInfo {
    /// Path, device or stream, for people.
    pub name: String,
    /// Pixels across of the first picture; those of a folder may differ. 0 where only the first picture will tell.
    pub width: u32,
    /// Pixels down, likewise.
    pub height: u32,
    /// Pictures a second, where they come regularly.
    pub frame_rate: Option<f64>,
    /// How many pictures in all, where that is known.
    pub frames: Option<u64>,
    /// Who keeps the pace.
    pub pace: Pace,
}

/// Pictures, one after the other.
pub trait Source: Send {
    /// What is known beforehand.
    fn info(&self) -> &SourceInfo;

    /// The next picture; `None` at the end.
    ///
    /// # Errors
    /// [`VideoError`]. After an error over one picture a further read goes on behind it where that is possible, else it
    /// returns `None`; a camera that failed stays failed.
    fn read(&mut self) -> Result<Option<Shot>, VideoError>;

    /// Starts again from the first picture, with the clock at 0. A camera just goes on.
    ///
    /// # Errors
    /// [`VideoError::CannotRewind`] for a stream, [`VideoError::Read`] for a file that has gone.
    fn rewind(&mut self) -> Result<(), VideoError>;
}

/// The shape of bare RGB pictures on standard input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawFormat {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Pictures a second.
    pub frame_rate: f64,
}

/// How to open a source.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenOptions {
    /// Pictures with more pixels are refused, before anything is decoded. Default: 50 million.
    pub max_pixels: u64,
    /// Standard input carries bare RGB bytes of this shape; `None` (default): JPEG pictures one after the other.
    pub raw: Option<RawFormat>,
    /// The wished size of a camera's picture, which takes its nearest. Default: 1280×720, where faces across a room are
    /// large enough and every webcam still gives 30 pictures a second.
    pub camera_size: (u32, u32),
    /// The wished rate of a camera, or the true rate of JPEG pictures on standard input. `None` (default): the camera's
    /// own; the clock when they arrive.
    pub frame_rate: Option<f64>,
    /// How long each picture of a folder counts. Default: 1 s.
    pub still_interval: Duration,
    /// How `virtual:PATH` moves.
    pub virtual_camera: VirtualCameraParams,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            max_pixels: codec::MAX_PIXELS,
            raw: None,
            camera_size: (1280, 720),
            frame_rate: None,
            still_interval: Duration::from_secs(1),
            virtual_camera: VirtualCameraParams::default(),
        }
    }
}

/// Opens what `spec` names:
///
/// - a path: a picture, a folder of pictures (in the order of their names), a GIF, an MP4 (H.264);
/// - `camera:0`, `camera:/dev/video0`, `/dev/video0`, or just `0`: a webcam;
/// - `-`: standard input, JPEG pictures or bare RGB ([`OpenOptions::raw`]);
/// - `virtual:PATH`: a camera that moves over a photo or the photos of a folder.
///
/// # Errors
/// [`VideoError`], naming the thing and what to do about it.
pub fn open(spec: &str, options: &OpenOptions) -> Result<Box<dyn Source>, VideoError> {
    if spec.is_empty() {
        return Err(VideoError::Spec {
            spec: spec.into(),
            reason: "is empty; name a file, a folder or a camera".into(),
        });
    }
    if let Some(rate) = options.frame_rate
        && !FRAME_RATES.contains(&rate)
    {
        let reason = format!("a frame rate of {rate} does not lie between 0.001 and 1000");
        return Err(VideoError::Spec { spec: spec.into(), reason });
    }
    if let Some(path) = spec.strip_prefix("virtual:") {
        return Ok(Box::new(VirtualCamera::open(Path::new(path), options)?));
    }
    if let Some(device) = spec.strip_prefix("camera:") {
        return camera::open(device, options);
    }
    if spec.starts_with("/dev/video") || spec.starts_with("/dev/v4l/") || spec.bytes().all(|byte| byte.is_ascii_digit())
    {
        return camera::open(spec, options);
    }
    if spec == "-" {
        return open_standard_input(options);
    }
    open_path(Path::new(spec), options)
}

fn open_standard_input(options: &OpenOptions) -> Result<Box<dyn Source>, VideoError> {
    if io::stdin().is_terminal() {
        let reason = "standard input is a terminal; pipe pictures in: `ffmpeg -i FILM -f mjpeg - | … -`";
        return Err(VideoError::Spec { spec: "-".into(), reason: reason.into() });
    }
    let name = "standard input".to_owned();
    Ok(match options.raw {
        Some(format) => Box::new(RawSource::new(name, io::stdin(), format, options.max_pixels)?),
        None => Box::new(MjpegSource::new(name, io::stdin(), options.frame_rate, options.max_pixels)),
    })
}

fn open_path(path: &Path, options: &OpenOptions) -> Result<Box<dyn Source>, VideoError> {
    let name = path.display().to_string();
    let kind = path.metadata().map_err(VideoError::reading(&name))?;
    if kind.is_dir() {
        return Ok(Box::new(FolderSource::open(path, options)?));
    }
    if !kind.is_file() {
        let reason = "is neither a file nor a folder; a pipe is read as standard input: `… - < PIPE`".into();
        return Err(VideoError::Spec { spec: name, reason });
    }
    Ok(match FileKind::of_file(path)? {
        FileKind::Still => Box::new(StillSource::open(path, options.max_pixels)?),
        FileKind::Gif => Box::new(GifSource::open(path, options.max_pixels)?),
        FileKind::Mp4 => Box::new(Mp4Source::open(path, options.max_pixels)?),
        FileKind::Unsupported(format) => return Err(VideoError::UnsupportedFormat { path: name, format }),
        FileKind::Unknown => return Err(VideoError::UnknownFormat { path: name }),
    })
}

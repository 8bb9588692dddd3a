//! Opens the source that a user describes.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use crate::camera;
use crate::display_name::{display_name, is_address};
use crate::error::VideoError;
use crate::ffmpeg;
use crate::ffmpeg::FfmpegSource;
use crate::file_kind::FileKind;
use crate::gif::GifSource;
use crate::mjpeg;
use crate::mp4::Mp4Source;
use crate::network::Address;
use crate::options::OpenOptions;
use crate::pipe::{EachTime, PipeReader};
use crate::rtsp;
use crate::source::{FRAME_RATES, Source};
use crate::still::{FolderSource, StillSource};
use crate::stream::{MjpegSource, RawSource};
use crate::virtual_camera::VirtualCamera;

/// Opens what `spec` names:
///
/// - a path: see [`open_path`];
/// - `camera:0`, `camera:/dev/video0`, `/dev/video0`, or just `0` where no file has that name: a webcam;
/// - `rtsp://…`: a network camera with RTSP; `http://…` and other addresses: a stream that an installed ffmpeg fetches;
/// - `-`: standard input, JPEG pictures or bare RGB ([`OpenOptions::raw`]);
/// - `virtual:PATH`: a camera that moves over a photo or the photos of a folder.
///
/// # Errors
/// [`VideoError`], with what is wrong and what to do.
pub fn open(spec: &str, options: &OpenOptions) -> Result<Box<dyn Source>, VideoError> {
    if spec.is_empty() {
        return Err(VideoError::Spec {
            spec: spec.into(),
            reason: "it is empty: give a file, a folder or a camera".into(),
        });
    }
    check(spec, options)?;
    match Kind::of(spec) {
        Kind::Virtual(path) => Ok(Box::new(VirtualCamera::open(path, options)?)),
        Kind::Camera(device) => camera::open(device, options),
        Kind::StandardInput => open_standard_input(options),
        Kind::Address => {
            let address = Address::parse(spec, &options.stream)?;
            if address.is_rtsp() { rtsp::open(&address, options) } else { ffmpeg::open_stream(&address, options) }
        }
        Kind::Path(path) => open_path(path, options),
    }
}

/// The file or the folder that `spec` names, as [`open`] takes it, whether or not it exists. `None` for a camera, an address and standard
/// input.
#[must_use]
pub fn path_of(spec: &str) -> Option<&Path> {
    match Kind::of(spec) {
        Kind::Virtual(path) | Kind::Path(path) => Some(path),
        Kind::Camera(_) | Kind::StandardInput | Kind::Address => None,
    }
}

/// What the description of a source names.
enum Kind<'a> {
    /// Photos that a virtual camera shows.
    Virtual(&'a Path),
    /// A webcam: its number or device.
    Camera(&'a str),
    StandardInput,
    Address,
    Path(&'a Path),
}

impl<'a> Kind<'a> {
    fn of(spec: &'a str) -> Self {
        let path = Path::new(spec);
        if let Some(photos) = spec.strip_prefix("virtual:") {
            return Self::Virtual(Path::new(photos));
        }
        if let Some(device) = spec.strip_prefix("camera:") {
            return Self::Camera(device);
        }
        let is_number = spec.bytes().all(|byte| byte.is_ascii_digit());
        if spec.starts_with("/dev/video") || spec.starts_with("/dev/v4l/") || is_number && !path.exists() {
            return Self::Camera(spec);
        }
        match spec {
            "-" => Self::StandardInput,
            _ if is_address(spec) && !path.exists() => Self::Address,
            _ => Self::Path(path),
        }
    }
}

/// Opens a file or folder, whatever its name: a picture, a folder of pictures (in the order of their names), a GIF, a film,
/// or a named pipe with the formats of standard input.
///
/// Films in MP4 with H.264 are decoded by this crate, other films and pictures by an installed ffmpeg.
///
/// # Errors
/// [`VideoError`], with the file and what to do.
pub fn open_path(path: &Path, options: &OpenOptions) -> Result<Box<dyn Source>, VideoError> {
    let name = path.display().to_string();
    check(&name, options)?;
    let kind = path.metadata().map_err(VideoError::reading(&name))?;
    if kind.is_dir() {
        return Ok(Box::new(FolderSource::open(path, options)?));
    }
    if is_pipe(kind.file_type()) {
        let pipe = path.to_owned();
        let each_time: EachTime = Box::new(move || Ok(Box::new(File::open(&pipe)?) as Box<dyn Read + Send>));
        return open_pipe(name, PipeReader::reopening(each_time), options);
    }
    if !kind.is_file() {
        let reason = "it is neither a file, a folder nor a pipe".into();
        return Err(VideoError::Spec { spec: name, reason });
    }
    Ok(match FileKind::of_file(path)? {
        FileKind::Still | FileKind::OtherStill(_) => Box::new(StillSource::open(path, options.max_pixels)?),
        FileKind::Gif => Box::new(GifSource::open(path, options.max_pixels)?),
        FileKind::Mp4 => return open_mp4(path, options),
        FileKind::OtherFilm(mjpeg::FILM) => Box::new(MjpegSource::open(path, options)?),
        FileKind::OtherFilm(format) => Box::new(FfmpegSource::open(path, format, options)?),
        FileKind::AppleDouble => return Err(VideoError::AppleDouble { path: name }),
        // ffmpeg may know the format.
        FileKind::Unknown => match FfmpegSource::open(path, "of an unknown format", options) {
            Ok(source) => Box::new(source),
            Err(error @ VideoError::TooLarge { .. }) => return Err(error),
            Err(_) => return Err(VideoError::UnknownFormat { path: name }),
        },
    })
}

fn check(spec: &str, options: &OpenOptions) -> Result<(), VideoError> {
    match options.frame_rate {
        Some(rate) if !FRAME_RATES.contains(&rate) => {
            let reason = format!("the frame rate {rate} is not between 0.001 and 1000");
            Err(VideoError::Spec { spec: display_name(spec), reason })
        }
        _ => Ok(()),
    }
}

/// Opens an MP4, with ffmpeg if our decoder cannot decode it.
fn open_mp4(path: &Path, options: &OpenOptions) -> Result<Box<dyn Source>, VideoError> {
    match Mp4Source::open(path, options.max_pixels) {
        Ok(source) => Ok(Box::new(source)),
        Err(VideoError::UnsupportedCodec { codec, .. }) => Ok(Box::new(FfmpegSource::open(path, &codec, options)?)),
        // Our error is the most precise, unless ffmpeg can read the file.
        Err(error @ VideoError::Damaged { .. }) => match FfmpegSource::open(path, "damaged", options) {
            Ok(source) => Ok(Box::new(source)),
            Err(_) => Err(error),
        },
        Err(error) => Err(error),
    }
}

fn open_standard_input(options: &OpenOptions) -> Result<Box<dyn Source>, VideoError> {
    if io::stdin().is_terminal() {
        let reason =
            "standard input is a terminal: pipe pictures into it, for example `ffmpeg -i FILM -q:v 3 -f mjpeg - | … -`";
        return Err(VideoError::Spec { spec: "-".into(), reason: reason.into() });
    }
    open_pipe("standard input".to_owned(), PipeReader::once(Box::new(io::stdin())), options)
}

fn open_pipe(name: String, pipe: PipeReader, options: &OpenOptions) -> Result<Box<dyn Source>, VideoError> {
    Ok(match options.raw {
        Some(format) => {
            let interrupter = pipe.interrupter();
            Box::new(RawSource::new(name, pipe, format, options.max_pixels)?.interrupted_by(interrupter))
        }
        None => {
            let interrupter = pipe.interrupter();
            Box::new(MjpegSource::new(name, pipe, options.frame_rate, options.max_pixels).interrupted_by(interrupter))
        }
    })
}

#[cfg(unix)]
fn is_pipe(kind: std::fs::FileType) -> bool {
    use std::os::unix::fs::FileTypeExt;
    kind.is_fifo()
}

#[cfg(not(unix))]
fn is_pipe(_: std::fs::FileType) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_other_sources() {
        for (spec, path) in [
            ("film.mp4", Some("film.mp4")),
            ("virtual:photos/", Some("photos/")),
            ("door=film.mp4", Some("door=film.mp4")),
            ("camera:0", None),
            ("7", None),
            ("/dev/video0", None),
            ("-", None),
            ("rtsp://cam/1", None),
        ] {
            assert_eq!(path_of(spec), path.map(Path::new), "{spec}");
        }
    }
}

//! Entry points for the fuzz targets in `visavis-fuzz`: the parsers of this crate without ffmpeg and without waiting.
//!
//! Not part of the API.

use std::io::Cursor;
use std::path::Path;

use crate::file_kind::FileKind;
use crate::gif::GifSource;
use crate::mp4::Mp4Source;
use crate::still::StillSource;
use crate::stream::{MjpegSource, RawSource};
use crate::{RawFormat, Source, VideoError};

#[cfg(target_os = "linux")]
pub use crate::camera::unpack as webcam_picture;
pub use crate::ffmpeg::has_picture as probe_has_picture;
pub use crate::rtsp::decode_h264;

/// Opens a file as [`crate::open_path`] does, if a decoder of this crate reads it.
///
/// # Errors
/// [`VideoError`] if the file is damaged or has another format.
pub fn open_file(path: &Path, max_pixels: u64) -> Result<Box<dyn Source>, VideoError> {
    Ok(match FileKind::of_file(path)? {
        FileKind::Still => Box::new(StillSource::open(path, max_pixels)?),
        FileKind::Gif => Box::new(GifSource::open(path, max_pixels)?),
        FileKind::Mp4 => Box::new(Mp4Source::open(path, max_pixels)?),
        _ => return Err(VideoError::UnknownFormat { path: path.display().to_string() }),
    })
}

/// JPEG pictures one after the other, as on standard input.
#[must_use]
pub fn mjpeg(bytes: Vec<u8>, max_pixels: u64) -> Box<dyn Source> {
    Box::new(MjpegSource::new("fuzzing".into(), Cursor::new(bytes), Some(25.0), max_pixels))
}

/// Raw RGB pictures, as on standard input.
///
/// # Errors
/// [`VideoError`] for a format that is not possible.
pub fn raw(bytes: Vec<u8>, format: RawFormat, max_pixels: u64) -> Result<Box<dyn Source>, VideoError> {
    Ok(Box::new(RawSource::new("fuzzing".into(), Cursor::new(bytes), format, max_pixels)?))
}

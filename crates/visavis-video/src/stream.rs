//! Pictures from a byte stream, such as standard input.

use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use visavis_image::{Picture, PicturePool, codec};

use crate::mjpeg::{self, SplitError, Splitter, with_huffman_tables};
use crate::source::{FRAME_RATES, Interrupter};
use crate::{OpenOptions, Pace, RawFormat, Shot, Source, SourceInfo, VideoError};

/// Pictures per second of a file of JPEG pictures, which contains no times: as ffmpeg assumes.
const USUAL_RATE: f64 = 25.0;

/// A sequence of JPEG pictures.
pub(crate) struct MjpegSource<R> {
    info: SourceInfo,
    pictures: Splitter<R>,
    max_pixels: u64,
    number: u64,
    started: Option<Instant>,
    /// Whether the error about a stream without pictures was returned.
    told: bool,
    interrupter: Option<Interrupter>,
    /// Opens the stream again, if it is a file.
    reopen: Option<Box<dyn Fn() -> io::Result<R> + Send>>,
}

impl MjpegSource<File> {
    /// A file of JPEG pictures.
    pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Self, VideoError> {
        let (name, path) = (path.display().to_string(), path.to_owned());
        let open = move || File::open(&path);
        let opened = || open().map_err(VideoError::reading(&name));
        let mut first = Splitter::new(opened()?, mjpeg::MOST_BYTES);
        let first = first.next().ok().flatten().and_then(|first| codec::size(Cursor::new(first)).ok());
        let rate = options.frame_rate.unwrap_or(USUAL_RATE);
        let mut film = Self::new(name.clone(), opened()?, Some(rate), options.max_pixels);
        (film.info.width, film.info.height) = first.unwrap_or_default();
        film.reopen = Some(Box::new(open));
        Ok(film)
    }
}

impl<R: Read> MjpegSource<R> {
    /// With a `frame_rate`, times are counted; without, they are the times of arrival.
    pub(crate) fn new(name: String, stream: R, frame_rate: Option<f64>, max_pixels: u64) -> Self {
        let pace = if frame_rate.is_some() { Pace::Timeline } else { Pace::Own };
        let info = SourceInfo { name, width: 0, height: 0, frame_rate, frames: None, pace };
        let pictures = Splitter::new(stream, mjpeg::MOST_BYTES);
        Self { info, pictures, max_pixels, number: 0, started: None, told: false, interrupter: None, reopen: None }
    }

    /// The same, with a function that interrupts a read of its stream.
    pub(crate) fn interrupted_by(self, interrupter: Interrupter) -> Self {
        Self { interrupter: Some(interrupter), ..self }
    }

    /// At the end of the stream: an error, once, if there was no JPEG picture in it.
    fn end(&mut self) -> Result<Option<Shot>, VideoError> {
        if self.number > 0 || self.pictures.seen() == 0 || std::mem::replace(&mut self.told, true) {
            return Ok(None);
        }
        let reason = "it contains no JPEG picture; pipe films in with \
                      `ffmpeg -i FILM -q:v 3 -f mjpeg - | … -`, and give the size of raw RGB pictures";
        Err(VideoError::Damaged { name: self.info.name.clone(), reason: reason.into() })
    }
}

impl<R: Read + Send> Source for MjpegSource<R> {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn read(&mut self) -> Result<Option<Shot>, VideoError> {
        let number = self.number;
        let bytes = match self.pictures.next() {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return self.end(),
            Err(SplitError::Interrupted) => {
                return Err(VideoError::Interrupted { name: self.info.name.clone() });
            }
            Err(error) => {
                let name = self.info.name.clone();
                // The broken data count as one picture.
                self.number += 1;
                let broken = |reason: String| VideoError::Frame { name: name.clone(), frame: number, reason };
                return Err(match error {
                    SplitError::Read(source) => VideoError::Read { name, source },
                    SplitError::CutShort => VideoError::CutShort { name, frame: number, of: None },
                    SplitError::NoEnd(bytes) => broken(format!("the JPEG picture is truncated after {bytes} bytes")),
                    SplitError::TooLong | SplitError::Interrupted => {
                        broken(format!("a JPEG picture has no end within {} MB", mjpeg::MOST_BYTES >> 20))
                    }
                });
            }
        };
        self.number += 1;
        let at = match self.info.frame_rate {
            Some(rate) => Duration::from_secs_f64(number as f64 / rate),
            None => self.started.get_or_insert_with(Instant::now).elapsed(),
        };
        let picture = codec::decode(&with_huffman_tables(bytes), self.max_pixels)
            .map_err(|error| VideoError::picture(&format!("{}, frame {number}", self.info.name))(error))?;
        Ok(Some(Shot::new(picture, at)))
    }

    fn rewind(&mut self) -> Result<(), VideoError> {
        let Some(reopen) = &self.reopen else {
            return Err(VideoError::CannotRewind { name: self.info.name.clone() });
        };
        let stream = reopen().map_err(VideoError::reading(&self.info.name))?;
        self.pictures = Splitter::new(stream, mjpeg::MOST_BYTES);
        self.number = 0;
        Ok(())
    }

    fn interrupter(&self) -> Option<Interrupter> {
        self.interrupter.clone()
    }
}

/// Raw RGB pictures of one size.
pub(crate) struct RawSource<R> {
    info: SourceInfo,
    stream: R,
    format: RawFormat,
    number: u64,
    ended: bool,
    pool: PicturePool,
    /// The first bytes of a picture, if a read was interrupted.
    begun: Option<(Picture, usize)>,
    interrupter: Option<Interrupter>,
}

impl<R: Read> RawSource<R> {
    pub(crate) fn new(name: String, stream: R, format: RawFormat, max_pixels: u64) -> Result<Self, VideoError> {
        let RawFormat { width, height, frame_rate } = format;
        if width == 0 || height == 0 || !FRAME_RATES.contains(&frame_rate) {
            let reason =
                format!("raw RGB of {width}x{height} at {frame_rate} pictures per second: all three must be above 0");
            return Err(VideoError::Spec { spec: name, reason });
        }
        if u64::from(width) * u64::from(height) > max_pixels {
            return Err(VideoError::TooLarge { name, width, height, most: max_pixels });
        }
        let info = SourceInfo { name, width, height, frame_rate: Some(frame_rate), frames: None, pace: Pace::Timeline };
        let pool = PicturePool::new(8);
        Ok(Self { info, stream, format, number: 0, ended: false, pool, begun: None, interrupter: None })
    }

    /// The same, with a function that interrupts a read of its stream.
    pub(crate) fn interrupted_by(self, interrupter: Interrupter) -> Self {
        Self { interrupter: Some(interrupter), ..self }
    }
}

impl<R: Read + Send> Source for RawSource<R> {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn read(&mut self) -> Result<Option<Shot>, VideoError> {
        if self.ended {
            return Ok(None);
        }
        let begun = self.begun.take();
        let (mut picture, mut filled) =
            begun.unwrap_or_else(|| (self.pool.take(self.format.width, self.format.height), 0));
        let whole = picture.pixels().len();
        while filled < whole {
            match self.stream.read(&mut picture.pixels_mut()[filled..]) {
                Ok(0) => {
                    self.ended = true;
                    if filled == 0 {
                        return Ok(None);
                    }
                    return Err(VideoError::CutShort { name: self.info.name.clone(), frame: self.number, of: None });
                }
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.begun = Some((picture, filled));
                    return Err(VideoError::Interrupted { name: self.info.name.clone() });
                }
                Err(source) => {
                    self.ended = true;
                    return Err(VideoError::Read { name: self.info.name.clone(), source });
                }
            }
        }
        let at = Duration::from_secs_f64(self.number as f64 / self.format.frame_rate);
        self.number += 1;
        Ok(Some(Shot::new(picture, at)))
    }

    fn rewind(&mut self) -> Result<(), VideoError> {
        Err(VideoError::CannotRewind { name: self.info.name.clone() })
    }

    fn interrupter(&self) -> Option<Interrupter> {
        self.interrupter.clone()
    }
}

#[cfg(test)]
mod tests {
    use visavis_image::Picture;

    use super::*;

    #[test]
    fn jpeg_pictures_come_out_with_their_times() {
        let jpeg = |level| codec::encode_jpeg(&Picture::filled(24, 16, [level; 3]), 90).unwrap();
        let stream = [b"--part\r\n\r\n".to_vec(), jpeg(10), b"\r\n--part\r\n\r\n".to_vec(), jpeg(200)].concat();
        let mut source = MjpegSource::new("test".into(), stream.as_slice(), Some(25.0), 1000);
        for (level, at) in [(10u8, 0), (200, 40)] {
            let shot = source.read().unwrap().unwrap();
            assert_eq!(shot.at, Duration::from_millis(at));
            assert!(shot.picture.pixel(5, 5)[0].abs_diff(level) < 4);
        }
        assert!(source.read().unwrap().is_none());
        assert!(matches!(source.rewind(), Err(VideoError::CannotRewind { .. })));
    }

    #[test]
    fn a_stream_of_something_else_is_told_once() {
        let mut source = MjpegSource::new("test".into(), &b"\x1A\x45\xDF\xA3 a film"[..], None, 1000);
        assert!(source.read().unwrap_err().to_string().contains("no JPEG picture"));
        assert!(source.read().unwrap().is_none());
        assert!(MjpegSource::new("test".into(), &b""[..], None, 1000).read().unwrap().is_none());
    }

    #[test]
    fn a_picture_that_breaks_off_is_told_and_the_next_comes() {
        let jpeg = |level| codec::encode_jpeg(&Picture::filled(24, 16, [level; 3]), 90).unwrap();
        let cut = jpeg(50);
        let stream = [jpeg(10), cut[..cut.len() - 3].to_vec(), jpeg(200), cut[..30].to_vec()].concat();
        let mut source = MjpegSource::new("test".into(), stream.as_slice(), Some(10.0), 1000);
        assert!(source.read().unwrap().is_some());
        assert!(matches!(source.read(), Err(VideoError::Frame { frame: 1, .. })));
        let shot = source.read().unwrap().unwrap();
        assert!(shot.picture.pixel(3, 3)[0] > 190 && shot.at == Duration::from_millis(200));
        assert!(matches!(source.read(), Err(VideoError::CutShort { frame: 3, .. })));
        assert!(source.read().unwrap().is_none());
    }

    #[test]
    fn a_picture_too_large_is_an_error_and_the_next_comes() {
        let jpeg = |side| codec::encode_jpeg(&Picture::filled(side, side, [9; 3]), 90).unwrap();
        let stream = [jpeg(64), jpeg(16)].concat();
        let mut source = MjpegSource::new("test".into(), stream.as_slice(), None, 1000);
        assert!(matches!(source.read(), Err(VideoError::TooLarge { width: 64, .. })));
        assert_eq!(source.read().unwrap().unwrap().picture.width(), 16);
    }

    #[test]
    fn bare_rgb() {
        let format = RawFormat { width: 3, height: 2, frame_rate: 10.0 };
        let stream: Vec<u8> = (0..18 * 2 + 5).collect();
        let mut source = RawSource::new("test".into(), stream.as_slice(), format, 100).unwrap();
        assert_eq!(source.read().unwrap().unwrap().picture.pixel(2, 1), [15, 16, 17]);
        let shot = source.read().unwrap().unwrap();
        assert_eq!((shot.picture.pixel(0, 0), shot.at), ([18, 19, 20], Duration::from_millis(100)));
        let error = source.read().unwrap_err();
        assert_eq!(error.to_string(), "test is cut off at frame 2");
        assert!(source.read().unwrap().is_none());
        let bad = RawFormat { width: 0, ..format };
        assert!(RawSource::new("test".into(), &[][..], bad, 100).is_err());
    }
}

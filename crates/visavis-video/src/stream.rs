//! Pictures from a byte stream, such as standard input.

use std::io::Read;
use std::time::{Duration, Instant};

use visavis_image::{PicturePool, codec};

use crate::mjpeg::{self, SplitError, Splitter};
use crate::source::FRAME_RATES;
use crate::{Pace, RawFormat, Shot, Source, SourceInfo, VideoError};

/// JPEG pictures one after the other.
pub(crate) struct MjpegSource<R> {
    info: SourceInfo,
    pictures: Splitter<R>,
    max_pixels: u64,
    number: u64,
    started: Option<Instant>,
}

impl<R: Read> MjpegSource<R> {
    /// With a `frame_rate` the times are counted, else they are those of arrival.
    pub(crate) fn new(name: String, stream: R, frame_rate: Option<f64>, max_pixels: u64) -> Self {
        let pace = if frame_rate.is_some() { Pace::Timeline } else { Pace::Own };
        let info = SourceInfo { name, width: 0, height: 0, frame_rate, frames: None, pace };
        Self { info, pictures: Splitter::new(stream, mjpeg::MOST_BYTES), max_pixels, number: 0, started: None }
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
            Ok(None) => return Ok(None),
            Err(error) => {
                let name = self.info.name.clone();
                return Err(match error {
                    SplitError::Read(source) => VideoError::Read { name, source },
                    SplitError::CutShort => VideoError::CutShort { name, frame: number, of: None },
                    SplitError::TooLong => VideoError::Frame {
                        name,
                        frame: number,
                        reason: format!("a JPEG picture without an end in {} MB", mjpeg::MOST_BYTES >> 20),
                    },
                });
            }
        };
        self.number += 1;
        let at = match self.info.frame_rate {
            Some(rate) => Duration::from_secs_f64(number as f64 / rate),
            None => self.started.get_or_insert_with(Instant::now).elapsed(),
        };
        let picture = codec::decode(bytes, self.max_pixels)
            .map_err(|error| VideoError::picture(&format!("{}, frame {number}", self.info.name))(error))?;
        Ok(Some(Shot { picture, at }))
    }

    fn rewind(&mut self) -> Result<(), VideoError> {
        Err(VideoError::CannotRewind { name: self.info.name.clone() })
    }
}

/// Bare RGB pictures of one size.
pub(crate) struct RawSource<R> {
    info: SourceInfo,
    stream: R,
    format: RawFormat,
    number: u64,
    ended: bool,
    pool: PicturePool,
}

impl<R: Read> RawSource<R> {
    pub(crate) fn new(name: String, stream: R, format: RawFormat, max_pixels: u64) -> Result<Self, VideoError> {
        let RawFormat { width, height, frame_rate } = format;
        if width == 0 || height == 0 || !FRAME_RATES.contains(&frame_rate) {
            let reason = format!("bare RGB of {width}x{height} at {frame_rate} a second; all three must be above 0");
            return Err(VideoError::Spec { spec: name, reason });
        }
        if u64::from(width) * u64::from(height) > max_pixels {
            return Err(VideoError::TooLarge { name, width, height, most: max_pixels });
        }
        let info = SourceInfo { name, width, height, frame_rate: Some(frame_rate), frames: None, pace: Pace::Timeline };
        Ok(Self { info, stream, format, number: 0, ended: false, pool: PicturePool::new(8) })
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
        let mut picture = self.pool.take(self.format.width, self.format.height);
        let mut rest = picture.pixels_mut();
        let whole = rest.len();
        while !rest.is_empty() {
            match self.stream.read(rest) {
                Ok(0) => {
                    self.ended = true;
                    if rest.len() == whole {
                        return Ok(None);
                    }
                    return Err(VideoError::CutShort { name: self.info.name.clone(), frame: self.number, of: None });
                }
                Ok(count) => rest = &mut rest[count..],
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => {
                    self.ended = true;
                    return Err(VideoError::Read { name: self.info.name.clone(), source });
                }
            }
        }
        let at = Duration::from_secs_f64(self.number as f64 / self.format.frame_rate);
        self.number += 1;
        Ok(Some(Shot { picture, at }))
    }

    fn rewind(&mut self) -> Result<(), VideoError> {
        Err(VideoError::CannotRewind { name: self.info.name.clone() })
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
        assert_eq!(error.to_string(), "test: cut off: it ends at frame 2");
        assert!(source.read().unwrap().is_none());
        let bad = RawFormat { width: 0, ..format };
        assert!(RawSource::new("test".into(), &[][..], bad, 100).is_err());
    }
}

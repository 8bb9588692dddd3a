//! RGB frames with timestamps, as ffmpeg writes them in fragmented QuickTime.

use std::io::{self, Read};
use std::time::Duration;

use mp4_atom::{Atom, Mdhd, Moof, Tkhd};
use visavis_image::{Picture, PicturePool};

use crate::mp4::boxes::{child, require};

/// Maximum size of a box other than a frame, in bytes; those of ffmpeg have a few hundred.
const MOST_BOX: u64 = 1 << 20;

/// Reads frames of one size from a stream.
pub(super) struct Frames<R> {
    stream: R,
    /// Width and height in pixels; `None` until the header was read, if they are not known before.
    size: Option<(u32, u32)>,
    /// Maximum number of pixels; a header with more is an error.
    max_pixels: u64,
    /// Ticks per second, once the header was read.
    timescale: Option<u32>,
    /// The time of the frame that comes next, in ticks.
    next: Option<u64>,
    pool: PicturePool,
}

impl<R: Read> Frames<R> {
    pub(super) fn new(stream: R, size: (u32, u32), spare: usize) -> Self {
        let pool = PicturePool::new(spare);
        Self { stream, size: Some(size), max_pixels: u64::MAX, timescale: None, next: None, pool }
    }

    /// Frames of the size in the header of the stream, with at most `max_pixels`.
    pub(super) fn of_any_size(stream: R, max_pixels: u64, spare: usize) -> Self {
        Self { stream, size: None, max_pixels, timescale: None, next: None, pool: PicturePool::new(spare) }
    }

    /// The next frame with its time; `None` if the stream ends between two frames.
    pub(super) fn next(&mut self) -> io::Result<Option<(Picture, Duration)>> {
        loop {
            let Some((kind, size)) = self.header()? else { return Ok(None) };
            match &kind {
                b"moov" => {
                    let moov = self.body(size)?;
                    self.timescale = Some(timescale(&moov).map_err(broken)?);
                    if self.size.is_none() {
                        self.size = Some(told_size(&moov, self.max_pixels).map_err(broken)?);
                    }
                }
                b"moof" => {
                    let moof = self.body(size)?;
                    self.next = Some(time(&moof).map_err(broken)?);
                }
                b"mdat" if size > 0 => return self.frame(size).map(Some),
                _ => {
                    let skipped = io::copy(&mut (&mut self.stream).take(size), &mut io::sink())?;
                    if skipped < size {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Kind and content length of the next box; `None` at the end of the stream.
    fn header(&mut self) -> io::Result<Option<([u8; 4], u64)>> {
        let mut head = [0; 8];
        let mut filled = 0;
        while filled < head.len() {
            match self.stream.read(&mut head[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let [a, b, c, d, kind @ ..] = head;
        let size = match u32::from_be_bytes([a, b, c, d]) {
            1 => {
                let mut long = [0; 8];
                self.stream.read_exact(&mut long)?;
                u64::from_be_bytes(long).checked_sub(16)
            }
            size => u64::from(size).checked_sub(8),
        };
        Ok(Some((kind, size.ok_or_else(|| broken("a box shorter than its header".into()))?)))
    }

    fn body(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > MOST_BOX {
            return Err(broken(format!("a box of {size} bytes")));
        }
        let mut body = vec![0; size as usize];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }

    fn frame(&mut self, size: u64) -> io::Result<(Picture, Duration)> {
        let (width, height) = self.size.ok_or_else(|| broken("a frame before the header".into()))?;
        let (row, stride) = (width as usize * 3, row_bytes(width));
        if size != (stride * height as usize) as u64 {
            return Err(broken(format!("a frame has {size} bytes, which is wrong for {width}x{height} pixels")));
        }
        let ticks = self.next.take().ok_or_else(|| broken("a frame without a time".into()))?;
        let scale = u64::from(self.timescale.ok_or_else(|| broken("a frame before the header".into()))?);
        let at = Duration::from_secs(ticks / scale) + Duration::from_nanos(ticks % scale * 1_000_000_000 / scale);
        let mut picture = self.pool.take(width, height);
        if row == stride {
            self.stream.read_exact(picture.pixels_mut())?;
        } else {
            let mut padding = [0; 2];
            for out in picture.pixels_mut().chunks_exact_mut(row) {
                self.stream.read_exact(out)?;
                self.stream.read_exact(&mut padding[..stride - row])?;
            }
        }
        Ok((picture, at))
    }
}

/// QuickTime pads rows of RGB to an even number of bytes.
fn row_bytes(width: u32) -> usize {
    (width as usize * 3).next_multiple_of(2)
}

fn broken(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn timescale(moov: &[u8]) -> Result<u32, String> {
    let trak = child(moov, b"trak").ok_or("no track")?;
    let header: Mdhd = require(child(trak, b"mdia").ok_or("no media")?)?;
    if header.timescale == 0 { Err("its clock has 0 ticks per second".into()) } else { Ok(header.timescale) }
}

fn told_size(moov: &[u8], max_pixels: u64) -> Result<(u32, u32), String> {
    let header: Tkhd = require(child(moov, b"trak").ok_or("no track")?)?;
    let size = (u32::from(header.width.integer()), u32::from(header.height.integer()));
    match u64::from(size.0) * u64::from(size.1) {
        0 => Err("its frames have no pixels".into()),
        pixels if pixels > max_pixels => {
            Err(format!("{}x{} pixels are more than the {max_pixels} allowed", size.0, size.1))
        }
        _ => Ok(size),
    }
}

/// Decoding time plus the offset at which the frame is shown.
fn time(mut moof: &[u8]) -> Result<u64, String> {
    let moof = Moof::decode_body(&mut moof).map_err(|error| format!("box moof: {error}"))?;
    let fragment = moof.traf.first().ok_or("a fragment without a track")?;
    let decoded = fragment.tfdt.as_ref().ok_or("a fragment without a time")?.base_media_decode_time;
    let offset = fragment.trun.first().and_then(|run| run.samples.iter().next()?.cts).unwrap_or(0);
    Ok(decoded.saturating_add_signed(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_padded_to_even_lengths() {
        assert_eq!((row_bytes(2), row_bytes(3), row_bytes(321)), (6, 10, 964));
    }

    #[test]
    fn a_broken_stream_is_an_error() {
        let stream = |bytes: &[u8]| Frames::new(bytes, (2, 2), 1).next().map(|frame| frame.is_some());
        assert!(!stream(b"").unwrap());
        assert!(!stream(b"\0\0\0\x0Cftypabcd").unwrap());
        assert!(stream(b"\0\0\0").is_err());
        assert!(stream(b"\0\0\0\x07mdat").is_err());
        assert!(stream(b"\0\0\0\x14mdat012345678901").unwrap_err().to_string().contains("without a time"));
        assert!(stream(b"\0\0\0\x10mdat01234567").unwrap_err().to_string().contains("8 bytes"));
        let unsized_stream = Frames::of_any_size(&b"\0\0\0\x10mdat01234567"[..], 100, 1).next();
        assert!(unsized_stream.unwrap_err().to_string().contains("before the header"));
        assert!(stream(b"\xFF\0\0\0moov").unwrap_err().to_string().contains("a box of"));
    }
}

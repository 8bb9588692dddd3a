//! An animated GIF.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gif::{ColorOutput, DecodeOptions, Decoder, DecodingError, DisposalMethod, Frame, MemoryLimit};
use visavis_image::Picture;

use crate::{Pace, Shot, Source, SourceInfo, VideoError};

/// Shorter delays, in hundredths of a second, are replaced by [`USUAL_DELAY`], as all browsers do; films with a delay of 0
/// are made for that.
const LEAST_DELAY: u16 = 2;
const USUAL_DELAY: u16 = 10;

/// One pass through a GIF. Transparent pixels are black.
pub(crate) struct GifSource {
    info: SourceInfo,
    path: PathBuf,
    max_pixels: u64,
    decoder: Decoder<BufReader<File>>,
    canvas: Canvas,
    number: u64,
    at: Duration,
    ended: bool,
}

impl GifSource {
    pub(crate) fn open(path: &Path, max_pixels: u64) -> Result<Self, VideoError> {
        let name = path.display().to_string();
        let decoder = open_decoder(path, &name, max_pixels)?;
        let (width, height) = (u32::from(decoder.width()), u32::from(decoder.height()));
        let info = SourceInfo { name, width, height, frame_rate: None, frames: None, pace: Pace::Timeline };
        Ok(Self {
            info,
            path: path.to_owned(),
            max_pixels,
            decoder,
            canvas: Canvas::new(width, height),
            number: 0,
            at: Duration::ZERO,
            ended: false,
        })
    }
}

impl Source for GifSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn read(&mut self) -> Result<Option<Shot>, VideoError> {
        if self.ended {
            return Ok(None);
        }
        let frame = match self.decoder.read_next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                self.ended = true;
                return Ok(None);
            }
            Err(error) => {
                self.ended = true;
                let (name, frame) = (self.info.name.clone(), self.number);
                return Err(match error {
                    DecodingError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                        VideoError::CutShort { name, frame, of: None }
                    }
                    error => VideoError::Frame { name, frame, reason: error.to_string() },
                });
            }
        };
        self.canvas.draw(frame);
        let at = self.at;
        let delay = if frame.delay < LEAST_DELAY { USUAL_DELAY } else { frame.delay };
        self.at += Duration::from_millis(u64::from(delay) * 10);
        self.number += 1;
        Ok(Some(Shot::new(self.canvas.shown.clone(), at)))
    }

    fn rewind(&mut self) -> Result<(), VideoError> {
        self.decoder = open_decoder(&self.path, &self.info.name, self.max_pixels)?;
        self.canvas = Canvas::new(self.info.width, self.info.height);
        self.number = 0;
        self.at = Duration::ZERO;
        self.ended = false;
        Ok(())
    }
}

fn open_decoder(path: &Path, name: &str, max_pixels: u64) -> Result<Decoder<BufReader<File>>, VideoError> {
    let file = File::open(path).map_err(VideoError::reading(name))?;
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::RGBA);
    // Four bytes per pixel. This limit also refuses a frame that is larger than the picture.
    let most = std::num::NonZeroU64::new(max_pixels.saturating_mul(4)).unwrap_or(std::num::NonZeroU64::MIN);
    options.set_memory_limit(MemoryLimit::Bytes(most));
    let decoder = options
        .read_info(BufReader::new(file))
        .map_err(|error| VideoError::Damaged { name: name.to_owned(), reason: error.to_string() })?;
    let (width, height) = (u32::from(decoder.width()), u32::from(decoder.height()));
    if u64::from(width) * u64::from(height) > max_pixels {
        return Err(VideoError::TooLarge { name: name.to_owned(), width, height, most: max_pixels });
    }
    if width == 0 || height == 0 {
        return Err(VideoError::Damaged { name: name.to_owned(), reason: format!("a picture of {width}x{height}") });
    }
    Ok(decoder)
}

/// The canvas so far, and what has to be undone before the next frame (GIF89a, section 23).
struct Canvas {
    shown: Picture,
    undo: Undo,
}

enum Undo {
    Nothing,
    /// Clear this part: left, top, right, bottom.
    Clear([u32; 4]),
    Restore(Picture),
}

impl Canvas {
    fn new(width: u32, height: u32) -> Self {
        Self { shown: Picture::new(width, height), undo: Undo::Nothing }
    }

    fn draw(&mut self, frame: &Frame<'_>) {
        match std::mem::replace(&mut self.undo, Undo::Nothing) {
            Undo::Nothing => {}
            Undo::Clear([left, top, right, bottom]) => {
                for y in top..bottom {
                    for x in left..right {
                        self.shown.set_pixel(x, y, [0; 3]);
                    }
                }
            }
            Undo::Restore(before) => self.shown = before,
        }
        let (width, height) = (self.shown.width(), self.shown.height());
        let (left, top) = (u32::from(frame.left).min(width), u32::from(frame.top).min(height));
        let right = (left + u32::from(frame.width)).min(width);
        let bottom = (top + u32::from(frame.height)).min(height);
        self.undo = match frame.dispose {
            DisposalMethod::Any | DisposalMethod::Keep => Undo::Nothing,
            DisposalMethod::Background => Undo::Clear([left, top, right, bottom]),
            DisposalMethod::Previous => Undo::Restore(self.shown.clone()),
        };
        let rows = frame.buffer.chunks_exact(usize::from(frame.width).max(1) * 4);
        for (y, row) in (top..bottom).zip(rows) {
            for (x, pixel) in (left..right).zip(row.chunks_exact(4)) {
                if pixel[3] != 0 {
                    self.shown.set_pixel(x, y, [pixel[0], pixel[1], pixel[2]]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(left: u16, dispose: DisposalMethod, pixels: &[[u8; 4]]) -> Frame<'static> {
        Frame {
            left,
            dispose,
            width: pixels.len() as u16,
            height: 1,
            buffer: pixels.concat().into(),
            ..Frame::default()
        }
    }

    const RED: [u8; 4] = [255, 0, 0, 255];
    const BLUE: [u8; 4] = [0, 0, 255, 255];
    const CLEAR: [u8; 4] = [9, 9, 9, 0];

    #[test]
    fn frames_are_laid_over_one_another() {
        let mut canvas = Canvas::new(4, 1);
        let mut draw = |frame: Frame<'_>| {
            canvas.draw(&frame);
            (0..4)
                .map(|x| {
                    b"-RB"[canvas.shown.pixel(x, 0).iter().step_by(2).position(|&v| v > 0).map_or(0, |at| at + 1)]
                        as char
                })
                .collect::<String>()
        };
        assert_eq!(draw(frame(0, DisposalMethod::Keep, &[RED; 4])), "RRRR");
        assert_eq!(draw(frame(1, DisposalMethod::Previous, &[BLUE, CLEAR, BLUE])), "RBRB");
        assert_eq!(draw(frame(0, DisposalMethod::Background, &[BLUE, BLUE])), "BBRR");
        assert_eq!(draw(frame(3, DisposalMethod::Any, &[BLUE, RED, RED])), "--RB");
        assert_eq!(draw(frame(9, DisposalMethod::Any, &[BLUE])), "--RB");
    }
}

//! Decodes one picture with ffmpeg.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use visavis_image::Picture;

use super::FfmpegSource;
use crate::{OpenOptions, Source, VideoError};

/// The picture in a file of a format that only ffmpeg reads.
pub(crate) fn load(path: &Path, format: &str, max_pixels: u64) -> Result<Picture, VideoError> {
    let options = OpenOptions { max_pixels, ..OpenOptions::default() };
    let mut source = FfmpegSource::open(path, format, &options)?;
    if let Some((width, height)) = tiled_size(path)
        && u64::from(source.info().width) * u64::from(source.info().height) * 2 < u64::from(width) * u64::from(height)
    {
        let reason = format!(
            "the {width}x{height} pixels are stored in tiles, which this ffmpeg does not put together (version 7.1 does): \
             install a newer one, or convert the picture to JPEG"
        );
        return Err(VideoError::Ffmpeg { name: path.display().to_string(), reason });
    }
    match source.read()? {
        Some(shot) => Ok(shot.picture),
        None => Err(VideoError::NoPictureTrack { path: path.display().to_string() }),
    }
}

/// Maximum size in bytes of the description of the pictures in a HEIF file.
const MOST_HEAD: u64 = 1 << 20;

/// The largest size in a HEIF file (property `ispe`, ISO/IEC 23008-12, 6.5.3). Phones store pictures as tiles, of which an
/// older ffmpeg decodes only the first.
fn tiled_size(path: &Path) -> Option<(u32, u32)> {
    let mut head = Vec::new();
    File::open(path).ok()?.take(MOST_HEAD).read_to_end(&mut head).ok()?;
    largest_size(&head)
}

fn largest_size(head: &[u8]) -> Option<(u32, u32)> {
    if head.get(4..8) != Some(b"ftyp") {
        return None;
    }
    let number = |bytes: &[u8]| bytes.iter().fold(0u32, |sum, &byte| sum << 8 | u32::from(byte));
    let properties = head.windows(20).filter(|window| &window[..8] == b"\0\0\0\x14ispe");
    let sizes = properties.map(|property| (number(&property[12..16]), number(&property[16..20])));
    sizes.max_by_key(|&(width, height)| u64::from(width) * u64::from(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_picture_is_larger_than_its_tiles() {
        let size = |width: u32, height: u32| {
            [&b"\0\0\0\x14ispe\0\0\0\0"[..], &width.to_be_bytes(), &height.to_be_bytes()].concat()
        };
        let head = [&b"\0\0\0\x14ftypheic"[..], &[0; 8], &size(512, 512), &size(4032, 3024), &size(320, 240)].concat();
        assert_eq!(largest_size(&head), Some((4032, 3024)));
        assert_eq!(largest_size(b"\0\0\0\x14ftypheic"), None);
        assert_eq!(largest_size(&size(9, 9)), None);
    }
}

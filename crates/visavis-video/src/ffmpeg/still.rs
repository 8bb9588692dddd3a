//! Decodes one picture with ffmpeg.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use visavis_image::{Picture, PicturePool};

use super::FfmpegSource;
use crate::mp4::turn::Turn;
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
    let Some(shot) = source.read()? else {
        return Err(VideoError::NoPictureTrack { path: path.display().to_string() });
    };
    let picture = shot.picture;
    let Some(tiff) = File::open(path).ok().and_then(Tiff::read) else { return Ok(picture) };
    if tiff.is_jpeg() && is_flat(&picture) {
        let reason = "the TIFF contains JPEG data, of which ffmpeg makes an empty picture: convert it to JPEG".into();
        return Err(VideoError::Ffmpeg { name: path.display().to_string(), reason });
    }
    Ok(tiff.turn().apply(picture, &PicturePool::new(1)))
}

/// Whether all pixels are equal.
fn is_flat(picture: &Picture) -> bool {
    let mut pixels = picture.pixels().chunks_exact(3);
    let first = pixels.next();
    pixels.all(|pixel| Some(pixel) == first)
}

/// The description of the first picture of a TIFF file (TIFF 6.0, sections 2 and 8).
struct Tiff {
    orientation: u16,
    compression: u16,
}

impl Tiff {
    /// `None` if it is no TIFF file or has no description. Reads less than a megabyte.
    fn read(mut file: impl Read + Seek) -> Option<Self> {
        let mut head = [0; 8];
        file.read_exact(&mut head).ok()?;
        let little = match head[..4] {
            [b'I', b'I', 42, 0] => true,
            [b'M', b'M', 0, 42] => false,
            _ => return None,
        };
        let short = |bytes: &[u8]| {
            let bytes = [bytes[0], bytes[1]];
            if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
        };
        let place = [head[4], head[5], head[6], head[7]];
        let place = if little { u32::from_le_bytes(place) } else { u32::from_be_bytes(place) };
        file.seek(SeekFrom::Start(place.into())).ok()?;
        let mut count = [0; 2];
        file.read_exact(&mut count).ok()?;
        let mut entries = Vec::new();
        file.take(u64::from(short(&count)) * 12).read_to_end(&mut entries).ok()?;
        // An entry: its number, its type (3 is a number of 16 bits), how many values, and the value.
        let value = |number: u16| {
            let entry = entries.chunks_exact(12).find(|entry| short(entry) == number && short(&entry[2..]) == 3);
            entry.map(|entry| short(&entry[8..]))
        };
        Some(Self { orientation: value(274).unwrap_or(1), compression: value(259).unwrap_or(1) })
    }

    /// Whether its pixels are coded as JPEG, in the old or the new way.
    fn is_jpeg(&self) -> bool {
        matches!(self.compression, 6 | 7)
    }

    /// How the picture is made upright; the numbers are those of EXIF.
    fn turn(&self) -> Turn {
        Turn {
            transposed: matches!(self.orientation, 5..=8),
            mirrored_x: matches!(self.orientation, 2 | 3 | 6 | 7),
            mirrored_y: matches!(self.orientation, 3 | 4 | 7 | 8),
        }
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

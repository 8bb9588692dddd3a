//! Decodes JPEG, at full size or shrunk; a file that ends within its picture is an error.

use std::io::Cursor;

use image::metadata::Orientation;
use jpeg_decoder::PixelFormat;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::CodecError;
use crate::Picture;

/// Contents of the header.
pub(super) struct Header {
    /// Pixels across and down, as stored.
    pub(super) size: (u32, u32),
    pub(super) orientation: Orientation,
}

pub(super) fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\xFF\xD8\xFF")
}

fn failed(error: impl std::fmt::Display) -> CodecError {
    CodecError::Decode(error.to_string())
}

fn decoder(bytes: &[u8], strict: bool) -> Result<JpegDecoder<ZCursor<&[u8]>>, CodecError> {
    let options = DecoderOptions::default()
        .set_strict_mode(strict)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(failed)?;
    Ok(decoder)
}

pub(super) fn header(bytes: &[u8]) -> Result<Header, CodecError> {
    let decoder = decoder(bytes, false)?;
    let (width, height) = decoder.dimensions().ok_or_else(|| failed("no frame header"))?;
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    Ok(Header { size: (width as u32, height as u32), orientation: orientation.unwrap_or(Orientation::NoTransforms) })
}

/// Decodes at full size, without applying the orientation.
///
/// The decoder's lenient mode accepts files of which most of the picture is missing, and fills the rest with grey. Its strict
/// mode reports missing data, but also rejects other faults that do no harm. So the strict mode runs first, and only its
/// report of missing data counts.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture, CodecError> {
    let pixels = match decoder(bytes, true).and_then(|mut strict| strict.decode().map_err(failed)) {
        Ok(pixels) => pixels,
        Err(error) if ends_too_early(&error.to_string()) => return Err(CodecError::Truncated),
        Err(error) => {
            log::debug!("a JPEG picture is decoded leniently: {error}");
            let pixels = decoder(bytes, false)?.decode().map_err(failed)?;
            if !has_end(bytes) {
                return Err(CodecError::Truncated);
            }
            pixels
        }
    };
    let (width, height) = header(bytes)?.size;
    Picture::from_rgb(width, height, pixels).map_err(failed)
}

/// Whether the strict decoder's error says that the data end before the last block.
fn ends_too_early(error: &str) -> bool {
    error.contains("Premature") || error.contains("Marker EOI")
}

/// Whether the end-of-image marker is there (ITU-T T.81, B.1.1.3), other than within a segment.
fn has_end(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(rest) = bytes.get(at..) {
        // Entropy-coded data end at the next marker that is neither a restart nor a stuffed 0xFF.
        let marker =
            rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF | 0x01 | 0xD0..=0xD7));
        let Some(marker) = marker else { return false };
        match (rest[marker + 1], rest.get(marker + 2..marker + 4)) {
            (0xD9, _) => return true,
            (_, Some(length)) => at += marker + 2 + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2),
            (_, None) => return false,
        }
    }
    false
}

/// Decodes at a half, a quarter or an eighth of its size, the largest of at most `most` pixels, without applying the orientation.
///
/// A block of 8×8 pixels is decoded directly to 4×4, 2×2 or 1×1: the full size takes neither memory nor time.
pub(super) fn decode_shrunk(bytes: &[u8], size: (u32, u32), most: u64) -> Result<Picture, CodecError> {
    let (width, height) = size;
    if !has_end(bytes) {
        return Err(CodecError::Truncated);
    }
    let mut decoder = jpeg_decoder::Decoder::new(Cursor::new(bytes));
    decoder.read_info().map_err(failed)?;
    let info = decoder.info().ok_or_else(|| failed("no frame header"))?;
    // A progressive picture keeps the coefficients of its full size until the last scan.
    let limit = if info.coding_process == jpeg_decoder::CodingProcess::DctProgressive { most * 2 } else { most * 4 };
    if u64::from(width) * u64::from(height) > limit {
        return Err(CodecError::TooLarge { width, height, most: limit });
    }
    let mut shift = 1;
    while shift < 3 && u64::from(width.div_ceil(1 << shift)) * u64::from(height.div_ceil(1 << shift)) > most {
        shift += 1;
    }
    let side = |side: u32| u16::try_from(side.div_ceil(1 << shift)).unwrap_or(u16::MAX);
    let (width, height) = decoder.scale(side(width), side(height)).map_err(failed)?;
    let bytes = decoder.decode().map_err(failed)?;
    let pixels = match info.pixel_format {
        PixelFormat::RGB24 => bytes,
        PixelFormat::L8 => bytes.into_iter().flat_map(|grey| [grey; 3]).collect(),
        other => return Err(failed(format!("pixels of the kind {other:?} in a large JPEG are not read"))),
    };
    Picture::from_rgb(width.into(), height.into(), pixels).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode_jpeg;

    /// A picture with detail everywhere, so that its encoded data are long.
    fn noisy(width: u32, height: u32) -> Picture {
        let mut picture = Picture::new(width, height);
        let mut state = 1u32;
        for y in 0..height {
            for x in 0..width {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                picture.set_pixel(x, y, [(state >> 24) as u8, (x * 3) as u8, (y * 5) as u8]);
            }
        }
        picture
    }

    #[test]
    fn a_cut_picture_is_told() {
        let whole = encode_jpeg(&noisy(96, 64), 85).unwrap();
        assert!(decode(&whole).is_ok() && has_end(&whole));
        // Cut at several places within the data.
        for share in [30, 50, 70, 90] {
            let cut = &whole[..whole.len() * share / 100];
            assert!(!has_end(cut));
            assert!(matches!(decode(cut), Err(CodecError::Truncated)), "{share} %: {:?}", decode(cut).err());
        }
    }

    #[test]
    fn a_whole_picture_without_its_end_marker_is_whole() {
        let whole = encode_jpeg(&noisy(96, 64), 85).unwrap();
        assert_eq!(decode(&whole[..whole.len() - 2]).unwrap(), decode(&whole).unwrap());
        // Bytes after the picture, as some cameras write them, are ignored.
        assert_eq!(decode(&[&whole[..], &[0; 100]].concat()).unwrap(), decode(&whole).unwrap());
    }

    #[test]
    fn large_ones_are_shrunk_by_halves() {
        let picture = Picture::filled(101, 60, [200, 100, 50]);
        let bytes = encode_jpeg(&picture, 95).unwrap();
        for (most, size) in [(2000, (51, 30)), (1530, (51, 30)), (1529, (26, 15))] {
            let shrunk = decode_shrunk(&bytes, (101, 60), most).unwrap();
            assert_eq!((shrunk.width(), shrunk.height()), size, "{most}");
            assert!(shrunk.pixel(5, 5).iter().zip([200u8, 100, 50]).all(|(a, b)| a.abs_diff(b) < 6));
        }
        assert!(matches!(decode_shrunk(&bytes, (101, 60), 1000), Err(CodecError::TooLarge { .. })));
        assert!(matches!(decode_shrunk(&bytes[..bytes.len() - 9], (101, 60), 2000), Err(CodecError::Truncated)));
    }

    #[test]
    fn grey_pictures_have_three_channels() {
        let mut bytes = Vec::new();
        let grey = image::GrayImage::from_pixel(40, 20, image::Luma([90]));
        image::codecs::jpeg::JpegEncoder::new(&mut bytes)
            .encode(grey.as_raw(), 40, 20, image::ExtendedColorType::L8)
            .unwrap();
        assert_eq!(decode(&bytes).unwrap().pixel(3, 3), [90; 3]);
        assert_eq!(decode_shrunk(&bytes, (40, 20), 400).unwrap().pixel(3, 3), [90; 3]);
    }
}

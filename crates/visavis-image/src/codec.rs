//! Encoded pictures in memory: JPEG, PNG, WebP, BMP and the first frame of a GIF.

use std::io::{BufRead, Cursor, Seek};

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageReader};

use crate::Picture;

mod jpeg;

/// Default limit for the size of a picture, in pixels. Fifty million are enough for the photos of any camera
/// (8688×5792) and decode into 150 MB.
pub const MAX_PIXELS: u64 = 50_000_000;

/// A picture cannot be decoded or encoded.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// There are no bytes.
    #[error("the picture is empty (0 bytes)")]
    Empty,
    /// The header gives more pixels than allowed.
    #[error("the picture has {width}x{height} pixels, more than the {most} that are read: scale it down first")]
    TooLarge {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// The limit.
        most: u64,
    },
    /// The data end before the picture is complete.
    #[error("the picture is truncated: its data end too early")]
    Truncated,
    /// The format is unknown, or the data are damaged.
    #[error("the picture cannot be decoded: {0}")]
    Decode(String),
    /// The encoder failed.
    #[error("the picture cannot be encoded: {0}")]
    Encode(String),
}

/// Width and height of a still picture as [`decode`] would give it, upright, from its header alone.
///
/// # Errors
/// [`CodecError`] for no bytes, an unknown format or a damaged header.
pub fn size(mut encoded: impl BufRead + Seek) -> Result<(u32, u32), CodecError> {
    size_of(&mut encoded)
}

fn size_of(encoded: &mut dyn Encoded) -> Result<(u32, u32), CodecError> {
    if encoded.fill_buf().map_err(|error| CodecError::Decode(error.to_string()))?.is_empty() {
        return Err(CodecError::Empty);
    }
    let mut decoder = decoder(encoded)?;
    let (width, height) = decoder.dimensions();
    let orientation = decoder.orientation().map_err(|error| CodecError::Decode(error.to_string()))?;
    let turned = matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    );
    Ok(if turned { (height, width) } else { (width, height) })
}

/// Where encoded bytes come from. A trait object, since otherwise all decoders would be compiled for each reader and in each crate.
trait Encoded: BufRead + Seek {}

impl<R: BufRead + Seek> Encoded for R {}

/// The decoder for the format that the first bytes show.
fn decoder(encoded: &mut dyn Encoded) -> Result<impl ImageDecoder + '_, CodecError> {
    let reader =
        ImageReader::new(encoded).with_guessed_format().map_err(|error| CodecError::Decode(error.to_string()))?;
    if reader.format().is_none() {
        return Err(CodecError::Decode("neither JPEG, PNG, GIF, WebP nor BMP".into()));
    }
    reader.into_decoder().map_err(|error| CodecError::Decode(error.to_string()))
}

/// A decoded photo, possibly shrunk.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The pixels, upright.
    pub picture: Picture,
    /// Factor by which it was shrunk: 1, 2, 4 or 8 (approximately, if a side is no multiple).
    pub shrunk: f32,
}

/// Decodes a still picture and applies its EXIF orientation; transparency is blended over black.
///
/// The size in the header is checked against `max_pixels` before anything is decoded.
///
/// # Errors
/// [`CodecError`] for no bytes, too many pixels, an unknown format, or data that are damaged or end too early.
pub fn decode(bytes: &[u8], max_pixels: u64) -> Result<Picture, CodecError> {
    if bytes.is_empty() {
        return Err(CodecError::Empty);
    }
    if jpeg::is_jpeg(bytes) {
        let header = jpeg::header(bytes)?;
        fits(header.size, max_pixels)?;
        return upright(jpeg::decode(bytes)?, header.orientation);
    }
    let failed = |error: image::ImageError| CodecError::Decode(error.to_string());
    let mut encoded = Cursor::new(bytes);
    let mut decoder = decoder(&mut encoded)?;
    fits(decoder.dimensions(), max_pixels)?;
    let orientation = decoder.orientation().map_err(failed)?;
    let mut decoded = DynamicImage::from_decoder(decoder).map_err(failed)?;
    decoded.apply_orientation(orientation);
    let (width, height) = (decoded.width(), decoded.height());
    let pixels = if decoded.color().has_alpha() { over_black(&decoded) } else { decoded.into_rgb8().into_raw() };
    Picture::from_rgb(width, height, pixels).map_err(|error| CodecError::Decode(error.to_string()))
}

/// The same, but a JPEG photo of up to four times `max_pixels` (progressive: twice) is shrunk while it is decoded.
///
/// # Errors
/// As [`decode`].
pub fn decode_photo(bytes: &[u8], max_pixels: u64) -> Result<Decoded, CodecError> {
    if jpeg::is_jpeg(bytes) {
        let header = jpeg::header(bytes)?;
        if fits(header.size, max_pixels).is_err() {
            let small = jpeg::decode_shrunk(bytes, header.size, max_pixels)?;
            let shrunk = header.size.0 as f32 / small.width() as f32;
            return Ok(Decoded { picture: upright(small, header.orientation)?, shrunk });
        }
    }
    Ok(Decoded { picture: decode(bytes, max_pixels)?, shrunk: 1.0 })
}

fn fits((width, height): (u32, u32), most: u64) -> Result<(), CodecError> {
    if u64::from(width) * u64::from(height) > most {
        return Err(CodecError::TooLarge { width, height, most });
    }
    Ok(())
}

fn upright(picture: Picture, orientation: Orientation) -> Result<Picture, CodecError> {
    if orientation == Orientation::NoTransforms {
        return Ok(picture);
    }
    let failed = || CodecError::Decode("the picture cannot be turned".into());
    let (width, height) = (picture.width(), picture.height());
    let image = image::RgbImage::from_raw(width, height, picture.into_pixels()).ok_or_else(failed)?;
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    Picture::from_rgb(width, height, image.into_rgb8().into_raw()).map_err(|_| failed())
}

fn over_black(decoded: &DynamicImage) -> Vec<u8> {
    let rgba = decoded.to_rgba8();
    let mut pixels = Vec::with_capacity(rgba.len() / 4 * 3);
    for pixel in rgba.as_raw().chunks_exact(4) {
        let alpha = u16::from(pixel[3]);
        pixels.extend(pixel[..3].iter().map(|&value| ((u16::from(value) * alpha + 127) / 255) as u8));
    }
    pixels
}

/// Encodes as baseline JPEG, `quality` 1 to 100.
///
/// # Errors
/// [`CodecError::Encode`] for a picture without pixels or wider or higher than 65,535.
pub fn encode_jpeg(picture: &Picture, quality: u8) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100))
        .write_image(picture.pixels(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .map_err(|error| CodecError::Encode(error.to_string()))?;
    Ok(bytes)
}

/// Encodes as PNG.
///
/// # Errors
/// [`CodecError::Encode`] for a picture without pixels.
pub fn encode_png(picture: &Picture) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(picture.pixels(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .map_err(|error| CodecError::Encode(error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient() -> Picture {
        let mut picture = Picture::new(16, 9);
        for y in 0..9 {
            for x in 0..16 {
                picture.set_pixel(x, y, [(x * 16) as u8, (y * 28) as u8, 77]);
            }
        }
        picture
    }

    #[test]
    fn png_round_trip_is_exact() {
        let bytes = encode_png(&gradient()).unwrap();
        assert_eq!(decode(&bytes, MAX_PIXELS).unwrap(), gradient());
    }

    #[test]
    fn the_header_tells_the_size_of_the_upright_picture() {
        let jpeg = encode_jpeg(&gradient(), 90).unwrap();
        // As cameras write it: an EXIF segment after the first two bytes, with the orientation as its only entry.
        let exif = |orientation: u8| {
            let tiff =
                [&b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"[..], &[orientation, 0, 0, 0, 0, 0, 0, 0]].concat();
            let length = (2 + 6 + tiff.len() as u16).to_be_bytes();
            [&jpeg[..2], &[0xff, 0xe1], &length, b"Exif\0\0", &tiff, &jpeg[2..]].concat()
        };
        for bytes in [jpeg.clone(), encode_png(&gradient()).unwrap(), exif(1), exif(3), exif(5), exif(6), exif(8)] {
            let whole = decode(&bytes, MAX_PIXELS).unwrap();
            assert_eq!(size(Cursor::new(&bytes)).unwrap(), (whole.width(), whole.height()));
        }
        assert_eq!(size(Cursor::new(exif(6))).unwrap(), (9, 16));
        assert!(matches!(size(Cursor::new([])), Err(CodecError::Empty)));
        assert!(size(Cursor::new(b"hello there")).is_err());
    }

    #[test]
    fn jpeg_round_trip_is_near() {
        let bytes = encode_jpeg(&gradient(), 95).unwrap();
        let back = decode(&bytes, MAX_PIXELS).unwrap();
        let worst = back.pixels().iter().zip(gradient().pixels()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst < 24, "{worst}");
    }

    #[test]
    fn pixel_limit_is_checked_before_decoding() {
        // A PNG header that gives 60,000 × 60,000 pixels, without data.
        let mut bytes = encode_png(&gradient()).unwrap();
        bytes[16..20].copy_from_slice(&60_000u32.to_be_bytes());
        bytes[20..24].copy_from_slice(&60_000u32.to_be_bytes());
        let mut crc = flate_crc(&bytes[12..29]).to_be_bytes().to_vec();
        bytes.splice(29..33, crc.drain(..));
        let error = decode(&bytes, MAX_PIXELS).unwrap_err();
        assert!(matches!(error, CodecError::TooLarge { width: 60_000, height: 60_000, .. }), "{error}");
    }

    #[test]
    fn photos_above_the_limit_are_shrunk_and_turned() {
        let mut picture = Picture::filled(80, 40, [20; 3]);
        (0..20).for_each(|y| (0..80).for_each(|x| picture.set_pixel(x, y, [230; 3])));
        let jpeg = encode_jpeg(&picture, 95).unwrap();
        // Orientation 6: the top of the picture is its stored left side.
        let tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let length = (2 + 6 + tiff.len() as u16).to_be_bytes();
        let turned = [&jpeg[..2], &[0xff, 0xe1], &length, b"Exif\0\0", tiff, &jpeg[2..]].concat();
        let photo = decode_photo(&turned, 1000).unwrap();
        assert_eq!((photo.picture.width(), photo.picture.height(), photo.shrunk), (20, 40, 2.0));
        assert!(photo.picture.pixel(2, 20)[0] < 40 && photo.picture.pixel(17, 20)[0] > 210);
        let whole = decode_photo(&turned, 3200).unwrap();
        assert_eq!((whole.picture.width(), whole.shrunk), (40, 1.0));
        assert!(matches!(decode(&turned, 1000), Err(CodecError::TooLarge { .. })));
        assert!(matches!(decode_photo(&turned, 799), Err(CodecError::TooLarge { .. })));
        assert!(matches!(decode_photo(&encode_png(&picture).unwrap(), 1000), Err(CodecError::TooLarge { .. })));
    }

    fn flate_crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
        })
    }

    #[test]
    fn damaged_bytes_are_errors() {
        assert!(matches!(decode(&[], MAX_PIXELS), Err(CodecError::Empty)));
        assert!(matches!(decode(b"hello there", MAX_PIXELS), Err(CodecError::Decode(_))));
        let png = encode_png(&gradient()).unwrap();
        for cut in 1..png.len() - 12 {
            assert!(decode(&png[..cut], MAX_PIXELS).is_err(), "cut at {cut}");
        }
    }
}

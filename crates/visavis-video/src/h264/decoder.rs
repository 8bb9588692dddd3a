//! Starts OpenH264 and converts its pictures.

use openh264::OpenH264API;
use openh264::decoder::{DecodedYUV, Decoder, DecoderConfig, Flush};
use openh264::formats::YUVSource;
use visavis_image::{Picture, PicturePool};

use super::SequenceHeader;
use crate::VideoError;
use crate::yuv::{Planes, Scratch, ToRgb, planes_to_rgb};

/// Starts a decoder that returns pictures in the order in which they are shown.
pub(crate) fn start(name: &str) -> Result<Decoder, VideoError> {
    // Flushing after every picture would break the order if pictures depend on later ones.
    let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
    Decoder::with_api_config(OpenH264API::from_source(), config).map_err(|error| VideoError::Damaged {
        name: name.to_owned(),
        reason: format!("the decoder did not start: {error}"),
    })
}

/// Returns the size; an error if the stream cannot be decoded or is too large.
pub(crate) fn check(header: &SequenceHeader, max_pixels: u64, name: &str) -> Result<(u32, u32), VideoError> {
    let (width, height) = (header.width, header.height);
    if let Some(codec) = header.obstacle() {
        return Err(VideoError::UnsupportedCodec { path: name.to_owned(), codec });
    }
    too_large((width, height), max_pixels, name)?;
    Ok((width, height))
}

/// Refuses a picture with more pixels than allowed.
pub(crate) fn too_large((width, height): (u32, u32), most: u64, name: &str) -> Result<(), VideoError> {
    if u64::from(width) * u64::from(height) > most {
        return Err(VideoError::TooLarge { name: name.to_owned(), width, height, most });
    }
    Ok(())
}

/// A decoded picture as RGB; `None` if the planes do not cover the size, which the decoder rules out.
pub(crate) fn picture(
    decoded: &DecodedYUV<'_>,
    to_rgb: ToRgb,
    pool: &PicturePool,
    scratch: &mut Scratch,
) -> Option<Picture> {
    let ((width, height), (y_stride, uv_stride, _)) = (decoded.dimensions(), decoded.strides());
    let planes = Planes { y: decoded.y(), u: decoded.u(), v: decoded.v(), y_stride, uv_stride };
    if !planes.cover(width, height) {
        return None;
    }
    let mut picture = pool.take(width as u32, height as u32);
    planes_to_rgb(planes, to_rgb, scratch, &mut picture);
    Some(picture)
}

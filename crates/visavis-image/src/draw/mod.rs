//! Drawing on pictures: text, antialiased shapes, and the overlay of the live picture.
//!
//! Everything is clipped at the picture's edges: a shape may lie partly or wholly outside, have no size or contain
//! NaN. Colours are blended in sRGB values, as browsers do.

mod label;
mod layout;
mod overlay;
mod panel;
mod photo;
mod shapes;
mod text;

pub use label::{FaceLabel, Gender, Resemblance, Smile};
pub use overlay::{Corner, Overlay, OverlayParams};
pub use shapes::{brackets, disc, fill_rounded, outline, paste_rounded, polyline, shadow, stroke_rounded, triangle};
pub use text::{TextPainter, Weight, can_write};

use crate::{Picture, Rect};

/// A colour with an opacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour {
    /// Red, green, blue (sRGB).
    pub rgb: [u8; 3],
    /// 0 = invisible, 255 = opaque.
    pub alpha: u8,
}

impl Colour {
    /// An opaque colour.
    #[must_use]
    pub const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self { rgb: [red, green, blue], alpha: 255 }
    }

    /// The same colour with this opacity.
    #[must_use]
    pub const fn with_alpha(self, alpha: u8) -> Self {
        Self { rgb: self.rgb, alpha }
    }

    /// Between this (`t` = 0) and `other` (`t` = 1); `t` is clamped.
    #[must_use]
    pub fn lerp(self, other: Colour, t: f32) -> Self {
        let t = t.clamp(0.0, 1.0);
        let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * t).round() as u8;
        Self {
            rgb: std::array::from_fn(|channel| mix(self.rgb[channel], other.rgb[channel])),
            alpha: mix(self.alpha, other.alpha),
        }
    }

    /// The weight of this colour, 0 to 256, in a pixel of which the shape covers `coverage` (0 to 1).
    fn weight(self, coverage: f32) -> u32 {
        // The cast turns NaN into 0.
        (coverage.clamp(0.0, 1.0) * f32::from(self.alpha) * (256.0 / 255.0) + 0.5) as u32
    }
}

/// Blends a colour with the weight `weight`/256 into one pixel.
#[inline]
fn blend(pixel: &mut [u8], rgb: [u8; 3], weight: u32) {
    for (value, ink) in pixel.iter_mut().zip(rgb) {
        // Exact at both ends: weight 0 keeps the value, 256 replaces it.
        *value = ((u32::from(*value) * (256 - weight) + u32::from(ink) * weight + 128) >> 8) as u8;
    }
}

/// Blends a colour with the weight `weight`/256 into all pixels of `span`.
fn blend_span(span: &mut [u8], rgb: [u8; 3], weight: u32) {
    match weight {
        0 => {}
        256.. => span.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&rgb)),
        _ => {
            // 16 bits hold 255 · 256 + 128. Sixteen pixels of repeating R, G, B fill whole vector registers.
            let (add, keep) = (rgb.map(|value| u16::from(value) * weight as u16 + 128), 256 - weight as u16);
            let pattern: [u16; 48] = std::array::from_fn(|index| add[index % 3]);
            let mut sixteens = span.chunks_exact_mut(48);
            for pixels in &mut sixteens {
                for (value, add) in pixels.iter_mut().zip(pattern) {
                    *value = ((u16::from(*value) * keep + add) >> 8) as u8;
                }
            }
            for pixel in sixteens.into_remainder().chunks_exact_mut(3) {
                blend(pixel, rgb, weight);
            }
        }
    }
}

/// A range of whole pixels inside a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clip {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

impl Clip {
    /// The pixels of `canvas` that `bounds` touches; `None` if there are none or the bounds are not finite.
    fn new(canvas: &Picture, bounds: Rect) -> Option<Self> {
        let sides = [bounds.x, bounds.y, bounds.right(), bounds.bottom()];
        if !sides.iter().all(|side| side.is_finite()) {
            return None;
        }
        let (width, height) = (canvas.width() as f32, canvas.height() as f32);
        let clip = Self {
            left: sides[0].floor().clamp(0.0, width) as usize,
            top: sides[1].floor().clamp(0.0, height) as usize,
            right: sides[2].ceil().clamp(0.0, width) as usize,
            bottom: sides[3].ceil().clamp(0.0, height) as usize,
        };
        (clip.left < clip.right && clip.top < clip.bottom).then_some(clip)
    }

    /// Calls `f` with each row's number and the bytes of its pixels from `left` to `right`.
    fn rows(self, canvas: &mut Picture, mut f: impl FnMut(usize, &mut [u8])) {
        let stride = canvas.width() as usize * 3;
        let rows = canvas.pixels_mut().chunks_exact_mut(stride).enumerate();
        for (y, row) in rows.take(self.bottom).skip(self.top) {
            f(y, &mut row[self.left * 3..self.right * 3]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blending_by_hand() {
        let mut pixel = [0, 100, 255];
        blend(&mut pixel, [255, 100, 0], 128);
        assert_eq!(pixel, [128, 100, 128]);
        blend(&mut pixel, [9, 9, 9], 0);
        assert_eq!(pixel, [128, 100, 128]);
        blend(&mut pixel, [1, 2, 3], 256);
        assert_eq!(pixel, [1, 2, 3]);
    }

    #[test]
    fn a_span_blends_as_its_pixels_do() {
        for (pixels, weight) in [(1, 77), (16, 1), (37, 200), (40, 255), (5, 0), (20, 256)] {
            let mut span: Vec<u8> = (0..pixels * 3).map(|index| (index * 37 % 256) as u8).collect();
            let mut single = span.clone();
            blend_span(&mut span, [250, 3, 128], weight);
            single.chunks_exact_mut(3).for_each(|pixel| blend(pixel, [250, 3, 128], weight));
            assert_eq!(span, single, "{pixels} pixels, weight {weight}");
        }
    }

    #[test]
    fn weight_spans_the_whole_range_and_survives_nan() {
        let colour = Colour::new(1, 2, 3);
        assert_eq!([0.0, 0.5, 1.0, 7.0, -1.0, f32::NAN].map(|c| colour.weight(c)), [0, 128, 256, 256, 0, 0]);
        assert_eq!(colour.with_alpha(0).weight(1.0), 0);
    }

    #[test]
    fn clip_rounds_outwards_and_stays_inside() {
        let canvas = Picture::new(10, 6);
        let clip = |x, y, w, h| Clip::new(&canvas, Rect::new(x, y, w, h));
        assert_eq!(clip(1.5, 2.5, 3.0, 1.0), Some(Clip { left: 1, top: 2, right: 5, bottom: 4 }));
        assert_eq!(clip(-5.0, -5.0, 100.0, 100.0), Some(Clip { left: 0, top: 0, right: 10, bottom: 6 }));
        assert_eq!(clip(10.0, 0.0, 5.0, 5.0), None);
        assert_eq!(clip(f32::NAN, 0.0, 5.0, 5.0), None);
        assert_eq!(clip(f32::MAX, 0.0, f32::MAX, 5.0), None);
    }
}

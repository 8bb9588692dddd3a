//! Scaling whole pictures.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions};

use crate::{Picture, Point, Rect};

/// Scales pictures with an antialiased bilinear filter. Reuses its memory; each thread needs its own.
#[derive(Default)]
pub struct Resizer {
    engine: fast_image_resize::Resizer,
    scaled: Vec<u8>,
}

impl std::fmt::Debug for Resizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resizer")
    }
}

/// The scaling of a picture that was fitted into another: `target = source · scale`, from the top left corner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fitted {
    /// Target pixels per source pixel, across and down (they differ by rounding to whole pixels only).
    pub scale: [f32; 2],
}

impl Fitted {
    /// Maps a box in the target to the source.
    #[must_use]
    pub fn to_source(&self, rect: Rect) -> Rect {
        rect.scaled(1.0 / self.scale[0], 1.0 / self.scale[1])
    }

    /// Maps a point in the target to the source.
    #[must_use]
    pub fn point_to_source(&self, point: Point) -> Point {
        Point::new(point.x / self.scale[0], point.y / self.scale[1])
    }
}

/// The factor by which a picture of the size `source` is scaled to fit into `target` with its aspect ratio kept.
#[must_use]
pub fn fit_factor(source: [u32; 2], target: [u32; 2]) -> f32 {
    let [across, down] = std::array::from_fn(|side| target[side] as f32 / source[side].max(1) as f32);
    across.min(down)
}

impl Resizer {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Scales all of `source` to all of `out`, without keeping the aspect ratio.
    pub fn stretch(&mut self, source: &Picture, out: &mut Picture) {
        if (source.width(), source.height()) == (out.width(), out.height()) {
            out.pixels_mut().copy_from_slice(source.pixels());
            return;
        }
        scale(&mut self.engine, source, None, out.width(), out.height(), out.pixels_mut());
    }

    /// Scales the part `view` of `source`, which must lie inside it, to all of `out`. For a view that is not rotated this takes a tenth of
    /// the time of a general warp.
    pub fn zoom(&mut self, source: &Picture, view: Rect, out: &mut Picture) {
        scale(&mut self.engine, source, Some(view), out.width(), out.height(), out.pixels_mut());
    }

    /// Fits `source` into `out`, with its aspect ratio kept, at the top left; the rest is black. Enlarges by `most` at most.
    ///
    /// Networks that pad right and bottom (YuNet) take the result as it is.
    pub fn fit(&mut self, source: &Picture, out: &mut Picture, most: f32) -> Fitted {
        let (sw, sh) = (source.width().max(1) as f32, source.height().max(1) as f32);
        let factor = fit_factor([source.width(), source.height()], [out.width(), out.height()]).min(most);
        let width = ((sw * factor).round() as u32).clamp(1, out.width().max(1));
        let height = ((sh * factor).round() as u32).clamp(1, out.height().max(1));
        let fitted = Fitted { scale: [width as f32 / sw, height as f32 / sh] };
        if (width, height) == (out.width(), out.height()) {
            self.stretch(source, out);
            return fitted;
        }
        let (row, stride) = (width as usize * 3, out.width() as usize * 3);
        out.pixels_mut().fill(0);
        if (width, height) == (source.width(), source.height()) {
            for (to, from) in out.pixels_mut().chunks_exact_mut(stride).zip(source.pixels().chunks_exact(row)) {
                to[..row].copy_from_slice(from);
            }
            return fitted;
        }
        self.scaled.resize(row * height as usize, 0);
        scale(&mut self.engine, source, None, width, height, &mut self.scaled);
        for (to, from) in out.pixels_mut().chunks_exact_mut(stride).zip(self.scaled.chunks_exact(row)) {
            to[..row].copy_from_slice(from);
        }
        fitted
    }
}

fn scale(
    engine: &mut fast_image_resize::Resizer,
    source: &Picture,
    view: Option<Rect>,
    width: u32,
    height: u32,
    out: &mut [u8],
) {
    if width == 0 || height == 0 {
        return;
    }
    if source.width() == 0 || source.height() == 0 {
        out.fill(0);
        return;
    }
    let mut options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    if let Some(Rect { x, y, width, height }) = view {
        options = options.crop(x.into(), y.into(), width.into(), height.into());
    }
    // For this type of pixel only: all 16 of them would take a minute more to compile.
    let done = TypedImageRef::<U8x3>::from_buffer(source.width(), source.height(), source.pixels())
        .and_then(|from| Ok((from, TypedImage::<U8x3>::from_buffer(width, height, out)?)))
        .map_err(|error| error.to_string())
        .and_then(|(from, mut to)| engine.resize_typed(&from, &mut to, &options).map_err(|error| error.to_string()));
    debug_assert_eq!(done, Ok(()), "the sizes agree, and the view lies inside the picture");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fit_keeps_aspect_and_pads_right_or_bottom() {
        let source = Picture::filled(1280, 720, [200, 100, 50]);
        let mut out = Picture::filled(320, 192, [1, 1, 1]);
        let fitted = Resizer::new().fit(&source, &mut out, f32::INFINITY);
        assert_eq!(fitted.scale, [0.25, 0.25]);
        assert_eq!(out.pixel(319, 179), [200, 100, 50]);
        assert_eq!(out.pixel(0, 180), [0, 0, 0]);
        assert_eq!(fitted.to_source(Rect::new(10.0, 20.0, 30.0, 40.0)), Rect::new(40.0, 80.0, 120.0, 160.0));
    }

    #[test]
    fn fit_does_not_enlarge_beyond_the_limit() {
        let source = Picture::filled(10, 10, [9, 8, 7]);
        let mut out = Picture::new(64, 32);
        let fitted = Resizer::new().fit(&source, &mut out, 1.0);
        assert_eq!(fitted.scale, [1.0, 1.0]);
        assert_eq!(out.pixel(9, 9), [9, 8, 7]);
        assert_eq!(out.pixel(10, 9), [0; 3]);
    }

    #[test]
    fn stretch_to_the_same_size_copies() {
        let mut source = Picture::new(7, 5);
        source.set_pixel(3, 2, [1, 2, 3]);
        let mut out = Picture::new(7, 5);
        Resizer::new().stretch(&source, &mut out);
        assert_eq!(out, source);
    }

    #[test]
    fn shrinking_a_flat_picture_keeps_its_colour() {
        let source = Picture::filled(333, 111, [10, 250, 128]);
        let mut out = Picture::new(50, 50);
        Resizer::new().stretch(&source, &mut out);
        assert!(out.pixels().chunks_exact(3).all(|pixel| pixel == [10, 250, 128]));
    }
}

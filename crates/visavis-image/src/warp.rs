//! Bilinear warping under a similarity transform.

use crate::{Picture, Similarity};

/// Most samples per output pixel and axis when shrinking. Beyond 4 × the difference is no longer visible, the cost is.
const MOST_TAPS: u32 = 4;

/// Fills `out` from `source`: the output pixel at p shows the source at `to_source.apply(p)`, interpolated bilinearly;
/// black where that lies outside. Where the output is smaller than what it shows, several samples are averaged, so
/// that fine structure does not alias.
pub fn warp_into(source: &Picture, to_source: &Similarity, out: &mut Picture) {
    let taps = (to_source.scale().round().max(1.0) as u32).min(MOST_TAPS);
    let (width, height) = (out.width(), out.height());
    let stride = width as usize * 3;
    if stride == 0 || height == 0 {
        return;
    }
    if source.width() == 0 || source.height() == 0 {
        out.pixels_mut().fill(0);
        return;
    }
    let sampler = Sampler::new(source);
    for (y, row) in out.pixels_mut().chunks_exact_mut(stride).enumerate() {
        if taps == 1 {
            sampler.row(to_source, y as f32 + 0.5, row);
        } else {
            sampler.row_averaged(to_source, y as f32, taps, row);
        }
    }
}

/// Reads a picture between its pixels.
struct Sampler<'a> {
    pixels: &'a [u8],
    width: usize,
    height: usize,
}

/// Weights are 11-bit: 2¹¹ · 2¹¹ · 255 stays within 31 bits and the rounding error is below half a grey level.
const ONE: i32 = 1 << 11;

impl<'a> Sampler<'a> {
    fn new(source: &'a Picture) -> Self {
        Self { pixels: source.pixels(), width: source.width() as usize, height: source.height() as usize }
    }

    fn row(&self, to_source: &Similarity, y: f32, row: &mut [u8]) {
        // Sample positions minus half a pixel, so that whole numbers are pixel centres.
        let x0 = to_source.a * 0.5 - to_source.b * y + to_source.tx - 0.5;
        let y0 = to_source.b * 0.5 + to_source.a * y + to_source.ty - 0.5;
        for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
            let sample = self.sample(x0 + to_source.a * x as f32, y0 + to_source.b * x as f32);
            pixel.copy_from_slice(&sample.map(|value| ((value + (1 << 21)) >> 22) as u8));
        }
    }

    fn row_averaged(&self, to_source: &Similarity, y: f32, taps: u32, row: &mut [u8]) {
        let step = 1.0 / taps as f32;
        let count = i64::from(taps * taps) << 22;
        for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
            let mut sums = [0i64; 3];
            for j in 0..taps {
                let v = y + (j as f32 + 0.5) * step;
                for i in 0..taps {
                    let u = x as f32 + (i as f32 + 0.5) * step;
                    let sx = to_source.a * u - to_source.b * v + to_source.tx - 0.5;
                    let sy = to_source.b * u + to_source.a * v + to_source.ty - 0.5;
                    let sample = self.sample(sx, sy);
                    for (sum, value) in sums.iter_mut().zip(sample) {
                        *sum += i64::from(value);
                    }
                }
            }
            for (value, sum) in pixel.iter_mut().zip(sums) {
                *value = ((sum + count / 2) / count) as u8;
            }
        }
    }

    /// The colour at (x, y), pixel centres at whole numbers, times 2²².
    #[inline]
    fn sample(&self, x: f32, y: f32) -> [i32; 3] {
        // NaN fails every comparison and comes out black.
        let inside = x > -1.0 && y > -1.0 && x < self.width as f32 && y < self.height as f32;
        if !inside {
            return [0; 3];
        }
        let (left, top) = (x.floor(), y.floor());
        let (wx, wy) = (((x - left) * ONE as f32) as i32, ((y - top) * ONE as f32) as i32);
        let weights = [(ONE - wx) * (ONE - wy), wx * (ONE - wy), (ONE - wx) * wy, wx * wy];
        let (left, top) = (left as isize, top as isize);
        if left >= 0 && top >= 0 && left as usize + 1 < self.width && top as usize + 1 < self.height {
            let at = (top as usize * self.width + left as usize) * 3;
            let upper = &self.pixels[at..at + 6];
            let lower = &self.pixels[at + self.width * 3..][..6];
            return std::array::from_fn(|c| {
                i32::from(upper[c]) * weights[0]
                    + i32::from(upper[c + 3]) * weights[1]
                    + i32::from(lower[c]) * weights[2]
                    + i32::from(lower[c + 3]) * weights[3]
            });
        }
        // The outermost half pixel fades to black.
        let mut sum = [0; 3];
        for (corner, weight) in weights.into_iter().enumerate() {
            let (cx, cy) = (left + (corner & 1) as isize, top + (corner >> 1) as isize);
            if cx >= 0 && cy >= 0 && (cx as usize) < self.width && (cy as usize) < self.height {
                let at = (cy as usize * self.width + cx as usize) * 3;
                for c in 0..3 {
                    sum[c] += i32::from(self.pixels[at + c]) * weight;
                }
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ramp(width: u32, height: u32) -> Picture {
        let mut picture = Picture::new(width, height);
        for y in 0..height {
            for x in 0..width {
                picture.set_pixel(x, y, [(x * 3) as u8, (y * 5) as u8, (x + y) as u8]);
            }
        }
        picture
    }

    #[test]
    fn identity_copies() {
        let source = ramp(40, 30);
        let mut out = Picture::new(40, 30);
        warp_into(&source, &Similarity::IDENTITY, &mut out);
        assert_eq!(out, source);
    }

    #[test]
    fn shift_by_whole_pixels_moves_and_blackens() {
        let source = ramp(20, 20);
        let mut out = Picture::filled(20, 20, [9, 9, 9]);
        warp_into(&source, &Similarity::scale_then_shift(1.0, 5.0, -3.0), &mut out);
        assert_eq!(out.pixel(0, 3), source.pixel(5, 0));
        assert_eq!(out.pixel(10, 10), source.pixel(15, 7));
        assert_eq!(out.pixel(10, 0), [0; 3]);
        assert_eq!(out.pixel(16, 10), [0; 3]);
    }

    #[test]
    fn half_pixel_shift_averages_neighbours() {
        let source = Picture::from_rgb(2, 1, vec![10, 20, 30, 20, 40, 50]).unwrap();
        let mut out = Picture::new(1, 1);
        warp_into(&source, &Similarity::scale_then_shift(1.0, 0.5, 0.0), &mut out);
        assert_eq!(out.pixel(0, 0), [15, 30, 40]);
    }

    #[test]
    fn shrinking_averages_instead_of_picking() {
        // A chequerboard of single pixels must become grey, not black or white.
        let mut source = Picture::new(64, 64);
        for y in 0..64 {
            for x in 0..64 {
                source.set_pixel(x, y, [if (x + y) % 2 == 0 { 255 } else { 0 }; 3]);
            }
        }
        let mut out = Picture::new(16, 16);
        warp_into(&source, &Similarity::scale_then_shift(4.0, 0.0, 0.0), &mut out);
        assert!(out.pixels().iter().all(|&value| (120..=135).contains(&value)), "{:?}", &out.pixels()[..9]);
    }

    proptest! {
        #[test]
        fn any_transform_is_safe(a in prop::num::f32::ANY, b in prop::num::f32::ANY, tx in prop::num::f32::ANY, ty in prop::num::f32::ANY, w in 0u32..9, h in 0u32..9) {
            let mut out = Picture::new(5, 4);
            warp_into(&ramp(w, h), &Similarity { a, b, tx, ty }, &mut out);
        }

        #[test]
        fn agrees_with_plain_bilinear(angle in -3f32..3.0, scale in 0.3f32..1.4, tx in -10f32..50.0, ty in -10f32..50.0) {
            let source = ramp(48, 40);
            let s = Similarity { a: scale * angle.cos(), b: scale * angle.sin(), tx, ty };
            let mut out = Picture::new(24, 24);
            warp_into(&source, &s, &mut out);
            for (x, y) in [(0, 0), (7, 3), (12, 20), (23, 23)] {
                let p = s.apply(crate::Point::new(x as f32 + 0.5, y as f32 + 0.5));
                let (px, py) = (p.x - 0.5, p.y - 0.5);
                for c in 0..3 {
                    let at = |i: f32, j: f32| if i >= 0.0 && j >= 0.0 && i < 48.0 && j < 40.0 { f32::from(source.pixel(i as u32, j as u32)[c]) } else { 0.0 };
                    let (fx, fy) = (px - px.floor(), py - py.floor());
                    let (l, t) = (px.floor(), py.floor());
                    let expected = at(l, t) * (1.0 - fx) * (1.0 - fy) + at(l + 1.0, t) * fx * (1.0 - fy) + at(l, t + 1.0) * (1.0 - fx) * fy + at(l + 1.0, t + 1.0) * fx * fy;
                    prop_assert!((f32::from(out.pixel(x, y)[c]) - expected).abs() <= 1.0, "{x},{y}: {} for {expected}", out.pixel(x, y)[c]);
                }
            }
        }
    }
}

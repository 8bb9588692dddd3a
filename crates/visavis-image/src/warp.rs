//! Bilinear warping under a similarity transform.

#[cfg(target_arch = "x86_64")]
mod avx2;

use crate::{Picture, Similarity};

/// Most samples per output pixel and axis when shrinking. More than 4 × make no visible difference, but cost time.
const MOST_TAPS: usize = 4;

/// Fills `out` from `source`: the output pixel at p shows the source at `to_source.apply(p)`, interpolated bilinearly;
/// black where that lies outside. Where the output is smaller than what it shows, several samples are averaged, so
/// that fine structure does not alias.
pub fn warp_into(source: &Picture, to_source: &Similarity, out: &mut Picture) {
    let Similarity { a, b, tx, ty } = *to_source;
    let usable = [a, b, tx, ty].iter().all(|value| value.is_finite());
    if source.width() == 0 || source.height() == 0 || !usable {
        out.pixels_mut().fill(0);
        return;
    }
    match to_source.scale().round() as u32 {
        0 | 1 => warp::<1>(source, to_source, out),
        2 => warp::<2>(source, to_source, out),
        3 => warp::<3>(source, to_source, out),
        _ => warp::<MOST_TAPS>(source, to_source, out),
    }
}

/// With `TAPS` × `TAPS` samples per output pixel. The number is known to the compiler, which unrolls the loops over the samples.
fn warp<const TAPS: usize>(source: &Picture, to_source: &Similarity, out: &mut Picture) {
    let sampler = Sampler::new(source);
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, as checked above.
        unsafe { avx2::fill::<TAPS>(&sampler, to_source, out) };
        return;
    }
    fill::<TAPS>(to_source, out, |samples| sampler.sum(samples));
}

/// The samples of one output pixel in one of its sub-rows.
struct Samples {
    /// Where the first one lies, in fixed-point pixels of the source.
    x: i64,
    y: i64,
    /// From one to the next.
    step: (i64, i64),
}

/// Fills `out`. `sum` gives the sum of the samples of a pixel in 1024ths of a grey level, and moves their places to the next pixel.
#[inline(always)]
fn fill<const TAPS: usize>(to_source: &Similarity, out: &mut Picture, sum: impl Fn(&mut [Samples; TAPS]) -> [u32; 3]) {
    let stride = out.width() as usize * 3;
    if stride == 0 {
        return;
    }
    let Similarity { a, b, tx, ty } = *to_source;
    let (a, b, tx, ty) = (f64::from(a), f64::from(b), f64::from(tx), f64::from(ty));
    let pitch = 1.0 / TAPS as f64;
    let step = (fixed(a * pitch), fixed(b * pitch));
    // Sub-row `v` of the output; half a pixel less, so that whole numbers are pixel centres.
    let sub_row = |v: f64| Samples {
        x: fixed(a * pitch / 2.0 - b * v + tx - 0.5),
        y: fixed(b * pitch / 2.0 + a * v + ty - 0.5),
        step,
    };
    let count = ((TAPS * TAPS) as u32) << 10;
    for (y, row) in out.pixels_mut().chunks_exact_mut(stride).enumerate() {
        let mut samples: [_; TAPS] = std::array::from_fn(|j| sub_row(y as f64 + (j as f64 + 0.5) * pitch));
        for pixel in row.as_chunks_mut::<3>().0 {
            *pixel = sum(&mut samples).map(|sum| ((sum + count / 2) / count) as u8);
        }
    }
}

/// Fractional bits of positions in the source: at 16,384 output pixels the rounding error of the step adds up to a
/// hundredth of a pixel.
const PLACES: u32 = 20;

/// As a fixed-point number, clamped to ±2²⁴ pixels, beyond any picture, so that sums cannot overflow.
fn fixed(value: f64) -> i64 {
    const FURTHEST: f64 = (1 << 24) as f64;
    (value.clamp(-FURTHEST, FURTHEST) * f64::from(1 << PLACES)).round() as i64
}

/// The weight of the next pixel at a position between two.
#[inline(always)]
fn weight(position: i64) -> i32 {
    ((position >> (PLACES - WEIGHT_BITS)) & i64::from(ONE - 1)) as i32
}

/// Reads a picture at fractional positions.
struct Sampler<'a> {
    pixels: &'a [u8],
    width: usize,
    height: usize,
}

/// Weights have 11 bits: 2¹¹ · 2¹¹ · 255 fits into 31 bits and the rounding error is below half a grey level.
const WEIGHT_BITS: u32 = 11;
const ONE: i32 = 1 << WEIGHT_BITS;

impl<'a> Sampler<'a> {
    fn new(source: &'a Picture) -> Self {
        Self { pixels: source.pixels(), width: source.width() as usize, height: source.height() as usize }
    }

    /// The sum of the samples, in 1024ths of a grey level, and moves their places to the next pixel.
    #[inline(always)]
    fn sum<const TAPS: usize>(&self, samples: &mut [Samples; TAPS]) -> [u32; 3] {
        // The sum of sixteen samples of 8 + 10 bits fits into 32 bits.
        let (mut red, mut green, mut blue) = (0, 0, 0);
        for Samples { x, y, step } in samples {
            for _ in 0..TAPS {
                let sample = self.sample(*x, *y);
                red += sample[0] as u32 >> 12;
                green += sample[1] as u32 >> 12;
                blue += sample[2] as u32 >> 12;
                (*x, *y) = (*x + step.0, *y + step.1);
            }
        }
        [red, green, blue]
    }

    /// The colour at (x, y), pixel centres at whole numbers, times 2²².
    // Without `array::from_fn`, whose closure is not inlined: it would be called for each channel.
    #[inline(always)]
    fn sample(&self, x: i64, y: i64) -> [i32; 3] {
        let (wx, wy) = (weight(x), weight(y));
        let weights = [(ONE - wx) * (ONE - wy), wx * (ONE - wy), (ONE - wx) * wy, wx * wy];
        let (left, top) = ((x >> PLACES) as isize, (y >> PLACES) as isize);
        // The cast turns a negative number into a huge one, which fails the comparison.
        if (left as usize) < self.width - 1 && (top as usize) < self.height - 1 {
            let at = (top as usize * self.width + left as usize) * 3;
            let upper = &self.pixels[at..at + 6];
            let lower = &self.pixels[at + self.width * 3..][..6];
            let channel = |c: usize| {
                i32::from(upper[c]) * weights[0]
                    + i32::from(upper[c + 3]) * weights[1]
                    + i32::from(lower[c]) * weights[2]
                    + i32::from(lower[c + 3]) * weights[3]
            };
            return [channel(0), channel(1), channel(2)];
        }
        self.sample_at_edge(left, top, weights)
    }

    /// The outermost half pixel fades to black; outside is black.
    #[cold]
    fn sample_at_edge(&self, left: isize, top: isize, weights: [i32; 4]) -> [i32; 3] {
        let mut sum = [0; 3];
        for (corner, weight) in weights.into_iter().enumerate() {
            let (x, y) = (left + (corner & 1) as isize, top + (corner >> 1) as isize);
            if x >= 0 && y >= 0 && (x as usize) < self.width && (y as usize) < self.height {
                let at = (y as usize * self.width + x as usize) * 3;
                for (sum, &value) in sum.iter_mut().zip(&self.pixels[at..at + 3]) {
                    *sum += i32::from(value) * weight;
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
        fn every_processor_gives_the_same(angle in -3f32..3.0, scale in 0.3f32..5.0, tx in -30f32..50.0, ty in -30f32..50.0) {
            fn on_any_processor<const TAPS: usize>(source: &Picture, to_source: &Similarity, out: &mut Picture) {
                fill::<TAPS>(to_source, out, |samples| Sampler::new(source).sum(samples));
            }
            let source = ramp(48, 40);
            let s = Similarity { a: scale * angle.cos(), b: scale * angle.sin(), tx, ty };
            let [mut here, mut anywhere] = std::array::from_fn(|_| Picture::new(24, 24));
            warp::<1>(&source, &s, &mut here);
            on_any_processor::<1>(&source, &s, &mut anywhere);
            prop_assert_eq!(&here, &anywhere);
            warp::<3>(&source, &s, &mut here);
            on_any_processor::<3>(&source, &s, &mut anywhere);
            prop_assert_eq!(&here, &anywhere);
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

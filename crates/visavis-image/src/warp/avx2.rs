//! The same sums as [`Sampler::sum`], computed for all three channels at once with AVX2.

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_cvtsi64_si128, _mm_extract_epi32, _mm_madd_epi16, _mm_mullo_epi32, _mm_set1_epi32,
    _mm_setr_epi8, _mm_setr_epi32, _mm_setzero_si128, _mm_shuffle_epi8, _mm_srli_epi32,
};

use super::{ONE, PLACES, Sampler, Samples, weight};
use crate::{Picture, Similarity};

/// Fills `out`.
#[target_feature(enable = "avx2")]
pub(super) fn fill<const TAPS: usize>(sampler: &Sampler<'_>, to_source: &Similarity, out: &mut Picture) {
    super::fill::<TAPS>(to_source, out, |samples| {
        let mut sums = _mm_setzero_si128();
        for Samples { x, y, step } in samples {
            for _ in 0..TAPS {
                sums = _mm_add_epi32(sums, _mm_srli_epi32::<12>(sample(sampler, *x, *y)));
                (*x, *y) = (*x + step.0, *y + step.1);
            }
        }
        [_mm_extract_epi32::<0>(sums), _mm_extract_epi32::<1>(sums), _mm_extract_epi32::<2>(sums)].map(|sum| sum as u32)
    });
}

/// Red, green and blue at (x, y), times 2²², in the first three of four numbers of 32 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn sample(sampler: &Sampler<'_>, x: i64, y: i64) -> __m128i {
    let Sampler { pixels, width, height } = *sampler;
    let (left, top) = ((x >> PLACES) as usize, (y >> PLACES) as usize);
    // Two pixels are read as eight bytes, so the last pixels of the picture are read like those at an edge.
    if left < width - 1
        && top < height - 1
        && let at = (top * width + left) * 3
        && let Some(lower) = pixels.get(at + width * 3..).and_then(<[u8]>::first_chunk)
        && let Some(upper) = pixels[at..].first_chunk()
    {
        let (wx, wy) = (weight(x), weight(y));
        let across = _mm_set1_epi32(wx << 16 | (ONE - wx));
        let blend = |pixels| _mm_madd_epi16(channel_pairs(pixels), across);
        return _mm_add_epi32(
            _mm_mullo_epi32(blend(upper), _mm_set1_epi32(ONE - wy)),
            _mm_mullo_epi32(blend(lower), _mm_set1_epi32(wy)),
        );
    }
    let [red, green, blue] = sampler.sample(x, y);
    _mm_setr_epi32(red, green, blue, 0)
}

/// Each channel of the first pixel beside that of the second, as numbers of 16 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn channel_pairs(pixels: &[u8; 8]) -> __m128i {
    const ZERO: i8 = -1;
    let order = _mm_setr_epi8(0, ZERO, 3, ZERO, 1, ZERO, 4, ZERO, 2, ZERO, 5, ZERO, ZERO, ZERO, ZERO, ZERO);
    _mm_shuffle_epi8(_mm_cvtsi64_si128(i64::from_le_bytes(*pixels)), order)
}

//! Conversion of numbers to bytes, and random numbers.

use std::f32::consts::TAU;

/// Little-endian bytes of 32-bit floats.
pub(crate) fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The inverse of [`to_bytes`].
pub(crate) fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// Number of values of a tensor with these extents; `None` if it is too large or an extent is negative.
pub(crate) fn volume(extents: &[i64]) -> Option<usize> {
    extents.iter().try_fold(1_usize, |product, extent| product.checked_mul(usize::try_from(*extent).ok()?))
}

/// A standard normal number (Box and Muller).
pub(crate) fn normal(random: &mut fastrand::Rng) -> f32 {
    let (u, v) = (1.0 - random.f32(), random.f32());
    (-2.0 * u.ln()).sqrt() * (TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_of_tensors() {
        assert_eq!((volume(&[]), volume(&[2, 3, 0]), volume(&[2, 3])), (Some(1), Some(0), Some(6)));
        assert_eq!((volume(&[-1]), volume(&[1 << 40, 1 << 40])), (None, None));
    }
}

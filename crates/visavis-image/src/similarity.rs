//! Least-squares transforms between point sets: rotation, scale and translation, without shear.

use crate::Point;

/// `v = s·R(θ)·u + t`, stored as `a = s·cos θ`, `b = s·sin θ`, `tx`, `ty` (paper, equation 1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Similarity {
    /// s·cos θ.
    pub a: f32,
    /// s·sin θ.
    pub b: f32,
    /// Shift to the right.
    pub tx: f32,
    /// Shift downwards.
    pub ty: f32,
}

impl Similarity {
    /// The identity.
    pub const IDENTITY: Self = Self { a: 1.0, b: 0.0, tx: 0.0, ty: 0.0 };

    /// Scale and shift without rotation.
    #[must_use]
    pub const fn scale_then_shift(scale: f32, tx: f32, ty: f32) -> Self {
        Self { a: scale, b: 0.0, tx, ty }
    }

    /// The transform that maps `from` to `to` best, in the least-squares sense of the paper's equation 3.
    ///
    /// The four unknowns of that overdetermined linear system have a closed form once both sets are moved to their
    /// means: a = Σ⟨u, v⟩ / Σ|u|², b = Σ(u × v) / Σ|u|².
    ///
    /// `None` for fewer than two pairs, sets of unequal length, coordinates that are not finite, or if all of `from` (or
    /// of the result) is one point.
    #[must_use]
    pub fn least_squares(from: &[Point], to: &[Point]) -> Option<Self> {
        if from.len() != to.len() || from.len() < 2 {
            return None;
        }
        let (from_mean, to_mean) = (mean(from), mean(to));
        let (mut dot, mut cross, mut spread) = (0.0f64, 0.0, 0.0);
        for (u, v) in from.iter().zip(to) {
            let (ux, uy) = (f64::from(u.x) - from_mean.0, f64::from(u.y) - from_mean.1);
            let (vx, vy) = (f64::from(v.x) - to_mean.0, f64::from(v.y) - to_mean.1);
            dot += ux * vx + uy * vy;
            cross += ux * vy - uy * vx;
            spread += ux * ux + uy * uy;
        }
        let (a, b) = (dot / spread, cross / spread);
        let tx = to_mean.0 - a * from_mean.0 + b * from_mean.1;
        let ty = to_mean.1 - b * from_mean.0 - a * from_mean.1;
        let found = Self { a: a as f32, b: b as f32, tx: tx as f32, ty: ty as f32 };
        let usable = [found.a, found.b, found.tx, found.ty].iter().all(|value| value.is_finite());
        (usable && found.scale() > 1e-6).then_some(found)
    }

    /// Maps a point.
    #[must_use]
    pub fn apply(&self, point: Point) -> Point {
        Point::new(self.a * point.x - self.b * point.y + self.tx, self.b * point.x + self.a * point.y + self.ty)
    }

    /// The inverse transform.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let square = self.a * self.a + self.b * self.b;
        let (a, b) = (self.a / square, -self.b / square);
        Self { a, b, tx: -(a * self.tx - b * self.ty), ty: -(b * self.tx + a * self.ty) }
    }

    /// The composition: first `first`, then `self`.
    #[must_use]
    pub fn after(&self, first: &Self) -> Self {
        let shift = self.apply(Point::new(first.tx, first.ty));
        Self {
            a: self.a * first.a - self.b * first.b,
            b: self.a * first.b + self.b * first.a,
            tx: shift.x,
            ty: shift.y,
        }
    }

    /// s: the factor by which lengths grow.
    #[must_use]
    pub fn scale(&self) -> f32 {
        self.a.hypot(self.b)
    }

    /// θ in radians, clockwise in the picture (y down).
    #[must_use]
    pub fn angle(&self) -> f32 {
        self.b.atan2(self.a)
    }
}

/// How far the best *affine* map from `from` to `to` differs from a similarity: the ratio of its larger to its smaller
/// singular value, 1 for a pure similarity.
///
/// A face in profile or a wrong keypoint needs shear and unequal scales to match the template; with a large ratio, a
/// similarity fitted to the same points means little. `None` if the points span no area.
#[must_use]
pub fn distortion(from: &[Point], to: &[Point]) -> Option<f32> {
    if from.len() != to.len() || from.len() < 3 {
        return None;
    }
    let (from_mean, to_mean) = (mean(from), mean(to));
    // Normal equations of v = M·u over centred points: M = (Σ v·uᵀ)(Σ u·uᵀ)⁻¹.
    let (mut xx, mut xy, mut yy) = (0.0f64, 0.0, 0.0);
    let mut vu = [[0.0f64; 2]; 2];
    for (u, v) in from.iter().zip(to) {
        let (ux, uy) = (f64::from(u.x) - from_mean.0, f64::from(u.y) - from_mean.1);
        let (vx, vy) = (f64::from(v.x) - to_mean.0, f64::from(v.y) - to_mean.1);
        xx += ux * ux;
        xy += ux * uy;
        yy += uy * uy;
        vu[0][0] += vx * ux;
        vu[0][1] += vx * uy;
        vu[1][0] += vy * ux;
        vu[1][1] += vy * uy;
    }
    let determinant = xx * yy - xy * xy;
    let spread = xx + yy;
    if !determinant.is_finite() || determinant <= spread * spread * 1e-9 {
        return None;
    }
    let inverse = [[yy / determinant, -xy / determinant], [-xy / determinant, xx / determinant]];
    let m = [0, 1].map(|row| [0, 1].map(|column| vu[row][0] * inverse[0][column] + vu[row][1] * inverse[1][column]));
    // Singular values of a 2×2 matrix from its sum and difference parts.
    let half_sum = f64::hypot(m[0][0] + m[1][1], m[1][0] - m[0][1]) / 2.0;
    let half_difference = f64::hypot(m[0][0] - m[1][1], m[1][0] + m[0][1]) / 2.0;
    let (large, small) = (half_sum + half_difference, (half_sum - half_difference).abs());
    (small > 1e-12).then_some((large / small) as f32)
}

fn mean(points: &[Point]) -> (f64, f64) {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), p| (x + f64::from(p.x), y + f64::from(p.y)));
    (x / count, y / count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn points(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Point>> {
        prop::collection::vec((0f32..500.0, 0f32..500.0).prop_map(|(x, y)| Point::new(x, y)), count)
    }

    fn spread(points: &[Point]) -> f32 {
        points.iter().map(|p| p.distance(points[0])).fold(0.0, f32::max)
    }

    proptest! {
        #[test]
        fn recovers_rotation_scale_and_shift(
            from in points(2..12),
            scale in 0.05f32..20.0,
            angle in -std::f32::consts::PI..std::f32::consts::PI,
            tx in -300f32..300.0,
            ty in -300f32..300.0,
        ) {
            prop_assume!(spread(&from) > 20.0);
            let truth = Similarity { a: scale * angle.cos(), b: scale * angle.sin(), tx, ty };
            let to: Vec<_> = from.iter().map(|&p| truth.apply(p)).collect();
            let found = Similarity::least_squares(&from, &to).unwrap();
            let tolerance = 1e-3 * (1.0 + scale);
            prop_assert!((found.scale() / scale - 1.0).abs() < 1e-3);
            let turn = (found.angle() - angle).rem_euclid(std::f32::consts::TAU);
            prop_assert!(turn.min(std::f32::consts::TAU - turn) < 1e-3, "{} for {angle}", found.angle());
            for (&u, &v) in from.iter().zip(&to) {
                prop_assert!(found.apply(u).distance(v) < tolerance * 10.0);
            }
        }

        #[test]
        fn is_the_least_squares_optimum(from in points(3..8), to in points(3..8), nudge in -0.05f32..0.05, which in 0usize..4) {
            let n = from.len().min(to.len());
            let (from, to) = (&from[..n], &to[..n]);
            prop_assume!(spread(from) > 50.0);
            let Some(best) = Similarity::least_squares(from, to) else { return Ok(()) };
            let cost = |s: &Similarity| from.iter().zip(to).map(|(&u, &v)| f64::from(s.apply(u).distance(v)).powi(2)).sum::<f64>();
            let mut other = best;
            match which { 0 => other.a += nudge, 1 => other.b += nudge, 2 => other.tx += 20.0 * nudge, _ => other.ty += 20.0 * nudge }
            prop_assert!(cost(&best) <= cost(&other) * (1.0 + 1e-4) + 1e-3);
        }

        #[test]
        fn inverse_undoes(scale in 0.1f32..10.0, angle in -3f32..3.0, tx in -100f32..100.0, ty in -100f32..100.0, x in -100f32..100.0, y in -100f32..100.0) {
            let s = Similarity { a: scale * angle.cos(), b: scale * angle.sin(), tx, ty };
            let p = Point::new(x, y);
            prop_assert!(s.inverse().apply(s.apply(p)).distance(p) < 0.05);
            prop_assert!(s.inverse().after(&s).apply(p).distance(p) < 0.05);
        }

        #[test]
        fn similarity_has_no_distortion(from in points(4..8), scale in 0.1f32..5.0, angle in -3f32..3.0) {
            let s = Similarity { a: scale * angle.cos(), b: scale * angle.sin(), tx: 3.0, ty: 4.0 };
            let to: Vec<_> = from.iter().map(|&p| s.apply(p)).collect();
            if let Some(ratio) = distortion(&from, &to) {
                prop_assume!(ratio.is_finite());
                prop_assert!(ratio < 1.3, "{ratio}");
            }
        }
    }

    #[test]
    fn unequal_scales_show_as_distortion() {
        let from = [(0.0, 0.0), (10.0, 0.0), (0.0, 10.0), (10.0, 10.0)].map(|(x, y)| Point::new(x, y));
        let to = from.map(|p| Point::new(3.0 * p.x, p.y));
        assert!((distortion(&from, &to).unwrap() - 3.0).abs() < 1e-4);
    }

    #[test]
    fn degenerate_sets_have_no_transform() {
        let here = Point::new(5.0, 5.0);
        let there = Point::new(9.0, 5.0);
        assert_eq!(Similarity::least_squares(&[here], &[there]), None);
        assert_eq!(Similarity::least_squares(&[here, here], &[here, there]), None);
        assert_eq!(Similarity::least_squares(&[here, there], &[here, here]), None);
        assert_eq!(Similarity::least_squares(&[here, there], &[here]), None);
        assert_eq!(Similarity::least_squares(&[here, Point::new(f32::NAN, 0.0)], &[here, there]), None);
        assert_eq!(distortion(&[here, there, here], &[here, there, here]), None, "a line spans no area");
    }
}

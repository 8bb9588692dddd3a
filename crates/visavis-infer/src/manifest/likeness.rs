//! What a distance between two embeddings means, as measured on labelled faces.
//!
//! There are two distributions. Distances between photos of *one person* are log-normal: their logarithm has the mean
//! `ln(median)` and the standard deviation `spread`. Of the distances between photos of *two people* only the smallest matter.
//! They follow a generalised Pareto distribution, to which the tails of all usual distributions converge (Pickands 1975). It is
//! fitted to the smallest percent of the measured pairs and extrapolated to smaller shares.

use serde::{Deserialize, Serialize};

/// The share of pairs of two people that are nearer than [`Strangers::within`].
pub const STRANGERS_SHARE: f64 = 0.01;

/// Least share of pairs of two people: no measurement had more pairs, and twins exist.
const LEAST_SHARE: f64 = 1e-9;

/// The distances between photos of one person and of two people.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Likeness {
    /// Median of the distances of pairs of one person; above 0.
    pub median: f64,
    /// Standard deviation of the natural logarithm of the distances of one person; above 0.
    pub spread: f64,
    /// The distances of pairs of two people.
    pub strangers: Strangers,
}

/// The smallest distances between photos of two people: the share of all pairs that is nearer than `d` is
/// `0.01 · (1 + shape · (within − d) / scale)^(−1 / shape)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strangers {
    /// 1 % of the pairs is nearer than this.
    pub within: f64,
    /// How fast the share of pairs falls below `within`: a distance, above 0.
    pub scale: f64,
    /// Shape of the tail, −1 to 1: below 0 it is shorter than an exponential one, at 0 it is exponential.
    pub shape: f64,
}

impl Strangers {
    /// The share of pairs of two people that are nearer than `distance`, 1e-9 to 1.
    #[must_use]
    pub fn nearer(&self, distance: f64) -> f64 {
        self.logarithm(distance).exp().clamp(LEAST_SHARE, 1.0)
    }

    /// The distance below which this share of the pairs of two people lies, for a share of 1e-9 to 1.
    #[must_use]
    pub fn distance(&self, share: f64) -> f64 {
        let rarer = (STRANGERS_SHARE / share.clamp(LEAST_SHARE, 1.0)).ln();
        let below = if self.shape.abs() < 1e-6 { rarer } else { ((self.shape * rarer).exp() - 1.0) / self.shape };
        self.within - self.scale * below
    }

    /// The density of the distances at `distance`: the derivative of [`Strangers::nearer`].
    #[must_use]
    pub fn density(&self, distance: f64) -> f64 {
        // Where the share is clamped to its limits, the density is that at the limit.
        let held = distance.max(self.distance(LEAST_SHARE)).min(self.distance(1.0));
        let slope = 1.0 / (self.scale * self.stretch(held).max(1e-6));
        self.nearer(held) * slope
    }

    /// 1 + shape · (within − d) / scale, 0 beyond the end.
    fn stretch(&self, distance: f64) -> f64 {
        (1.0 + self.shape * (self.within - distance) / self.scale).max(0.0)
    }

    fn logarithm(&self, distance: f64) -> f64 {
        let rarer = if self.shape.abs() < 1e-6 {
            (self.within - distance) / self.scale
        } else {
            self.stretch(distance).ln() / self.shape
        };
        STRANGERS_SHARE.ln() - rarer
    }
}

impl Likeness {
    /// The share of pairs of one person that are farther apart than `distance`.
    #[must_use]
    pub fn same_beyond(&self, distance: f64) -> f64 {
        if distance <= 0.0 { 1.0 } else { 1.0 - normal_share((distance / self.median).ln() / self.spread) }
    }

    /// Likelihood ratio: how many times likelier this distance is between two photos of one person than of two people.
    ///
    /// Below the most frequent distance of one person, the density of one person is held constant: a photo that resembles
    /// the person more than usual is no evidence for another person.
    #[must_use]
    pub fn ratio(&self, distance: f64) -> f64 {
        let most_frequent = self.median * (-self.spread * self.spread).exp();
        let held = distance.max(most_frequent);
        let z = (held / self.median).ln() / self.spread;
        let same = (-0.5 * z * z).exp() / (held * self.spread * (2.0 * std::f64::consts::PI).sqrt());
        same / self.strangers.density(distance)
    }

    /// Similarity on a scale from 0 (the median distance of two people) to 1 (the median distance of one person). It says how
    /// alike two faces are, not how likely they belong to one person.
    #[must_use]
    pub fn scale(&self, distance: f64) -> f64 {
        let far = self.strangers.distance(0.5);
        ((far - distance) / (far - self.median)).clamp(0.0, 1.0)
    }

    /// What is wrong with these numbers, if anything.
    pub(super) fn fault(&self) -> Option<String> {
        let Self { median, spread, strangers: Strangers { within, scale, shape } } = *self;
        let numbers = [median, spread, within, scale, shape];
        if !numbers.iter().all(|number| number.is_finite()) {
            Some("all of its numbers must be finite".into())
        } else if median <= 0.0 || spread <= 0.0 || scale <= 0.0 {
            Some(format!("median {median}, spread {spread} and strangers.scale {scale} must be above 0"))
        } else if !(-1.0..=1.0).contains(&shape) {
            Some(format!("strangers.shape {shape} is not between -1 and 1"))
        } else if self.strangers.distance(0.5) <= median {
            Some(format!("median {median} must be below the distance that half of the pairs of two people have"))
        } else {
            None
        }
    }
}

/// The share of a normal distribution below `z` standard deviations.
fn normal_share(z: f64) -> f64 {
    // Abramowitz and Stegun 7.1.26: off by less than 2e-7.
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let series = ((((1.061_405_429 * t - 1.453_152_027) * t) + 1.421_413_741) * t - 0.284_496_736) * t + 0.254_829_592;
    let beyond = 0.5 * series * t * (-x * x).exp();
    if z < 0.0 { beyond } else { 1.0 - beyond }
}

/// Reads the field of a manifest. The logistic curve of older manifests is ignored: it says nothing about galleries.
pub(super) fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Likeness>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "expected `median`, `spread` and `strangers = { within, scale, shape }`, all numbers"
    )]
    enum Form {
        Measured(Likeness),
        Logistic(#[expect(dead_code, reason = "its numbers are checked to be numbers, and not used")] Logistic),
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "its numbers are checked to be numbers, and not used")]
    struct Logistic {
        middle: f64,
        width: f64,
        #[serde(default)]
        strangers: Option<[f64; 3]>,
    }
    Ok(match Form::deserialize(deserializer)? {
        Form::Measured(likeness) => Some(likeness),
        Form::Logistic(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPED: Strangers = Strangers { within: 0.76, scale: 0.045, shape: -0.07 };
    const LIKENESS: Likeness = Likeness { median: 0.46, spread: 0.36, strangers: SHAPED };

    #[test]
    fn share_and_distance_are_inverse() {
        for shape in [-0.3, -0.07, 0.0, 0.2] {
            let strangers = Strangers { shape, ..SHAPED };
            assert!((strangers.nearer(0.76) - 0.01).abs() < 1e-9);
            for share in [0.5, 0.01, 1e-4, 1e-7] {
                let found = strangers.nearer(strangers.distance(share));
                assert!((found / share - 1.0).abs() < 1e-6, "{shape}: {share} became {found}");
            }
            assert_eq!(strangers.nearer(5.0), 1.0);
            // A heavy tail never reaches the least share.
            assert!(shape > 0.0 || strangers.nearer(-1.0) == LEAST_SHARE, "{shape}");
        }
        // Exponential: the share falls to a tenth for each 0.045 · ln 10.
        let plain = Strangers { shape: 0.0, ..SHAPED };
        assert!((plain.distance(1e-3) - (0.76 - 0.045 * 10f64.ln())).abs() < 1e-9);
    }

    #[test]
    fn the_density_is_the_slope_of_the_share() {
        for distance in [0.5, 0.6, 0.7, 0.76, 0.85] {
            let step = 1e-5;
            let slope = (SHAPED.nearer(distance + step) - SHAPED.nearer(distance - step)) / (2.0 * step);
            assert!((SHAPED.density(distance) / slope - 1.0).abs() < 1e-3, "{distance}");
        }
        assert!(SHAPED.density(0.0).is_finite() && SHAPED.density(0.0) > 0.0);
    }

    #[test]
    fn one_person_is_log_normal() {
        assert!((LIKENESS.same_beyond(0.46) - 0.5).abs() < 1e-6);
        // One standard deviation of the logarithm above the median.
        assert!((LIKENESS.same_beyond(0.46 * 0.36f64.exp()) - 0.158_655).abs() < 1e-5);
        assert!((LIKENESS.same_beyond(0.46 * (-0.72f64).exp()) - 0.977_250).abs() < 1e-5);
        assert_eq!(LIKENESS.same_beyond(0.0), 1.0);
    }

    #[test]
    fn nearer_is_never_less_likely_the_same_person() {
        let distances: Vec<f64> = (0..=100).map(|step| f64::from(step) / 100.0).collect();
        let ratios: Vec<f64> = distances.iter().map(|distance| LIKENESS.ratio(*distance)).collect();
        assert!(ratios.is_sorted_by(|near, far| near >= far), "{ratios:?}");
        assert!(ratios.iter().all(|ratio| ratio.is_finite() && *ratio >= 0.0));
        assert!(LIKENESS.ratio(0.4) > 1e4 && LIKENESS.ratio(0.8) < 10.0);
        assert_eq!((LIKENESS.scale(0.2), LIKENESS.scale(1.5)), (1.0, 0.0));
        assert!((LIKENESS.scale((0.46 + SHAPED.distance(0.5)) / 2.0) - 0.5).abs() < 1e-9);
    }
}

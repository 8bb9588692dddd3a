//! Confidence intervals: percentile intervals by the bootstrap over faces (Efron and Tibshirani, "An Introduction to the
//! Bootstrap", 1993, chapter 13).

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// A figure with its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The figure on all faces.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Number of faces (or runs).
    pub n: usize,
}

impl Estimate {
    /// The same figure in another unit: `f` must be monotonic; a falling one swaps the ends of the interval.
    #[must_use]
    pub fn map(self, f: impl Fn(f64) -> f64) -> Self {
        let (a, b) = (f(self.low), f(self.high));
        Self { value: f(self.value), low: a.min(b), high: a.max(b), n: self.n }
    }

    /// The figure multiplied by `factor`, such as 100 for percent.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        self.map(|value| value * factor)
    }

    /// `4.98 [4.71, 5.26]` with this number of decimals.
    #[must_use]
    pub fn text(&self, decimals: usize) -> String {
        format!("{:.decimals$} [{:.decimals$}, {:.decimals$}]", self.value, self.low, self.high)
    }
}

/// How intervals are computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// Number of samples. A thousand determine the ends of a 95 % interval to about a tenth of its width.
    pub rounds: usize,
    /// Share of the samples inside the interval, 0 to 1.
    pub level: f64,
    /// Seed. Figures over the same number of faces use the same samples, so that networks evaluated on the same faces can be
    /// compared.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { rounds: 1000, level: 0.95, seed: 1 }
    }
}

impl Bootstrap {
    /// Any statistic of `n` faces; it takes the indices (from 0) of the sampled faces, some more than once. `None` for no
    /// faces.
    ///
    /// If all faces agree (for instance, every answer is right), all samples do too, and the interval has no width.
    pub fn of(&self, n: usize, statistic: impl Fn(&[usize]) -> f64) -> Option<Estimate> {
        if n == 0 {
            return None;
        }
        let mut places: Vec<usize> = (0..n).collect();
        let value = statistic(&places);
        let mut random = Random::new(self.seed);
        let mut drawn: Vec<f64> = (0..self.rounds)
            .map(|_| {
                places.fill_with(|| random.below(n));
                statistic(&places)
            })
            .collect();
        drawn.sort_by(f64::total_cmp);
        let tail = (1.0 - self.level.clamp(0.0, 1.0)) / 2.0;
        let at = |share| quantile(&drawn, share).unwrap_or(value);
        Some(Estimate { value, low: at(tail), high: at(1.0 - tail), n })
    }

    /// The mean of `values`, one for each face.
    #[must_use]
    pub fn mean(&self, values: &[f64]) -> Option<Estimate> {
        self.of(values.len(), |places| places.iter().map(|&place| values[place]).sum::<f64>() / places.len() as f64)
    }

    /// The share of faces for which something holds, 0 to 1.
    #[must_use]
    pub fn share(&self, holds: &[bool]) -> Option<Estimate> {
        let count = |places: &[usize]| places.iter().filter(|&&place| holds[place]).count();
        self.of(holds.len(), |places| count(places) as f64 / places.len() as f64)
    }

    /// The median of `values`.
    #[must_use]
    pub fn median(&self, values: &[f64]) -> Option<Estimate> {
        self.of(values.len(), |places| {
            let mut drawn: Vec<f64> = places.iter().map(|&place| values[place]).collect();
            drawn.sort_by(f64::total_cmp);
            quantile(&drawn, 0.5).unwrap_or(f64::NAN)
        })
    }
}

/// The value below which `share` of the sorted values lie, with linear interpolation; `None` for no values.
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    let part = place - below as f64;
    // Not computed by a difference: that of two equal infinities would be NaN.
    Some(if part == 0.0 { sorted[below] } else { sorted[below] * (1.0 - part) + sorted[above] * part })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_the_plain_statistic_and_the_same_every_time() {
        let values: Vec<f64> = (0..50).map(f64::from).collect();
        let once = Bootstrap::default().mean(&values).unwrap();
        assert_eq!((once.value, once.n), (24.5, 50));
        assert!(once.low < 24.5 && 24.5 < once.high);
        assert_eq!(Bootstrap::default().mean(&values), Some(once));
        assert_ne!(Bootstrap { seed: 2, ..Bootstrap::default() }.mean(&values), Some(once));
        assert_eq!(Bootstrap::default().mean(&[]), None);
    }

    #[test]
    fn width_is_that_of_the_normal_interval() {
        // Standard deviation 1, n = 400: ±1.96 / 20.
        let values: Vec<f64> = (0..400).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let found = Bootstrap { rounds: 4000, ..Bootstrap::default() }.mean(&values).unwrap();
        assert!((found.high - 0.098).abs() < 0.01 && (found.low + 0.098).abs() < 0.01, "{found:?}");
    }

    #[test]
    fn intervals_cover_the_truth_about_as_often_as_they_say() {
        // 300 samples of 80 throws of a coin that shows heads 30 % of the time.
        let mut random = Random::new(3);
        let covered = (0..300)
            .filter(|_| {
                let throws: Vec<bool> = (0..80).map(|_| random.below(10) < 3).collect();
                let found = Bootstrap { rounds: 400, ..Bootstrap::default() }.share(&throws).unwrap();
                found.low <= 0.3 && 0.3 <= found.high
            })
            .count();
        assert!((270..=297).contains(&covered), "{covered} of 300");
    }

    #[test]
    fn quantiles_by_hand() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.5), Some(2.0));
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), Some(3.0));
        assert_eq!(quantile(&[7.0], 0.95), Some(7.0));
        assert_eq!(quantile(&[f64::INFINITY; 4], 0.9), Some(f64::INFINITY));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_falling_map_turns_the_interval_round() {
        let ms = Estimate { value: 20.0, low: 10.0, high: 40.0, n: 9 };
        assert_eq!(ms.map(|ms| 1000.0 / ms), Estimate { value: 50.0, low: 25.0, high: 100.0, n: 9 });
        assert_eq!(ms.text(1), "20.0 [10.0, 40.0]");
    }
}

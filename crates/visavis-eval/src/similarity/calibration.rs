//! Calibration of distances between embeddings: the distances of pairs of one person and of pairs of two people, described by
//! the five numbers of a [`Likeness`].

use serde::{Deserialize, Serialize};
use visavis_gallery::distance;
use visavis_infer::manifest::{Likeness, Metric, STRANGERS_SHARE, Strangers};

use super::Embedded;

/// The share of pairs of two people that are accepted as one person when a single pair is compared.
const SAME_PERSON: f64 = 1e-3;

/// Largest number of photos that are paired: 32 million pairs, 130 MB.
const MOST_PHOTOS: usize = 8_000;

/// The tail of the distances of two people is fitted at distances for shares of pairs that decrease by this factor, half a
/// decade.
const STEP: f64 = 0.316_227_766;

/// … as long as at least this many pairs are nearer. Below that, photos of one person under two names are no longer rare among
/// the pairs, and chance affects the distances.
const LEAST_PAIRS: f64 = 200.0;

/// Measured meaning of distances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// One of a thousand pairs of two people is nearer than this.
    pub same_person: f32,
    /// Share of pairs of one person that are nearer.
    pub accepted: f64,
    /// The distances of one person and of two people. `None` if there are too few pairs of two people.
    pub likeness: Option<Likeness>,
    /// The largest difference between a measured and the fitted distance of two people at the same share of pairs.
    pub misfit: Option<f64>,
    /// Number of pairs of one person, and of two.
    pub pairs: [usize; 2],
}

/// Measures the distances of all pairs; `None` without pairs of both kinds.
#[must_use]
pub fn calibrate(metric: Metric, faces: &[Embedded]) -> Option<Calibration> {
    let faces: Vec<&Embedded> = faces.iter().step_by(faces.len().div_ceil(MOST_PHOTOS).max(1)).collect();
    let (mut same, mut others) = (Vec::new(), Vec::new());
    for (at, a) in faces.iter().enumerate() {
        for b in &faces[..at] {
            let pairs = if a.identity == b.identity { &mut same } else { &mut others };
            pairs.push(distance(metric, a.vector, b.vector));
        }
    }
    let pairs = [same.len(), others.len()];
    if pairs.contains(&0) {
        return None;
    }
    let same_person = quantile(&mut others, SAME_PERSON) as f32;
    let accepted = same.iter().filter(|distance| **distance < same_person).count() as f64 / same.len() as f64;
    let fitted = strangers(&mut others);
    let likeness = fitted.and_then(|(strangers, _)| likeness(&mut same, strangers));
    Some(Calibration { same_person, accepted, likeness, misfit: fitted.map(|(_, misfit)| misfit), pairs })
}

/// The distance below which this share of the distances lies.
fn quantile(distances: &mut [f32], share: f64) -> f64 {
    let place = ((share * distances.len() as f64) as usize).min(distances.len() - 1);
    f64::from(*distances.select_nth_unstable_by(place, f32::total_cmp).1)
}

/// Median and spread of one person's distances. The spread is computed between the first and the last tenth, because the largest
/// distances are those of photos under a wrong name.
fn likeness(same: &mut [f32], strangers: Strangers) -> Option<Likeness> {
    /// In a normal distribution, the middle eight tenths lie within this many standard deviations to either side.
    const TENTH: f64 = 1.281_552;
    let [low, median, high] = [0.1, 0.5, 0.9].map(|share| quantile(same, share));
    let spread = (high / low).ln() / (2.0 * TENTH);
    let sensible = low > 0.0 && spread > 0.0 && spread.is_finite() && median < strangers.distance(0.5);
    sensible.then_some(Likeness { median, spread, strangers })
}

/// Fits a generalised Pareto distribution to the tail of the distances of two people, given the distances at certain shares of
/// pairs; returns also the largest difference to them.
fn strangers(others: &mut [f32]) -> Option<(Strangers, f64)> {
    let within = quantile(others, STRANGERS_SHARE);
    let mut measured = Vec::new();
    let mut share = STRANGERS_SHARE * STEP;
    while share * others.len() as f64 >= LEAST_PAIRS {
        measured.push((share, within - quantile(others, share)));
        share *= STEP;
    }
    // Two parameters fitted to two distances would reproduce every random deviation.
    if measured.len() < 3 {
        return None;
    }
    // For a given shape the scale follows by least squares; the shape is found by search.
    let stretched = |shape: f64, share: f64| {
        let rarer = (STRANGERS_SHARE / share).ln();
        if shape.abs() < 1e-6 { rarer } else { ((shape * rarer).exp() - 1.0) / shape }
    };
    let fit = |shape: f64| {
        let (mut product, mut square) = (0.0, 0.0);
        for (share, below) in &measured {
            let unit = stretched(shape, *share);
            (product, square) = (product + unit * below, square + unit * unit);
        }
        let scale = product / square;
        let off = |(share, below): &(f64, f64)| (below - scale * stretched(shape, *share)).abs();
        let squares: f64 = measured.iter().map(|pair| off(pair).powi(2)).sum();
        let most = measured.iter().map(off).fold(0.0, f64::max);
        (squares, scale, most)
    };
    let shapes = (-500..=500).map(|step| f64::from(step) / 1000.0);
    let (shape, (_, scale, misfit)) =
        shapes.map(|shape| (shape, fit(shape))).min_by(|(_, a), (_, b)| a.0.total_cmp(&b.0))?;
    (scale > 0.0).then_some((Strangers { within, scale, shape }, misfit))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evenly drawn distances of a distribution: that at the middle of each of `count` equal shares.
    fn drawn(count: usize, distance: impl Fn(f64) -> f64) -> Vec<f32> {
        (0..count).map(|at| distance((at as f64 + 0.5) / count as f64) as f32).collect()
    }

    #[test]
    fn the_distribution_that_made_the_pairs_is_found() {
        for shape in [-0.2, -0.07, 0.0, 0.1] {
            let truth = Strangers { within: 0.76, scale: 0.045, shape };
            let (found, misfit) = strangers(&mut drawn(2_000_000, |share| truth.distance(share))).unwrap();
            assert!((found.within - 0.76).abs() < 1e-3 && (found.shape - shape).abs() < 0.01, "{shape}: {found:?}");
            assert!((found.scale - 0.045).abs() < 1e-3 && misfit < 1e-3, "{shape}: {found:?}, {misfit}");
        }
        assert!(strangers(&mut drawn(10_000, |share| share)).is_none(), "too few pairs");
    }

    #[test]
    fn one_person_is_read_without_the_far_end() {
        let strangers = Strangers { within: 0.76, scale: 0.045, shape: -0.07 };
        // Half of them at 0.3, a tenth each below 0.2 and above 0.45; five percent under a wrong name.
        let distance = |share: f64| match share {
            share if share < 0.1 => 0.1,
            share if share < 0.5 => 0.2 + (share - 0.1) * 0.25,
            share if share < 0.95 => 0.3 + (share - 0.5) * 0.375,
            _ => 1.0,
        };
        let found = likeness(&mut drawn(1000, distance), strangers).unwrap();
        assert!((found.median - 0.3).abs() < 1e-3, "{found:?}");
        assert!((found.spread - (0.45f64 / 0.2).ln() / 2.563).abs() < 0.01, "{found:?}");
        assert!(likeness(&mut drawn(1000, |_| 1.4), strangers).is_none(), "farther than strangers");
    }

    #[test]
    fn strangers_set_the_same_person_distance() {
        // Two photos each of thirty people on a line; a person's photos are 0.1 apart, people 1.
        let places: Vec<(String, [f32; 2])> =
            (0..60).map(|at| ((at / 2).to_string(), [(at / 2) as f32 + 0.1 * (at % 2) as f32, 0.0])).collect();
        let faces: Vec<Embedded> =
            places.iter().map(|(identity, vector)| Embedded { file: identity, identity, vector }).collect();
        let found = calibrate(Metric::Euclidean, &faces).unwrap();
        assert_eq!((found.pairs, found.accepted), ([30, 1740], 1.0));
        assert!((found.same_person - 0.9).abs() < 1e-3, "{found:?}");
        assert_eq!(found.likeness, None, "1,740 pairs do not tell how rare a distance is");
        assert!(calibrate(Metric::Euclidean, &faces[..2]).is_none());
    }
}

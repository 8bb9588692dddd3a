//! What a distance between two embeddings means: how likely the two are of one person.

use serde::{Deserialize, Serialize};
use visavis_face::gallery::distance;
use visavis_infer::manifest::{Likeness, Metric};

use super::{Embedded, at_rate};

/// Shares of pairs of strangers; the first may pass for one person.
const STRANGERS: [f64; 3] = [1e-3, 1e-4, 1e-5];

/// Photos that are paired at most: two million pairs.
const MOST_PHOTOS: usize = 2_000;

/// How to read distances, as fitted to labelled faces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Of one thousand pairs of strangers one is nearer than this.
    pub same_person: f32,
    /// Share of pairs of one person that are nearer.
    pub accepted: f64,
    /// The likelihood of one person by the distance, where half of the pairs are of one person; and how near strangers come.
    pub likeness: Likeness,
    /// Pairs of one person, and of two.
    pub pairs: [usize; 2],
}

/// Fits the logistic curve 1 / (1 + exp((d − middle) / width)) to all pairs, those of one person together weighing as much as
/// those of two; `None` without both kinds or where they do not part.
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
    let curve = fit(&same, &others)?;
    let within = STRANGERS.map(|rate| at_rate(&mut others, rate));
    // Fewer pairs than one over the share say nothing of it.
    let measured = others.len() as f64 * STRANGERS[2] >= 1.0 && within.is_sorted_by(|a, b| a > b);
    let (same_person, likeness) = (within[0], Likeness { strangers: measured.then_some(within), ..curve });
    let accepted = same.iter().filter(|distance| **distance < same_person).count() as f64 / same.len() as f64;
    Some(Calibration { same_person, accepted, likeness, pairs })
}

/// Logistic regression by Newton's method on the distance in units of its spread.
fn fit(same: &[f32], others: &[f32]) -> Option<Likeness> {
    let mean = |values: &[f32]| values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len() as f64;
    let (near, far) = (mean(same), mean(others));
    if far <= near {
        return None;
    }
    let (centre, unit) = ((near + far) / 2.0, far - near);
    let sides = [(same, 1.0, 0.5 / same.len() as f64), (others, 0.0, 0.5 / others.len() as f64)];
    let (mut slope, mut offset) = (-4.0f64, 0.0f64);
    for _ in 0..50 {
        // A little decay keeps the curve finite where the two kinds part without overlap.
        let (mut g, mut h) = ([1e-5 * slope, 0.0], [1e-5, 0.0, 1e-9]);
        for (values, label, weight) in sides {
            for value in values {
                let x = (f64::from(*value) - centre) / unit;
                let p = 1.0 / (1.0 + (-(slope * x + offset)).exp());
                let (off, curve) = (weight * (p - label), weight * p * (1.0 - p));
                g = [g[0] + off * x, g[1] + off];
                h = [h[0] + curve * x * x, h[1] + curve * x, h[2] + curve];
            }
        }
        let determinant = h[0] * h[2] - h[1] * h[1];
        let step = [(h[2] * g[0] - h[1] * g[1]) / determinant, (h[0] * g[1] - h[1] * g[0]) / determinant];
        if !step.iter().all(|step| step.is_finite()) {
            return None;
        }
        (slope, offset) = (slope - step[0].clamp(-2.0, 2.0), offset - step[1].clamp(-2.0, 2.0));
        if step.iter().all(|step| step.abs() < 1e-9) {
            break;
        }
    }
    // slope·x + offset = −(d − middle) / width.
    let (middle, width) = (centre - unit * offset / slope, -unit / slope);
    (width > 0.0).then_some(Likeness { middle: middle as f32, width: width as f32, strangers: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_that_made_the_pairs_is_found() {
        // Distances 0 to 2 in steps; of those at d a share 1 / (1 + exp((d − 0.8) / 0.1)) is of one person.
        let truth = Likeness { middle: 0.8, width: 0.1, strangers: None };
        let (mut same, mut others) = (Vec::new(), Vec::new());
        for step in 0..=160 {
            let d = step as f32 / 100.0;
            let of_one = (1000.0 * truth.of(d)).round() as usize;
            same.extend(std::iter::repeat_n(d, of_one));
            others.extend(std::iter::repeat_n(d, 1000 - of_one));
        }
        let found = fit(&same, &others).unwrap();
        assert!((found.middle - 0.8).abs() < 0.01 && (found.width - 0.1).abs() < 0.01, "{found:?}");
        assert!((found.of(0.8) - 0.5).abs() < 0.05 && found.of(0.0) > 0.99 && found.of(1.6) < 0.01);
        assert!(fit(&others, &same).is_none(), "strangers are nearer");
    }

    #[test]
    fn pairs_that_do_not_overlap_have_a_steep_curve() {
        let found = fit(&[0.1, 0.2], &[0.8, 0.9]).unwrap();
        assert!((found.middle - 0.5).abs() < 0.05 && found.width < 0.1, "{found:?}");
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
        assert_eq!(found.likeness.strangers, None, "of 1,740 pairs none is one of 100,000");
        assert!(calibrate(Metric::Euclidean, &faces[..2]).is_none());
    }
}

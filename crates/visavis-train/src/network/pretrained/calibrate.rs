//! Calibrates normalisations when training continues from weights in which the published file has folded them.

use std::collections::HashMap;

use crate::network::{Norm, ParameterId, Parameters};

/// Mean and variance at each normalisation, over several batches.
#[derive(Default)]
pub(crate) struct Calibration {
    seen: HashMap<ParameterId, Seen>,
}

struct Seen {
    norm: Norm,
    batches: f32,
    mean: Vec<f32>,
    /// Mean of the squares: the mean over batches of the variance plus the squared mean.
    square: Vec<f32>,
}

impl Calibration {
    /// Adds the statistics of one batch.
    pub(crate) fn add(&mut self, moments: Vec<(Norm, Vec<f32>, Vec<f32>)>) {
        for (norm, mean, variance) in moments {
            let seen = self.seen.entry(norm.scale).or_insert_with(|| Seen {
                norm,
                batches: 0.0,
                mean: vec![0.0; mean.len()],
                square: vec![0.0; mean.len()],
            });
            seen.batches += 1.0;
            for (at, (mean, variance)) in mean.into_iter().zip(variance).enumerate() {
                seen.mean[at] += mean;
                seen.square[at] += variance + mean * mean;
            }
        }
    }

    /// Sets the statistics of every normalisation, and scale and shift so that its output does not change. Trained on similar
    /// batches, the network then continues from the published one's output.
    pub(crate) fn apply(self, parameters: &mut Parameters) {
        for seen in self.seen.into_values() {
            let norm = seen.norm;
            let (factors, offsets) = crate::network::folded(parameters, &norm);
            for (at, (factor, offset)) in factors.into_iter().zip(offsets).enumerate() {
                let mean = seen.mean[at] / seen.batches;
                let variance = (seen.square[at] / seen.batches - mean * mean).max(1e-6);
                parameters.get_mut(norm.scale).value[at] = factor * (f64::from(variance) + norm.epsilon).sqrt() as f32;
                parameters.get_mut(norm.shift).value[at] = offset + factor * mean;
                parameters.get_mut(norm.mean).value[at] = mean;
                parameters.get_mut(norm.variance).value[at] = variance;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Builder, Layer, folded};
    use crate::ops::Activation;

    #[test]
    fn outputs_stay_and_statistics_are_those_seen() {
        let mut builder = Builder::new(1);
        let Layer::Norm(norm) = builder.norm("n", 1, Activation::Relu) else { panic!("a normalisation") };
        let mut parameters = builder.finish();
        parameters.get_mut(norm.scale).value[0] = 2.0;
        parameters.get_mut(norm.shift).value[0] = -1.0;
        let before = folded(&parameters, &norm);
        let mut calibration = Calibration::default();
        // Two batches: means 1 and 3, variance 4 in each; together mean 2 and variance 5.
        calibration.add(vec![(norm, vec![1.0], vec![4.0])]);
        calibration.add(vec![(norm, vec![3.0], vec![4.0])]);
        calibration.apply(&mut parameters);
        assert_eq!(parameters.get(norm.mean).value, [2.0]);
        assert!((parameters.get(norm.variance).value[0] - 5.0).abs() < 1e-5);
        let after = folded(&parameters, &norm);
        assert!((before.0[0] - after.0[0]).abs() < 1e-5 && (before.1[0] - after.1[0]).abs() < 1e-4);
    }
}

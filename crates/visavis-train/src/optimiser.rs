//! Optimisers: AdamW and SGD over parameters in plain memory, and the moving average of the weights.

use rayon::prelude::*;

use crate::network::{Parameters, Role};
use crate::recipe::OptimiserParams;

/// Adam's decay of the mean of gradients.
const BETA_1: f64 = 0.9;
/// Adam's decay of the mean of their squares.
const BETA_2: f64 = 0.999;
/// Prevents a division by zero in Adam.
const EPSILON: f32 = 1e-8;
/// Largest norm of the gradient over all parameters; a larger one is scaled down, so that a bad batch has little effect.
const LONGEST: f64 = 5.0;

/// An optimiser and its state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Optimiser {
    params: OptimiserParams,
    steps: u64,
    /// Means of gradients (Adam) or velocities (SGD), for each parameter.
    pub(crate) first: Vec<Vec<f32>>,
    /// Means of squared gradients (Adam).
    pub(crate) second: Vec<Vec<f32>>,
}

impl Optimiser {
    /// A new optimiser.
    #[must_use]
    pub(crate) fn new(params: OptimiserParams, parameters: &Parameters) -> Self {
        let zeros = || parameters.all().iter().map(|p| vec![0.0; p.value.len()]).collect();
        let second = if matches!(params, OptimiserParams::Adamw { .. }) { zeros() } else { Vec::new() };
        Self { params, steps: 0, first: zeros(), second }
    }

    /// An optimiser after `steps` steps.
    pub(crate) fn resume(params: OptimiserParams, steps: u64, first: Vec<Vec<f32>>, second: Vec<Vec<f32>>) -> Self {
        Self { params, steps, first, second }
    }

    /// Number of steps so far.
    #[must_use]
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// One step down the gradients (one per parameter; `None` leaves the parameter unchanged) at a learning rate; returns the
    /// norm of the gradient before scaling.
    pub(crate) fn step(&mut self, parameters: &mut Parameters, gradients: &[Option<Vec<f32>>], rate: f64) -> f64 {
        let square =
            |gradient: &Option<Vec<f32>>| gradient.iter().flatten().map(|g| f64::from(*g) * f64::from(*g)).sum();
        // Collected first and summed in order: a parallel sum would differ from run to run.
        let squares: Vec<f64> = gradients.par_iter().map(square).collect();
        let length = squares.iter().sum::<f64>().sqrt();
        let shorten = if length > LONGEST { (LONGEST / length) as f32 } else { 1.0 };
        self.steps += 1;
        let steps = self.steps as i32;
        match self.params {
            OptimiserParams::Adamw { decay, .. } => {
                let (beta_1, beta_2) = (BETA_1 as f32, BETA_2 as f32);
                // The means start at zero; this corrects their bias.
                let unbiased_1 = (1.0 - BETA_1.powi(steps)) as f32;
                let unbiased_2 = (1.0 - BETA_2.powi(steps)) as f32;
                let memory = self.first.par_iter_mut().zip(&mut self.second);
                parameters.all_mut().par_iter_mut().zip(gradients).zip(memory).for_each(
                    |((parameter, gradient), (first, second))| {
                        let Some(gradient) = gradient else { return };
                        let kept = kept(parameter.role, rate * decay);
                        let values = parameter.value.iter_mut().zip(gradient);
                        for ((value, gradient), (m, v)) in values.zip(first.iter_mut().zip(second)) {
                            let gradient = gradient * shorten;
                            *m = beta_1 * *m + (1.0 - beta_1) * gradient;
                            *v = beta_2 * *v + (1.0 - beta_2) * gradient * gradient;
                            let step = (*m / unbiased_1) / ((*v / unbiased_2).sqrt() + EPSILON);
                            *value = *value * kept - rate as f32 * step;
                        }
                    },
                );
            }
            OptimiserParams::Sgd { decay, momentum, .. } => {
                let momentum = momentum as f32;
                parameters.all_mut().par_iter_mut().zip(gradients).zip(&mut self.first).for_each(
                    |((parameter, gradient), velocity)| {
                        let Some(gradient) = gradient else { return };
                        let kept = kept(parameter.role, rate * decay);
                        for ((value, gradient), velocity) in parameter.value.iter_mut().zip(gradient).zip(velocity) {
                            let gradient = gradient * shorten;
                            *velocity = momentum * *velocity + gradient;
                            *value = *value * kept - rate as f32 * (gradient + momentum * *velocity);
                        }
                    },
                );
            }
        }
        length
    }
}

fn kept(role: Role, decay: f64) -> f32 {
    if role == Role::Weight { (1.0 - decay) as f32 } else { 1.0 }
}

/// Moves `average` towards `current`; faster at first, so that the initial value has little weight.
pub(crate) fn follow(average: &mut Parameters, current: &Parameters, decay: f64, steps: u64) {
    let decay = decay.min((1.0 + steps as f64) / (10.0 + steps as f64)) as f32;
    average.all_mut().par_iter_mut().zip(current.all()).for_each(|(average, current)| {
        for (average, current) in average.value.iter_mut().zip(&current.value) {
            *average += (current - *average) * (1.0 - decay);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Parameter;

    fn one(value: f32, role: Role) -> Parameters {
        let mut parameters = Parameters::default();
        parameters.push(Parameter { name: "w".into(), shape: vec![1], role, value: vec![value] });
        parameters
    }

    #[test]
    fn steps_by_hand() {
        // The length of Adam's first step is the rate, whatever the size of the gradient.
        let mut parameters = one(1.0, Role::Offset);
        let mut adam = Optimiser::new(OptimiserParams::Adamw { rate: 0.1, decay: 0.5 }, &parameters);
        adam.step(&mut parameters, &[Some(vec![0.01])], 0.1);
        assert!((parameters.all()[0].value[0] - 0.9).abs() < 1e-5);
        // A weight also shrinks by rate times decay.
        let mut parameters = one(1.0, Role::Weight);
        let mut adam = Optimiser::new(OptimiserParams::Adamw { rate: 0.1, decay: 0.5 }, &parameters);
        adam.step(&mut parameters, &[Some(vec![-3.0])], 0.1);
        assert!((parameters.all()[0].value[0] - (0.95 + 0.1)).abs() < 1e-5);
        // Nesterov: gradient plus momentum times the new velocity.
        let mut parameters = one(0.0, Role::Weight);
        let mut sgd = Optimiser::new(OptimiserParams::Sgd { rate: 1.0, decay: 0.0, momentum: 0.5 }, &parameters);
        sgd.step(&mut parameters, &[Some(vec![1.0])], 1.0);
        assert_eq!(parameters.all()[0].value[0], -1.5);
        sgd.step(&mut parameters, &[Some(vec![1.0])], 1.0);
        assert_eq!(parameters.all()[0].value[0], -1.5 - 1.75);
    }

    #[test]
    fn long_gradients_are_shortened_and_absent_ones_change_nothing() {
        let mut parameters = one(0.0, Role::Offset);
        let mut sgd = Optimiser::new(OptimiserParams::Sgd { rate: 1.0, decay: 0.0, momentum: 0.0 }, &parameters);
        assert_eq!(sgd.step(&mut parameters, &[Some(vec![50.0])], 1.0), 50.0);
        assert_eq!(parameters.all()[0].value[0], -5.0);
        sgd.step(&mut parameters, &[None], 1.0);
        assert_eq!(parameters.all()[0].value[0], -5.0);
    }

    #[test]
    fn the_average_follows() {
        let (mut average, current) = (one(0.0, Role::Weight), one(1.0, Role::Weight));
        follow(&mut average, &current, 0.999, 0);
        assert!((average.all()[0].value[0] - 0.9).abs() < 1e-6);
        follow(&mut average, &current, 0.5, 1_000_000);
        assert!((average.all()[0].value[0] - 0.95).abs() < 1e-6);
    }
}

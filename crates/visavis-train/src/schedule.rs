//! The learning rate over a stage.

use serde::{Deserialize, Serialize};

use crate::recipe::Schedule;

/// State of a schedule and of early stopping.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Lowest validation score so far.
    pub best: Option<f64>,
    /// Epochs since that validation.
    pub waited: usize,
    /// Epochs since that validation, or since the rate was last lowered.
    pub since_lowered: usize,
    /// How often the rate was lowered.
    pub lowered: u32,
}

impl Progress {
    /// Records a validation score (lower is better); returns whether it is the best so far.
    pub fn note(&mut self, score: f64, schedule: &Schedule) -> bool {
        if self.best.is_none_or(|best| score < best) {
            *self = Self { best: Some(score), lowered: self.lowered, ..Self::default() };
            return true;
        }
        self.waited += 1;
        self.since_lowered += 1;
        if let Schedule::Plateau { patience, .. } = schedule
            && self.since_lowered > *patience
        {
            self.lowered += 1;
            self.since_lowered = 0;
        }
        false
    }
}

impl Schedule {
    /// The share of the peak rate at `done` epochs of `total`.
    #[must_use]
    pub fn share(&self, done: f64, total: f64, progress: &Progress) -> f64 {
        let (Self::Constant { warm_up } | Self::Cosine { warm_up } | Self::Plateau { warm_up, .. }) = *self;
        if done < warm_up {
            // At least a hundredth of the peak.
            return (done / warm_up).max(0.01);
        }
        match self {
            Self::Constant { .. } => 1.0,
            Self::Cosine { .. } => {
                let part = ((done - warm_up) / (total - warm_up).max(1e-9)).clamp(0.0, 1.0);
                0.5 * (1.0 + (std::f64::consts::PI * part).cos())
            }
            Self::Plateau { factor, .. } => factor.powi(progress.lowered as i32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_by_hand() {
        let calm = Progress::default();
        let cosine = Schedule::Cosine { warm_up: 1.0 };
        let cases = [(0.0, 0.01), (0.5, 0.5), (1.0, 1.0), (3.0, 0.5), (5.0, 0.0)];
        for (done, share) in cases {
            assert!((cosine.share(done, 5.0, &calm) - share).abs() < 1e-9, "{done}");
        }
        assert_eq!(Schedule::Constant { warm_up: 0.0 }.share(4.9, 5.0, &calm), 1.0);
    }

    #[test]
    fn a_plateau_lowers_the_rate() {
        let plateau = Schedule::Plateau { warm_up: 0.0, factor: 0.1, patience: 1 };
        let mut progress = Progress::default();
        let best: Vec<bool> = [5.0, 4.0, 4.5, 4.5, 3.0].iter().map(|score| progress.note(*score, &plateau)).collect();
        assert_eq!(best, [true, true, false, false, true]);
        assert_eq!((progress.lowered, progress.waited), (1, 0));
        assert!((plateau.share(5.0, 9.0, &progress) - 0.1).abs() < 1e-12);
    }
}

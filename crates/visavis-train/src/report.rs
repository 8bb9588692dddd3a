//! The progress of a run: reports of steps and epochs, and the lines of the table of steps.

use std::collections::BTreeMap;

use crate::validation::Figures;

/// A step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// Epoch of the stage, from 0.
    pub epoch: usize,
    /// Number of batches of the epoch that are done, and of all its batches.
    pub batch: (usize, usize),
    /// Loss.
    pub loss: f32,
    /// Learning rate.
    pub rate: f64,
    /// Pictures per second, over the last step.
    pub pictures_per_second: f64,
}

/// An epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochReport {
    /// Stage, from 0.
    pub stage: usize,
    /// Epoch of the stage, from 0.
    pub epoch: usize,
    /// Number of steps of the whole run.
    pub step: usize,
    /// Mean loss over the epoch.
    pub loss: f64,
    /// Figures on the validation part.
    pub figures: Figures,
    /// Their score; lower is better.
    pub score: f64,
    /// Whether it is the stage's best epoch so far.
    pub best: bool,
}

/// Means over the steps since the last line of the table.
#[derive(Debug, Default)]
pub(crate) struct StepLine {
    sums: BTreeMap<String, (f64, usize)>,
}

impl StepLine {
    pub(crate) fn add(&mut self, parts: &[(String, f32)]) {
        for (name, value) in parts {
            let sum = self.sums.entry(name.clone()).or_default();
            *sum = (sum.0 + f64::from(*value), sum.1 + 1);
        }
    }

    /// Returns the means and starts new ones.
    pub(crate) fn take(&mut self) -> BTreeMap<String, f64> {
        std::mem::take(&mut self.sums).into_iter().map(|(name, (sum, count))| (name, sum / count as f64)).collect()
    }
}

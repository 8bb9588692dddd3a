//! Parameters for training a forest.

use serde::{Deserialize, Serialize};

use super::TrainForestError;

/// Parameters for training a forest. The defaults are those of the shipped forest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrainForestParams {
    /// Levels of the cascade, T in the paper (10 there).
    pub levels: usize,
    /// Trees per level, K in the paper (500 there).
    pub trees: usize,
    /// Depth of the trees, F in the paper (5 there).
    pub depth: u8,
    /// Pixels that a level reads, P in the paper (400 there).
    pub pixels: usize,
    /// Splits tried per node, S in the paper (20 there).
    pub candidates: usize,
    /// Share of a tree's output that is added, ν in the paper (0.1 there).
    pub shrinkage: f32,
    /// Starts per face, R in the paper (20 there); every other one uses the mirror image.
    pub starts: usize,
    /// Share of the starts with another face's shape; the others start from the mean shape, like a real search.
    pub foreign_starts: f32,
    /// Distance at which a pair of pixels is drawn e times less often than a pair at distance zero, in sides of the box; 1/λ in
    /// the paper's exponential prior.
    pub pair_distance: f32,
    /// Margin around the mean shape's bounds in which pixels are drawn, in sides of the box: brows, cheeks and chin help.
    pub padding: f32,
    /// Largest random shift and scaling of the boxes of starts, as a share of the box's side; in addition to the differences
    /// between the detector's boxes and the labelled ones.
    pub jitter: f32,
    /// See [`visavis_face::forest::Sampler`].
    pub resolution: u16,
    /// Seed of everything random.
    pub seed: u64,
    /// Number of threads; the result does not depend on it.
    pub threads: usize,
}

impl Default for TrainForestParams {
    fn default() -> Self {
        Self {
            levels: 10,
            trees: 500,
            depth: 4,
            pixels: 400,
            candidates: 40,
            shrinkage: 0.1,
            starts: 10,
            foreign_starts: 0.2,
            pair_distance: 0.06,
            padding: 0.15,
            jitter: 0.1,
            resolution: 64,
            seed: 1,
            threads: 1,
        }
    }
}

impl TrainForestParams {
    /// Number of trees of the whole forest.
    #[must_use]
    pub fn all_trees(&self) -> usize {
        self.levels * self.trees
    }

    /// Checks the values.
    ///
    /// # Errors
    /// [`TrainForestError::Parameter`] for the first invalid one.
    pub fn validate(&self) -> Result<(), TrainForestError> {
        let counts = [
            ("levels", self.levels, 1, 100),
            ("trees", self.trees, 1, 10_000),
            ("depth", self.depth.into(), 1, 8),
            ("pixels", self.pixels, 2, 10_000),
            ("candidates", self.candidates, 1, 10_000),
            ("starts", self.starts, 1, 1000),
            ("resolution", self.resolution.into(), 8, 1024),
            ("threads", self.threads, 1, 256),
        ];
        for (field, value, low, high) in counts {
            if !(low..=high).contains(&value) {
                let reason = format!("{value} is not between {low} and {high}");
                return Err(TrainForestError::Parameter { field, reason });
            }
        }
        let shares = [
            ("shrinkage", self.shrinkage, 0.001, 1.0),
            ("foreign_starts", self.foreign_starts, 0.0, 1.0),
            ("pair_distance", self.pair_distance, 0.005, 100.0),
            ("padding", self.padding, 0.0, 1.0),
            ("jitter", self.jitter, 0.0, 0.5),
        ];
        for (field, value, low, high) in shares {
            if !(low..=high).contains(&value) {
                let reason = format!("{value} is not between {low} and {high}");
                return Err(TrainForestError::Parameter { field, reason });
            }
        }
        Ok(())
    }
}

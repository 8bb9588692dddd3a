//! Stages of a training: their data, optimiser and schedule.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

fn yes() -> bool {
    true
}

/// A stage of the training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Number of epochs.
    pub epochs: usize,
    /// Pictures per batch.
    pub batch: usize,
    /// Packs to train on.
    #[serde(default)]
    pub data: Vec<Source>,
    /// Pictures with face boxes to train on, for detectors.
    #[serde(default)]
    pub scenes: Vec<SceneSource>,
    /// The optimiser.
    #[serde(default)]
    pub optimiser: OptimiserParams,
    /// The schedule of the learning rate.
    #[serde(default)]
    pub schedule: Schedule,
    /// Decay of the moving average of the weights; 0 disables it.
    #[serde(default = "average")]
    pub average: f64,
    /// Ends the stage after more than this many epochs without a better validation.
    #[serde(default)]
    pub patience: Option<usize>,
    /// Parameters whose names begin with one of these are frozen.
    #[serde(default)]
    pub freeze: Vec<String>,
}

fn average() -> f64 {
    0.999
}

/// A pack in a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Folder of the pack.
    pub pack: PathBuf,
    /// How often each of its faces is used in an epoch, on average.
    #[serde(default = "super::unit")]
    pub repeat: f32,
    /// Balances the label's classes: 0 uses faces as they are, 1 uses each class equally often.
    #[serde(default)]
    pub balance: f32,
    /// Whether teachers are imitated on these faces.
    #[serde(default = "yes")]
    pub teach: bool,
    /// Only files whose path begins with one of these; empty means all.
    #[serde(default)]
    pub only: Vec<String>,
    /// Files whose path begins with one of these are left out.
    #[serde(default)]
    pub except: Vec<String>,
}

impl Source {
    /// Whether `only` and `except` leave this file of the pack.
    #[must_use]
    pub fn selects(&self, file: &str) -> bool {
        let begins = |list: &[String]| list.iter().any(|prefix| file.starts_with(prefix.as_str()));
        (self.only.is_empty() || begins(&self.only)) && !begins(&self.except)
    }
}

/// Pictures with face boxes in a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneSource {
    /// Folder of the pictures.
    pub images: PathBuf,
    /// The boxes, COCO JSON. Without it the pictures have no faces.
    #[serde(default)]
    pub boxes: Option<PathBuf>,
    /// How much more often than others a picture is used in which the network has a false positive at the start of the stage; the
    /// picture is then often cropped around that place. 0 disables this.
    #[serde(default)]
    pub mine: f32,
    /// How often each picture is used in an epoch, on average.
    #[serde(default = "super::unit")]
    pub repeat: f32,
    /// Whether its validation part is used for validation.
    #[serde(default = "yes")]
    pub validate: bool,
}

impl SceneSource {
    /// The name of the set, which determines its split.
    #[must_use]
    pub fn name(&self) -> String {
        visavis_data::boxes::set_name(&self.images)
    }
}

/// The optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum OptimiserParams {
    /// Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019); without decay it is Adam.
    Adamw {
        /// Peak learning rate.
        rate: f64,
        /// Weight decay.
        decay: f64,
    },
    /// Stochastic gradient descent with Nesterov's momentum.
    Sgd {
        /// Peak learning rate.
        rate: f64,
        /// Weight decay.
        decay: f64,
        /// Momentum.
        momentum: f64,
    },
}

impl Default for OptimiserParams {
    fn default() -> Self {
        Self::Adamw { rate: 1e-3, decay: 0.02 }
    }
}

impl OptimiserParams {
    /// Peak learning rate.
    #[must_use]
    pub fn rate(&self) -> f64 {
        match self {
            Self::Adamw { rate, .. } | Self::Sgd { rate, .. } => *rate,
        }
    }
}

/// The schedule of the learning rate, after a warm-up with a linear rise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Schedule {
    /// Constant.
    Constant {
        /// Epochs of warm-up.
        warm_up: f64,
    },
    /// Half a cosine down to zero at the stage's end.
    Cosine {
        /// Epochs of warm-up.
        warm_up: f64,
    },
    /// Multiplied by a factor whenever the validation has not improved for some epochs (paper, section III-E).
    Plateau {
        /// Epochs of warm-up.
        warm_up: f64,
        /// 0.1 in the paper.
        factor: f64,
        /// The rate is lowered after more than this many epochs without a better validation.
        patience: usize,
    },
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Cosine { warm_up: 0.5 }
    }
}

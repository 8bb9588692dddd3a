//! From a backbone to a face network: one task or several (paper, Fig. 4).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Backbone, Builder, Head, Layer, Network, Parameters};
use crate::TrainError;
use crate::ops::Activation;

/// Ages 0 to 100, a class each.
pub const AGE_CLASSES: usize = 101;

/// Width of the fully connected layer in each branch of a multitask network (paper, section III-F).
const BRANCH: usize = 512;

/// What a face network tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaceTask {
    /// 101 classes.
    Age,
    /// Male, female.
    Gender,
    /// Not smiling, smiling.
    Smile,
    /// A vector of unit length.
    Similarity,
}

impl FaceTask {
    /// All tasks.
    pub const ALL: [Self; 4] = [Self::Age, Self::Gender, Self::Smile, Self::Similarity];
}

impl fmt::Display for FaceTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Age => "age",
            Self::Gender => "gender",
            Self::Smile => "smile",
            Self::Similarity => "similarity",
        })
    }
}

impl FromStr for FaceTask {
    type Err = TrainError;

    fn from_str(text: &str) -> Result<Self, TrainError> {
        Self::ALL.into_iter().find(|task| task.to_string() == text).ok_or_else(|| TrainError::Recipe {
            reason: format!("there is no task `{text}`: it is one of age, gender, smile, similarity"),
        })
    }
}

/// What stands on a backbone.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadPlan {
    /// Outputs, in this order.
    pub tasks: Vec<FaceTask>,
    /// Numbers of an embedding.
    pub embedding: usize,
    /// Share of the features that training leaves out before each branch.
    pub dropout: f64,
}

/// A backbone, global average pooling and a branch for each task: of one fully connected layer for a single task, with
/// one of 512 before it for several. Embeddings are one layer and scaled to unit length.
#[must_use]
pub fn face_network(backbone: Backbone, side: usize, plan: &HeadPlan, seed: u64) -> (Network, Parameters) {
    let mut b = Builder::new(seed);
    let (mut body, channels) = backbone.build(&mut b, side);
    body.push(Layer::GlobalPool);
    let heads = plan.tasks.iter().map(|task| {
        let name = task.to_string();
        let layers = b.within(&name, |b| {
            let classes = match task {
                FaceTask::Age => AGE_CLASSES,
                FaceTask::Gender | FaceTask::Smile => 2,
                FaceTask::Similarity => return vec![b.linear("fc", channels, plan.embedding), Layer::UnitLength],
            };
            let mut layers = Vec::new();
            let mut features = channels;
            if plan.dropout > 0.0 {
                layers.push(Layer::Dropout { rate: plan.dropout });
            }
            if plan.tasks.len() > 1 {
                layers.push(b.linear("fc1", features, BRANCH));
                layers.push(Layer::Activate(Activation::Relu));
                features = BRANCH;
            }
            layers.push(b.linear("fc", features, classes));
            layers.push(Layer::Softmax);
            layers
        });
        Head { name, layers }
    });
    let heads = heads.collect();
    (Network { side, body, heads, ..Network::default() }, b.finish())
}

//! Builds face networks from a backbone: one task or several (paper, Fig. 4).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use visavis_data::EXPRESSIONS;

use super::backbone::mobilefacenet;
use super::parameters::BRANCH_NAME;
use super::{Backbone, Builder, Head, Layer, Network, Parameters};
use crate::TrainError;
use crate::ops::Activation;

/// Ages 0 to 100, one class each.
pub const AGE_CLASSES: usize = 101;

/// Width of the fully connected layer in each branch of a multitask network (paper, section III-F).
const BRANCH: usize = 512;

/// A task of a face network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaceTask {
    /// 101 classes.
    Age,
    /// Male, female.
    Gender,
    /// Not smiling, smiling.
    Smile,
    /// An embedding of unit length.
    Similarity,
    /// The eight classes of [`visavis_data::EXPRESSIONS`].
    Expression,
    /// Yaw, pitch and roll in degrees; the roll is relative to the crop.
    HeadPose,
}

impl FaceTask {
    /// All tasks.
    pub const ALL: [Self; 6] =
        [Self::Age, Self::Gender, Self::Smile, Self::Similarity, Self::Expression, Self::HeadPose];
}

impl fmt::Display for FaceTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Age => "age",
            Self::Gender => "gender",
            Self::Smile => "smile",
            Self::Similarity => "similarity",
            Self::Expression => "expression",
            Self::HeadPose => "head_pose",
        })
    }
}

impl FromStr for FaceTask {
    type Err = TrainError;

    fn from_str(text: &str) -> Result<Self, TrainError> {
        Self::ALL.into_iter().find(|task| task.to_string() == text).ok_or_else(|| TrainError::Recipe {
            reason: format!(
                "there is no task `{text}`: it is one of age, gender, smile, similarity, expression, head_pose"
            ),
        })
    }
}

/// The heads on a backbone.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadPlan {
    /// Outputs, in this order.
    pub tasks: Vec<FaceTask>,
    /// Length of an embedding.
    pub embedding: usize,
    /// Dropout rate before each branch.
    pub dropout: f64,
}

/// Width of the fully connected layer of each head on [`Network::branch`].
const NARROW: usize = 128;

/// A backbone, global average pooling and a head for each task: one fully connected layer for a single task, with one of
/// 512 before it for several. Embeddings are one layer, scaled to unit length.
///
/// With [`Backbone::MobileFaceNetSe`] the embedding is that of the published network. All other heads use a branch that begins
/// after two thirds of its blocks and has its own copies of the remaining layers.
#[must_use]
pub fn face_network(backbone: Backbone, side: usize, plan: &HeadPlan, seed: u64) -> (Network, Parameters) {
    let mut b = Builder::new(seed);
    if backbone == Backbone::MobileFaceNetSe {
        let network = branched(&mut b, side, plan);
        return (network, b.finish());
    }
    let (mut body, channels) = backbone.build(&mut b, side);
    body.push(Layer::GlobalPool);
    let heads = plan.tasks.iter().map(|&task| {
        let layers = if task == FaceTask::Similarity {
            b.within(&task.to_string(), |b| vec![b.linear("fc", channels, plan.embedding), Layer::UnitLength])
        } else {
            head(&mut b, task, channels, (plan.tasks.len() > 1).then_some(BRANCH), plan.dropout)
        };
        Head { name: task.to_string(), on_branch: false, layers }
    });
    let heads = heads.collect();
    (Network { side, body, heads, ..Network::default() }, b.finish())
}

/// The layers of a head that is not an embedding, with a hidden layer of the given width if wanted.
fn head(b: &mut Builder, task: FaceTask, features: usize, hidden: Option<usize>, dropout: f64) -> Vec<Layer> {
    let (outputs, ends) = match task {
        FaceTask::Age => (AGE_CLASSES, Some(Layer::Softmax)),
        FaceTask::Expression => (EXPRESSIONS.len(), Some(Layer::Softmax)),
        FaceTask::Gender | FaceTask::Smile => (2, Some(Layer::Softmax)),
        FaceTask::HeadPose => (3, None),
        FaceTask::Similarity => unreachable!("an embedding is made elsewhere"),
    };
    b.within(&task.to_string(), |b| {
        let mut layers = Vec::new();
        if dropout > 0.0 {
            layers.push(Layer::Dropout { rate: dropout });
        }
        let from = hidden.unwrap_or(features);
        if hidden.is_some() {
            layers.push(b.linear("fc1", features, from));
            layers.push(Layer::Activate(Activation::Relu));
        }
        layers.push(b.linear("fc", from, outputs));
        layers.extend(ends);
        layers
    })
}

/// A face network on [`Backbone::MobileFaceNetSe`]. The parameters of the published network come first, in its order.
fn branched(b: &mut Builder, side: usize, plan: &HeadPlan) -> Network {
    let mut body = mobilefacenet::stem(b);
    body.extend(mobilefacenet::blocks(b, 0..mobilefacenet::SHARED));
    let ending = |b: &mut Builder| {
        let mut layers = mobilefacenet::blocks(b, mobilefacenet::SHARED..mobilefacenet::COUNT);
        layers.extend(mobilefacenet::last(b));
        layers.push(mobilefacenet::pool(b, side));
        layers
    };
    let embedding = plan.tasks.contains(&FaceTask::Similarity).then(|| {
        let mut layers = ending(b);
        layers.push(b.convolution("embedding", [mobilefacenet::LAST, plan.embedding], 1, 1));
        layers.extend([Layer::Flatten, Layer::UnitLength]);
        layers
    });
    let mut branch = Vec::new();
    if plan.tasks.iter().any(|task| *task != FaceTask::Similarity) {
        branch = b.within(BRANCH_NAME, ending);
        branch.push(Layer::Flatten);
    }
    let heads = plan.tasks.iter().map(|&task| Head {
        name: task.to_string(),
        on_branch: task != FaceTask::Similarity,
        layers: match (task, &embedding) {
            (FaceTask::Similarity, Some(layers)) => layers.clone(),
            _ => head(b, task, mobilefacenet::LAST, Some(NARROW), plan.dropout),
        },
    });
    let heads = heads.collect();
    Network { side, body, branch, heads, ..Network::default() }
}

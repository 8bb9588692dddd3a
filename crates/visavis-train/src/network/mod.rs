//! Networks as lists of layers: one description from which they are trained, counted and exported.

pub mod backbone;
pub(crate) mod builder;
mod forward;
mod head;
mod onet;
mod parameters;
mod pretrained;

pub use backbone::Backbone;
pub use builder::Builder;
pub use forward::{Mode, Pass, Trace, log_shares, shares};
pub use head::{AGE_CLASSES, FaceTask, HeadPlan, face_network};
pub use onet::{POINTS, onet};
pub use parameters::{Parameter, ParameterId, Parameters, Role, Taken};
pub use pretrained::load_pretrained;

use visavis_infer::manifest::AnchorLevel;

use crate::ops::{Activation, Window};

/// One step from tensor to tensor. Activations are `[C, N, H, W]`, features `[N, F]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Layer {
    /// Convolution with weight `[C', C, k, k]`.
    Convolution {
        /// Kernel.
        weight: ParameterId,
        /// One number for each output channel; networks with a normalisation behind have none.
        bias: Option<ParameterId>,
        /// Size, step and margin.
        window: Window,
    },
    /// Convolution of every channel by itself, weight `[C, 1, k, k]`.
    Depthwise {
        /// Kernel.
        weight: ParameterId,
        /// Size, step and margin.
        window: Window,
    },
    /// Batch normalisation and what follows it.
    Norm(Norm),
    /// An activation that follows no normalisation.
    Activate(Activation),
    /// x where positive, slope·x elsewhere; a slope for each channel.
    PRelu {
        /// `[C]`.
        slope: ParameterId,
    },
    /// Largest of each window.
    MaxPool {
        /// Size, step and margin.
        window: Window,
    },
    /// `activation(body(x) + shortcut(x))`; an empty shortcut is x itself.
    Residual {
        /// The long way.
        body: Vec<Layer>,
        /// The short way.
        shortcut: Vec<Layer>,
        /// After the sum.
        activation: Activation,
    },
    /// Squeeze and excitation: every channel times σ(expand(silu(reduce(mean)))).
    SqueezeExcite {
        /// `[S, C, 1, 1]`.
        reduce: Affine,
        /// `[C, S, 1, 1]`.
        expand: Affine,
    },
    /// `[C, N, H, W]` to `[N, C]`: the mean of each plane.
    GlobalPool,
    /// `[C, N, H, W]` to `[N, C·H·W]`.
    Flatten,
    /// Fully connected: weight `[F', F]`, bias `[F']`.
    Linear(Affine),
    /// Features left out at random while training.
    Dropout {
        /// Share left out, 0 to 1.
        rate: f64,
    },
    /// Softmax over the features in the exported network; training works on what goes in.
    Softmax,
    /// Features divided by their length.
    UnitLength,
}

/// A weight and a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Affine {
    /// Weight.
    pub weight: ParameterId,
    /// Bias.
    pub bias: ParameterId,
}

/// Batch normalisation over the values of a channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norm {
    /// Scale `[C]`.
    pub scale: ParameterId,
    /// Shift `[C]`.
    pub shift: ParameterId,
    /// Running mean `[C]`.
    pub mean: ParameterId,
    /// Running variance `[C]`.
    pub variance: ParameterId,
    /// Added to the variance.
    pub epsilon: f64,
    /// What follows.
    pub activation: Activation,
}

/// One output of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Name of the output tensor.
    pub name: String,
    /// From the body's features to the output.
    pub layers: Vec<Layer>,
}

/// A network: a body whose features all heads share.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Network {
    /// Side of the square picture that it takes, in pixels; detectors take any and have 0.
    pub side: usize,
    /// From the picture `[3, N, side, side]` to features `[N, F]`.
    pub body: Vec<Layer>,
    /// What it tells.
    pub heads: Vec<Head>,
    /// Of a detector, which has no body and no heads: what it reads planes of each size for, finest first, one level going
    /// on from the planes of the last.
    pub levels: Vec<Level>,
    /// What a two-stage detector says of the boxes that its one level proposes.
    pub regions: Option<Regions>,
}

/// The second stage of a detector (Ren et al., NIPS 2015): boxes that the first proposes are looked at once more, each by
/// itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Regions {
    /// Boxes of a picture that are looked at.
    pub proposals: usize,
    /// Places along either side of a box at which the planes are read.
    pub side: usize,
    /// From `[C, boxes, side, side]` to features `[boxes, F]`.
    pub body: Vec<Layer>,
    /// To a score each, `[boxes, 1]`.
    pub scores: Vec<Layer>,
    /// To an offset from the proposal each, `[boxes, 4]`.
    pub boxes: Vec<Layer>,
}

/// The planes of one size in a detector, and what is said at each of their places.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// From the planes of the level before (the first: from the picture) to this one's.
    pub features: Vec<Layer>,
    /// From this level's planes to what scores and offsets are both said of; empty where that is the planes themselves.
    pub shared: Vec<Layer>,
    /// To `[anchors, N, H, W]`, a score each.
    pub scores: Vec<Layer>,
    /// To `[anchors · 4, N, H, W]`, an offset each.
    pub boxes: Vec<Layer>,
    /// The anchors at each place.
    pub anchors: AnchorLevel,
}

/// The factor and offset that a normalisation is once its statistics are fixed, for each channel.
#[must_use]
pub fn folded(parameters: &Parameters, norm: &Norm) -> (Vec<f32>, Vec<f32>) {
    let values = |id: ParameterId| parameters.get(id).value.iter();
    let factors: Vec<f32> = values(norm.scale)
        .zip(values(norm.variance))
        .map(|(scale, variance)| (f64::from(*scale) / (f64::from(*variance) + norm.epsilon).sqrt()) as f32)
        .collect();
    let offsets = values(norm.shift).zip(values(norm.mean)).zip(&factors);
    let offsets = offsets.map(|((shift, mean), factor)| shift - mean * factor).collect();
    (factors, offsets)
}

//! Networks as lists of layers: one description that is trained, counted and exported.

pub mod backbone;
mod blend;
pub(crate) mod builder;
mod forward;
mod head;
mod onet;
mod parameters;
mod pretrained;

pub use backbone::Backbone;
pub use blend::{blend, fold_norms};
pub use builder::Builder;
pub use forward::{Mode, Pass, Trace, log_shares, shares};
pub use head::{AGE_CLASSES, FaceTask, HeadPlan, face_network};
pub use onet::{POINTS, onet};
pub use parameters::{Parameter, ParameterId, Parameters, Role, Taken};
pub(crate) use pretrained::Calibration;
pub use pretrained::load_pretrained;

use visavis_infer::manifest::AnchorLevel;

use crate::ops::{Activation, Window};

/// A layer. Activations are `[C, N, H, W]`, features `[N, F]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Layer {
    /// Convolution with weight `[C', C, k, k]`.
    Convolution {
        /// Kernel.
        weight: ParameterId,
        /// One number per output channel; `None` if a normalisation follows.
        bias: Option<ParameterId>,
        /// Size, stride and padding.
        window: Window,
    },
    /// Convolution of every channel by itself, weight `[C, 1, k, k]`.
    Depthwise {
        /// Kernel.
        weight: ParameterId,
        /// One number per channel; `None` if a normalisation follows.
        bias: Option<ParameterId>,
        /// Size, stride and padding.
        window: Window,
    },
    /// Batch normalisation and activation.
    Norm(Norm),
    /// An activation without normalisation.
    Activate(Activation),
    /// x where positive, slope·x elsewhere; a slope per channel, or one for all channels.
    PRelu {
        /// `[C]` or `[1]`.
        slope: ParameterId,
    },
    /// Maximum of each window.
    MaxPool {
        /// Size, stride and padding.
        window: Window,
    },
    /// `activation(body(x) + shortcut(x))`; an empty shortcut is x itself.
    Residual {
        /// The body.
        body: Vec<Layer>,
        /// The shortcut.
        shortcut: Vec<Layer>,
        /// After the sum.
        activation: Activation,
    },
    /// Squeeze and excitation: every channel times σ(expand(f(reduce(mean)))).
    SqueezeExcite {
        /// `[S, C, 1, 1]`.
        reduce: Affine,
        /// `[C, S, 1, 1]`.
        expand: Affine,
        /// f: a leaky rectifier with this slope `[1]`; SiLU without one.
        slope: Option<ParameterId>,
    },
    /// `[C, N, H, W]` to `[N, C]`: the mean of each plane.
    GlobalPool,
    /// `[C, N, H, W]` to `[N, C·H·W]`.
    Flatten,
    /// Fully connected: weight `[F', F]`, bias `[F']`.
    Linear(Affine),
    /// Dropout: features left out at random in training.
    Dropout {
        /// Share left out, 0 to 1.
        rate: f64,
    },
    /// Softmax over the features in the exported network; training uses its input.
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
    /// The activation that follows.
    pub activation: Activation,
}

/// One output of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Name of the output tensor.
    pub name: String,
    /// Whether its input is the features of the network's branch instead of the body's.
    pub on_branch: bool,
    /// The layers.
    pub layers: Vec<Layer>,
}

/// A network: a body for all heads, and a branch for some of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Network {
    /// Side of the square input in pixels; 0 for detectors, which accept any size.
    pub side: usize,
    /// From the picture `[3, N, side, side]` to features `[N, F]`, or to planes if there is a branch.
    pub body: Vec<Layer>,
    /// From the body's output to the features of the heads [on it](Head::on_branch); empty if there are none.
    pub branch: Vec<Layer>,
    /// The outputs.
    pub heads: Vec<Head>,
    /// For a detector, which has no body and no heads: a level per resolution, finest first. The input of each level is the
    /// output of the one before.
    pub levels: Vec<Level>,
    /// The second stage of a two-stage detector, for the boxes that its only level proposes.
    pub regions: Option<Regions>,
    /// For an anchor-free detector, which has no `levels`: a level per resolution, finest first.
    pub pyramid: Vec<PyramidLevel>,
}

/// One resolution of an anchor-free detector with a feature pyramid (Lin et al., CVPR 2017).
///
/// Bottom-up, `features` compute this level's planes from those of the finer level. Top-down, the merged planes of the coarser
/// level are enlarged to twice the size and added to this level's planes; `lateral` computes the merged planes from the sum.
#[derive(Debug, Clone, PartialEq)]
pub struct PyramidLevel {
    /// Pixels of the picture between two neighbouring cells.
    pub stride: u32,
    /// From the planes of the finer level (for the first: from the picture) to this level's planes.
    pub features: Vec<Layer>,
    /// From the sum of this level's planes and the coarser merged planes to the merged planes.
    pub lateral: Vec<Layer>,
    /// From the merged planes to the common input of all predictions.
    pub shared: Vec<Layer>,
    /// Predictions of each cell: class score, object score, box, keypoints, in the order of [`CellOutput::ALL`].
    pub outputs: [Vec<Layer>; 4],
}

/// What an anchor-free detector predicts for each cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellOutput {
    /// Logit of the probability that the object is a face: one number.
    Class,
    /// Logit of the probability that there is an object: one number.
    Object,
    /// Centre as an offset from the cell and the logarithms of width and height, in strides: four numbers.
    Box,
    /// Five keypoints as offsets from the cell, in strides: ten numbers.
    Keypoints,
}

impl CellOutput {
    /// All of them, in the order of a network's outputs.
    pub const ALL: [Self; 4] = [Self::Class, Self::Object, Self::Box, Self::Keypoints];

    /// Numbers for each cell.
    #[must_use]
    pub fn columns(self) -> usize {
        match self {
            Self::Class | Self::Object => 1,
            Self::Box => 4,
            Self::Keypoints => 10,
        }
    }

    /// Name of the output tensor at a stride, such as `cls_8`.
    #[must_use]
    pub fn tensor(self, stride: u32) -> String {
        let kind = match self {
            Self::Class => "cls",
            Self::Object => "obj",
            Self::Box => "bbox",
            Self::Keypoints => "kps",
        };
        format!("{kind}_{stride}")
    }
}

impl Network {
    /// All layers in the order in which the exported graph runs them; layers inside residual blocks follow their block.
    #[must_use]
    pub fn layers(&self) -> Vec<&Layer> {
        fn visit<'a>(layers: &'a [Layer], all: &mut Vec<&'a Layer>) {
            for layer in layers {
                all.push(layer);
                if let Layer::Residual { body, shortcut, .. } = layer {
                    visit(body, all);
                    visit(shortcut, all);
                }
            }
        }
        let mut all = Vec::new();
        visit(&self.body, &mut all);
        visit(&self.branch, &mut all);
        self.heads.iter().for_each(|head| visit(&head.layers, &mut all));
        for level in &self.levels {
            [&level.features, &level.shared, &level.scores, &level.boxes]
                .iter()
                .for_each(|layers| visit(layers, &mut all));
        }
        if let Some(regions) = &self.regions {
            [&regions.body, &regions.scores, &regions.boxes].iter().for_each(|layers| visit(layers, &mut all));
        }
        self.pyramid.iter().for_each(|level| visit(&level.features, &mut all));
        self.pyramid.iter().rev().for_each(|level| visit(&level.lateral, &mut all));
        self.pyramid.iter().for_each(|level| visit(&level.shared, &mut all));
        // The published YuNet graphs compute all boxes before the object scores.
        for output in [CellOutput::Class, CellOutput::Box, CellOutput::Object, CellOutput::Keypoints] {
            self.pyramid.iter().for_each(|level| visit(&level.outputs[output as usize], &mut all));
        }
        all
    }
}

/// The second stage of a detector (Ren et al., NIPS 2015): it classifies and refines each box that the first stage
/// proposes.
#[derive(Debug, Clone, PartialEq)]
pub struct Regions {
    /// Number of boxes per picture.
    pub proposals: usize,
    /// Number of points along each side of a box at which the planes are read.
    pub side: usize,
    /// From `[C, boxes, side, side]` to features `[boxes, F]`.
    pub body: Vec<Layer>,
    /// To one score per box, `[boxes, 1]`.
    pub scores: Vec<Layer>,
    /// To one offset from the proposal per box, `[boxes, 4]`.
    pub boxes: Vec<Layer>,
}

/// One resolution of a detector: its planes, and the predictions at each place.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// From the planes of the level before (for the first: from the picture) to this level's planes.
    pub features: Vec<Layer>,
    /// From this level's planes to the common input of scores and boxes; empty if that is the planes themselves.
    pub shared: Vec<Layer>,
    /// To `[anchors, N, H, W]`, one score each.
    pub scores: Vec<Layer>,
    /// To `[anchors · 4, N, H, W]`, one offset each.
    pub boxes: Vec<Layer>,
    /// The anchors at each place.
    pub anchors: AnchorLevel,
}

/// The parameters of `layers`.
pub(crate) fn parameters_of(layers: &[Layer]) -> Vec<ParameterId> {
    let mut found = Vec::new();
    for layer in layers {
        match layer {
            Layer::Convolution { weight, bias, .. } | Layer::Depthwise { weight, bias, .. } => {
                found.push(*weight);
                found.extend(*bias);
            }
            Layer::Norm(norm) => found.extend([norm.scale, norm.shift, norm.mean, norm.variance]),
            Layer::PRelu { slope } => found.push(*slope),
            Layer::Residual { body, shortcut, .. } => {
                found.extend(parameters_of(body));
                found.extend(parameters_of(shortcut));
            }
            Layer::SqueezeExcite { reduce, expand, slope } => {
                found.extend([reduce.weight, reduce.bias, expand.weight, expand.bias]);
                found.extend(*slope);
            }
            Layer::Linear(affine) => found.extend([affine.weight, affine.bias]),
            Layer::Activate(_)
            | Layer::MaxPool { .. }
            | Layer::GlobalPool
            | Layer::Flatten
            | Layer::Dropout { .. }
            | Layer::Softmax
            | Layer::UnitLength => {}
        }
    }
    found
}

/// The factor and offset per channel that equal a normalisation with fixed statistics.
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

//! Runs a network in burn, for training and for checking exported networks.

use burn::tensor::activation::{log_softmax, relu, sigmoid, softmax};
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Tensor, TensorData};

use visavis_image::Rect;

use super::{Affine, Head, Layer, Network, Norm, ParameterId, Parameters, Regions, Role};
use crate::detector::regions::reading;
use crate::ops::{self, Activation};

/// The purpose of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Normalises with the batch's statistics, applies dropout, keeps gradients.
    Train {
        /// Seed of the dropout.
        seed: u64,
    },
    /// Like the exported network.
    Infer,
    /// Like the exported network, and records the statistics of every normalisation (for [`Pass::end`]).
    Measure,
}

/// A network's parameters as tensors on a device, for one pass.
pub struct Pass<'a> {
    parameters: &'a Parameters,
    tensors: Vec<Option<Bound>>,
    device: Device,
    mode: Mode,
    /// For each parameter whether it is frozen.
    frozen: Vec<bool>,
    random: fastrand::Rng,
    /// Mean and variance at the normalisations.
    moments: Vec<(Norm, Tensor<2>)>,
}

/// A parameter as a tensor of its rank.
enum Bound {
    One(Tensor<1>),
    Two(Tensor<2>),
    Four(Tensor<4>),
}

/// The result of a training pass, besides its outputs.
pub struct Trace<'a> {
    pass: Pass<'a>,
}

impl<'a> Pass<'a> {
    /// Copies the parameters to `device`, which must support gradients for [`Mode::Train`].
    #[must_use]
    pub fn new(parameters: &'a Parameters, device: &Device, mode: Mode) -> Self {
        Self {
            parameters,
            tensors: parameters.all().iter().map(|_| None).collect(),
            device: device.clone(),
            mode,
            frozen: vec![false; parameters.all().len()],
            random: fastrand::Rng::with_seed(if let Mode::Train { seed } = mode { seed } else { 0 }),
            moments: Vec::new(),
        }
    }

    /// Freezes parameters whose names begin with one of `prefixes`: they get no gradients, and their normalisations work as in
    /// the exported network.
    #[must_use]
    pub fn freeze(mut self, prefixes: &[String]) -> Self {
        let frozen = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
        self.frozen = self.parameters.all().iter().map(|parameter| frozen(&parameter.name)).collect();
        self
    }

    /// Whether a head learns: it, or the branch that it uses, has a parameter that is not frozen.
    #[must_use]
    pub fn learns(&self, network: &Network, head: &Head) -> bool {
        let learns = |layers: &[Layer]| super::parameters_of(layers).iter().any(|id| !self.frozen[id.0]);
        learns(&network.body) || (head.on_branch && learns(&network.branch)) || learns(&head.layers)
    }

    /// The outputs of the heads, each `[N, F]`, for pictures `[3, N, side, side]`; classes as raw scores.
    pub fn run(&mut self, network: &Network, pictures: Tensor<4>) -> Vec<Tensor<2>> {
        self.run_some(network, pictures, |_| true).into_iter().flatten().collect()
    }

    /// The same, only for the heads that are `wanted`.
    pub fn run_some(
        &mut self,
        network: &Network,
        pictures: Tensor<4>,
        wanted: impl Fn(&Head) -> bool,
    ) -> Vec<Option<Tensor<2>>> {
        let features = self.sequence(&network.body, Value::Planes(pictures));
        let on_branch = network.heads.iter().any(|head| head.on_branch && wanted(head));
        let branch = on_branch.then(|| self.sequence(&network.branch, features.clone()));
        let run = |head: &Head| {
            let from = if head.on_branch { branch.as_ref()? } else { &features };
            wanted(head).then(|| self.sequence(&head.layers, from.clone()).features())
        };
        network.heads.iter().map(run).collect()
    }

    /// A parameter with two axes, as a tensor of the pass.
    pub(crate) fn matrix(&mut self, id: ParameterId) -> Tensor<2> {
        self.two(id)
    }

    /// Scores `[N, A, 1]` and offsets `[N, A, 4]` of a detector's anchors, for pictures `[3, N, H, W]` of any size, and the
    /// planes of its last level. Anchors are ordered level by level, row by row, column by column, as in
    /// `visavis_face::detect::AnchorGrid`.
    pub fn detect(&mut self, network: &Network, pictures: Tensor<4>) -> ([Tensor<3>; 2], Tensor<4>) {
        let (mut scores, mut offsets, mut planes) = (Vec::new(), Vec::new(), pictures);
        for level in &network.levels {
            planes = self.sequence(&level.features, Value::Planes(planes)).planes();
            let shared = self.sequence(&level.shared, Value::Planes(planes.clone()));
            for (layers, columns, all) in [(&level.scores, 1, &mut scores), (&level.boxes, 4, &mut offsets)] {
                let said = self.sequence(layers, shared.clone()).planes();
                let [channels, batch, height, width] = said.dims();
                let rows = [batch, height * width * channels / columns, columns];
                all.push(said.permute([1, 2, 3, 0]).reshape(rows));
            }
        }
        ([Tensor::cat(scores, 1), Tensor::cat(offsets, 1)], planes)
    }

    /// The predictions of an anchor-free detector for pictures `[3, N, H, W]`, whose sides are multiples of the coarsest
    /// stride: for each output of [`CellOutput::ALL`](super::CellOutput::ALL) a tensor `[N, cells, columns]`; cells are ordered
    /// level by level, row by row, column by column. Class and object scores are before the sigmoid.
    pub fn detect_cells(&mut self, network: &Network, pictures: Tensor<4>) -> [Tensor<3>; 4] {
        let mut planes = Vec::new();
        let mut finer = pictures;
        for level in &network.pyramid {
            finer = self.sequence(&level.features, Value::Planes(finer)).planes();
            planes.push(finer.clone());
        }
        let mut merged = Vec::new();
        let mut coarser: Option<Tensor<4>> = None;
        for (level, own) in network.pyramid.iter().zip(planes).rev() {
            let sum = match coarser.take() {
                Some(planes) => own + enlarge(planes),
                None => own,
            };
            let planes = self.sequence(&level.lateral, Value::Planes(sum)).planes();
            coarser = Some(planes.clone());
            merged.push(planes);
        }
        merged.reverse();
        let mut parts: [Vec<Tensor<3>>; 4] = Default::default();
        for (level, planes) in network.pyramid.iter().zip(merged) {
            let shared = self.sequence(&level.shared, Value::Planes(planes));
            for (layers, parts) in level.outputs.iter().zip(&mut parts) {
                let predicted = self.sequence(layers, shared.clone()).planes();
                let [channels, batch, height, width] = predicted.dims();
                parts.push(predicted.permute([1, 2, 3, 0]).reshape([batch, height * width, channels]));
            }
        }
        parts.map(|parts| Tensor::cat(parts, 1))
    }

    /// The second stage's results for each picture's boxes (in pixels), read in planes `[C, N, H, W]` of this stride: scores
    /// `[1, B, 1]` and offsets `[1, B, 4]` of all B boxes, picture after picture; `None` if there are no boxes.
    pub fn classify_regions(
        &mut self,
        regions: &Regions,
        planes: &Tensor<4>,
        stride: u32,
        boxes: &[Vec<Rect>],
    ) -> Option<[Tensor<3>; 2]> {
        let [channels, _, height, width] = planes.dims();
        let side = regions.side;
        let weights = |spans: Vec<[f32; 2]>, length: usize| {
            let rows = spans.len() * side;
            let numbers = reading(spans.into_iter(), side, stride, length);
            Tensor::<2>::from_data(TensorData::new(numbers, [rows, length]), &self.device)
        };
        let mut read = Vec::new();
        for (picture, rects) in boxes.iter().enumerate().filter(|(_, rects)| !rects.is_empty()) {
            let plane = planes.clone().slice([0..channels, picture..picture + 1]).reshape([channels, height, width]);
            let rows = plane.swap_dims(0, 1).reshape([height, channels * width]);
            let down = weights(rects.iter().map(|rect| [rect.y, rect.height]).collect(), height);
            let down = ops::product(down, rows).reshape([rects.len(), side * channels, width]);
            let across = weights(rects.iter().map(|rect| [rect.x, rect.width]).collect(), width);
            let across = across.reshape([rects.len(), side, width]).swap_dims(1, 2);
            read.push(down.matmul(across).reshape([rects.len(), side, channels, side]).permute([2, 0, 1, 3]));
        }
        if read.is_empty() {
            return None;
        }
        let features = self.sequence(&regions.body, Value::Planes(Tensor::cat(read, 1)));
        Some([&regions.scores, &regions.boxes].map(|layers| {
            let said = self.sequence(layers, features.clone()).features();
            said.unsqueeze_dim::<3>(0)
        }))
    }

    /// The random numbers of this pass.
    pub(crate) fn random(&mut self) -> &mut fastrand::Rng {
        &mut self.random
    }

    /// Ends the pass.
    #[must_use]
    pub fn end(self) -> Trace<'a> {
        Trace { pass: self }
    }

    fn sequence(&mut self, layers: &[Layer], mut value: Value) -> Value {
        let mut rest = layers;
        while let Some((layer, behind)) = rest.split_first() {
            // A convolution's bias and the leaky rectifier after it are one operation.
            (value, rest) = match behind {
                [Layer::PRelu { slope }, behind @ ..] if self.is_shared(*slope) && bias_of(layer).is_some() => {
                    (self.convolve(layer, value, Some(*slope)), behind)
                }
                _ => (self.layer(layer, value), behind),
            };
        }
        value
    }

    /// Whether a rectifier has one slope for all channels.
    fn is_shared(&self, slope: ParameterId) -> bool {
        self.parameters.get(slope).value.len() == 1
    }

    /// A convolution with its bias and, if given, the leaky rectifier after it.
    fn convolve(&mut self, layer: &Layer, value: Value, slope: Option<ParameterId>) -> Value {
        let (out, bias) = match layer {
            Layer::Convolution { weight, bias, window } => {
                (ops::convolve(value.planes(), self.four(*weight), *window), bias)
            }
            Layer::Depthwise { weight, bias, window } => {
                (ops::depthwise(value.planes(), self.four(*weight), *window), bias)
            }
            _ => unreachable!("only convolutions are convolved"),
        };
        Value::Planes(match bias {
            Some(bias) => {
                let slope = match slope {
                    Some(slope) => self.one(slope),
                    None => Tensor::ones([1], &self.device),
                };
                ops::biased_leaky(out, self.one(*bias), slope)
            }
            None => out,
        })
    }

    fn layer(&mut self, layer: &Layer, value: Value) -> Value {
        match layer {
            Layer::Convolution { .. } | Layer::Depthwise { .. } => self.convolve(layer, value, None),
            Layer::Norm(norm) => Value::Planes(self.norm(norm, value.planes())),
            Layer::Activate(activation) => match value {
                Value::Planes(planes) => Value::Planes(activate(planes, *activation)),
                Value::Features(features) => Value::Features(activate(features, *activation)),
            },
            Layer::PRelu { slope } => match value {
                Value::Planes(x) => Value::Planes(relu(x.clone()) - relu(-x) * self.channels(*slope)),
                Value::Features(x) => {
                    let slope = self.one(*slope).unsqueeze::<2>();
                    Value::Features(relu(x.clone()) - relu(-x) * slope)
                }
            },
            Layer::MaxPool { window } => {
                let [before, behind] = window.padding;
                let options = MaxPoolOptions::new([window.kernel; 2])
                    .with_stride([window.stride; 2])
                    .with_padding_pairs([(before, behind); 2]);
                Value::Planes(max_pool2d(value.planes(), options))
            }
            Layer::Residual { body, shortcut, activation } => {
                let long = self.sequence(body, value.clone()).planes();
                let short = self.sequence(shortcut, value).planes();
                Value::Planes(activate(long + short, *activation))
            }
            Layer::SqueezeExcite { reduce, expand, slope } => {
                let x = value.planes();
                let mean = plane_means(x.clone());
                let squeezed = self.pointwise(reduce, mean);
                let squeezed = match slope {
                    Some(slope) => {
                        let slope = self.one(*slope).unsqueeze::<2>();
                        relu(squeezed.clone()) - relu(-squeezed) * slope
                    }
                    None => activate(squeezed, Activation::Silu),
                };
                let gate: Tensor<2> = sigmoid(self.pointwise(expand, squeezed));
                let [channels, batch] = gate.dims();
                Value::Planes(x * gate.reshape([channels, batch, 1, 1]))
            }
            Layer::GlobalPool => Value::Features(plane_means(value.planes()).transpose()),
            Layer::Flatten => {
                let x = value.planes();
                let [channels, batch, height, width] = x.dims();
                Value::Features(x.swap_dims(0, 1).reshape([batch, channels * height * width]))
            }
            Layer::Linear(affine) => Value::Features(self.linear(affine, value.features())),
            Layer::Dropout { rate } => match self.mode {
                Mode::Infer | Mode::Measure => value,
                Mode::Train { .. } => {
                    let x = value.features();
                    let [batch, features] = x.dims();
                    // burn's random numbers are shared by the whole process: with two runs at once they would not be reproducible.
                    let kept: Vec<f32> = (0..batch * features)
                        .map(|_| if self.random.f64() < *rate { 0.0 } else { (1.0 / (1.0 - rate)) as f32 })
                        .collect();
                    Value::Features(x * Tensor::from_data(TensorData::new(kept, [batch, features]), &self.device))
                }
            },
            // The losses take raw scores.
            Layer::Softmax => value,
            Layer::UnitLength => {
                let x = value.features();
                let length = (x.clone().powf_scalar(2.0).sum_dim(1) + 1e-12).sqrt();
                Value::Features(x / length)
            }
        }
    }

    fn norm(&mut self, norm: &Norm, x: Tensor<4>) -> Tensor<4> {
        match self.mode {
            Mode::Train { .. } if !self.frozen[norm.scale.0] => {
                let (scale, shift) = (self.one(norm.scale), self.one(norm.shift));
                let (out, moments) = ops::normalise(x, scale, shift, norm.epsilon, norm.activation);
                self.moments.push((*norm, moments));
                out
            }
            Mode::Train { .. } | Mode::Infer | Mode::Measure => {
                if self.mode == Mode::Measure {
                    let [channels, batch, height, width] = x.dims();
                    let count = batch * height * width;
                    let rows = x.clone().reshape([channels, count]);
                    let mean = rows.clone().mean_dim(1);
                    let variance = (rows - mean.clone()).powf_scalar(2.0).mean_dim(1);
                    let moments = Tensor::cat(vec![mean.reshape([1, channels]), variance.reshape([1, channels])], 0);
                    self.moments.push((*norm, moments));
                }
                let (scale, shift) = super::folded(self.parameters, norm);
                let planes = |values: Vec<f32>| {
                    let count = values.len();
                    Tensor::<1>::from_data(TensorData::new(values, [count]), &self.device).reshape([count, 1, 1, 1])
                };
                activate(x * planes(scale) + planes(shift), norm.activation)
            }
        }
    }

    /// `[F', N]` from `[F, N]`, the weight stored as a 1×1 convolution.
    fn pointwise(&mut self, affine: &Affine, x: Tensor<2>) -> Tensor<2> {
        let weight = self.four(affine.weight);
        let [to, from, _, _] = weight.dims();
        weight.reshape([to, from]).matmul(x) + self.one(affine.bias).reshape([to, 1])
    }

    fn linear(&mut self, affine: &Affine, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.two(affine.weight).transpose()) + self.one(affine.bias).unsqueeze::<2>()
    }

    /// A value for each channel, shaped for planes.
    fn channels(&mut self, id: ParameterId) -> Tensor<4> {
        let values = self.one(id);
        let [count] = values.dims();
        values.reshape([count, 1, 1, 1])
    }

    fn tensor<const D: usize>(&self, id: ParameterId) -> Tensor<D> {
        let parameter = self.parameters.get(id);
        let data = TensorData::new(parameter.value.clone(), parameter.shape.clone());
        let tensor = Tensor::from_data(data, &self.device);
        let trains = matches!(self.mode, Mode::Train { .. });
        if trains && parameter.role != Role::Statistic && !self.frozen[id.0] { tensor.require_grad() } else { tensor }
    }

    fn one(&mut self, id: ParameterId) -> Tensor<1> {
        if self.tensors[id.0].is_none() {
            self.tensors[id.0] = Some(Bound::One(self.tensor(id)));
        }
        match &self.tensors[id.0] {
            Some(Bound::One(tensor)) => tensor.clone(),
            _ => unreachable!("the builder made it of rank 1"),
        }
    }

    fn two(&mut self, id: ParameterId) -> Tensor<2> {
        if self.tensors[id.0].is_none() {
            self.tensors[id.0] = Some(Bound::Two(self.tensor(id)));
        }
        match &self.tensors[id.0] {
            Some(Bound::Two(tensor)) => tensor.clone(),
            _ => unreachable!("the builder made it of rank 2"),
        }
    }

    fn four(&mut self, id: ParameterId) -> Tensor<4> {
        if self.tensors[id.0].is_none() {
            self.tensors[id.0] = Some(Bound::Four(self.tensor(id)));
        }
        match &self.tensors[id.0] {
            Some(Bound::Four(tensor)) => tensor.clone(),
            _ => unreachable!("the builder made it of rank 4"),
        }
    }
}

impl Trace<'_> {
    /// The gradient of `loss` with respect to every parameter, in their order; `None` for a parameter that took no part.
    #[must_use]
    pub fn gradients(&self, loss: &Tensor<1>) -> Vec<Option<Vec<f32>>> {
        let mut gradients = loss.backward();
        let mut numbers = |bound: &Bound| -> Option<Vec<f32>> {
            let data = match bound {
                Bound::One(tensor) => tensor.grad_remove(&mut gradients)?.into_data(),
                Bound::Two(tensor) => tensor.grad_remove(&mut gradients)?.into_data(),
                Bound::Four(tensor) => tensor.grad_remove(&mut gradients)?.into_data(),
            };
            data.try_into_vec().ok()
        };
        self.pass.tensors.iter().map(|bound| bound.as_ref().and_then(&mut numbers)).collect()
    }

    /// Mean and (unbiased) variance at each normalisation, with the normalisation.
    #[must_use]
    pub fn moments(&self) -> Vec<(Norm, Vec<f32>, Vec<f32>)> {
        let read = |(norm, moments): &(Norm, Tensor<2>)| {
            let mut mean: Vec<f32> = moments.clone().into_data().try_into_vec().unwrap_or_default();
            let variance = mean.split_off(mean.len() / 2);
            (*norm, mean, variance)
        };
        self.pass.moments.iter().map(read).collect()
    }
}

/// The bias of a convolution, if it has one.
fn bias_of(layer: &Layer) -> Option<ParameterId> {
    match layer {
        Layer::Convolution { bias, .. } | Layer::Depthwise { bias, .. } => *bias,
        _ => None,
    }
}

/// A value between layers.
#[derive(Clone)]
enum Value {
    /// `[C, N, H, W]`.
    Planes(Tensor<4>),
    /// `[N, F]`.
    Features(Tensor<2>),
}

impl Value {
    fn planes(self) -> Tensor<4> {
        match self {
            Self::Planes(tensor) => tensor,
            Self::Features(_) => unreachable!("a layer of planes behind one of features: the builder is wrong"),
        }
    }

    fn features(self) -> Tensor<2> {
        match self {
            Self::Features(tensor) => tensor,
            Self::Planes(_) => unreachable!("a layer of features behind one of planes: the builder is wrong"),
        }
    }
}

/// Enlarges planes to twice the size by repeating each value in a square of four.
fn enlarge(x: Tensor<4>) -> Tensor<4> {
    let [channels, batch, height, width] = x.dims();
    let rows: Tensor<4> = x.reshape([channels * batch * height, 1, width, 1]);
    let rows = rows.expand([channels * batch * height, 2, width, 2]);
    rows.reshape([channels, batch, 2 * height, 2 * width])
}

/// Means of planes: `[C, N, H, W]` to `[C, N]`.
fn plane_means(x: Tensor<4>) -> Tensor<2> {
    let [channels, batch, height, width] = x.dims();
    x.reshape([channels * batch, height * width]).mean_dim(1).reshape([channels, batch])
}

fn activate<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    match activation {
        Activation::Identity => x,
        Activation::Relu => relu(x),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Silu => x.clone() * sigmoid(x),
    }
}

/// Softmax of raw scores `[N, F]`.
#[must_use]
pub fn shares(scores: Tensor<2>) -> Tensor<2> {
    softmax(scores, 1)
}

/// Logarithm of [`shares`].
#[must_use]
pub fn log_shares(scores: Tensor<2>) -> Tensor<2> {
    log_softmax(scores, 1)
}

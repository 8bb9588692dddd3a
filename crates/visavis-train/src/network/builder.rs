//! Builds the layers of a network together with their initial values.

use super::{Affine, Layer, Norm, Parameter, ParameterId, Parameters, Role};
use crate::numbers::normal;
use crate::ops::{Activation, Window};

/// Makes layers and their parameters.
///
/// Names follow PyTorch: [`within`](Builder::within) adds a prefix to all names made inside.
#[derive(Debug)]
pub struct Builder {
    parameters: Parameters,
    path: Vec<String>,
    random: fastrand::Rng,
    epsilon: f64,
}

impl Builder {
    /// A builder whose initial values follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            parameters: Parameters::default(),
            path: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
            epsilon: 1e-5,
        }
    }

    /// The finished parameters.
    #[must_use]
    pub fn finish(self) -> Parameters {
        self.parameters
    }

    /// Sets the number that normalisations made from now on add to the variance (1e-5; EfficientNet 1e-3).
    pub fn set_epsilon(&mut self, epsilon: f64) {
        self.epsilon = epsilon;
    }

    /// Makes layers under a prefix.
    pub fn within<T>(&mut self, prefix: &str, make: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(prefix.to_owned());
        let made = make(self);
        self.path.pop();
        made
    }

    fn add(
        &mut self,
        name: &str,
        shape: &[usize],
        role: Role,
        mut value: impl FnMut(&mut fastrand::Rng) -> f32,
    ) -> ParameterId {
        let name = self
            .path
            .iter()
            .map(String::as_str)
            .chain([name])
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(".");
        let count = shape.iter().product();
        let value = (0..count).map(|_| value(&mut self.random)).collect();
        self.parameters.push(Parameter { name, shape: shape.to_vec(), role, value })
    }

    /// He initialisation for rectified units (ICCV 2015), over the outputs as in torchvision.
    fn kernel(&mut self, name: &str, shape: [usize; 4], fan: usize) -> ParameterId {
        let deviation = (2.0 / fan.max(1) as f32).sqrt();
        self.add(name, &shape, Role::Weight, |random| deviation * normal(random))
    }

    /// A convolution without bias, with padding k/2.
    pub fn convolution(&mut self, name: &str, channels: [usize; 2], kernel: usize, stride: usize) -> Layer {
        let window = Window::centred(kernel, stride);
        self.convolution_with(name, channels, window, false)
    }

    /// A convolution.
    pub fn convolution_with(&mut self, name: &str, [from, to]: [usize; 2], window: Window, bias: bool) -> Layer {
        let k = window.kernel;
        self.within(name, |b| Layer::Convolution {
            weight: b.kernel("weight", [to, from, k, k], to * k * k),
            bias: bias.then(|| b.add("bias", &[to], Role::Offset, |_| 0.0)),
            window,
        })
    }

    /// A convolution with padding k/2 whose initial output is about `bias` for any input.
    pub fn convolution_from(&mut self, name: &str, [from, to]: [usize; 2], kernel: usize, bias: f32) -> Layer {
        let deviation = (0.01 / (from * kernel * kernel) as f32).sqrt();
        self.within(name, |b| Layer::Convolution {
            weight: b.add("weight", &[to, from, kernel, kernel], Role::Weight, |random| deviation * normal(random)),
            bias: Some(b.add("bias", &[to], Role::Offset, |_| bias)),
            window: Window::centred(kernel, 1),
        })
    }

    /// A depthwise convolution without bias.
    pub fn depthwise(&mut self, name: &str, channels: usize, window: Window) -> Layer {
        self.depthwise_with(name, channels, window, false)
    }

    /// A depthwise convolution.
    pub fn depthwise_with(&mut self, name: &str, channels: usize, window: Window, bias: bool) -> Layer {
        let k = window.kernel;
        self.within(name, |b| Layer::Depthwise {
            weight: b.kernel("weight", [channels, 1, k, k], k * k),
            bias: bias.then(|| b.add("bias", &[channels], Role::Offset, |_| 0.0)),
            window,
        })
    }

    /// A depthwise convolution with padding k/2 that initially passes its input on and adds `bias`.
    pub fn depthwise_from(&mut self, name: &str, channels: usize, kernel: usize, bias: f32) -> Layer {
        let size = kernel * kernel;
        let mut at = 0;
        self.within(name, |b| Layer::Depthwise {
            weight: b.add("weight", &[channels, 1, kernel, kernel], Role::Weight, |_| {
                at += 1;
                f32::from(u8::from((at - 1) % size == size / 2))
            }),
            bias: Some(b.add("bias", &[channels], Role::Offset, |_| bias)),
            window: Window::centred(kernel, 1),
        })
    }

    /// A normalisation.
    pub fn norm(&mut self, name: &str, channels: usize, activation: Activation) -> Layer {
        let epsilon = self.epsilon;
        self.within(name, |b| {
            Layer::Norm(Norm {
                scale: b.add("weight", &[channels], Role::Offset, |_| 1.0),
                shift: b.add("bias", &[channels], Role::Offset, |_| 0.0),
                mean: b.add("running_mean", &[channels], Role::Statistic, |_| 0.0),
                variance: b.add("running_var", &[channels], Role::Statistic, |_| 1.0),
                epsilon,
                activation,
            })
        })
    }

    /// A parametric rectifier with a slope per channel, initially 0.25 as in its paper.
    pub fn prelu(&mut self, name: &str, channels: usize) -> Layer {
        self.within(name, |b| Layer::PRelu { slope: b.add("weight", &[channels], Role::Offset, |_| 0.25) })
    }

    /// A parametric rectifier with one slope for all channels.
    pub fn leaky(&mut self, name: &str) -> Layer {
        Layer::PRelu { slope: self.slope(name) }
    }

    fn slope(&mut self, name: &str) -> ParameterId {
        self.within(name, |b| b.add("weight", &[1], Role::Offset, |_| 0.25))
    }

    /// A fully connected layer.
    pub fn linear(&mut self, name: &str, from: usize, to: usize) -> Layer {
        let deviation = (1.0 / from as f32).sqrt();
        self.within(name, |b| {
            Layer::Linear(Affine {
                weight: b.add("weight", &[to, from], Role::Weight, |random| deviation * normal(random)),
                bias: b.add("bias", &[to], Role::Offset, |_| 0.0),
            })
        })
    }

    /// A fully connected layer whose initial output is about `bias` for any input.
    pub fn linear_from(&mut self, name: &str, from: usize, bias: &[f32]) -> Layer {
        let deviation = (0.01 / from as f32).sqrt();
        let mut values = bias.iter().copied();
        self.within(name, |b| {
            Layer::Linear(Affine {
                weight: b.add("weight", &[bias.len(), from], Role::Weight, |random| deviation * normal(random)),
                bias: b.add("bias", &[bias.len()], Role::Offset, |_| values.next().unwrap_or_default()),
            })
        })
    }

    /// Squeeze and excitation with SiLU; the two layers have the given names.
    pub fn squeeze_excite(&mut self, [reduce, expand]: [&str; 2], channels: usize, squeezed: usize) -> Layer {
        let (reduce, expand) = (self.squeeze(reduce, channels, squeezed), self.squeeze(expand, squeezed, channels));
        Layer::SqueezeExcite { reduce, expand, slope: None }
    }

    /// Squeeze and excitation with a leaky rectifier.
    pub fn leaky_squeeze_excite(&mut self, name: &str, channels: usize, squeezed: usize) -> Layer {
        self.within(name, |b| {
            let reduce = b.squeeze("reduce", channels, squeezed);
            let slope = Some(b.slope("prelu"));
            Layer::SqueezeExcite { reduce, expand: b.squeeze("expand", squeezed, channels), slope }
        })
    }

    fn squeeze(&mut self, name: &str, from: usize, to: usize) -> Affine {
        self.within(name, |b| Affine {
            weight: b.kernel("weight", [to, from, 1, 1], to),
            bias: b.add("bias", &[to], Role::Offset, |_| 0.0),
        })
    }
}

/// Channels times a width multiplier, rounded to a multiple of 8 but not below nine tenths (as in the MobileNet authors' code).
#[must_use]
pub(crate) fn scaled(channels: usize, multiplier: f64) -> usize {
    let exact = channels as f64 * multiplier;
    let rounded = (((exact + 4.0) / 8.0) as usize * 8).max(8);
    if (rounded as f64) < 0.9 * exact { rounded + 8 } else { rounded }
}

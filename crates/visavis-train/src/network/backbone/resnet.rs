//! Residual networks, with the names of torchvision.

use super::Stage;
use crate::network::{Builder, Layer};
use crate::ops::{Activation, Window};

pub(super) fn resnet18(b: &mut Builder) -> Vec<Stage> {
    resnet(b, [2, 2, 2, 2], false)
}

pub(super) fn resnet50(b: &mut Builder) -> Vec<Stage> {
    resnet(b, [3, 4, 6, 3], true)
}

pub(super) fn resnet101(b: &mut Builder) -> Vec<Stage> {
    resnet(b, [3, 4, 23, 3], true)
}

/// `bottleneck` blocks have three convolutions and four times as many output channels.
fn resnet(b: &mut Builder, repeats: [usize; 4], bottleneck: bool) -> Vec<Stage> {
    let stem = vec![b.convolution("conv1", [3, 64], 7, 2), b.norm("bn1", 64, Activation::Relu)];
    let mut stages = vec![Stage { layers: stem, channels: 64 }];
    let mut layers = vec![Layer::MaxPool { window: Window::centred(3, 2) }];
    let mut from = 64;
    for (stage, repeats) in repeats.into_iter().enumerate() {
        let inner = 64 << stage;
        let to = if bottleneck { 4 * inner } else { inner };
        for block in 0..repeats {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let residual = b.within(&format!("layer{}.{block}", stage + 1), |b| {
                let body = if bottleneck { thin(b, from, inner, to, stride) } else { basic(b, from, to, stride) };
                let shortcut = if stride != 1 || from != to {
                    vec![
                        b.convolution("downsample.0", [from, to], 1, stride),
                        b.norm("downsample.1", to, Activation::Identity),
                    ]
                } else {
                    Vec::new()
                };
                Layer::Residual { body, shortcut, activation: Activation::Relu }
            });
            layers.push(residual);
            from = to;
        }
        stages.push(Stage { layers: std::mem::take(&mut layers), channels: from });
    }
    stages
}

fn basic(b: &mut Builder, from: usize, to: usize, stride: usize) -> Vec<Layer> {
    vec![
        b.convolution("conv1", [from, to], 3, stride),
        b.norm("bn1", to, Activation::Relu),
        b.convolution("conv2", [to, to], 3, 1),
        b.norm("bn2", to, Activation::Identity),
    ]
}

fn thin(b: &mut Builder, from: usize, inner: usize, to: usize, stride: usize) -> Vec<Layer> {
    vec![
        b.convolution("conv1", [from, inner], 1, 1),
        b.norm("bn1", inner, Activation::Relu),
        b.convolution("conv2", [inner, inner], 3, stride),
        b.norm("bn2", inner, Activation::Relu),
        b.convolution("conv3", [inner, to], 1, 1),
        b.norm("bn3", to, Activation::Identity),
    ]
}

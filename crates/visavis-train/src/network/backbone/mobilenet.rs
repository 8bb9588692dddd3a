//! MobileNets: depthwise separable convolutions, and inverted residuals of them.

use super::Stage;
use crate::network::builder::scaled;
use crate::network::{Builder, Layer};
use crate::ops::{Activation, Window};

/// MobileNetV1: output channels and stride of each separable convolution (Table 1 of the paper).
const V1: [(usize, usize); 13] = [
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
];

pub(super) fn v1(b: &mut Builder, width: f64) -> Vec<Stage> {
    // The authors truncate instead of rounding to multiples of eight; for the usual widths the results are the same.
    let channels = |full: usize| scaled(full, width);
    let mut from = channels(32);
    let mut layers = vec![b.convolution("conv1", [3, from], 3, 2), b.norm("bn1", from, Activation::Relu6)];
    let mut stages = Vec::new();
    for (index, (to, stride)) in V1.into_iter().enumerate() {
        let to = channels(to);
        if stride == 2 {
            stages.push(Stage { layers: std::mem::take(&mut layers), channels: from });
        }
        b.within(&format!("blocks.{index}"), |b| {
            layers.push(b.depthwise("depthwise", from, Window::centred(3, stride)));
            layers.push(b.norm("bn1", from, Activation::Relu6));
            layers.push(b.convolution("pointwise", [from, to], 1, 1));
            layers.push(b.norm("bn2", to, Activation::Relu6));
        });
        from = to;
    }
    stages.push(Stage { layers, channels: from });
    stages
}

/// MobileNetV2: expansion, output channels, repeats, stride of the first (Table 2 of the paper).
const V2: [(usize, usize, usize, usize); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

/// Names as in torchvision. A stage ends with the expanded planes in the middle of a block, from which SSDLite reads
/// (section 6.2 of the paper).
pub(super) fn v2(b: &mut Builder, width: f64) -> Vec<Stage> {
    let mut from = scaled(32, width);
    let mut layers =
        b.within("features.0", |b| vec![b.convolution("0", [3, from], 3, 2), b.norm("1", from, Activation::Relu6)]);
    let (mut index, mut stages) = (1, Vec::new());
    for (expansion, to, repeats, first_stride) in V2 {
        let to = scaled(to, width);
        for repeat in 0..repeats {
            let stride = if repeat == 0 { first_stride } else { 1 };
            let block =
                b.within(&format!("features.{index}.conv"), |b| inverted_residual(b, from, to, expansion, stride));
            if stride == 2 {
                let mut block = block.into_iter();
                layers.extend(block.by_ref().take(2));
                stages.push(Stage { layers: std::mem::take(&mut layers), channels: from * expansion });
                layers.extend(block);
            } else if from == to {
                layers.push(Layer::Residual { body: block, shortcut: Vec::new(), activation: Activation::Identity });
            } else {
                layers.extend(block);
            }
            (from, index) = (to, index + 1);
        }
    }
    // The last layer never shrinks (section 5 of the paper).
    let last = scaled(1280, width.max(1.0));
    b.within(&format!("features.{index}"), |b| {
        layers.push(b.convolution("0", [from, last], 1, 1));
        layers.push(b.norm("1", last, Activation::Relu6));
    });
    stages.push(Stage { layers, channels: last });
    stages
}

fn inverted_residual(b: &mut Builder, from: usize, to: usize, expansion: usize, stride: usize) -> Vec<Layer> {
    let wide = from * expansion;
    let mut layers = Vec::new();
    let mut at = 0;
    if expansion > 1 {
        layers.push(b.convolution("0.0", [from, wide], 1, 1));
        layers.push(b.norm("0.1", wide, Activation::Relu6));
        at = 1;
    }
    layers.push(b.depthwise(&format!("{at}.0"), wide, Window::centred(3, stride)));
    layers.push(b.norm(&format!("{at}.1"), wide, Activation::Relu6));
    layers.push(b.convolution(&(at + 1).to_string(), [wide, to], 1, 1));
    layers.push(b.norm(&(at + 2).to_string(), to, Activation::Identity));
    layers
}

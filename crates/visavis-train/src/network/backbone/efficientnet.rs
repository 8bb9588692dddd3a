//! EfficientNets, with the names of the widely used PyTorch port (`_blocks.0._depthwise_conv.weight`).

use crate::network::builder::scaled;
use crate::network::{Builder, Layer};
use crate::ops::{Activation, Window};

/// Compound scaling of the family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    width: f64,
    depth: f64,
    /// The Lite networks have no squeeze and excitation; stem, head, first and last stage are not scaled.
    lite: bool,
}

pub(super) const B0: Family = Family { width: 1.0, depth: 1.0, lite: false };
pub(super) const B1: Family = Family { width: 1.0, depth: 1.1, lite: false };
pub(super) const B7: Family = Family { width: 2.0, depth: 3.1, lite: false };
pub(super) const LITE0: Family = Family { width: 1.0, depth: 1.0, lite: true };

/// Expansion, kernel, stride, output channels, repeats of each stage (Table 1 of the paper).
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
];

/// Padding is TensorFlow's, which depends on the input side.
pub(super) fn efficientnet(b: &mut Builder, side: usize, family: Family) -> (Vec<Layer>, usize) {
    b.set_epsilon(1e-3);
    let activation = if family.lite { Activation::Relu6 } else { Activation::Silu };
    let width = |channels: usize| if family.lite { channels } else { scaled(channels, family.width) };
    let mut from = width(32);
    let stem = Window::same(3, 2, side);
    let mut side = stem.places(side);
    let mut layers = vec![b.convolution_with("_conv_stem", [3, from], stem, false), b.norm("_bn0", from, activation)];
    let mut index = 0;
    for (stage, (expansion, kernel, first_stride, to, repeats)) in STAGES.into_iter().enumerate() {
        let to = scaled(to, family.width);
        let fixed = family.lite && (stage == 0 || stage + 1 == STAGES.len());
        let repeats = if fixed { repeats } else { (repeats as f64 * family.depth).ceil() as usize };
        for repeat in 0..repeats {
            let window = Window::same(kernel, if repeat == 0 { first_stride } else { 1 }, side);
            side = window.places(side);
            let block = b.within(&format!("_blocks.{index}"), |b| {
                let wide = from * expansion;
                let mut block = Vec::new();
                if expansion > 1 {
                    block.push(b.convolution("_expand_conv", [from, wide], 1, 1));
                    block.push(b.norm("_bn0", wide, activation));
                }
                block.push(b.depthwise("_depthwise_conv", wide, window));
                block.push(b.norm("_bn1", wide, activation));
                if !family.lite {
                    // A quarter of the channels at the block's input, not of the expanded ones.
                    block.push(b.squeeze_excite(["_se_reduce", "_se_expand"], wide, (from / 4).max(1)));
                }
                block.push(b.convolution("_project_conv", [wide, to], 1, 1));
                block.push(b.norm("_bn2", to, Activation::Identity));
                block
            });
            if window.stride == 1 && from == to {
                layers.push(Layer::Residual { body: block, shortcut: Vec::new(), activation: Activation::Identity });
            } else {
                layers.extend(block);
            }
            (from, index) = (to, index + 1);
        }
    }
    let last = width(1280);
    layers.push(b.convolution("_conv_head", [from, last], 1, 1));
    layers.push(b.norm("_bn1", last, activation));
    (layers, last)
}

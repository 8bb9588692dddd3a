//! VGG16, with the names of torchvision.

use crate::network::{Builder, Layer};
use crate::ops::{Activation, Window};

/// Channels of the 3×3 convolutions; `None` is a pooling.
const PLAN: [Option<usize>; 18] = [
    Some(64),
    Some(64),
    None,
    Some(128),
    Some(128),
    None,
    Some(256),
    Some(256),
    Some(256),
    None,
    Some(512),
    Some(512),
    Some(512),
    None,
    Some(512),
    Some(512),
    Some(512),
    None,
];

pub(super) fn vgg16(b: &mut Builder) -> (Vec<Layer>, usize) {
    let (mut layers, mut from, mut index) = (Vec::new(), 3, 0);
    for step in PLAN {
        match step {
            Some(to) => {
                layers.push(b.convolution_with(&format!("features.{index}"), [from, to], Window::centred(3, 1), true));
                layers.push(Layer::Activate(Activation::Relu));
                (from, index) = (to, index + 2);
            }
            None => {
                layers.push(Layer::MaxPool { window: Window::valid(2, 2) });
                index += 1;
            }
        }
    }
    (layers, from)
}

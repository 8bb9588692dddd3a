//! O-Net's keypoint branch (Zhang et al. 2016, MTCNN): four convolutions, two fully connected layers.

use super::{Builder, Head, Layer, Network, Parameters};
use crate::ops::{Activation, Window};

/// Name of the output: five x, y pairs as shares of the input's side.
pub const POINTS: &str = "points";

/// Usual places of the points in the square around a face's box: the output of an untrained network.
const USUAL: [f32; 10] = [0.33, 0.40, 0.67, 0.40, 0.50, 0.58, 0.36, 0.76, 0.64, 0.76];

/// The network for pictures of 48×48, with a normalisation after each convolution, which the export folds.
#[must_use]
pub fn onet(seed: u64) -> (Network, Parameters) {
    let mut b = Builder::new(seed);
    let mut body = Vec::new();
    let plan = [(3, 32, 3, Some(3)), (32, 64, 3, Some(3)), (64, 64, 3, Some(2)), (64, 128, 2, None)];
    let mut side = 48;
    for (index, (from, to, kernel, pool)) in plan.into_iter().enumerate() {
        let number = index + 1;
        let window = Window::valid(kernel, 1);
        body.push(b.convolution_with(&format!("conv{number}"), [from, to], window, false));
        body.push(b.norm(&format!("bn{number}"), to, Activation::Identity));
        body.push(b.prelu(&format!("prelu{number}"), to));
        side = window.places(side);
        if let Some(kernel) = pool {
            // The published poolings round up; padding at the end has the same effect.
            let window = Window { kernel, stride: 2, padding: [0, usize::from((side - kernel) % 2 != 0)] };
            body.push(Layer::MaxPool { window });
            side = window.places(side);
        }
    }
    body.push(Layer::Flatten);
    body.push(b.linear("dense5", 128 * side * side, 256));
    body.push(b.prelu("prelu5", 256));
    let head = Head { name: POINTS.into(), on_branch: false, layers: vec![b.linear_from("dense6", 256, &USUAL)] };
    (Network { side: 48, body, heads: vec![head], ..Network::default() }, b.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_as_published() {
        let (network, parameters) = onet(1);
        // The published O-Net has 389,040 parameters; without its two other heads (257 · 2 + 257 · 4) 387,498. Ours has a
        // scale beside each of the 288 biases of the convolutions, which the export folds.
        assert_eq!(parameters.count(), 387_498 + 288);
        assert_eq!(network.side, 48);
    }
}

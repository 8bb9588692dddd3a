//! An anchor-free detector with five keypoints, similar to YuNet (Wu, Peng, Yu, Machine Intelligence Research 2023):
//! depthwise separable blocks, a small feature pyramid, and for every cell a score, a box and keypoints.
//!
//! Parameters have the names of the published network, so that its weights can be loaded.

use crate::TrainError;
use crate::network::builder::scaled;
use crate::network::{Builder, CellOutput, Layer, Network, Parameters, PyramidLevel};
use crate::ops::{Activation, Window};

/// Layout of the detector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct YunetPlan {
    /// Factor on all channel counts; 1 is the published `yunet_n`.
    pub width: f64,
}

/// Share of cells that an untrained network predicts as faces.
const EXPECTED_FACES: f32 = 0.01;

/// Strides of the levels in pixels.
const STRIDES: [u32; 3] = [8, 16, 32];

/// Builds a detector for pictures with sides that are multiples of 32.
///
/// # Errors
/// [`TrainError::Recipe`] for a width outside 0.1 to 4.
pub fn yunet(plan: YunetPlan, seed: u64) -> Result<(Network, Parameters), TrainError> {
    if !(0.1..=4.0).contains(&plan.width) {
        return Err(TrainError::Recipe { reason: format!("`width` is {}: 0.1 to 4", plan.width) });
    }
    let mut b = Builder::new(seed);
    let (narrow, wide) = (scaled(16, plan.width), scaled(64, plan.width));
    let features = b.within("backbone", |b| backbone(b, narrow, wide));
    let mut laterals: Vec<Vec<Layer>> =
        (0..3).rev().map(|at| b.within(&format!("neck.lateral_convs.{at}"), |b| unit(b, [wide, wide]))).collect();
    laterals.reverse();
    let levels = features.into_iter().zip(laterals).zip(STRIDES).enumerate();
    let levels = levels.map(|(at, ((features, lateral), stride))| {
        b.within("bbox_head", |b| PyramidLevel {
            stride,
            features,
            lateral,
            shared: b.within(&format!("multi_level_share_convs.{at}.0"), |b| unit(b, [wide, wide])),
            outputs: CellOutput::ALL.map(|output| {
                let (name, bias) = match output {
                    CellOutput::Class => ("cls", 0.0),
                    CellOutput::Object => ("obj", (EXPECTED_FACES / (1.0 - EXPECTED_FACES)).ln()),
                    CellOutput::Box => ("bbox", 0.5),
                    CellOutput::Keypoints => ("kps", 0.5),
                };
                b.within(&format!("multi_level_{name}.{at}"), |b| {
                    let columns = output.columns();
                    vec![
                        b.convolution_from("conv1", [wide, columns], 1, bias),
                        b.depthwise_from("conv2", columns, 3, 0.0),
                    ]
                })
            }),
        })
    });
    let pyramid = levels.collect();
    Ok((Network { pyramid, ..Network::default() }, b.finish()))
}

/// The layers up to the planes of an eighth of the picture, from there to a sixteenth, from there to a thirty-second.
fn backbone(b: &mut Builder, narrow: usize, wide: usize) -> [Vec<Layer>; 3] {
    let halve = || Layer::MaxPool { window: Window::valid(2, 2) };
    let block = |b: &mut Builder, name: &str, [from, to]: [usize; 2]| {
        b.within(name, |b| {
            let mut layers = b.within("conv1", |b| unit(b, [from, from]));
            layers.extend(b.within("conv2", |b| unit(b, [from, to])));
            layers
        })
    };
    let mut first = b.within("model0", |b| {
        let mut layers = vec![b.convolution("conv1", [3, narrow], 3, 2), b.norm("bn1", narrow, Activation::Relu)];
        layers.extend(b.within("conv2", |b| unit(b, [narrow, narrow])));
        layers
    });
    first.push(halve());
    first.extend(block(b, "model1", [narrow, wide]));
    first.extend(block(b, "model2", [wide, wide]));
    first.push(halve());
    first.extend(block(b, "model3", [wide, wide]));
    let mut deeper = ["model4", "model5"].map(|name| {
        let mut layers = vec![halve()];
        layers.extend(block(b, name, [wide, wide]));
        layers
    });
    [first, std::mem::take(&mut deeper[0]), std::mem::take(&mut deeper[1])]
}

/// A 1×1 convolution, a depthwise 3×3 one, a normalisation and a rectifier.
fn unit(b: &mut Builder, channels: [usize; 2]) -> Vec<Layer> {
    vec![
        b.convolution_with("conv1", channels, Window::valid(1, 1), true),
        b.depthwise("conv2", channels[1], Window::centred(3, 1)),
        b.norm("bn", channels[1], Activation::Relu),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_size_and_narrower_ones() {
        let (network, parameters) = yunet(YunetPlan { width: 1.0 }, 1).unwrap();
        assert_eq!(network.pyramid.iter().map(|level| level.stride).collect::<Vec<_>>(), STRIDES);
        // The published network has 1,008 numbers more: biases before a normalisation, which make them superfluous.
        assert_eq!(parameters.count(), 75_856 - 1_008);
        let (_, half) = yunet(YunetPlan { width: 0.5 }, 1).unwrap();
        assert!(half.count() < parameters.count() * 2 / 5);
        assert!(yunet(YunetPlan { width: 9.0 }, 1).is_err());
    }
}

//! Single-shot detectors (Liu et al., ECCV 2016; Sandler et al., CVPR 2018): on planes of several sizes, a score and an offset
//! for every anchor at every place.

use visavis_infer::manifest::AnchorLevel;

use crate::TrainError;
use crate::network::builder::scaled;
use crate::network::{Backbone, Builder, Layer, Level, Network, Parameters};
use crate::ops::{Activation, Window};

/// Name of the output of scores, `[N, anchors, 1]`, before the sigmoid in training and in the file.
pub const SCORES: &str = "scores";
/// Name of the output of offsets, `[N, anchors, 4]`.
pub const BOXES: &str = "boxes";

/// Divisors of the offsets of centre and size, which make them about one (the choice of SSD's authors).
pub const VARIANCES: [f32; 2] = [0.1, 0.2];

/// Share of anchors that an untrained network predicts as faces: low, or their loss would be much larger than all others (Lin et
/// al., ICCV 2017).
pub(super) const EXPECTED_FACES: f32 = 0.01;

/// Layout of a detector.
#[derive(Debug, Clone, PartialEq)]
pub struct SsdPlan {
    /// The backbone.
    pub backbone: Backbone,
    /// SSDLite: depthwise separable predictors.
    pub lite: bool,
}

/// The anchors: upright, like faces. Sizes are geometric means of width and height.
///
/// Successive sizes differ by a factor of about 1.5, so the best anchor of a face at its centre overlaps it by two thirds.
#[must_use]
pub fn anchors() -> Vec<AnchorLevel> {
    let level = |stride: u32, sizes: &[f32]| AnchorLevel { stride, sizes: sizes.to_vec(), ratios: vec![0.8] };
    vec![level(8, &[10.0, 15.0, 23.0]), level(16, &[34.0, 50.0]), level(32, &[75.0, 112.0]), level(64, &[165.0, 240.0])]
}

/// Builds a detector for pictures of any size.
///
/// # Errors
/// [`TrainError::Recipe`] for a backbone that detectors cannot use.
pub fn ssd(plan: &SsdPlan, seed: u64) -> Result<(Network, Parameters), TrainError> {
    let mut b = Builder::new(seed);
    let stages = plan.backbone.stages(&mut b)?;
    let width = stages.last().map_or(0, |stage| stage.channels);
    // Planes of an eighth of the picture are the finest that are used: all layers before belong to the first level.
    let mut features = vec![(Vec::new(), 0)];
    for (at, stage) in stages.into_iter().enumerate() {
        match features.last_mut() {
            Some((layers, channels)) if at < 3 => {
                layers.extend(stage.layers);
                *channels = stage.channels;
            }
            _ => features.push((stage.layers, stage.channels)),
        }
    }
    features.push(extra(&mut b, plan, width));
    let levels = features.into_iter().zip(anchors()).enumerate().map(|(at, ((features, channels), anchors))| {
        let each = anchors.sizes.len() * anchors.ratios.len();
        b.within(&format!("levels.{at}"), |b| Level {
            features,
            shared: Vec::new(),
            scores: b.within("scores", |b| predictor(b, plan.lite, channels, each, logit(EXPECTED_FACES))),
            boxes: b.within("boxes", |b| predictor(b, plan.lite, channels, 4 * each, 0.0)),
            anchors,
        })
    });
    let levels = levels.collect();
    Ok((Network { levels, ..Network::default() }, b.finish()))
}

pub(super) fn logit(share: f32) -> f32 {
    (share / (1.0 - share)).ln()
}

/// A further level with half the width of the backbone's last, for faces that fill the picture.
fn extra(b: &mut Builder, plan: &SsdPlan, from: usize) -> (Vec<Layer>, usize) {
    let multiplier = match plan.backbone {
        Backbone::MobileNetV1(multiplier) | Backbone::MobileNetV2(multiplier) => multiplier,
        _ => 1.0,
    };
    let (narrow, to) = (scaled(256, multiplier), scaled(512, multiplier));
    let act = Activation::Relu6;
    let layers = b.within("extra", |b| {
        let mut layers = vec![b.convolution("reduce", [from, narrow], 1, 1), b.norm("bn1", narrow, act)];
        if plan.lite {
            layers.push(b.depthwise("depthwise", narrow, Window::centred(3, 2)));
            layers.push(b.norm("bn2", narrow, act));
            layers.push(b.convolution("expand", [narrow, to], 1, 1));
        } else {
            layers.push(b.convolution("expand", [narrow, to], 3, 2));
        }
        layers.push(b.norm("bn3", to, act));
        layers
    });
    (layers, to)
}

/// The predictor of a level: `outputs` numbers per place, initially about `bias`.
pub(super) fn predictor(b: &mut Builder, lite: bool, channels: usize, outputs: usize, bias: f32) -> Vec<Layer> {
    if lite {
        vec![
            b.depthwise("depthwise", channels, Window::centred(3, 1)),
            b.norm("bn", channels, Activation::Relu6),
            b.convolution_from("predict", [channels, outputs], 1, bias),
        ]
    } else {
        vec![b.convolution_from("predict", [channels, outputs], 3, bias)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_halve_and_anchors_fit() {
        for (backbone, lite) in [("mobilenetv1@0.25", false), ("mobilenetv2", true)] {
            let (network, parameters) = ssd(&SsdPlan { backbone: backbone.parse().unwrap(), lite }, 1).unwrap();
            let strides: Vec<u32> = network.levels.iter().map(|level| level.anchors.stride).collect();
            assert_eq!(strides, [8, 16, 32, 64]);
            let mut names: Vec<&str> = parameters.all().iter().map(|p| p.name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), parameters.all().len(), "names are unique");
        }
        let plan = SsdPlan { backbone: Backbone::Vgg16, lite: false };
        assert!(ssd(&plan, 1).is_err());
    }
}

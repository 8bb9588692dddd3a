//! Two-stage detectors (Ren et al., NIPS 2015): the first stage proposes boxes, the second classifies and refines them.

use visavis_infer::manifest::AnchorLevel;

use super::ssd::{EXPECTED_FACES, logit, predictor};
use crate::TrainError;
use crate::network::{Backbone, Builder, Layer, Level, Network, Parameters, Regions};
use crate::ops::Activation;

/// Channels of the planes that predict proposals.
const PROPOSING: usize = 256;
/// Number of points along each side of a box at which the planes are read.
const SIDE: usize = 7;
/// Stride of the planes from which proposals are predicted and boxes are read.
const STRIDE: u32 = 16;

/// Layout of a two-stage detector.
#[derive(Debug, Clone, PartialEq)]
pub struct FasterRcnnPlan {
    /// The backbone; its last stage runs on every box.
    pub backbone: Backbone,
    /// Number of proposals per picture for the second stage.
    pub proposals: usize,
}

/// The anchors of the first stage: upright like those of [`super::anchors`], but all with one stride.
#[must_use]
pub fn region_anchors() -> AnchorLevel {
    AnchorLevel { stride: STRIDE, sizes: vec![12.0, 20.0, 34.0, 56.0, 95.0, 160.0, 250.0], ratios: vec![0.8] }
}

/// Builds a detector for pictures of any size.
///
/// # Errors
/// [`TrainError::Recipe`] for a backbone that detectors cannot use.
pub fn faster_rcnn(plan: &FasterRcnnPlan, seed: u64) -> Result<(Network, Parameters), TrainError> {
    let mut b = Builder::new(seed);
    let mut stages = plan.backbone.stages(&mut b)?;
    let last = stages.pop().unwrap_or_else(|| unreachable!("a backbone has five stages"));
    let channels = stages.last().map_or(0, |stage| stage.channels);
    let anchors = region_anchors();
    let each = anchors.sizes.len() * anchors.ratios.len();
    let level = b.within("proposals", |b| Level {
        features: stages.into_iter().flat_map(|stage| stage.layers).collect(),
        shared: vec![b.convolution("shared", [channels, PROPOSING], 3, 1), b.norm("bn", PROPOSING, Activation::Relu)],
        scores: b.within("scores", |b| predictor(b, false, PROPOSING, each, logit(EXPECTED_FACES))),
        boxes: b.within("boxes", |b| predictor(b, false, PROPOSING, 4 * each, 0.0)),
        anchors,
    });
    let mut body = last.layers;
    body.push(Layer::GlobalPool);
    let regions = b.within("regions", |b| Regions {
        proposals: plan.proposals,
        side: SIDE,
        body,
        // The share of faces is higher among proposals than among anchors.
        scores: vec![b.linear_from("scores", last.channels, &[logit(0.1)])],
        boxes: vec![b.linear_from("boxes", last.channels, &[0.0; 4])],
    });
    let network = Network { levels: vec![level], regions: Some(regions), ..Network::default() };
    Ok((network, b.finish()))
}

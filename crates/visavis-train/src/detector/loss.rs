//! The loss of a detector with anchors.

use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Tensor, TensorData};

use super::AnchorTarget;
use crate::loss::Loss;
use crate::recipe::LossParams;

/// Computes the loss of scores `[N, A, 1]` (before the sigmoid) and offsets `[N, A, 4]` by the targets of all anchors, picture
/// after picture: the focal loss of Lin et al. (ICCV 2017) over all anchors, and the smooth L1 loss of the offsets over those
/// with a face, both divided by the number of anchors with a face.
pub(crate) fn judge(
    scores: Tensor<3>,
    offsets: Tensor<3>,
    targets: &[AnchorTarget],
    params: &LossParams,
    device: &Device,
) -> Loss {
    let count = targets.len();
    let (mut face, mut counts, mut wanted) = (Vec::with_capacity(count), Vec::with_capacity(count), Vec::new());
    for target in targets {
        face.push(if matches!(target, AnchorTarget::Face(_)) { 1.0f32 } else { 0.0 });
        counts.push(if *target == AnchorTarget::Ignored { 0.0f32 } else { 1.0 });
        wanted.extend_from_slice(if let AnchorTarget::Face(offset) = target { offset } else { &[0.0; 4] });
    }
    let faces = f64::from(face.iter().sum::<f32>()).max(1.0);
    let vector = |values: Vec<f32>| {
        let length = values.len();
        Tensor::<1>::from_data(TensorData::new(values, [length]), device)
    };
    let (face, counts) = (vector(face), vector(counts));
    let scores = scores.reshape([count]);
    // Cross-entropy of the sigmoid in a form that does not overflow.
    let cross = relu(scores.clone()) - scores.clone() * face.clone() + (scores.clone().abs().neg().exp() + 1.0).log();
    let share = sigmoid(scores);
    let wrong = share.clone() + face.clone() - share * face.clone() * 2.0;
    let weight = face.clone() * (2.0 * params.focal_faces - 1.0) + (1.0 - params.focal_faces);
    let focused = wrong.powf_scalar(params.focal_power) * cross * weight * counts;
    let score = focused.sum() / faces;

    let away = (offsets.reshape([count * 4]) - vector(wanted)).abs();
    let near = away.clone().clamp(0.0, 1.0);
    let smooth = near.clone().powf_scalar(2.0) * 0.5 + (away - near);
    let smooth = smooth.reshape([count, 4]).sum_dim(1).reshape([count]) * face;
    let place = smooth.sum() / faces;

    let total = score.clone() + place.clone() * params.boxes;
    Loss { total, parts: vec![("scores".into(), score), ("boxes".into(), place)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(scores: [f32; 3], offset: f32, targets: &[AnchorTarget]) -> [f32; 2] {
        let device = Device::flex();
        let scores = Tensor::<1>::from_data(TensorData::new(scores.to_vec(), [3]), &device).reshape([1, 3, 1]);
        let offsets = Tensor::<1>::from_data(TensorData::new(vec![offset; 12], [12]), &device).reshape([1, 3, 4]);
        let loss = judge(scores, offsets, targets, &LossParams::default(), &device);
        [&loss.parts[0].1, &loss.parts[1].1].map(|part| part.clone().into_data().try_into_vec::<f32>().unwrap()[0])
    }

    #[test]
    fn by_hand() {
        let targets = [AnchorTarget::Face([0.0; 4]), AnchorTarget::Nothing, AnchorTarget::Ignored];
        // With logits of zero every probability is one half: cross-entropy ln 2, factor (1/2)², weights 1/4 and 3/4.
        let [score, place] = total([0.0, 0.0, 9.0], 0.5, &targets);
        assert!((score - 2f32.ln() / 4.0).abs() < 1e-5, "{score}");
        assert!((place - 4.0 * 0.125).abs() < 1e-5, "{place}");
        // The loss of large offsets is linear.
        assert!((total([0.0; 3], 3.0, &targets)[1] - 4.0 * 2.5).abs() < 1e-4);
        // The loss of confident and correct predictions is nearly zero.
        assert!(total([8.0, -8.0, 0.0], 0.0, &targets)[0] < 1e-6);
        // Without a face there is no box loss, and no division by zero.
        let [score, place] = total([0.0; 3], 3.0, &[AnchorTarget::Nothing; 3]);
        assert!(score.is_finite() && place == 0.0);
    }
}

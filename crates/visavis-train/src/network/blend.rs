//! Interpolates between the weights of a published network and those after further training (Wortsman et al., CVPR 2022). This
//! keeps more of what the further data lack, and most of what they add.

use super::{Layer, Network, ParameterId, Parameters, folded};

/// Folds every normalisation that follows a convolution into it. The network's output does not change; the normalisation
/// then only adds its shift.
pub fn fold_norms(network: &Network, parameters: &mut Parameters) {
    let layers = network.layers();
    for pair in layers.windows(2) {
        let (Layer::Convolution { weight, bias, .. } | Layer::Depthwise { weight, bias, .. }, Layer::Norm(norm)) =
            (pair[0], pair[1])
        else {
            continue;
        };
        let (factors, mut offsets) = folded(parameters, norm);
        let kernel = &mut parameters.get_mut(*weight).value;
        let each = kernel.len() / factors.len();
        for (numbers, factor) in kernel.chunks_exact_mut(each).zip(&factors) {
            numbers.iter_mut().for_each(|number| *number *= factor);
        }
        if let Some(bias) = bias {
            let biases = &mut parameters.get_mut(*bias).value;
            for ((offset, factor), bias) in offsets.iter_mut().zip(&factors).zip(biases) {
                *offset += factor * std::mem::take(bias);
            }
        }
        let mut set = |id: ParameterId, value: f32| parameters.get_mut(id).value.fill(value);
        set(norm.scale, 1.0);
        set(norm.mean, 0.0);
        set(norm.variance, (1.0 - norm.epsilon) as f32);
        parameters.get_mut(norm.shift).value = offsets;
    }
}

/// Moves `parameters` towards `others` of the same network by a share: 0 leaves them, 1 sets them to the others. The
/// normalisations of both must be folded ([`fold_norms`]).
pub fn blend(parameters: &mut Parameters, others: &Parameters, share: f32) {
    for (parameter, other) in parameters.all_mut().iter_mut().zip(others.all()) {
        for (value, other) in parameter.value.iter_mut().zip(&other.value) {
            *value += share * (other - *value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detector::{YunetPlan, infer, yunet};
    use visavis_infer::Tensor;

    #[test]
    fn folding_changes_no_output_and_half_way_is_half_way() {
        let (network, mut parameters) = yunet(YunetPlan { width: 0.5 }, 1).unwrap();
        let mut random = fastrand::Rng::with_seed(3);
        for parameter in parameters.all_mut() {
            parameter.value.iter_mut().for_each(|value| *value += 0.2 * random.f32());
        }
        let data: Vec<f32> = (0..3 * 64 * 64).map(|_| random.f32()).collect();
        let picture = Tensor { shape: vec![1, 3, 64, 64], data };
        let mut plain = parameters.clone();
        fold_norms(&network, &mut plain);
        let [expected, found] = [&parameters, &plain].map(|parameters| infer(&network, parameters, &picture));
        for (expected, found) in expected.iter().zip(&found) {
            for (a, b) in expected.data.iter().zip(&found.data) {
                assert!((a - b).abs() < 1e-3 * (1.0 + a.abs()), "{a} {b}");
            }
        }
        let mut zero = plain.clone();
        zero.all_mut().iter_mut().for_each(|parameter| parameter.value.fill(0.0));
        let mut half = plain.clone();
        blend(&mut half, &zero, 0.5);
        for (half, whole) in half.all().iter().zip(plain.all()) {
            assert!(half.value.iter().zip(&whole.value).all(|(half, whole)| (half - whole / 2.0).abs() < 1e-6));
        }
    }
}

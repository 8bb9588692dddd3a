//! Checks that an engine gives the same output as the trained network.

use burn::tensor::{Device, Tensor as BurnTensor, TensorData};
use visavis_infer::{EngineChoice, EngineOptions, Manifest, Runtime, Tensor};

use crate::TrainError;
use crate::detector::{BOXES, SCORES, infer};
use crate::network::{CellOutput, Layer, Mode, Network, Parameters, Pass, shares};

/// Largest allowed difference between the trained network and an engine, in any output value.
pub const MOST_DIFFERENCE: f32 = 1e-4;
/// The same for weights rounded to 16 bits.
pub(super) const MOST_DIFFERENCE_HALF: f32 = 5e-2;

/// Number of pictures that are compared.
const PICTURES: usize = 4;

/// Difference between an engine and the trained network.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Name and version of the engine.
    pub engine: String,
    /// Largest difference over all outputs.
    pub difference: f32,
}

/// Runs random pictures through the trained network and through every engine of `runtime`.
///
/// # Errors
/// [`TrainError::Export`] if an output differs by more than `most`; [`TrainError::Infer`] if an engine rejects the file.
pub fn check(
    network: &Network,
    parameters: &Parameters,
    manifest: &Manifest,
    bytes: &[u8],
    runtime: &Runtime,
    most: f32,
) -> Result<Vec<Check>, TrainError> {
    let [width, height] = manifest.input.size.map(|side| side as usize);
    let pictures = if manifest.input.batch { PICTURES } else { 1 };
    let mut random = fastrand::Rng::with_seed(7);
    let data: Vec<f32> = (0..pictures * 3 * height * width).map(|_| random.f32() * 2.0 - 1.0).collect();
    let picture = Tensor { shape: vec![pictures, 3, height, width], data };
    let expected = trained(network, parameters, &picture)?;
    let mut engines = vec![EngineChoice::Tract];
    if runtime.report().library.is_some() {
        engines.push(EngineChoice::OnnxRuntime);
    }
    engines
        .into_iter()
        .map(|engine| {
            let options = EngineOptions { engine, ..EngineOptions::default() };
            let mut model = runtime.load(manifest, bytes, &options)?;
            let mut given = model.run(&picture)?;
            if network.regions.is_some() {
                bring_into_order(&expected, &mut given);
            }
            let mut largest = 0.0f32;
            for ((name, expected), given) in expected.iter().zip(&given) {
                let away = expected.iter().zip(&given.data).map(|(a, b)| (a - b).abs());
                // NaN counts as an infinite difference.
                let difference = away.fold(0.0f32, |most, d| if d.is_nan() { f32::INFINITY } else { most.max(d) });
                if expected.len() != given.data.len() || difference > most {
                    return Err(TrainError::Export {
                        engine: model.placement().engine.clone(),
                        output: name.clone(),
                        difference,
                        allowed: most,
                    });
                }
                largest = largest.max(difference);
            }
            Ok(Check { engine: model.placement().engine.clone(), difference: largest })
        })
        .collect()
}

/// Reorders the boxes of an engine like the expected ones: two proposals with nearly equal scores may come in either
/// order.
fn bring_into_order(expected: &[(String, Vec<f32>)], given: &mut [Tensor]) {
    let ([(_, scores), (_, boxes)], [given_scores, given_boxes]) = (expected, given) else { return };
    let (mut order, mut left): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..given_scores.data.len()).collect());
    for (score, corners) in scores.iter().zip(boxes.chunks_exact(4)) {
        let away = |row: usize| {
            let apart = corners.iter().zip(&given_boxes.data[4 * row..]).map(|(a, b)| (a - b).abs());
            apart.fold((score - given_scores.data[row]).abs(), f32::max)
        };
        let nearest = (0..left.len()).min_by(|a, b| away(left[*a]).total_cmp(&away(left[*b])));
        order.extend(nearest.map(|at| left.remove(at)));
    }
    given_scores.data = order.iter().map(|row| given_scores.data[*row]).collect();
    given_boxes.data = order.iter().flat_map(|row| given_boxes.data[4 * row..4 * row + 4].to_vec()).collect();
}

/// Names and values of the network's outputs for pictures `[N, 3, H, W]`.
fn trained(
    network: &Network,
    parameters: &Parameters,
    pictures: &Tensor,
) -> Result<Vec<(String, Vec<f32>)>, TrainError> {
    if !network.pyramid.is_empty() {
        let names = network.pyramid.iter().flat_map(|level| CellOutput::ALL.map(|output| output.tensor(level.stride)));
        return Ok(names.zip(infer(network, parameters, pictures)).map(|(name, given)| (name, given.data)).collect());
    }
    if !network.levels.is_empty() {
        let names = [SCORES, BOXES].map(str::to_owned).into_iter();
        return Ok(names.zip(infer(network, parameters, pictures)).map(|(name, given)| (name, given.data)).collect());
    }
    let device = Device::flex();
    let shape: [usize; 4] = std::array::from_fn(|axis| pictures.shape[axis]);
    let input = BurnTensor::<4>::from_data(TensorData::new(pictures.data.clone(), shape), &device).swap_dims(0, 1);
    let outputs = Pass::new(parameters, &device, Mode::Infer).run(network, input);
    let ended = network.heads.iter().zip(outputs).map(|(head, output)| {
        let ended = if head.layers.last() == Some(&Layer::Softmax) { shares(output) } else { output };
        Ok((head.name.clone(), ended.into_data().try_into_vec::<f32>().map_err(TrainError::weights)?))
    });
    ended.collect()
}

//! Whether an engine gives what the trained network gives.

use burn::tensor::{Device, Tensor as BurnTensor, TensorData};
use visavis_infer::{EngineChoice, EngineOptions, Manifest, Runtime, Tensor};

use crate::TrainError;
use crate::detector::{BOXES, SCORES};
use crate::network::{Layer, Mode, Network, Parameters, Pass, shares};

/// Allowed between the trained network and an engine, in any number of any output.
pub const MOST_DIFFERENCE: f32 = 1e-4;
/// The same for weights rounded to 16 bits.
pub(super) const MOST_DIFFERENCE_HALF: f32 = 5e-2;

/// Pictures that are compared.
const PICTURES: usize = 4;

/// How far an engine is from the trained network.
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
/// [`TrainError::Export`] if an output differs by more than `most`; [`TrainError::Infer`] if an engine refuses the file.
pub fn check(
    network: &Network,
    parameters: &Parameters,
    manifest: &Manifest,
    bytes: &[u8],
    runtime: &Runtime,
    most: f32,
) -> Result<Vec<Check>, TrainError> {
    let [width, height] = manifest.input.size.map(|side| side as usize);
    let mut random = fastrand::Rng::with_seed(7);
    let picture: Vec<f32> = (0..PICTURES * 3 * height * width).map(|_| random.f32() * 2.0 - 1.0).collect();
    let shape = [PICTURES, 3, height, width];
    let expected = trained(network, parameters, TensorData::new(picture.clone(), shape))?;
    let mut engines = vec![EngineChoice::Tract];
    if runtime.report().library.is_some() {
        engines.push(EngineChoice::OnnxRuntime);
    }
    engines
        .into_iter()
        .map(|engine| {
            let options = EngineOptions { engine, ..EngineOptions::default() };
            let mut model = runtime.load(manifest, bytes, &options)?;
            let given = model.run(&Tensor { shape: shape.to_vec(), data: picture.clone() })?;
            let mut largest = 0.0f32;
            for ((name, expected), given) in expected.iter().zip(&given) {
                let away = expected.iter().zip(&given.data).map(|(a, b)| (a - b).abs());
                // A number that is none differs from everything.
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

/// Names and numbers of what the network gives for pictures `[N, 3, H, W]`.
fn trained(
    network: &Network,
    parameters: &Parameters,
    pictures: TensorData,
) -> Result<Vec<(String, Vec<f32>)>, TrainError> {
    let device = Device::flex();
    let pictures = BurnTensor::<4>::from_data(pictures, &device).swap_dims(0, 1);
    let pass = Pass::new(parameters, &device, Mode::Infer);
    let numbers = |data: TensorData| data.try_into_vec::<f32>().map_err(TrainError::weights);
    if network.levels.is_empty() {
        let (outputs, _) = pass.run(network, pictures);
        let ended = network.heads.iter().zip(outputs).map(|(head, output)| {
            let ended = if head.layers.last() == Some(&Layer::Softmax) { shares(output) } else { output };
            Ok((head.name.clone(), numbers(ended.into_data())?))
        });
        ended.collect()
    } else {
        let ([scores, boxes], _) = pass.detect(network, pictures);
        Ok(vec![(SCORES.into(), numbers(scores.into_data())?), (BOXES.into(), numbers(boxes.into_data())?)])
    }
}

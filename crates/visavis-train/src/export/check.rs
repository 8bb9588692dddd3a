//! Whether an engine gives what the trained network gives.

use burn::tensor::{Device, Tensor as BurnTensor, TensorData};
use visavis_infer::{EngineChoice, EngineOptions, Manifest, Runtime, Tensor};

use crate::TrainError;
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
    let side = network.side;
    let mut random = fastrand::Rng::with_seed(7);
    let picture: Vec<f32> = (0..PICTURES * 3 * side * side).map(|_| random.f32() * 2.0 - 1.0).collect();
    let device = Device::flex();
    let input = TensorData::new(picture.clone(), [PICTURES, 3, side, side]);
    let input = BurnTensor::<4>::from_data(input, &device).swap_dims(0, 1);
    let (outputs, _) = Pass::new(parameters, &device, Mode::Infer).run(network, input);
    let expected = network.heads.iter().zip(outputs).map(|(head, output)| {
        let ended = if head.layers.last() == Some(&Layer::Softmax) { shares(output) } else { output };
        ended.into_data().try_into_vec::<f32>().map_err(TrainError::weights)
    });
    let expected: Vec<Vec<f32>> = expected.collect::<Result<_, _>>()?;
    let mut engines = vec![EngineChoice::Tract];
    if runtime.report().library.is_some() {
        engines.push(EngineChoice::OnnxRuntime);
    }
    engines
        .into_iter()
        .map(|engine| {
            let options = EngineOptions { engine, ..EngineOptions::default() };
            let mut model = runtime.load(manifest, bytes, &options)?;
            let given = model.run(&Tensor { shape: vec![PICTURES, 3, side, side], data: picture.clone() })?;
            let mut largest = 0.0f32;
            for ((head, expected), given) in network.heads.iter().zip(&expected).zip(&given) {
                let away = expected.iter().zip(&given.data).map(|(a, b)| (a - b).abs());
                // A number that is none differs from everything.
                let difference = away.fold(0.0f32, |most, d| if d.is_nan() { f32::INFINITY } else { most.max(d) });
                if expected.len() != given.data.len() || difference > most {
                    return Err(TrainError::Export {
                        engine: model.placement().engine.clone(),
                        output: head.name.clone(),
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

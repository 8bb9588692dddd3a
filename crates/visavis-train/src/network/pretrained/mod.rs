//! Loads published weights: PyTorch, safetensors and ONNX files.

mod calibrate;
mod onnx;

use std::collections::HashMap;
use std::path::Path;

use burn_store::pytorch_reader::{DType, PytorchReader};
use half::{bf16, f16};

use super::{Network, Parameters, Taken, parameters_of};
use crate::TrainError;
use crate::numbers::from_bytes;

pub(crate) use calibrate::Calibration;

/// Loads published weights. From a PyTorch or safetensors file, every tensor whose name and shape fit; our names are those of
/// the networks' authors. An ONNX file must fit as a whole, by names or by order.
///
/// `swap_colours` is for ONNX files whose network takes blue first.
///
/// # Errors
/// [`TrainError::Weights`] if the file cannot be read or no tensor fits.
pub fn load_pretrained(
    network: &Network,
    parameters: &mut Parameters,
    path: &Path,
    swap_colours: bool,
) -> Result<Taken, TrainError> {
    let failed = |reason: String| TrainError::Weights { reason: format!("{}: {reason}", path.display()) };
    let mut taken = match path.extension().and_then(|end| end.to_str()) {
        Some("safetensors") => parameters.take_from_file(path)?,
        Some("onnx") => {
            let bytes = std::fs::read(path).map_err(|source| TrainError::file(path, source))?;
            // Published networks have no branch: it gets copies of the remaining layers.
            let heads = network.heads.iter().filter(|head| !head.on_branch).cloned().collect();
            let without_branch = Network { branch: Vec::new(), heads, ..network.clone() };
            let mut taken = onnx::take(&without_branch, parameters, &bytes, swap_colours).map_err(failed)?;
            let branch = parameters_of(&network.branch).into_iter().map(|id| parameters.get(id).name.clone());
            taken.missing.extend(branch);
            taken
        }
        Some("pth" | "pt") => {
            let reader = PytorchReader::new(path).map_err(|error| failed(error.to_string()))?;
            let mut tensors = HashMap::new();
            for (name, tensor) in reader.tensors() {
                let bytes = || tensor.read().map_err(|error| failed(error.to_string()));
                let values: Vec<f32> = match tensor.dtype() {
                    DType::F32 => from_bytes(&bytes()?),
                    DType::F16 => bytes()?.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
                    DType::BF16 => {
                        bytes()?.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
                    }
                    // Counters of batches and the like are integers and no parameters.
                    _ => continue,
                };
                tensors.insert(name.clone(), (tensor.shape().to_vec(), values));
            }
            parameters.take(tensors)
        }
        _ => return Err(failed("weights are read from .pth, .pt, .safetensors and .onnx files".into())),
    };
    if taken.filled.is_empty() {
        return Err(failed("no tensor in it has a name and shape of this network: it belongs to another one".into()));
    }
    parameters.begin_branch(&mut taken);
    Ok(taken)
}

//! Starting from weights that others published: PyTorch and safetensors files.

use std::collections::HashMap;
use std::path::Path;

use burn_store::pytorch_reader::{DType, PytorchReader};
use half::{bf16, f16};

use super::{Parameters, Taken};
use crate::TrainError;
use crate::numbers::from_bytes;

/// Takes over every tensor of a file of published weights whose name and shape fit; names are those of the network's
/// authors, which ours follow.
///
/// # Errors
/// [`TrainError::Weights`] if the file cannot be read or nothing in it fits.
pub fn load_pretrained(parameters: &mut Parameters, path: &Path) -> Result<Taken, TrainError> {
    let failed = |reason: String| TrainError::Weights { reason: format!("{}: {reason}", path.display()) };
    let taken = match path.extension().and_then(|end| end.to_str()) {
        Some("safetensors") => parameters.take_from_file(path)?,
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
                    // Counters of batches and the like are whole numbers and no parameters.
                    _ => continue,
                };
                tensors.insert(name.clone(), (tensor.shape().to_vec(), values));
            }
            parameters.take(tensors)
        }
        _ => return Err(failed("weights are read from .pth, .pt and .safetensors files".into())),
    };
    if taken.filled.is_empty() {
        return Err(failed("no tensor in it has a name and shape of this network: it belongs to another one".into()));
    }
    Ok(taken)
}

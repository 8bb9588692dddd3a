//! The numbers of a network, in plain memory: what training changes, checkpoints keep and export writes.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::TrainError;
use crate::numbers::{from_bytes, to_bytes};

/// The place of a parameter in its [`Parameters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParameterId(pub(crate) usize);

/// What a parameter is for, which decides how it starts and whether it decays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Weights of a convolution or a fully connected layer: decay.
    Weight,
    /// Bias, scale and shift, slope: learn, but do not decay.
    Offset,
    /// Running mean and variance of a normalisation: follow the batches, no gradient.
    Statistic,
}

/// One tensor of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Unique, as PyTorch names it in the published network: `layer1.0.conv1.weight`.
    pub name: String,
    /// Extent of each axis.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
    /// All values, row-major.
    pub value: Vec<f32>,
}

/// All tensors of a network, in a fixed order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parameters {
    list: Vec<Parameter>,
}

impl Parameters {
    pub(crate) fn push(&mut self, parameter: Parameter) -> ParameterId {
        self.list.push(parameter);
        ParameterId(self.list.len() - 1)
    }

    /// The parameter of this id.
    #[must_use]
    pub fn get(&self, id: ParameterId) -> &Parameter {
        &self.list[id.0]
    }

    /// The parameter of this id, to change its values.
    pub fn get_mut(&mut self, id: ParameterId) -> &mut Parameter {
        &mut self.list[id.0]
    }

    /// All, in order.
    #[must_use]
    pub fn all(&self) -> &[Parameter] {
        &self.list
    }

    /// All, in order, to change their values.
    pub fn all_mut(&mut self) -> &mut [Parameter] {
        &mut self.list
    }

    /// How many numbers training learns: statistics do not count.
    #[must_use]
    pub fn count(&self) -> usize {
        self.list.iter().filter(|p| p.role != Role::Statistic).map(|p| p.value.len()).sum()
    }

    /// As safetensors, 32-bit floats, with `notes` in the header.
    ///
    /// # Errors
    /// [`TrainError::Weights`] if the format refuses them.
    pub fn to_safetensors(&self, notes: HashMap<String, String>) -> Result<Vec<u8>, TrainError> {
        let bytes: Vec<Vec<u8>> = self.list.iter().map(|p| to_bytes(&p.value)).collect();
        let views = self.list.iter().zip(&bytes).map(|(p, bytes)| {
            let view = TensorView::new(Dtype::F32, p.shape.clone(), bytes);
            view.map(|view| (p.name.clone(), view))
        });
        let views: Vec<_> = views.collect::<Result<_, _>>().map_err(TrainError::weights)?;
        safetensors::serialize(views, Some(notes)).map_err(TrainError::weights)
    }

    /// Takes over every tensor of `bytes` that has the name and shape of one here; the rest is left as it is.
    ///
    /// # Errors
    /// [`TrainError::Weights`] if `bytes` are no safetensors of 32-bit floats.
    pub fn take_from_safetensors(&mut self, bytes: &[u8]) -> Result<Taken, TrainError> {
        let file = SafeTensors::deserialize(bytes).map_err(TrainError::weights)?;
        let mut tensors = HashMap::new();
        for (name, view) in file.tensors() {
            if view.dtype() != Dtype::F32 {
                return Err(TrainError::Weights { reason: format!("`{name}` is {:?}, not F32", view.dtype()) });
            }
            tensors.insert(name, (view.shape().to_vec(), from_bytes(view.data())));
        }
        Ok(self.take(tensors))
    }

    /// Takes over every named tensor that fits.
    pub fn take(&mut self, mut tensors: HashMap<String, (Vec<usize>, Vec<f32>)>) -> Taken {
        let mut taken = Taken::default();
        for parameter in &mut self.list {
            match tensors.remove(&parameter.name) {
                Some((shape, value)) if shape == parameter.shape => {
                    parameter.value = value;
                    taken.filled.push(parameter.name.clone());
                }
                Some((shape, _)) => taken
                    .misfits
                    .push(format!("`{}` is {shape:?} there and {:?} here", parameter.name, parameter.shape)),
                None => taken.missing.push(parameter.name.clone()),
            }
        }
        taken.unused = tensors.into_keys().collect();
        taken.unused.sort();
        taken
    }

    /// Reads a safetensors file and takes over what fits.
    ///
    /// # Errors
    /// [`TrainError::File`] if it cannot be read, [`TrainError::Weights`] if it is none.
    pub fn take_from_file(&mut self, path: &Path) -> Result<Taken, TrainError> {
        let bytes = std::fs::read(path).map_err(|source| TrainError::file(path, source))?;
        self.take_from_safetensors(&bytes).map_err(|error| match error {
            TrainError::Weights { reason } => TrainError::Weights { reason: format!("{}: {reason}", path.display()) },
            other => other,
        })
    }
}

/// What came of taking weights over.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Taken {
    /// Parameters that now have the file's values.
    pub filled: Vec<String>,
    /// Parameters that the file does not have.
    pub missing: Vec<String>,
    /// Parameters whose shape differs, in words.
    pub misfits: Vec<String>,
    /// Tensors of the file that the network does not have.
    pub unused: Vec<String>,
}

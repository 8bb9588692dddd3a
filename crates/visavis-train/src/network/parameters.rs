//! The parameters of a network, in plain memory: training changes them, checkpoints and export write them.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::TrainError;
use crate::numbers::{from_bytes, to_bytes};

/// Prefix of the names of [`Network::branch`]'s parameters.
pub(crate) const BRANCH_NAME: &str = "attributes";

/// The index of a parameter in its [`Parameters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParameterId(pub(crate) usize);

/// The role of a parameter, which determines its initial value and its decay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Weights of a convolution or a fully connected layer: with decay.
    Weight,
    /// Bias, scale and shift, slope: without decay.
    Offset,
    /// Running mean and variance of a normalisation: updated from the batches, without gradient.
    Statistic,
}

/// One tensor of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Unique; the name in the published PyTorch network: `layer1.0.conv1.weight`.
    pub name: String,
    /// Extent of each axis.
    pub shape: Vec<usize>,
    /// Its role.
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

    /// The parameter with this id.
    #[must_use]
    pub fn get(&self, id: ParameterId) -> &Parameter {
        &self.list[id.0]
    }

    /// The parameter with this id, mutable.
    pub fn get_mut(&mut self, id: ParameterId) -> &mut Parameter {
        &mut self.list[id.0]
    }

    /// All parameters, in order.
    #[must_use]
    pub fn all(&self) -> &[Parameter] {
        &self.list
    }

    /// All parameters, in order, mutable.
    pub fn all_mut(&mut self) -> &mut [Parameter] {
        &mut self.list
    }

    /// Number of parameters; statistics do not count.
    #[must_use]
    pub fn count(&self) -> usize {
        self.list.iter().filter(|p| p.role != Role::Statistic).map(|p| p.value.len()).sum()
    }

    /// Copies parameters outside the branch to those of the same name in the branch that a file lacks: a branch begins as a copy
    /// of the layers that it replaces.
    pub(crate) fn begin_branch(&mut self, taken: &mut Taken) {
        taken.missing.retain(|name| {
            let of = name.strip_prefix(BRANCH_NAME).and_then(|rest| rest.strip_prefix('.'));
            let from = of.and_then(|of| self.list.iter().find(|p| p.name == of).cloned());
            let Some(from) = from.filter(|from| taken.filled.contains(&from.name)) else { return true };
            let to = self.list.iter_mut().find(|p| p.name == *name && p.shape == from.shape);
            let copied = to.map(|to| to.value = from.value).is_some();
            taken.copied += usize::from(copied);
            !copied
        });
    }

    /// Converts to safetensors with 32-bit floats, with `notes` in the header.
    ///
    /// # Errors
    /// [`TrainError::Weights`] if the format rejects them.
    pub fn to_safetensors(&self, notes: HashMap<String, String>) -> Result<Vec<u8>, TrainError> {
        let bytes: Vec<Vec<u8>> = self.list.iter().map(|p| to_bytes(&p.value)).collect();
        let views = self.list.iter().zip(&bytes).map(|(p, bytes)| {
            let view = TensorView::new(Dtype::F32, p.shape.clone(), bytes);
            view.map(|view| (p.name.clone(), view))
        });
        let views: Vec<_> = views.collect::<Result<_, _>>().map_err(TrainError::weights)?;
        safetensors::serialize(views, Some(notes)).map_err(TrainError::weights)
    }

    /// Loads every tensor of `bytes` with the name and shape of a parameter; the other parameters do not change.
    ///
    /// # Errors
    /// [`TrainError::Weights`] if `bytes` are not safetensors with 32-bit floats.
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

    /// Loads every tensor whose name and shape fit.
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

    /// Loads the tensors of a safetensors file that fit.
    ///
    /// # Errors
    /// [`TrainError::File`] if it cannot be read, [`TrainError::Weights`] if it is invalid.
    pub fn take_from_file(&mut self, path: &Path) -> Result<Taken, TrainError> {
        let bytes = std::fs::read(path).map_err(|source| TrainError::file(path, source))?;
        self.take_from_safetensors(&bytes).map_err(|error| match error {
            TrainError::Weights { reason } => TrainError::Weights { reason: format!("{}: {reason}", path.display()) },
            other => other,
        })
    }
}

/// The result of loading weights.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Taken {
    /// Parameters that were loaded.
    pub filled: Vec<String>,
    /// Parameters that the file does not have.
    pub missing: Vec<String>,
    /// Parameters whose shape differs, as text.
    pub misfits: Vec<String>,
    /// Tensors of the file that the network does not have.
    pub unused: Vec<String>,
    /// Number of parameters of a branch that were copied from others.
    pub copied: usize,
    /// The origin of each parameter, as text, if it was not found by name.
    pub mapping: Vec<String>,
}

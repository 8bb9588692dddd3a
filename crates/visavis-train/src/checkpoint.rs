//! The whole state of a run in one file, so that the run can continue exactly.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::network::Parameters;
use crate::numbers::{from_bytes, to_bytes};
use crate::optimiser::Optimiser;
use crate::recipe::OptimiserParams;
use crate::schedule::Progress;

/// The position in a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Stage, from 0.
    pub(crate) stage: usize,
    /// Epoch of the stage, from 0.
    pub(crate) epoch: usize,
    /// Number of batches of the epoch that are done.
    pub(crate) batch: usize,
    /// Number of steps of the whole run.
    pub(crate) step: usize,
    /// Sum of the epoch's losses so far.
    pub(crate) loss: f64,
    /// Number of steps of the stage's optimiser.
    pub(crate) optimiser_steps: u64,
    /// Number of steps in the moving average.
    pub(crate) average_steps: u64,
    /// State of the schedule.
    pub(crate) progress: Progress,
    /// Hash of the recipe: a run with another recipe cannot continue from here.
    pub(crate) recipe: String,
}

/// A run's state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Checkpoint {
    /// Its position.
    pub(crate) position: Position,
    /// The weights.
    pub(crate) parameters: Parameters,
    /// Their moving average.
    pub(crate) average: Parameters,
    /// State of the optimiser.
    pub(crate) optimiser: Optimiser,
}

const STATE: &str = "state";

impl Checkpoint {
    /// Writes it under a temporary name and renames it, so that a kill at any moment leaves a complete checkpoint.
    ///
    /// # Errors
    /// [`TrainError::File`], [`TrainError::Weights`].
    pub(crate) fn write(&self, path: &Path) -> Result<(), TrainError> {
        let mut lists: Vec<(String, &[f32])> = Vec::new();
        for (at, parameter) in self.parameters.all().iter().enumerate() {
            lists.push((format!("value.{}", parameter.name), &parameter.value));
            lists.push((format!("average.{}", parameter.name), &self.average.all()[at].value));
            lists.push((format!("first.{}", parameter.name), &self.optimiser.first[at]));
            if let Some(second) = self.optimiser.second.get(at) {
                lists.push((format!("second.{}", parameter.name), second));
            }
        }
        let bytes: Vec<Vec<u8>> = lists.iter().map(|(_, values)| to_bytes(values)).collect();
        let views = lists.iter().zip(&bytes).map(|((name, values), bytes)| {
            TensorView::new(Dtype::F32, vec![values.len()], bytes).map(|view| (name.clone(), view))
        });
        let views: Vec<_> = views.collect::<Result<_, _>>().map_err(TrainError::weights)?;
        let state = serde_json::to_string(&self.position).map_err(TrainError::weights)?;
        let notes = HashMap::from([(STATE.to_owned(), state)]);
        write_aside(path, &safetensors::serialize(views, Some(notes)).map_err(TrainError::weights)?)
    }

    /// Reads a checkpoint of a network with the same layout; `optimiser` is that of the stage in which it stopped.
    ///
    /// # Errors
    /// [`TrainError::File`]; [`TrainError::Run`] if it is invalid or belongs to another network.
    pub(crate) fn read(
        path: &Path,
        layout: &Parameters,
        optimiser: impl Fn(&Position) -> Result<OptimiserParams, TrainError>,
    ) -> Result<Self, TrainError> {
        let wrong = |reason: String| TrainError::Run { path: path.to_owned(), reason };
        let bytes = fs::read(path).map_err(|source| TrainError::file(path, source))?;
        let damaged = |error: &dyn std::fmt::Display| wrong(format!("this is no checkpoint ({error})"));
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| damaged(&error))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| damaged(&error))?;
        let state = header.metadata().as_ref().and_then(|notes| notes.get(STATE));
        let position: Position = state
            .and_then(|state| serde_json::from_str(state).ok())
            .ok_or_else(|| damaged(&"it does not say where the run was"))?;
        let list = |kind: &str, name: &str, length: usize| -> Result<Vec<f32>, TrainError> {
            let view = file.tensor(&format!("{kind}.{name}")).map_err(|error| damaged(&error))?;
            if view.dtype() != Dtype::F32 || view.data().len() != 4 * length {
                return Err(wrong(format!("`{name}` has another size: the checkpoint belongs to another network")));
            }
            Ok(from_bytes(view.data()))
        };
        let (mut parameters, mut average) = (layout.clone(), layout.clone());
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let params = optimiser(&position)?;
        for (at, parameter) in layout.all().iter().enumerate() {
            let read = |kind| list(kind, &parameter.name, parameter.value.len());
            parameters.all_mut()[at].value = read("value")?;
            average.all_mut()[at].value = read("average")?;
            first.push(read("first")?);
            if matches!(params, OptimiserParams::Adamw { .. }) {
                second.push(read("second")?);
            }
        }
        let optimiser = Optimiser::resume(params, position.optimiser_steps, first, second);
        Ok(Self { position, parameters, average, optimiser })
    }
}

/// Writes a file under a temporary name, flushes it to the disk and renames it.
pub(crate) fn write_aside(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let part = path.with_extension("part");
    let written = fs::File::create(&part).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&part, path)).map_err(|source| {
        let _ = fs::remove_file(&part);
        TrainError::file(path, source)
    })
}

//! Networks: manifests, the registry, and the engines that run them.
//!
//! A [`Manifest`] describes a network except for its weights; the [`Registry`] finds both, in the program, in the user's
//! folder and in folders given; a [`Runtime`] knows the engines of this computer; loading gives a [`Model`], one per worker.
//!
//! ```no_run
//! use visavis_infer::{EngineOptions, Registry, Runtime, Task};
//!
//! # fn main() -> Result<(), visavis_infer::InferError> {
//! let runtime = Runtime::discover(None);
//! let registry = Registry::open(&["models".into()])?;
//! if let Some(entry) = registry.for_task(Task::Age).next() {
//!     let mut model = registry.load(&entry.manifest.name, &runtime, &EngineOptions::default())?;
//!     let [width, height] = entry.manifest.input.size;
//!     let outputs = model.run(&visavis_infer::Tensor::zeros(&entry.manifest.input.shape(1, width, height)))?;
//!     assert_eq!(outputs.len(), entry.manifest.output_tensors().len());
//! }
//! # Ok(())
//! # }
//! ```

mod contract;
mod device;
pub mod engine;
mod error;
pub mod manifest;
mod model;
pub mod registry;
pub mod runtime;

pub use device::{Device, EngineKind};
pub use engine::{EngineChoice, EngineOptions, Precision};
pub use error::InferError;
pub use manifest::{Manifest, Task, fingerprint};
pub use model::{Model, Placement, Tensor};
pub use registry::{EmbeddedModel, Entry, ModelSource, Problem, Registry, WeightsLocation};
pub use runtime::{Runtime, RuntimeReport};

//! Networks: manifests, the registry, and the engines that run them.

pub mod manifest;
mod model;

pub use manifest::{Manifest, Task};
pub use model::{Model, Placement, Tensor};

/// What can go wrong between a file of weights and an answer.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// The engine failed while running.
    #[error("running {model}: {reason}")]
    Run {
        /// The network.
        model: String,
        /// The engine's own words.
        reason: String,
    },
}

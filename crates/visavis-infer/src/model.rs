//! The interface of every engine: run a network.

use std::fmt;

use crate::InferError;

/// A dense tensor of `f32`, row-major.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tensor {
    /// Size of each axis.
    pub shape: Vec<usize>,
    /// All values; as many as the product of `shape`.
    pub data: Vec<f32>,
}

impl Tensor {
    /// A tensor of zeros.
    #[must_use]
    pub fn zeros(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), data: vec![0.0; shape.iter().product()] }
    }

    /// Changes the shape; the values are unspecified afterwards. Reuses the memory if it suffices.
    pub fn reshape(&mut self, shape: &[usize]) {
        self.shape.clear();
        self.shape.extend_from_slice(shape);
        self.data.resize(shape.iter().product(), 0.0);
    }
}

/// A loaded network. Each worker has its own: running needs `&mut`, so no lock is needed around a session.
pub trait Model: Send {
    /// Runs the network on one input tensor. Returns the outputs in the order of [`crate::Manifest::output_tensors`].
    ///
    /// # Errors
    /// [`InferError::Shape`] if the input does not match the manifest; [`InferError::Run`] if the engine fails.
    fn run(&mut self, input: &Tensor) -> Result<Vec<Tensor>, InferError>;

    /// Where it runs.
    fn placement(&self) -> &Placement;

    /// How many pictures to run together, of a network that accepts several: as many as take no longer together than one by one.
    fn batch(&self) -> usize {
        1
    }
}

/// Where a model runs, for display and the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Name and version, such as `ONNX Runtime 1.32.0`.
    pub engine: String,
    /// Such as `CPU` or `CUDA`.
    pub device: String,
    /// Threads that one run uses.
    pub threads: usize,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} on {}, {} thread{}",
            self.engine,
            self.device,
            self.threads,
            if self.threads == 1 { "" } else { "s" }
        )
    }
}

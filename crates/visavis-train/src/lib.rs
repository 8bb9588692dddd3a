//! Networks, their training and their export to ONNX.
//!
//! A [`network::Network`] is a list of layers over [`network::Parameters`] in plain memory; burn runs it forwards and
//! backwards, except for slow operations, which [`ops`] replaces. A [`recipe::Recipe`] describes a run of
//! [`trainer::train`]; [`export`] writes the ONNX file, the manifest and the model card of the result.

mod checkpoint;
pub mod detector;
mod error;
pub mod export;
pub mod feed;
pub mod forest;
mod identities;
mod loss;
pub mod network;
mod numbers;
pub mod ops;
mod optimiser;
pub mod quantise;
pub mod recipe;
mod report;
mod run_folder;
mod schedule;
pub mod teacher;
pub mod trainer;
pub mod validation;

pub use error::TrainError;

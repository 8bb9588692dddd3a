//! Networks, their training and their export to ONNX.
//!
//! A [`network::Network`] is a list of layers over [`network::Parameters`] in plain memory; burn runs it forwards and
//! backwards, with the operations of [`ops`] for the parts where its own are slow. A [`recipe::Recipe`] says what
//! [`trainer::train`] does; [`export`] makes an ONNX file, a manifest and a model card of what comes out.

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
pub mod recipe;
mod run_folder;
mod schedule;
pub mod teacher;
pub mod trainer;
pub mod validation;

pub use error::TrainError;

//! Networks, their training and their export to ONNX.

pub mod forest;

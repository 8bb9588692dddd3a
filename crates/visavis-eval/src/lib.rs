//! Metrics, protocols, tables.
//!
//! [`coco`] reads labelled face boxes and detections, [`detection`] turns the two into average precision and recall.

pub mod coco;
pub mod detection;

//! Metrics, protocols, tables, plots.
//!
//! [`coco`] reads labelled face boxes and detections, [`detection`] turns the two into average precision and recall,
//! [`fault_sheet`] shows what was missed and what was no face; [`padded`] runs detectors at equal input sizes.
//! [`protocol`] runs networks over the faces of a pack, [`keypoints`] and [`attributes`] turn what they say into errors and
//! accuracies, each with an interval by [`bootstrap`], also by [`groups`] of faces. [`speed`] times networks, [`tables`]
//! sets all of it beside the paper's figures, [`plots`] draws it.

pub mod attributes;
pub mod bootstrap;
pub mod coco;
pub mod detection;
pub mod fault_sheet;
pub mod groups;
pub mod hard_view;
pub mod keypoints;
pub mod padded;
pub mod plots;
pub mod protocol;
mod random;
pub mod similarity;
pub mod speed;
pub mod tables;

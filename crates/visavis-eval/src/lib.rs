//! Metrics, protocols, tables, plots.
//!
//! [`coco`] reads detections, [`detection`] computes average precision and recall from them and labelled boxes,
//! [`fault_sheet`] shows missed faces and false positives; [`padded`] runs detectors at equal picture sizes. [`protocol`] runs
//! networks on the faces of a pack, [`keypoints`], [`attributes`] and [`similarity`] compute errors and accuracies, each with an
//! interval by [`bootstrap`], also by [`groups`] of faces. [`speed`] times networks, [`tables`] prints the figures beside the
//! paper's, [`plots`] draws them, [`trust`] has the rates of an operator's report.

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
pub mod trust;

//! Labelled faces: readers for the layouts that data sets come in, splits, and packed crops.
//!
//! A [`DataSet`] is a list of [`Sample`]s, pictures on disk with what is known of the face in each. A [`pack::Pack`] is
//! what training and evaluation read: every face cut out with much around it, its box and keypoints in the crop's
//! pixels, its labels, and whether it belongs to training or validation. [`boxes`] holds whole pictures with the boxes of
//! all their faces, for detectors.

pub mod boxes;
pub mod layout;
pub mod pack;
mod sample;
mod split;

pub use sample::{DataError, DataSet, Gender, Labels, Sample};
pub use split::{Split, SplitRule};

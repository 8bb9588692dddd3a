//! Labelled faces: readers for the layouts of data sets, splits, and packed crops.
//!
//! A [`DataSet`] is a list of [`Sample`]s: pictures on disk, each with the labels of one face. A [`pack::Pack`] is what
//! training and evaluation read: crops of all faces with a wide margin, with box and keypoints in the crop's pixels, the
//! labels, and the side of the split. [`boxes`] has whole pictures with the boxes of all their faces, for detectors.

pub mod boxes;
pub mod layout;
pub mod pack;
mod sample;
mod split;

pub use sample::{DataError, DataSet, EXPRESSIONS, Gender, Labels, Sample};
pub use split::{Split, SplitRule};

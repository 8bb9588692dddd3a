//! A labelled face, and sets of labelled faces.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use visavis_image::{Landmarks, Rect};

/// Gender as the data sets label it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gender {
    /// Labelled female.
    Female,
    /// Labelled male.
    Male,
}

/// Names of the eight expressions, in the order of FER+ (Barsoum et al., ICMI 2016).
pub const EXPRESSIONS: [&str; 8] =
    ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"];

/// The labels of a face except its place. A label that the set does not give is `None`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Labels {
    /// Years.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<f32>,
    /// Standard deviation of the guessed ages, in years (ChaLearn LAP).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_deviation: Option<f32>,
    /// Gender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gender: Option<Gender>,
    /// Whether the face smiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smile: Option<bool>,
    /// UTKFace's code: 0 white, 1 black, 2 asian, 3 indian, 4 other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub race: Option<u8>,
    /// Whether the person wears glasses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glasses: Option<bool>,
    /// MTFL's code: 1 left profile, 2 left, 3 frontal, 4 right, 5 right profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pose: Option<u8>,
    /// Share of the votes for each of [`EXPRESSIONS`]; the rest of the votes, up to 1, went to none of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<[f32; 8]>,
}

impl Labels {
    /// The index in [`EXPRESSIONS`] of the one with more than half of all votes.
    #[must_use]
    pub fn main_expression(&self) -> Option<usize> {
        self.expression?.iter().position(|share| *share > 0.5)
    }
}

/// A picture on disk and its one labelled face.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The picture.
    pub path: PathBuf,
    /// Its path relative to the set's folder, with `/` as separator on every system.
    pub file: String,
    /// The face's box in pixels of the stored picture, if the set gives one.
    pub rect: Option<Rect>,
    /// The face's keypoints in pixels of the stored picture, if the set gives them.
    pub landmarks: Option<Landmarks>,
    /// All other labels.
    pub labels: Labels,
    /// The person, if the set gives it: all faces of one person are on the same side of a split.
    pub identity: Option<String>,
}

/// A labelled set of faces.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DataSet {
    /// Short name, such as `utkface`; it determines the split, so it must not change.
    pub name: String,
    /// The samples in the order of the set's own lists.
    pub samples: Vec<Sample>,
    /// What the reader left out and why, as text.
    pub notes: Vec<String>,
}

/// The name for a set in `folder`.
pub(crate) fn name_of(folder: &Path) -> String {
    let full = std::path::absolute(folder).unwrap_or_default();
    full.file_name().map_or_else(|| "set".into(), |name| name.to_string_lossy().into_owned())
}

/// An error of a data set or a pack.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: std::io::Error,
    },
    /// An invalid label.
    #[error("{path}, line {line}: {reason}")]
    Label {
        /// The list of labels.
        path: PathBuf,
        /// Line number from 1; for a database the row.
        line: u64,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// A file or folder that does not have its layout.
    #[error("{path}: {reason}")]
    Layout {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A folder without a pack.
    #[error("{path}: no pack is there (pack.json is missing)")]
    NoPack {
        /// The folder.
        path: PathBuf,
    },
    /// The pictures of a list of boxes are not in the usual folders.
    #[error("{path}: {first} is in none of {folders}: name the folder of the pictures")]
    NoPictures {
        /// The list, or the folder that contains it.
        path: PathBuf,
        /// The first picture of the list.
        first: String,
        /// The folders in which it was looked for, separated by commas.
        folders: String,
    },
    /// A folder of pictures whose name says nothing about them.
    #[error(
        "{path}: the name does not say what its pictures show: rename it to smile, neutral, female, male, glasses, no_glasses \
         or age_31, or give a rule such as {name}=smile:1"
    )]
    UnknownClass {
        /// The folder.
        path: PathBuf,
        /// Its name.
        name: String,
    },
    /// A box file that cannot be used.
    #[error(transparent)]
    Boxes(#[from] crate::boxes::CocoError),
    /// The detector failed.
    #[error(transparent)]
    Face(#[from] visavis_face::FaceError),
}

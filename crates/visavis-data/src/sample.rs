//! One labelled face, and sets of them.

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

/// What is known of a face beyond where it is. Whatever a set does not label is `None`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Labels {
    /// Years.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<f32>,
    /// Standard deviation of the age among those who guessed it, in years (ChaLearn LAP).
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
    /// Whether it wears glasses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glasses: Option<bool>,
    /// MTFL's code: 1 left profile, 2 left, 3 frontal, 4 right, 5 right profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pose: Option<u8>,
}

/// A picture on disk and the one face in it that is labelled.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The picture.
    pub path: PathBuf,
    /// Its path relative to the set's folder, with `/` between the parts: the same on every machine.
    pub file: String,
    /// The face's box in pixels of the stored picture, where the set gives one.
    pub rect: Option<Rect>,
    /// The face's keypoints in pixels of the stored picture, where the set gives them.
    pub landmarks: Option<Landmarks>,
    /// Everything else that the set says.
    pub labels: Labels,
    /// Who it is, where the set says: faces of one person never stand on both sides of a split.
    pub identity: Option<String>,
}

/// A labelled set of faces.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DataSet {
    /// Short name, such as `utkface`; part of what decides a split, so it must not change.
    pub name: String,
    /// The samples in the order of the set's own lists.
    pub samples: Vec<Sample>,
    /// What the reader left out and why, in words for people.
    pub notes: Vec<String>,
}

/// The name for a set in `folder`.
pub(crate) fn name_of(folder: &Path) -> String {
    let full = std::path::absolute(folder).unwrap_or_default();
    full.file_name().map_or_else(|| "set".into(), |name| name.to_string_lossy().into_owned())
}

/// A data set or pack that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// A label that makes no sense.
    #[error("{path}, line {line}: {reason}")]
    Label {
        /// The list of labels.
        path: PathBuf,
        /// From 1; for a database the row.
        line: u64,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A file that is not what its layout says.
    #[error("{path}: {reason}")]
    Layout {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A box file that cannot be used.
    #[error(transparent)]
    Boxes(#[from] crate::boxes::CocoError),
    /// The detector failed.
    #[error(transparent)]
    Face(#[from] visavis_face::FaceError),
}

//! Pictures with labelled face boxes, for training and measuring detectors.
//!
//! [`layout::boxes`](crate::layout::boxes) reads the layouts of such sets; [`FaceBoxes::write`] writes any of them as COCO
//! JSON, which everything else reads.

mod coco;
mod teachers;

pub use coco::{CocoError, FACE_CATEGORY};
pub use teachers::{Teacher, TeacherParams, label};

use std::path::Path;

use serde::{Deserialize, Serialize};
use visavis_image::{Landmarks, Rect};

use crate::{Split, SplitRule};

/// How a detector should treat a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// A face that must be found.
    #[default]
    Face,
    /// A face that may be found or missed without effect (`ignore`: too small, blurred, uncertain).
    Ignore,
    /// A region of many faces (`iscrowd`): any number of detections inside has no effect.
    Crowd,
}

/// The WIDER FACE subsets in which a face counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WiderFlags {
    /// Large, clear faces.
    pub easy: bool,
    /// Easy faces and smaller ones.
    pub medium: bool,
    /// Nearly all faces.
    pub hard: bool,
}

/// One labelled box.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledFace {
    /// In pixels of the stored picture.
    pub rect: Rect,
    /// How a detector should treat it.
    pub label: Label,
    /// WIDER FACE subsets, if the file gives any for this box.
    pub wider: Option<WiderFlags>,
    /// Five keypoints in pixels of the stored picture, if the file gives them.
    pub landmarks: Option<Landmarks>,
}

/// One picture and its boxes.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledImage {
    /// Unique in the set.
    pub id: u64,
    /// Relative to the folder of pictures.
    pub file_name: String,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// The collection from which the picture comes, if the file gives it.
    pub source: Option<String>,
    /// Whether the file states that the picture shows no face.
    pub negative: bool,
    /// Its boxes, in the order of the file.
    pub faces: Vec<LabelledFace>,
}

/// A set of pictures with face boxes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FaceBoxes {
    /// The pictures by ascending id.
    pub images: Vec<LabelledImage>,
}

impl FaceBoxes {
    /// Number of boxes with the label [`Label::Face`].
    #[must_use]
    pub fn face_count(&self) -> usize {
        self.images.iter().flat_map(|image| &image.faces).filter(|face| face.label == Label::Face).count()
    }

    /// The pictures on one side of the split of a set. The hash is the same as for faces in packs, over the set's name and the
    /// picture's file name, so a picture never changes sides.
    #[must_use]
    pub fn part(&self, rule: SplitRule, set: &str, side: Split) -> Self {
        let images = self.images.iter().filter(|image| rule.side(set, &image.file_name) == side);
        Self { images: images.cloned().collect() }
    }
}

/// The name of a set, which determines its split: that of the folder with the pictures, or, if this is called `images`, of
/// its parent folder.
#[must_use]
pub fn set_name(images: &Path) -> String {
    let full = std::path::absolute(images).unwrap_or_default();
    let mut parts = full.iter().rev().filter(|part| *part != "images" && *part != "..");
    parts.next().map_or_else(|| "set".into(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_parts_a_set_and_never_changes() {
        let image = |id| LabelledImage {
            id,
            file_name: format!("images/{id:06}.jpg"),
            width: 4,
            height: 4,
            source: None,
            negative: true,
            faces: Vec::new(),
        };
        let set = FaceBoxes { images: (0..1000).map(image).collect() };
        let part = |side| set.part(SplitRule::default(), "celeba", side);
        let validation: Vec<u64> = part(Split::Validation).images.iter().map(|image| image.id).collect();
        // As the faces of a pack of the same files (`SplitRule`'s own test).
        assert_eq!(validation[..3], [11, 21, 22]);
        assert_eq!(part(Split::Train).images.len() + validation.len(), 1000);
    }

    #[test]
    fn a_set_is_named_after_its_folder() {
        for folder in ["data/wider/images", "data/wider", "data/wider/images/.."] {
            assert_eq!(set_name(Path::new(folder)), "wider", "{folder}");
        }
    }
}

//! Pictures with face boxes, decoded once and kept.

use std::path::Path;

use rayon::prelude::*;
use visavis_data::boxes::{FaceBoxes, Label, LabelledImage};
use visavis_data::{Split, SplitRule};
use visavis_image::{Picture, codec};

use crate::TrainError;
use crate::detector::LabelledBox;

/// A picture and its boxes.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// Decoded.
    pub picture: Picture,
    /// In its pixels.
    pub boxes: Vec<LabelledBox>,
    /// Which side it is on.
    pub split: Split,
    /// What the box file says, for evaluation.
    pub labelled: LabelledImage,
}

/// A set of them. It lies in memory decoded, since a scene is looked at in every epoch and in mosaics of others: 1,500 pictures
/// of 416×300 pixels take 560 MB.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SceneSet {
    /// Name of the set.
    pub name: String,
    /// In the order of the box file.
    pub scenes: Vec<Scene>,
}

impl SceneSet {
    /// Decodes the pictures of `boxes` in `folder`. Who trains and who validates follows from the names of set and file.
    ///
    /// # Errors
    /// [`TrainError::File`], [`TrainError::Picture`] naming the picture.
    pub fn load(name: &str, boxes: FaceBoxes, folder: &Path) -> Result<Self, TrainError> {
        let rule = SplitRule::default();
        let scenes = boxes.images.into_par_iter().map(|labelled| {
            let path = folder.join(&labelled.file_name);
            let bytes = std::fs::read(&path).map_err(|source| TrainError::file(&path, source))?;
            let picture = codec::decode(&bytes, codec::MAX_PIXELS)
                .map_err(|error| TrainError::Picture { path: path.clone(), reason: error.to_string() })?;
            let boxes =
                labelled.faces.iter().map(|face| LabelledBox { rect: face.rect, face: face.label == Label::Face });
            let boxes = boxes.collect();
            Ok(Scene { picture, boxes, split: rule.side(name, &labelled.file_name), labelled })
        });
        Ok(Self { name: name.to_owned(), scenes: scenes.collect::<Result<_, TrainError>>()? })
    }

    /// The places of the scenes on one side.
    pub fn of(&self, split: Split) -> impl Iterator<Item = usize> {
        self.scenes.iter().enumerate().filter(move |(_, scene)| scene.split == split).map(|(place, _)| place)
    }
}

//! Pictures with face boxes, decoded once and kept in memory.

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use visavis_data::boxes::{FaceBoxes, Label, LabelledImage};
use visavis_data::layout::boxes::BoxLayout;
use visavis_data::{Split, SplitRule, layout};
use visavis_image::{Picture, Rect, codec};

use crate::TrainError;
use crate::detector::LabelledBox;

/// A picture and its boxes.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// The decoded picture.
    pub picture: Arc<Picture>,
    /// The boxes in its pixels.
    pub boxes: Vec<LabelledBox>,
    /// Its side of the split.
    pub split: Split,
    /// Its entry in the box file, for evaluation.
    pub labelled: LabelledImage,
    /// How much more often than others it is used.
    pub repeat: f32,
    /// Places of false positives.
    pub mistakes: Vec<Rect>,
}

/// A set of scenes. They are kept decoded, since each is used in every epoch and in mosaics with others: 1,500 pictures of
/// 416×300 pixels take 560 MB.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SceneSet {
    /// Name of the set.
    pub name: String,
    /// The scenes in the order of the box file.
    pub scenes: Vec<Scene>,
}

impl SceneSet {
    /// Decodes the pictures of `boxes` in `folder`, or without boxes all pictures of the folder, which then have no faces. The names
    /// of set and file determine the split.
    ///
    /// # Errors
    /// [`TrainError::File`], [`TrainError::Picture`] with the picture.
    pub fn load(name: &str, boxes: Option<FaceBoxes>, folder: &Path) -> Result<Self, TrainError> {
        let rule = SplitRule::default();
        let boxes = match boxes {
            Some(boxes) => boxes,
            None => layout::boxes::read(BoxLayout::Negatives, folder, None)?.boxes,
        };
        let scenes = boxes.images.into_par_iter().map(|labelled| {
            let path = folder.join(&labelled.file_name);
            let bytes = std::fs::read(&path).map_err(|source| TrainError::file(&path, source))?;
            let picture = codec::decode(&bytes, codec::MAX_PIXELS)
                .map_err(|error| TrainError::Picture { path: path.clone(), reason: error.to_string() })?;
            let boxes = labelled.faces.iter().map(|face| LabelledBox {
                rect: face.rect,
                face: face.label == Label::Face,
                landmarks: face.landmarks,
            });
            let boxes = boxes.collect();
            let split = rule.side(name, &labelled.file_name);
            Ok(Scene { picture: Arc::new(picture), boxes, split, labelled, repeat: 1.0, mistakes: Vec::new() })
        });
        Ok(Self { name: name.to_owned(), scenes: scenes.collect::<Result<_, TrainError>>()? })
    }

    /// The indices of the scenes on one side.
    pub fn of(&self, split: Split) -> impl Iterator<Item = usize> {
        self.scenes.iter().enumerate().filter(move |(_, scene)| scene.split == split).map(|(place, _)| place)
    }
}

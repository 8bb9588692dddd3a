//! Shared by the commands that measure detectors: box sets, input sizes, and running a detector on all pictures.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use visavis_data::SplitRule;
use visavis_data::boxes::{FaceBoxes, LabelledImage, set_name};
use visavis_eval::coco::Detection;
use visavis_eval::detection::{DetectionEvaluation, DetectionParams, NegativeReport};
use visavis_eval::hard_view::HardView;
use visavis_eval::padded::{Padded, input_for};
use visavis_face::detect::DetectorParams;
use visavis_face::{Detect, FaceDetector};
use visavis_image::{Picture, codec};
use visavis_infer::{EngineOptions, Entry, Runtime};

use super::faces::{SplitArg, progress_bar};

/// One detector and its results.
pub(super) struct Run {
    pub(super) name: String,
    /// The threshold of its manifest.
    pub(super) threshold: f32,
    pub(super) params: DetectionParams,
    pub(super) detections: Vec<Detection>,
    pub(super) evaluation: DetectionEvaluation,
    pub(super) negatives: Option<NegativeReport>,
}

/// Pictures with face boxes, and their folder.
pub(super) struct PictureSet {
    /// Name of the set, which determines its split.
    pub(super) name: String,
    pub(super) boxes: FaceBoxes,
    pub(super) images: PathBuf,
    /// The view that makes the pictures harder, and the boxes in the stored pictures; `boxes` are those in the views.
    view: Option<(HardView, HashMap<u64, LabelledImage>)>,
}

impl PictureSet {
    /// Reads a box file; its pictures are in `images`, or in the folder of this name beside it.
    pub(super) fn read(boxes: &Path, images: Option<&Path>, split: SplitArg) -> Result<Self> {
        let whole = FaceBoxes::read(boxes)?;
        let images = images.map_or_else(|| boxes.with_file_name("images"), Path::to_owned);
        let name = set_name(&images);
        if whole.images.is_empty() {
            bail!("{}: no picture is listed in it", boxes.display());
        }
        let part = match split.part() {
            Some(part) => whole.part(SplitRule::default(), &name, part),
            None => whole,
        };
        if part.images.is_empty() {
            bail!("{}: no picture of the set `{name}` is on that side of the split", boxes.display());
        }
        Ok(Self { name, boxes: part, images, view: None })
    }

    /// The same pictures under a harder view. Those without such a view are left out.
    pub(super) fn seen(mut self, view: HardView) -> Result<Self> {
        let mut stored = HashMap::new();
        for image in std::mem::take(&mut self.boxes.images) {
            let picture = read_photo(&self.images.join(&image.file_name))?;
            if let Some((_, seen)) = view.show(&picture, &image) {
                self.boxes.images.push(seen);
                stored.insert(image.id, image);
            }
        }
        if self.boxes.images.is_empty() {
            bail!("{}: no picture has a view `{view}`", self.name);
        }
        self.view = Some((view, stored));
        Ok(self)
    }

    /// A picture of the set under the view.
    pub(super) fn picture(&self, image: &LabelledImage) -> Result<Picture> {
        let picture = read_photo(&self.images.join(&image.file_name))?;
        let seen = self.view.as_ref().and_then(|(view, stored)| view.show(&picture, stored.get(&image.id)?));
        Ok(seen.map_or(picture, |(seen, _)| seen))
    }

    /// All detections of `detector`, picture by picture.
    pub(super) fn detect(&self, detector: &mut dyn Detect, message: &str) -> Result<Vec<Detection>> {
        let bar = progress_bar(self.boxes.images.len() as u64, "pictures").with_message(message.to_owned());
        let mut detections = Vec::new();
        for image in &self.boxes.images {
            let picture = self.picture(image)?;
            let faces = detector.detect(&picture)?;
            let found =
                |face: &visavis_face::Face| Detection { image_id: image.id, rect: face.rect, score: face.score };
            detections.extend(faces.iter().map(found));
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(detections)
    }
}

/// A detector at an input size.
pub(super) struct SizedDetector {
    pub(super) detector: Box<dyn Detect>,
    /// The size into which pictures are fitted; `None` if each has its own size.
    pub(super) size: Option<[u32; 2]>,
    /// The network's input size, if it is larger: the rest is black.
    pub(super) padded: Option<[u32; 2]>,
}

impl SizedDetector {
    /// Loads `entry`. Without a `size` each picture is processed at its own size if the network accepts any, else at the network's
    /// only size. A `size` that the network does not accept is padded to the next one that it accepts.
    pub(super) fn load(
        entry: &Entry,
        runtime: &Runtime,
        engine: &EngineOptions,
        size: Option<[u32; 2]>,
        score: Option<f32>,
    ) -> Result<Self> {
        let manifest = &entry.manifest;
        let free = manifest.input.multiple_of.is_some();
        let input = size.map(|size| input_for(&manifest.input, size).unwrap_or(size));
        let params = DetectorParams { size: input, native_size: size.is_none() && free, score, smallest: 0.0 };
        let detector = FaceDetector::new(manifest, entry.load(runtime, engine)?, params)?;
        let size = size.or((!free).then_some(manifest.input.size));
        Ok(match (size, input.filter(|&input| size != Some(input))) {
            (Some(size), Some(input)) => Self {
                detector: Box::new(Padded::new(Box::new(detector), size, input)),
                size: Some(size),
                padded: Some(input),
            },
            (size, _) => Self { detector: Box::new(detector), size, padded: None },
        })
    }
}

/// Decodes a photo.
pub(super) fn read_photo(path: &Path) -> Result<Picture> {
    Ok(visavis_video::load_photo(path, codec::MAX_PIXELS)?.picture)
}

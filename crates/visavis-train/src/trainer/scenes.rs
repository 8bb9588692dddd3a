//! Training on pictures with face boxes: detectors.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use visavis_data::Split;
use visavis_data::boxes::FaceBoxes;
use visavis_eval::coco::Detection;
use visavis_eval::detection::{DetectionParams, evaluate};
use visavis_face::detect::{Detect, DetectorParams, FaceDetector};

use super::{Batches, Judged, Place, Problem, TrainOptions};
use crate::TrainError;
use crate::detector::regions::sample;
use crate::detector::{Running, judge, propose};
use crate::export::detector_manifest;
use crate::feed::scenes::{SceneBatch, SceneFeedParams, SceneSet, scene_batches, scene_epoch};
use crate::network::{Network, Parameters, Pass};
use crate::recipe::{Recipe, Stage};
use crate::run_folder::RunFolder;
use crate::validation::Figures;

/// Least score of the boxes whose precision and recall are taken: the whole curve counts.
const LEAST_SCORE: f32 = 0.02;

/// Boxes of a picture that a second stage is taught with: they cost more than the picture itself.
const TAUGHT: usize = 16;

/// A network that looks at pictures.
pub(super) struct Scenes<'a> {
    recipe: &'a Recipe,
    network: &'a Network,
    options: &'a TrainOptions<'a>,
    /// Input of validation.
    size: [u32; 2],
    sets: BTreeMap<PathBuf, Arc<SceneSet>>,
}

/// A stage's pictures.
pub(super) struct StageData {
    /// With how often each picture is shown.
    training: Vec<(Arc<SceneSet>, f32)>,
    validation: Vec<Arc<SceneSet>>,
}

impl<'a> Scenes<'a> {
    pub(super) fn new(recipe: &'a Recipe, network: &'a Network, options: &'a TrainOptions<'a>, size: [u32; 2]) -> Self {
        Self { recipe, network, options, size, sets: BTreeMap::new() }
    }
}

impl Problem for Scenes<'_> {
    type Data = StageData;
    type Batch = SceneBatch;

    fn open(&mut self, folder: &RunFolder, stage: &Stage) -> Result<StageData, TrainError> {
        let mut data = StageData { training: Vec::new(), validation: Vec::new() };
        for source in &stage.scenes {
            if !self.sets.contains_key(&source.images) {
                let name = source.name();
                let path = match (&source.boxes, &source.teacher) {
                    (Some(boxes), _) => boxes.clone(),
                    (None, teacher) => {
                        let teacher = teacher.as_deref().unwrap_or_default();
                        let path = folder.boxes_path(teacher, &name);
                        if !path.is_file() {
                            let boxes = (self.options.point_out)(teacher, source)?;
                            boxes.write(&path)?;
                        }
                        path
                    }
                };
                let bytes = std::fs::read(&path).map_err(|error| TrainError::file(&path, error))?;
                let set = SceneSet::load(&name, FaceBoxes::parse(&bytes, &path)?, &source.images)?;
                folder.note_data(name.as_ref(), set.scenes.len(), &visavis_infer::manifest::sha256(&bytes))?;
                self.sets.insert(source.images.clone(), Arc::new(set));
            }
            let set = &self.sets[&source.images];
            data.training.push((set.clone(), source.repeat));
            if source.validate {
                data.validation.push(set.clone());
            }
        }
        Ok(data)
    }

    fn counts(&self, data: &StageData, _: usize) -> (usize, usize) {
        let validation = data.validation.iter().map(|set| set.of(Split::Validation).count()).sum();
        (scene_epoch(&data.training, self.recipe.seed).len(), validation)
    }

    fn batches(&self, data: &StageData, stage: &Stage, place: Place) -> (Batches<SceneBatch>, usize) {
        let (mean, std) = self.recipe.network.pixels();
        let params = SceneFeedParams {
            augment: self.recipe.augment.clone(),
            scenes: self.recipe.scenes.clone(),
            levels: self.network.levels.iter().map(|level| level.anchors.clone()).collect(),
            batch: stage.batch,
            mean,
            std,
            seed: place.seed,
            threads: self.options.feeders,
        };
        let picks = scene_epoch(&data.training, place.seed);
        let count = picks.len() / stage.batch;
        (Box::new(scene_batches(&data.training, picks, place.skip, &params)), count)
    }

    fn len(&self, batch: &SceneBatch) -> usize {
        batch.count
    }

    fn judge(&self, _: &StageData, batch: SceneBatch, mut pass: Pass<'_>, device: &Device) -> Option<Judged> {
        let [width, height] = batch.size;
        let shape = [3, batch.count, height as usize, width as usize];
        let pictures = Tensor::<4>::from_data(TensorData::new(batch.pictures, shape), device);
        let ([scores, offsets], planes) = pass.detect(self.network, pictures);
        let proposed = self.network.regions.as_ref().map(|regions| {
            let proposals = propose(self.network, regions.proposals, &scores, &offsets, batch.size);
            (regions, proposals)
        });
        let mut loss = judge(scores, offsets, &batch.targets, &self.recipe.loss, device);
        if let Some((regions, proposals)) = proposed {
            let taught = proposals.into_iter().zip(&batch.boxes);
            let taught = taught.map(|(proposals, boxes)| sample(proposals, boxes, TAUGHT, pass.random()));
            let (rects, targets): (Vec<_>, Vec<_>) = taught.unzip();
            let stride = self.network.levels[0].anchors.stride;
            if let Some([scores, offsets]) = pass.look(regions, &planes, stride, &rects) {
                let second = judge(scores, offsets, &targets.concat(), &self.recipe.loss, device);
                loss.total = loss.total + second.total;
                loss.parts.extend(second.parts.into_iter().map(|(name, part)| (format!("region_{name}"), part)));
            }
        }
        Some(Judged::new(&loss.total, loss.parts, &pass.end()))
    }

    /// Average precision and recall at the size of the network's input, by the code that live and evaluation run.
    fn validate(&self, data: &StageData, _: &Stage, weights: &Parameters) -> Result<Figures, TrainError> {
        let manifest = detector_manifest(self.recipe, self.network, &[])?;
        let params = DetectorParams { size: Some(self.size), score: Some(LEAST_SCORE), ..DetectorParams::default() };
        let mut detector = FaceDetector::new(&manifest, Box::new(Running::new(self.network, weights)), params)?;
        let mut figures = Figures::new();
        let (mut boxes, mut detections) = (FaceBoxes { images: Vec::new() }, Vec::new());
        for set in &data.validation {
            for place in set.of(Split::Validation) {
                let scene = &set.scenes[place];
                // Ids are of one file; here several come together.
                let id = boxes.images.len() as u64;
                let found = detector.detect(&scene.picture)?;
                detections.extend(found.iter().map(|face| Detection {
                    image_id: id,
                    rect: face.rect,
                    score: face.score,
                }));
                boxes.images.push(visavis_data::boxes::LabelledImage { id, ..scene.labelled.clone() });
            }
        }
        if !boxes.images.is_empty() {
            let report = evaluate(&boxes, &detections, &DetectionParams::default())?.all;
            figures.insert("missed_ap50".into(), 1.0 - report.ap50.unwrap_or(0.0));
            figures.insert("missed_ap".into(), 1.0 - report.ap50_95.unwrap_or(0.0));
            figures.insert("missed_recall".into(), 1.0 - report.recall.unwrap_or(0.0));
        }
        Ok(figures)
    }
}

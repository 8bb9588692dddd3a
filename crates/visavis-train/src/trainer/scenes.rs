//! Trains detectors on pictures with face boxes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use visavis_data::Split;
use visavis_data::boxes::{FaceBoxes, LabelledImage};
use visavis_eval::coco::Detection;
use visavis_eval::detection::{DetectionParams, evaluate};
use visavis_face::detect::{Detect, DetectorParams, FaceDetector};
use visavis_image::Rect;

use super::{Batches, Judged, Place, Problem, TrainOptions};
use crate::TrainError;
use crate::detector::regions::sample;
use crate::detector::{Running, cells, judge, judge_cells, propose};
use crate::export::detector_manifest;
use crate::feed::scenes::{Scene, SceneBatch, SceneFeedParams, SceneSet, scene_batches, scene_epoch};
use crate::network::{Network, Norm, Parameters, Pass};
use crate::recipe::{Recipe, Stage};
use crate::run_folder::RunFolder;
use crate::validation::Figures;

/// Least score of the boxes for precision and recall: low, since the whole curve counts.
const LEAST_SCORE: f32 = 0.02;

/// Boxes per picture with which a second stage is trained: they cost more time than the picture itself.
const TAUGHT: usize = 16;

/// Least score of a false positive at the start of a stage for its place to be shown more often.
const MISTAKEN: f32 = 0.25;

/// Largest share of such a place that a labelled box may cover.
const BESIDE: f32 = 0.1;

/// A network that takes whole pictures.
pub(super) struct Scenes<'a> {
    recipe: &'a Recipe,
    network: &'a Network,
    options: &'a TrainOptions<'a>,
    /// Input size for validation.
    size: [u32; 2],
    sets: BTreeMap<PathBuf, Arc<SceneSet>>,
}

/// The pictures of a stage.
pub(super) struct StageData {
    /// Each with its repeat factor.
    training: Vec<(Arc<SceneSet>, f32)>,
    validation: Vec<Arc<SceneSet>>,
}

impl<'a> Scenes<'a> {
    pub(super) fn new(recipe: &'a Recipe, network: &'a Network, options: &'a TrainOptions<'a>, size: [u32; 2]) -> Self {
        Self { recipe, network, options, size, sets: BTreeMap::new() }
    }

    /// The network with these weights, as a detector for validation.
    fn detector(&self, weights: &Parameters, score: f32) -> Result<FaceDetector, TrainError> {
        detector(self.recipe, self.network, self.size, weights, score)
    }

    /// The same pictures with the places of false positives. They are stored at `path`, so that a resumed run uses the same
    /// ones.
    fn mined(&self, set: &SceneSet, repeat: f32, weights: &Parameters, path: &Path) -> Result<SceneSet, TrainError> {
        let failed = |source| TrainError::file(path, source);
        let mistakes: Vec<Vec<Rect>> = if path.is_file() {
            serde_json::from_slice(&std::fs::read(path).map_err(failed)?).map_err(|error| failed(error.into()))?
        } else {
            // Not `self`, whose options cannot be shared between threads.
            let (recipe, network, size) = (self.recipe, self.network, self.size);
            let false_positives = |scene: &Scene| -> Result<Vec<Rect>, TrainError> {
                let found = detector(recipe, network, size, weights, MISTAKEN)?.detect(&scene.picture)?;
                let beside = |rect: &Rect| {
                    let covered = |other: &Rect| rect.intersection(other).map_or(0.0, |both| both.area() / rect.area());
                    scene.boxes.iter().all(|labelled| covered(&labelled.rect) < BESIDE)
                };
                Ok(found.into_iter().map(|face| face.rect).filter(beside).collect())
            };
            let mistakes: Vec<Vec<Rect>> = set.scenes.par_iter().map(false_positives).collect::<Result<_, _>>()?;
            let bytes = serde_json::to_vec(&mistakes).map_err(|error| failed(error.into()))?;
            crate::checkpoint::write_aside(path, &bytes)?;
            mistakes
        };
        let places = mistakes.iter().map(Vec::len).sum::<usize>();
        log::info!("{places} places in {} pictures of {} are taken for faces", set.scenes.len(), set.name);
        let scenes = set.scenes.iter().zip(mistakes).map(|(scene, mistakes)| Scene {
            repeat: if mistakes.is_empty() { 1.0 } else { 1.0 + repeat },
            mistakes,
            ..scene.clone()
        });
        Ok(SceneSet { name: set.name.clone(), scenes: scenes.collect() })
    }

    fn pictures(batch: &mut SceneBatch, device: &Device) -> Tensor<4> {
        let [width, height] = batch.size;
        let shape = [3, batch.count, height as usize, width as usize];
        Tensor::<4>::from_data(TensorData::new(std::mem::take(&mut batch.pictures), shape), device)
    }
}

fn detector(
    recipe: &Recipe,
    network: &Network,
    size: [u32; 2],
    weights: &Parameters,
    score: f32,
) -> Result<FaceDetector, TrainError> {
    let manifest = detector_manifest(recipe, network, &[])?;
    let params = DetectorParams { size: Some(size), score: Some(score), ..DetectorParams::default() };
    Ok(FaceDetector::new(&manifest, Box::new(Running::new(network, weights)), params)?)
}

impl Problem for Scenes<'_> {
    type Data = StageData;
    type Batch = SceneBatch;

    fn open(
        &mut self,
        folder: &RunFolder,
        number: usize,
        stage: &Stage,
        weights: &Parameters,
    ) -> Result<StageData, TrainError> {
        let mut data = StageData { training: Vec::new(), validation: Vec::new() };
        for source in &stage.scenes {
            if !self.sets.contains_key(&source.images) {
                let name = source.name();
                let (boxes, hash) = match &source.boxes {
                    Some(path) => {
                        let bytes = std::fs::read(path).map_err(|error| TrainError::file(path, error))?;
                        (Some(FaceBoxes::parse(&bytes, path)?), visavis_infer::manifest::sha256(&bytes))
                    }
                    None => (None, "no faces".into()),
                };
                let set = SceneSet::load(&name, boxes, &source.images)?;
                if set.scenes.is_empty() {
                    let reason = format!("stage {}: no picture of {} is listed", number + 1, source.images.display());
                    return Err(TrainError::Recipe { reason });
                }
                folder.note_data(name.as_ref(), set.scenes.len(), &hash)?;
                self.sets.insert(source.images.clone(), Arc::new(set));
            }
            let set = if source.mine > 0.0 {
                let path = folder.mistakes_path(number, &source.name());
                Arc::new(self.mined(&self.sets[&source.images], source.mine, weights, &path)?)
            } else {
                self.sets[&source.images].clone()
            };
            data.training.push((set.clone(), source.repeat));
            if source.validate {
                data.validation.push(set);
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

    fn measure(&self, mut batch: SceneBatch, mut pass: Pass<'_>, device: &Device) -> Vec<(Norm, Vec<f32>, Vec<f32>)> {
        let pictures = Self::pictures(&mut batch, device);
        if self.network.pyramid.is_empty() {
            pass.detect(self.network, pictures);
        } else {
            pass.detect_cells(self.network, pictures);
        }
        pass.end().moments()
    }

    fn judge(&self, _: &StageData, mut batch: SceneBatch, mut pass: Pass<'_>, device: &Device) -> Option<Judged> {
        let pictures = Self::pictures(&mut batch, device);
        if !self.network.pyramid.is_empty() {
            let outputs = pass.detect_cells(self.network, pictures);
            let cells = cells(self.network.pyramid.iter().map(|level| level.stride), batch.size);
            let loss = judge_cells(outputs, &cells, &batch.boxes, &self.recipe.loss, device);
            return Some(Judged::new(&loss.total, loss.parts, &pass.end()));
        }
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
            if let Some([scores, offsets]) = pass.classify_regions(regions, &planes, stride, &rects) {
                let second = judge(scores, offsets, &targets.concat(), &self.recipe.loss, device);
                loss.total = loss.total + second.total;
                loss.parts.extend(second.parts.into_iter().map(|(name, part)| (format!("region_{name}"), part)));
            }
        }
        Some(Judged::new(&loss.total, loss.parts, &pass.end()))
    }

    /// Average precision and recall at the network's input size, computed by the same code as live and in evaluation.
    fn validate(&self, data: &StageData, _: &Stage, weights: &Parameters) -> Result<Figures, TrainError> {
        let mut detector = self.detector(weights, LEAST_SCORE)?;
        let mut figures = Figures::new();
        let (mut boxes, mut detections) = (FaceBoxes { images: Vec::new() }, Vec::new());
        for set in &data.validation {
            for place in set.of(Split::Validation) {
                let scene = &set.scenes[place];
                // Ids are unique in one file only; here several are joined.
                let id = boxes.images.len() as u64;
                let found = detector.detect(&scene.picture)?;
                detections.extend(found.iter().map(|face| Detection {
                    image_id: id,
                    rect: face.rect,
                    score: face.score,
                }));
                boxes.images.push(LabelledImage { id, ..scene.labelled.clone() });
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

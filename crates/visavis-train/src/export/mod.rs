//! Exports a trained network: ONNX file, manifest and model card.

mod card;
mod check;
mod graph;
mod regions;
mod untrained;

use std::path::{Path, PathBuf};

use visavis_data::EXPRESSIONS;
use visavis_infer::manifest::{
    Activation, Detector, DetectorDecode, FORMAT, Figure, Head, HeadDecode, Input, Layout, Likeness, Metric,
    PointOrder, sha256,
};
use visavis_infer::{Manifest, Runtime, Task};

pub use card::ModelCard;
pub use check::{Check, MOST_DIFFERENCE, check};
pub(crate) use graph::{HALVED_FROM, int};
pub use graph::{INPUT, Precision, onnx};
pub use untrained::{write_untrained, write_untrained_detectors, write_untrained_embedding};

use crate::TrainError;
use crate::checkpoint::write_aside;
use crate::detector::{BOXES, SCORES, VARIANCES};
use crate::network::{FaceTask, Network, POINTS, Parameters};
use crate::recipe::{NetworkRecipe, Recipe};

/// A network to export.
pub struct Export<'a> {
    /// Its recipe.
    pub recipe: &'a Recipe,
    /// Its layers.
    pub network: &'a Network,
    /// Its weights.
    pub parameters: &'a Parameters,
    /// How its weights are stored.
    pub precision: Precision,
    /// SPDX expression.
    pub licence: String,
    /// Its model card.
    pub card: ModelCard,
    /// Meaning of an embedding's distances; with `None` the manifest has only an estimate.
    pub reading: Option<Reading>,
    /// Default of the least score of a detector's faces, 0 to 1; `None` means 0.5.
    pub score: Option<f32>,
}

/// Meaning of distances between embeddings, as measured by `visavis-lab evaluate similarity`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Same person at or below this distance.
    pub same_person: f32,
    /// Distances of one person and of two people.
    pub likeness: Likeness,
}

/// The result of an export.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// The ONNX file.
    pub onnx: PathBuf,
    /// Its manifest.
    pub manifest: PathBuf,
    /// Its model card.
    pub card: PathBuf,
    /// Bytes of the ONNX file.
    pub bytes: usize,
    /// Difference of each engine to the trained network.
    pub checks: Vec<Check>,
}

/// Writes `NAME.onnx`, `NAME.toml` and `NAME.md` into `folder`, after checking that every engine of `runtime` gives the same
/// output as the trained network.
///
/// # Errors
/// [`TrainError::Export`] if an engine does not, [`TrainError::File`], [`TrainError::Infer`].
pub fn export(export: &Export, runtime: &Runtime, folder: &Path) -> Result<Exported, TrainError> {
    let name = &export.recipe.name;
    let bytes = onnx(export.network, export.parameters, export.precision);
    let manifest = manifest(export, &bytes)?;
    let single = onnx(export.network, export.parameters, Precision::Single);
    let mut checks =
        check(export.network, export.parameters, &self::manifest(export, &single)?, &single, runtime, MOST_DIFFERENCE)?;
    if export.precision == Precision::Half {
        // The error of rounding to 16 bits is reported, and has a larger limit.
        let halved = check(export.network, export.parameters, &manifest, &bytes, runtime, check::MOST_DIFFERENCE_HALF)?;
        checks.extend(
            halved.into_iter().map(|check| Check { engine: format!("{}, 16-bit weights", check.engine), ..check }),
        );
    }
    std::fs::create_dir_all(folder).map_err(|source| TrainError::file(folder, source))?;
    let text = toml::to_string_pretty(&manifest).map_err(|error| TrainError::Recipe { reason: error.to_string() })?;
    let place = |end: &str| folder.join(format!("{name}.{end}"));
    let (onnx, toml, card) = (place("onnx"), place("toml"), place("md"));
    write_aside(&onnx, &bytes)?;
    write_aside(&toml, text.as_bytes())?;
    write_aside(&card, export.card.render(export, &manifest, &checks, bytes.len()).as_bytes())?;
    Ok(Exported { onnx, manifest: toml, card, bytes: bytes.len(), checks })
}

/// The manifest of a network in the file `bytes`.
fn manifest(export: &Export, bytes: &[u8]) -> Result<Manifest, TrainError> {
    let manifest = match &export.recipe.network {
        NetworkRecipe::Ssd { .. } | NetworkRecipe::FasterRcnn { .. } | NetworkRecipe::Yunet { .. } => {
            let mut manifest = detector_manifest(export.recipe, export.network, bytes)?;
            if let (Some(detector), Some(score)) = (&mut manifest.detector, export.score) {
                detector.score = score;
            }
            manifest
        }
        NetworkRecipe::Onet => {
            let decode = HeadDecode::Points { order: PointOrder::Pairs };
            let heads = vec![Head { task: Task::Keypoints, tensor: POINTS.into(), decode }];
            Manifest {
                tasks: vec![Task::Keypoints],
                crop: export.recipe.network.crop(),
                heads,
                ..basis(export.recipe, export.network, bytes)
            }
        }
        NetworkRecipe::Face { tasks, .. } => {
            let heads: Vec<Head> = tasks.iter().map(|task| head(*task, export.reading)).collect();
            Manifest {
                tasks: heads.iter().map(|head| head.task).collect(),
                crop: export.recipe.network.crop(),
                heads,
                ..basis(export.recipe, export.network, bytes)
            }
        }
    };
    let manifest = Manifest {
        licence: export.licence.clone(),
        training_data: Some(export.card.data.clone()),
        figures: export.card.figures.clone(),
        ..manifest
    };
    manifest.validate(&manifest.name)?;
    Ok(manifest)
}

/// The manifest of a detector, from recipe and layout.
///
/// # Errors
/// [`TrainError::Recipe`] if the recipe is not that of a detector.
pub(crate) fn detector_manifest(recipe: &Recipe, network: &Network, bytes: &[u8]) -> Result<Manifest, TrainError> {
    let Some(size) = recipe.network.detector_size() else {
        return Err(TrainError::Recipe { reason: format!("{} is no detector", recipe.name) });
    };
    let (scores, boxes) = (SCORES.to_owned(), BOXES.to_owned());
    let cells: Vec<u32> = network.pyramid.iter().map(|level| level.stride).collect();
    let coarsest = cells.last().copied();
    let decode = if coarsest.is_some() {
        DetectorDecode::Yunet { strides: cells }
    } else if network.regions.is_some() {
        DetectorDecode::Corners { scores, boxes, face_class: 0 }
    } else {
        DetectorDecode::Anchors {
            scores,
            boxes,
            keypoints: None,
            face_class: 0,
            activation: Activation::Sigmoid,
            variances: VARIANCES,
            levels: network.levels.iter().map(|level| level.anchors.clone()).collect(),
        }
    };
    let mut tasks = vec![Task::Detection];
    // A network with cells predicts keypoints too.
    tasks.extend(coarsest.map(|_| Task::Keypoints));
    let mut manifest = Manifest {
        tasks,
        detector: Some(Detector { score: DETECTOR_SCORE, nms_iou: DETECTOR_OVERLAP, decode }),
        ..basis(recipe, network, bytes)
    };
    manifest.input.size = size;
    // The second stage chooses its boxes for one picture only.
    manifest.input.batch = network.regions.is_none();
    // Without a pyramid the network accepts any size; multiples of four keep rows aligned in memory.
    manifest.input.multiple_of = Some(coarsest.unwrap_or(4));
    Ok(manifest)
}

/// Default of the least score of a face.
const DETECTOR_SCORE: f32 = 0.5;
/// Boxes with a higher overlap (IoU) are one face.
const DETECTOR_OVERLAP: f32 = 0.45;

/// The fields of all manifests.
fn basis(recipe: &Recipe, network: &Network, bytes: &[u8]) -> Manifest {
    let (mean, std) = recipe.network.pixels();
    let side = network.side as u32;
    Manifest {
        format: FORMAT,
        name: recipe.name.clone(),
        title: recipe.title.clone(),
        tasks: Vec::new(),
        file: format!("{}.onnx", recipe.name),
        sha256: sha256(bytes),
        quantised: None,
        licence: "MIT OR Apache-2.0".into(),
        source: if recipe.stages.is_empty() { "published weights, exported by visavis" } else { "trained by visavis" }
            .into(),
        training_data: None,
        input: Input {
            tensor: INPUT.into(),
            layout: Layout::Nchw,
            colour: recipe.network.colour(),
            size: [side, side],
            multiple_of: None,
            mean,
            std,
            batch: true,
        },
        crop: None,
        detector: None,
        heads: Vec::new(),
        figures: Vec::new(),
    }
}

fn head(task: FaceTask, reading: Option<Reading>) -> Head {
    let label = |labels: [&str; 2]| HeadDecode::Label {
        labels: labels.map(str::to_owned).to_vec(),
        positive: labels[1].to_owned(),
        activation: Activation::None,
        threshold: 0.5,
    };
    let (of, decode) = match task {
        FaceTask::Age => (Task::Age, HeadDecode::Distribution { activation: Activation::None }),
        FaceTask::Gender => (Task::Gender, label(["male", "female"])),
        FaceTask::Smile => (Task::Smile, label(["not_smiling", "smiling"])),
        FaceTask::Expression => {
            let labels = EXPRESSIONS.map(str::to_owned).to_vec();
            (Task::Expression, HeadDecode::Classes { labels, activation: Activation::None })
        }
        FaceTask::HeadPose => (Task::HeadPose, HeadDecode::Angles { pitch: None, roll: None, signs: [1.0; 3] }),
        FaceTask::Similarity => {
            let same_person = reading.map_or(0.5, |reading| reading.same_person);
            let likeness = reading.map(|reading| reading.likeness);
            (Task::Similarity, HeadDecode::Embedding { metric: Metric::Cosine, same_person, likeness })
        }
    };
    Head { task: of, tensor: task.to_string(), decode }
}

/// Makes a figure for a manifest.
#[must_use]
pub fn figure(what: impl Into<String>, value: impl Into<String>, by: impl Into<String>) -> Figure {
    Figure { what: what.into(), value: value.into(), by: by.into() }
}

//! From a trained network to an ONNX file, its manifest and its model card.

mod card;
mod check;
mod graph;
mod regions;
mod untrained;

use std::path::{Path, PathBuf};

use visavis_infer::manifest::{
    Activation, Colour, Crop, Detector, DetectorDecode, FORMAT, Figure, Fit, Head, HeadDecode, Input, Layout, Likeness,
    Metric, PointOrder, sha256,
};
use visavis_infer::{Manifest, Runtime, Task};

pub use card::ModelCard;
pub use check::{Check, MOST_DIFFERENCE, check};
pub use graph::{INPUT, Precision, onnx};
pub use untrained::{write_untrained, write_untrained_detectors, write_untrained_embedding};

use crate::TrainError;
use crate::checkpoint::write_aside;
use crate::detector::{BOXES, SCORES, VARIANCES};
use crate::network::{FaceTask, Network, POINTS, Parameters};
use crate::recipe::{NetworkRecipe, Recipe};

/// A network to be exported.
pub struct Export<'a> {
    /// How it was made.
    pub recipe: &'a Recipe,
    /// Its layers.
    pub network: &'a Network,
    /// Its weights.
    pub parameters: &'a Parameters,
    /// How they are stored.
    pub precision: Precision,
    /// SPDX expression.
    pub licence: String,
    /// What people should know of it.
    pub card: ModelCard,
    /// How the distances of an embedding are read; `None` leaves a guess.
    pub reading: Option<Reading>,
}

/// What distances between embeddings mean, as `visavis evaluate similarity` measures it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Same person at or nearer than this.
    pub same_person: f32,
    /// How likely two are of one person.
    pub likeness: Likeness,
}

/// What an export wrote.
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
    /// How far each engine is from the trained network.
    pub checks: Vec<Check>,
}

/// Writes `NAME.onnx`, `NAME.toml` and `NAME.md` into `folder`, after every engine of `runtime` gave what the trained
/// network gives.
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
        // What rounding to 16 bits costs is told, and held to a wider bound.
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
        NetworkRecipe::Ssd { .. } | NetworkRecipe::FasterRcnn { .. } => {
            detector_manifest(export.recipe, export.network, bytes)?
        }
        NetworkRecipe::Onet => {
            let decode = HeadDecode::Points { order: PointOrder::Pairs };
            let heads = vec![Head { task: Task::Keypoints, tensor: POINTS.into(), decode }];
            Manifest {
                tasks: vec![Task::Keypoints],
                crop: Some(Crop::Box { fit: Fit::Square, expand: 1.0 }),
                heads,
                ..basis(export.recipe, export.network, bytes)
            }
        }
        NetworkRecipe::Face { tasks, .. } => {
            let heads: Vec<Head> = tasks.iter().map(|task| head(*task, export.reading)).collect();
            Manifest {
                tasks: heads.iter().map(|head| head.task).collect(),
                crop: Some(Crop::Aligned),
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

/// The manifest of a detector, as far as recipe and layout say it.
///
/// # Errors
/// [`TrainError::Recipe`] if the recipe is none of a detector.
pub(crate) fn detector_manifest(recipe: &Recipe, network: &Network, bytes: &[u8]) -> Result<Manifest, TrainError> {
    let Some(size) = recipe.network.detector_size() else {
        return Err(TrainError::Recipe { reason: format!("{} is no detector", recipe.name) });
    };
    let (scores, boxes) = (SCORES.to_owned(), BOXES.to_owned());
    let decode = if network.regions.is_some() {
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
    let mut manifest = Manifest {
        tasks: vec![Task::Detection],
        detector: Some(Detector { score: DETECTOR_SCORE, nms_iou: DETECTOR_OVERLAP, decode }),
        ..basis(recipe, network, bytes)
    };
    manifest.input.size = size;
    // Which boxes a second stage looks at is chosen for one picture.
    manifest.input.batch = network.regions.is_none();
    // Any size would do for the network; multiples of four keep rows aligned in memory.
    manifest.input.multiple_of = Some(4);
    Ok(manifest)
}

/// Least score of a face, where neither user nor page say otherwise.
const DETECTOR_SCORE: f32 = 0.5;
/// Boxes that overlap by more are of one face.
const DETECTOR_OVERLAP: f32 = 0.45;

/// What all manifests have.
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
        licence: "MIT OR Apache-2.0".into(),
        source: "trained by visavis".into(),
        training_data: None,
        input: Input {
            tensor: INPUT.into(),
            layout: Layout::Nchw,
            colour: Colour::Rgb,
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
        FaceTask::Age => (Task::Age, HeadDecode::Expectation { activation: Activation::None }),
        FaceTask::Gender => (Task::Gender, label(["male", "female"])),
        FaceTask::Smile => (Task::Smile, label(["not_smiling", "smiling"])),
        FaceTask::Similarity => {
            let same_person = reading.map_or(0.5, |reading| reading.same_person);
            let likeness = reading.map(|reading| reading.likeness);
            (Task::Similarity, HeadDecode::Embedding { metric: Metric::Cosine, same_person, likeness })
        }
    };
    Head { task: of, tensor: task.to_string(), decode }
}

/// A figure for a manifest.
#[must_use]
pub fn figure(what: impl Into<String>, value: impl Into<String>, by: impl Into<String>) -> Figure {
    Figure { what: what.into(), value: value.into(), by: by.into() }
}

//! Networks with their initial weights, for measuring the speed before training.

use std::path::{Path, PathBuf};

use super::{Export, ModelCard, Precision, manifest, onnx};
use crate::TrainError;
use crate::checkpoint::write_aside;
use crate::network::{Backbone, FaceTask};
use crate::recipe::{AugmentParams, LossParams, NetworkRecipe, Recipe, SceneParams};

/// Writes `multitask_BACKBONE.onnx` and its manifest into `folder`: the paper's multitask network (Fig. 4) with random
/// weights.
///
/// # Errors
/// [`TrainError::File`], [`TrainError::Recipe`].
pub fn write_untrained(backbone: Backbone, side: usize, folder: &Path) -> Result<PathBuf, TrainError> {
    write_face("multitask", &[FaceTask::Age, FaceTask::Gender, FaceTask::Smile], backbone, side, folder)
}

/// Writes `similarity_BACKBONE.onnx` and its manifest into `folder`: an embedding of 128 numbers with random weights.
///
/// # Errors
/// [`TrainError::File`], [`TrainError::Recipe`].
pub fn write_untrained_embedding(backbone: Backbone, side: usize, folder: &Path) -> Result<PathBuf, TrainError> {
    write_face("similarity", &[FaceTask::Similarity], backbone, side, folder)
}

fn write_face(
    kind: &str,
    tasks: &[FaceTask],
    backbone: Backbone,
    side: usize,
    folder: &Path,
) -> Result<PathBuf, TrainError> {
    let name = format!("{kind}_{}", backbone.to_string().replace(['@', '.'], "_"));
    let network = NetworkRecipe::Face {
        backbone: backbone.to_string(),
        side,
        tasks: tasks.to_vec(),
        embedding: 128,
        dropout: 0.0,
        expand: 1.0,
    };
    write(name, &backbone.to_string(), network, folder)
}

/// The single-shot detectors of the paper's Table I: name, backbone, whether SSDLite.
const SINGLE_SHOT: [(&str, &str, bool); 5] = [
    ("ssd_mobilenetv1", "mobilenetv1", false),
    ("ssd_mobilenetv1_three_quarters", "mobilenetv1@0.75", false),
    ("ssd_mobilenetv1_quarter", "mobilenetv1@0.25", false),
    ("ssdlite_mobilenetv2", "mobilenetv2", true),
    ("ssdlite_mobilenetv2_quarter", "mobilenetv2@0.25", true),
];

/// The paper's two-stage detector, and one that two cores can train: name, backbone.
const TWO_STAGE: [(&str, &str); 2] = [("faster_rcnn_resnet101", "resnet101"), ("faster_rcnn_resnet18", "resnet18")];

/// Writes the detectors of Table I with random weights into `folder`, each with its manifest.
///
/// # Errors
/// [`TrainError::File`], [`TrainError::Recipe`].
pub fn write_untrained_detectors(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let single = SINGLE_SHOT.iter().map(|(name, backbone, lite)| {
        (*name, NetworkRecipe::Ssd { backbone: (*backbone).to_owned(), lite: *lite, size: [300, 300] })
    });
    let double = TWO_STAGE.iter().map(|(name, backbone)| {
        (*name, NetworkRecipe::FasterRcnn { backbone: (*backbone).to_owned(), proposals: 48, size: [300, 300] })
    });
    single.chain(double).map(|(name, network)| write(name.to_owned(), name, network, folder)).collect()
}

fn write(name: String, what: &str, network: NetworkRecipe, folder: &Path) -> Result<PathBuf, TrainError> {
    let recipe = Recipe {
        title: format!("{what} with random weights, for measuring speed only"),
        name: name.clone(),
        network,
        seed: 1,
        init: None,
        init_bgr: false,
        teachers: Vec::new(),
        augment: AugmentParams::default(),
        scenes: SceneParams::default(),
        loss: LossParams::default(),
        identities: None,
        stages: Vec::new(),
    };
    let (network, parameters) = recipe.network.build(recipe.seed)?;
    let bytes = onnx(&network, &parameters, Precision::Single);
    let card = ModelCard { data: "none: not trained".into(), ..ModelCard::default() };
    let licence = "MIT OR Apache-2.0".into();
    let export = Export {
        recipe: &recipe,
        network: &network,
        parameters: &parameters,
        precision: Precision::Single,
        licence,
        card,
        reading: None,
        score: None,
    };
    let manifest = manifest(&export, &bytes)?;
    let text = toml::to_string_pretty(&manifest).map_err(|error| TrainError::Recipe { reason: error.to_string() })?;
    std::fs::create_dir_all(folder).map_err(|source| TrainError::file(folder, source))?;
    let path = folder.join(format!("{name}.onnx"));
    write_aside(&path, &bytes)?;
    write_aside(&folder.join(format!("{name}.toml")), text.as_bytes())?;
    Ok(path)
}

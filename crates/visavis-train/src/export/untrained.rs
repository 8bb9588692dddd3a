//! Networks with their starting weights, whose speed can be measured before anyone trains them.

use std::path::{Path, PathBuf};

use super::{Export, ModelCard, Precision, manifest, onnx};
use crate::TrainError;
use crate::checkpoint::write_aside;
use crate::network::{Backbone, FaceTask};
use crate::recipe::{AugmentParams, LossParams, NetworkRecipe, Recipe, SceneParams};

/// Writes `multitask_BACKBONE.onnx` and its manifest into `folder`: the paper's multitask network (Fig. 4) at random
/// weights.
///
/// # Errors
/// [`TrainError::File`], [`TrainError::Recipe`].
pub fn write_untrained(backbone: Backbone, side: usize, folder: &Path) -> Result<PathBuf, TrainError> {
    let name = format!("multitask_{}", backbone.to_string().replace(['@', '.'], "_"));
    let recipe = Recipe {
        title: format!("{backbone} with random weights: fast or slow, but it knows nothing"),
        name: name.clone(),
        network: NetworkRecipe::Face {
            backbone: backbone.to_string(),
            side,
            tasks: vec![FaceTask::Age, FaceTask::Gender, FaceTask::Smile],
            embedding: 1,
            dropout: 0.0,
        },
        seed: 1,
        init: None,
        teachers: Vec::new(),
        augment: AugmentParams::default(),
        scenes: SceneParams::default(),
        loss: LossParams::default(),
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
    };
    let manifest = manifest(&export, &bytes)?;
    let text = toml::to_string_pretty(&manifest).map_err(|error| TrainError::Recipe { reason: error.to_string() })?;
    std::fs::create_dir_all(folder).map_err(|source| TrainError::file(folder, source))?;
    let path = folder.join(format!("{name}.onnx"));
    write_aside(&path, &bytes)?;
    write_aside(&folder.join(format!("{name}.toml")), text.as_bytes())?;
    Ok(path)
}

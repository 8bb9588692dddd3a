//! Writes the files of a forest: weights, manifest and model card.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use visavis_face::forest::Forest;
use visavis_infer::manifest::{FORMAT, Figure, FileKind, Input, sha256};
use visavis_infer::{Manifest, Task};

use super::{TrainForestError, TrainForestParams};

/// Contents of manifest and model card that are not in the forest's file.
#[derive(Debug, Clone, PartialEq)]
pub struct ForestCard {
    /// Name in the manifest, and of the files.
    pub name: String,
    /// The command that made it.
    pub command: String,
    /// Description of the training data.
    pub data: String,
    /// Training parameters.
    pub params: TrainForestParams,
    /// Measured figures.
    pub figures: Vec<Figure>,
}

/// Writes `NAME.forest`, `NAME.toml` and `NAME.md` into `folder`.
///
/// # Errors
/// [`TrainForestError::Manifest`] for a name that a manifest cannot have; [`TrainForestError::File`].
pub fn write_model(folder: &Path, forest: &Forest, card: &ForestCard) -> Result<(), TrainForestError> {
    let bytes = forest.write();
    let manifest = manifest(&bytes, card);
    manifest.validate(&card.name)?;
    let text = toml::to_string(&manifest)
        .map_err(|error| TrainForestError::File { path: folder.join(&manifest.file), reason: error.to_string() })?;
    write(folder, &manifest.file, &bytes)?;
    write(folder, &format!("{}.toml", card.name), text.as_bytes())?;
    write(folder, &format!("{}.md", card.name), markdown(&manifest, bytes.len(), card).as_bytes())
}

/// Writes under a temporary name first, so that a reader sees the old file or the new one.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), TrainForestError> {
    let (path, aside) = (folder.join(name), folder.join(format!("{name}.part")));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&aside, bytes));
    written
        .and_then(|()| fs::rename(&aside, &path))
        .map_err(|error| TrainForestError::File { path, reason: error.to_string() })
}

fn manifest(bytes: &[u8], card: &ForestCard) -> Manifest {
    Manifest {
        format: FORMAT,
        name: card.name.clone(),
        title: "Regression forest after Kazemi and Sullivan: five keypoints in a face's box".into(),
        tasks: vec![Task::Keypoints],
        file: format!("{}.{}", card.name, FileKind::Forest.extension()),
        sha256: sha256(bytes),
        quantised: None,
        licence: "MIT OR Apache-2.0".into(),
        source: "visavis-lab train forest".into(),
        training_data: Some(card.data.clone()),
        input: Input::default(),
        crop: None,
        detector: None,
        heads: Vec::new(),
        figures: card.figures.clone(),
    }
}

fn markdown(manifest: &Manifest, bytes: usize, card: &ForestCard) -> String {
    let params = &card.params;
    let mut text = format!(
        "# {name}\n\n\
         A cascade of gradient-boosted regression trees that locates five keypoints (eyes, tip of the nose, corners of \
         the mouth) in a face's box, after V. Kazemi and J. Sullivan, \"One millisecond face alignment with an ensemble \
         of regression trees\", CVPR 2014. {levels} levels of {trees} trees of depth {depth}, {size:.2} MiB, one CPU \
         core, no engine.\n\n\
         ## Data\n\n{data}\n\n\
         Boxes are the detector's and, for half of the starts, labelled ones with a random error like the detector's; every \
         other start uses the mirror image of the face.\n\n\
         ## Initial weights\n\nNone: training begins with the mean shape of the faces.\n\n\
         ## Recipe\n\n```sh\n{command}\n```\n\n\
         | parameter | value |\n|---|---|\n",
        name = card.name,
        levels = params.levels,
        trees = params.trees,
        depth = params.depth,
        size = bytes as f64 / f64::from(1 << 20),
        data = card.data,
        command = card.command,
    );
    for (name, value) in [
        ("pixels per level", params.pixels.to_string()),
        ("splits tried per node", params.candidates.to_string()),
        ("shrinkage", params.shrinkage.to_string()),
        ("starts per face", params.starts.to_string()),
        ("share of starts with another face's shape", params.foreign_starts.to_string()),
        ("typical distance of a pair of pixels (sides of the box)", params.pair_distance.to_string()),
        ("padding around the mean shape (sides of the box)", params.padding.to_string()),
        ("jitter of the boxes (sides of the box)", params.jitter.to_string()),
        ("samples per side of a box", params.resolution.to_string()),
        ("seed", params.seed.to_string()),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {name} | {value} |");
    }
    text.push_str("\n## Figures\n\n| figure | value | printed by |\n|---|---|---|\n");
    for figure in &manifest.figures {
        let _ = writeln!(text, "| {} | {} | {} |", figure.what, figure.value, figure.by);
    }
    text.push_str(
        "\n## Limits\n\n\
         - It corrects a mean face step by step and can end in the wrong place: for faces in full profile, for faces \
         rotated further than those in its training, and for boxes that miss the face.\n\
         - It gives five points for any box; there is no score.\n\
         - It was trained with the boxes of one detector; other boxes reduce the accuracy.\n\
         - It uses grey values only. An even light over the face has no effect, a hard shadow may.\n",
    );
    text
}

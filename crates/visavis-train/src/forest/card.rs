//! What is written of a forest: its file, its manifest and its model card.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use visavis_face::forest::Forest;
use visavis_infer::manifest::{FORMAT, Figure, FileKind, Input, sha256};
use visavis_infer::{Manifest, Task};

use super::{TrainForestError, TrainForestParams};

/// Everything that is to be said of a forest beside what its file says.
#[derive(Debug, Clone, PartialEq)]
pub struct ForestCard {
    /// Name in the manifest, and of the files.
    pub name: String,
    /// The command that made it.
    pub command: String,
    /// What it was trained on, for people.
    pub data: String,
    /// How it was grown.
    pub params: TrainForestParams,
    /// What was measured, and by what.
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

/// Aside first: whoever reads meanwhile sees the old file or the new one.
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
        licence: "MIT OR Apache-2.0".into(),
        source: "visavis train forest".into(),
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
         ## Recipe\n\n```\n{command}\n```\n\n\
         | parameter | value |\n|---|---|\n",
        name = card.name,
        levels = params.levels,
        trees = params.trees,
        depth = params.depth,
        size = bytes as f64 / f64::from(1 << 20),
        command = card.command,
    );
    for (name, value) in [
        ("pixels of a level", params.pixels.to_string()),
        ("splits tried at a node", params.candidates.to_string()),
        ("shrinkage", params.shrinkage.to_string()),
        ("starts of a face", params.starts.to_string()),
        ("of those from another face's shape", params.foreign_starts.to_string()),
        ("distance that pairs of pixels keep to (sides of the box)", params.pair_distance.to_string()),
        ("padding around the mean shape (sides of the box)", params.padding.to_string()),
        ("jitter of the boxes (sides of the box)", params.jitter.to_string()),
        ("samples across a box", params.resolution.to_string()),
        ("seed", params.seed.to_string()),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {name} | {value} |");
    }
    let _ = write!(
        text,
        "\n## Data\n\n{}\n\n\
         Boxes are the detector's and, for half of the starts, labelled ones displaced as the detector's are; every \
         other start sees the face in a mirror.\n\n\
         ## Figures\n\n| what | value | measured by |\n|---|---|---|\n",
        card.data
    );
    for figure in &manifest.figures {
        let _ = writeln!(text, "| {} | {} | {} |", figure.what, figure.value, figure.by);
    }
    text.push_str(
        "\n## Limits\n\n\
         - It corrects a mean face step by step and can come to rest in the wrong place: in faces in full profile, in \
           faces turned further in the picture than those it learnt from, and in boxes that miss the face.\n\
         - It gives five points whatever is in the box; there is no score.\n\
         - It knows the boxes of the detector that looked at its training faces; boxes cut otherwise cost accuracy.\n\
         - It sees grey values alone. A light that is even over the face changes nothing, a hard shadow may.\n",
    );
    text
}

//! Tables I to V of the paper as Markdown, our figures beside the paper's.
//!
//! Which network of ours fills which row goes by its name ([`same_network`]): `faster_rcnn_resnet101`, `ssd_mobilenetv1`,
//! `ssd_mobilenetv1_quarter`, `ssdlite_mobilenetv2`, `ssdlite_mobilenetv2_quarter`, `kazemi_forest`, `onet`,
//! `similarity_BACKBONE`, `age_mobilenetv1`, `gender_mobilenetv1`, `smile_mobilenetv1`, `multitask_BACKBONE`.

mod detectors;
mod markdown;
mod paper;

pub use paper::DETECTOR_SIZES;

use crate::bootstrap::Estimate;
use crate::protocol::View;

/// How the names of multitask networks begin.
pub const MULTITASK: &str = "multitask_";

/// How the names of embeddings begin.
pub const SIMILARITY: &str = "similarity_";

/// All networks of ours that a row of the paper's tables waits for: (name, whether it is a keypoint network).
#[must_use]
pub fn expected_networks() -> Vec<(&'static str, bool)> {
    let keypoints = paper::TABLE_II.iter().map(|row| (row.network, true));
    let attributes = paper::TABLE_IV.iter().chain(&paper::TABLE_V).map(|row| (row.network, false));
    let mut all: Vec<_> = keypoints.collect();
    for row in attributes {
        if !all.contains(&row) {
            all.push(row);
        }
    }
    all
}

/// The detectors of ours that Table I waits for, at each of [`DETECTOR_SIZES`].
#[must_use]
pub fn expected_detectors() -> Vec<&'static str> {
    paper::TABLE_I.iter().map(|family| family.network).collect()
}

/// The networks of ours that make embeddings and that Table III waits for.
#[must_use]
pub fn expected_embeddings() -> Vec<&'static str> {
    paper::TABLE_III.iter().map(|row| row.network).collect()
}

/// Whether two names mean one network: letters and digits agree, so `multitask_efficientnet_b0` is
/// `multitask_efficientnetb0`.
#[must_use]
pub fn same_network(a: &str, b: &str) -> bool {
    let plain = |name: &str| -> String {
        name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
    };
    plain(a) == plain(b)
}

/// An accuracy of ours.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Cell {
    /// Measured: years, or a share 0 to 1.
    Measured(Estimate),
    /// The weights are random: there is a speed, but nothing to be accurate.
    NotTrained,
    /// Nothing to be measured: no such network, no such data, or a network that does not tell it.
    #[default]
    Nothing,
}

/// What was measured of a detector at one input size.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DetectorFigures {
    /// Its name.
    pub network: String,
    /// Width and height into which pictures are fitted.
    pub size: [u32; 2],
    /// What the network takes, where that is larger: the rest is black.
    pub padded: Option<[u32; 2]>,
    /// The weights are random: there is a speed, but nothing to be precise.
    pub untrained: bool,
    /// On each of [`Tables::box_sets`].
    pub precisions: Vec<Precision>,
    /// Frames per second, decoding and suppression included, an entry for each of [`Tables::engines`].
    pub speeds: Vec<Option<Estimate>>,
}

/// Average precision of a detector; `None` where there were no faces.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Precision {
    /// Mean of those at IoU 0.5, 0.55, …, 0.95.
    pub ap50_95: Option<f64>,
    /// At IoU 0.5.
    pub ap50: Option<f64>,
}

/// What was measured of a keypoint network.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KeypointFigures {
    /// Its name.
    pub network: String,
    /// Mean error as a share of the distance between the eyes.
    pub interocular: Cell,
    /// Mean error as a share of the box.
    pub by_box: Cell,
    /// Share of the faces with an error above 10 %.
    pub failures: Cell,
    /// Frames per second, an entry for each of [`Tables::engines`].
    pub speeds: Vec<Option<Estimate>>,
}

/// What was measured of a network that tells age, gender or smile.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AttributeFigures {
    /// Its name.
    pub network: String,
    /// Mean absolute error of the age, in years.
    pub age: Cell,
    /// Accuracy of the gender, 0 to 1.
    pub gender: Cell,
    /// Accuracy of the smile, 0 to 1.
    pub smile: Cell,
    /// Frames per second, an entry for each of [`Tables::engines`].
    pub speeds: Vec<Option<Estimate>>,
}

/// What was measured of a network that makes embeddings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SimilarityFigures {
    /// Its name.
    pub network: String,
    /// Mean average precision, 0 to 1.
    pub mean_average_precision: Cell,
    /// Share of the queries whose nearest photo shows the same person.
    pub rank_1: Cell,
    /// The same among the nearest five.
    pub rank_5: Cell,
    /// Frames per second, an entry for each of [`Tables::engines`].
    pub speeds: Vec<Option<Estimate>>,
}

/// One figure of one network under several views.
#[derive(Debug, Clone, PartialEq)]
pub struct RobustnessRow {
    /// What is measured, on which set, in which unit, such as `age MAE, years (utkface)`.
    pub figure: String,
    /// The network.
    pub network: String,
    /// In the unit that `figure` names; `None` where there is none.
    pub by_view: Vec<Option<Estimate>>,
    /// Decimals to print.
    pub decimals: usize,
}

/// Names of the sets on which accuracies were measured; `None` where there was none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SetNames {
    /// Keypoints.
    pub keypoints: Option<String>,
    /// Age.
    pub age: Option<String>,
    /// Gender.
    pub gender: Option<String>,
    /// Smile.
    pub smile: Option<String>,
    /// Who is who.
    pub similarity: Option<String>,
}

/// Everything that goes into the tables.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tables {
    /// The command that measured it all, without paths.
    pub command: String,
    /// The machine, for people.
    pub machine: String,
    /// What ran the networks, such as `tract 0.23.9, CPU, 1 thread`.
    pub engines: Vec<String>,
    /// On which sets.
    pub sets: SetNames,
    /// The sets on which detectors were measured, for people: name, part, number of faces.
    pub box_sets: Vec<String>,
    /// Which faces of them were asked for, where not all were.
    pub box_note: Option<String>,
    /// Detectors: those that fill rows of the paper, then any others, an entry for each size.
    pub detectors: Vec<DetectorFigures>,
    /// The view under which the accuracies of the paper's tables were measured.
    pub view: Option<View>,
    /// Keypoint networks: those that fill rows of the paper, then any others.
    pub keypoints: Vec<KeypointFigures>,
    /// Networks that make embeddings: those that fill rows of the paper, then any others.
    pub similarity: Vec<SimilarityFigures>,
    /// Networks that tell age, gender or smile: those that fill rows of the paper, then any others.
    pub attributes: Vec<AttributeFigures>,
    /// The views of `robustness`.
    pub views: Vec<View>,
    /// The same figures under several views; empty where only one was measured.
    pub robustness: Vec<RobustnessRow>,
}

impl Tables {
    /// The Markdown document.
    #[must_use]
    pub fn markdown(&self) -> String {
        markdown::document(self)
    }
}

#[cfg(test)]
mod tests;

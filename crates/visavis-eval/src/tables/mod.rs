//! Tables I to V of the paper as Markdown, with our figures beside the paper's.
//!
//! A network's name determines its row ([`same_network`]): `faster_rcnn_resnet101`, `ssd_mobilenetv1`,
//! `ssd_mobilenetv1_quarter`, `ssdlite_mobilenetv2`, `ssdlite_mobilenetv2_quarter`, `kazemi_forest`, `onet`,
//! `similarity_BACKBONE`, `age_mobilenetv1`, `gender_mobilenetv1`, `smile_mobilenetv1`, `multitask_BACKBONE`.

mod detectors;
mod layout;
mod markdown;
mod paper;

pub use paper::DETECTOR_SIZES;

use crate::bootstrap::Estimate;
use crate::protocol::View;

/// Prefix of the names of multitask networks.
pub const MULTITASK: &str = "multitask_";

/// Prefix of the names of embedding networks.
pub const SIMILARITY: &str = "similarity_";

/// All our networks that have a row in the paper's tables: (name, whether it is a keypoint network).
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

/// Our detectors that have rows in Table I, at each of [`DETECTOR_SIZES`].
#[must_use]
pub fn expected_detectors() -> Vec<&'static str> {
    paper::TABLE_I.iter().map(|family| family.network).collect()
}

/// Our embedding networks that have rows in Table III.
#[must_use]
pub fn expected_embeddings() -> Vec<&'static str> {
    paper::TABLE_III.iter().map(|row| row.network).collect()
}

/// Whether two names mean the same network: only letters and digits are compared, so `multitask_efficientnet_b0` equals
/// `multitask_efficientnetb0`.
#[must_use]
pub fn same_network(a: &str, b: &str) -> bool {
    let plain = |name: &str| -> String {
        name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
    };
    plain(a) == plain(b)
}

/// An accuracy of our network.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Cell {
    /// Measured: years, or a share 0 to 1.
    Measured(Estimate),
    /// The weights are random: only the speed can be measured.
    NotTrained,
    /// Not measured: there is no such network or data, or the network does not have this task.
    #[default]
    Nothing,
}

/// Figures of a detector at one input size.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DetectorFigures {
    /// Its name.
    pub network: String,
    /// Width and height into which pictures are fitted.
    pub size: [u32; 2],
    /// The network's input size if it is larger: the rest is black.
    pub padded: Option<[u32; 2]>,
    /// The weights are random: only the speed can be measured.
    pub untrained: bool,
    /// On each of [`Tables::box_sets`].
    pub precisions: Vec<Precision>,
    /// Frames per second, including decoding and suppression; an entry for each of [`Tables::engines`].
    pub speeds: Vec<Option<Estimate>>,
}

/// Average precision of a detector; `None` if there were no faces.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Precision {
    /// Mean of those at IoU 0.5, 0.55, …, 0.95.
    pub ap50_95: Option<f64>,
    /// At IoU 0.5.
    pub ap50: Option<f64>,
}

/// Figures of a keypoint network.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KeypointFigures {
    /// Its name.
    pub network: String,
    /// Mean error as a share of the eye distance.
    pub interocular: Cell,
    /// Mean error as a share of the box's size.
    pub by_box: Cell,
    /// Share of the faces with an error above 10 %.
    pub failures: Cell,
    /// Frames per second, an entry for each of [`Tables::engines`].
    pub speeds: Vec<Option<Estimate>>,
}

/// Figures of a network for age, gender or smile.
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

/// Figures of an embedding network.
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
    /// In the unit of `figure`; `None` if not measured.
    pub by_view: Vec<Option<Estimate>>,
    /// Decimals to print.
    pub decimals: usize,
}

/// Names of the sets on which accuracies were measured; `None` if there was none.
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
    /// Similarity.
    pub similarity: Option<String>,
}

/// The contents of the tables.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tables {
    /// The command that measured it all, without paths.
    pub command: String,
    /// A description of the computer.
    pub machine: String,
    /// The engines, such as `tract 0.23.9, CPU, 1 thread`.
    pub engines: Vec<String>,
    /// The sets of the accuracies.
    pub sets: SetNames,
    /// The sets on which detectors were measured, as text: name, part, number of faces.
    pub box_sets: Vec<String>,
    /// Which of their faces were to be found, if not all.
    pub box_note: Option<String>,
    /// Detectors: those with rows in the paper, then the others; an entry for each size.
    pub detectors: Vec<DetectorFigures>,
    /// The view under which the accuracies of the paper's tables were measured.
    pub view: Option<View>,
    /// Keypoint networks: those with rows in the paper, then the others.
    pub keypoints: Vec<KeypointFigures>,
    /// Embedding networks: those with rows in the paper, then the others.
    pub similarity: Vec<SimilarityFigures>,
    /// Networks for age, gender or smile: those with rows in the paper, then the others.
    pub attributes: Vec<AttributeFigures>,
    /// The views of `robustness`.
    pub views: Vec<View>,
    /// The same figures under several views; empty if only one view was measured.
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

//! Everything about a network that is not its weights: a TOML file beside the file of the weights.

pub(crate) mod identity;
mod validate;

pub use identity::{fingerprint, sha256};

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::InferError;

/// The manifest format that this program writes and reads.
pub const FORMAT: u32 = 1;

/// What a network can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Where the faces are.
    Detection,
    /// Where in a face the five keypoints are.
    Keypoints,
    /// Smiling or not.
    Smile,
    /// Years, 0 to 100.
    Age,
    /// Female or male.
    Gender,
    /// A vector that is near for two pictures of one person.
    Similarity,
}

impl Task {
    /// All tasks.
    pub const ALL: [Self; 6] =
        [Self::Detection, Self::Keypoints, Self::Smile, Self::Age, Self::Gender, Self::Similarity];
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Detection => "detection",
            Self::Keypoints => "keypoints",
            Self::Smile => "smile",
            Self::Age => "age",
            Self::Gender => "gender",
            Self::Similarity => "similarity",
        })
    }
}

impl FromStr for Task {
    type Err = InferError;

    fn from_str(text: &str) -> Result<Self, InferError> {
        Self::ALL.into_iter().find(|task| task.to_string() == text).ok_or_else(|| {
            let all: Vec<String> = Self::ALL.iter().map(Self::to_string).collect();
            InferError::Option { option: "task", reason: format!("`{text}` is none of {}", all.join(", ")) }
        })
    }
}

/// What kind of file the weights are, told by the end of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// `.onnx`: a network, which an engine runs.
    Onnx,
    /// `.forest`: a regression forest that locates keypoints, which needs no engine.
    Forest,
}

impl FileKind {
    /// The kind of a file of this name; `None` if it is no file of weights.
    #[must_use]
    pub fn of(file: &str) -> Option<Self> {
        let extension = std::path::Path::new(file).extension()?;
        [Self::Onnx, Self::Forest].into_iter().find(|kind| extension.eq_ignore_ascii_case(kind.extension()))
    }

    /// The end of the file's name, without the dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
            Self::Forest => "forest",
        }
    }
}

/// A network's description, or that of a regression forest. Field by field in `docs/manifest.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always [`FORMAT`].
    pub format: u32,
    /// Unique short name, used on the command line.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// All that the network tells.
    pub tasks: Vec<Task>,
    /// Weights: a file name in the manifest's folder.
    pub file: String,
    /// SHA-256 of the weights, 64 hexadecimal digits.
    pub sha256: String,
    /// SPDX expression.
    pub licence: String,
    /// Where the network comes from.
    pub source: String,
    /// What it was trained on.
    #[serde(default)]
    pub training_data: Option<String>,
    /// The picture that it takes; empty for a forest, which looks at the picture itself.
    #[serde(default, skip_serializing_if = "Input::is_empty")]
    pub input: Input,
    /// How a face is cut out for it; absent for detectors and forests.
    #[serde(default)]
    pub crop: Option<Crop>,
    /// How the outputs of a detector become boxes.
    #[serde(default)]
    pub detector: Option<Detector>,
    /// How the outputs of a face network become answers.
    #[serde(default, rename = "head")]
    pub heads: Vec<Head>,
    /// Measured figures.
    #[serde(default, rename = "figure")]
    pub figures: Vec<Figure>,
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// `origin` is named in every error: the file's path, or whatever says where the text comes from.
    ///
    /// # Errors
    /// [`InferError::ManifestSyntax`] with the line for text that is no manifest, and what
    /// [`Manifest::validate`] gives.
    pub fn parse(text: &str, origin: &str) -> Result<Self, InferError> {
        let manifest: Self = toml::from_str(text)
            .map_err(|error| InferError::ManifestSyntax { origin: origin.into(), reason: error.to_string() })?;
        manifest.validate(origin)?;
        Ok(manifest)
    }

    /// What kind of file the weights are.
    #[must_use]
    pub fn file_kind(&self) -> FileKind {
        FileKind::of(&self.file).unwrap_or(FileKind::Onnx)
    }

    /// Names of the output tensors in the order in which [`crate::Model::run`] gives them.
    ///
    /// For detectors by their decoding: `yunet`: for each stride `cls`, `obj`, `bbox`, `kps`; `corners`: scores,
    /// boxes; `anchors`: scores, boxes and, where named, keypoints. For face networks the heads in their order.
    #[must_use]
    pub fn output_tensors(&self) -> Vec<String> {
        let Some(detector) = &self.detector else {
            return self.heads.iter().map(|head| head.tensor.clone()).collect();
        };
        match &detector.decode {
            DetectorDecode::Yunet { strides } => strides
                .iter()
                .flat_map(|stride| ["cls", "obj", "bbox", "kps"].map(|part| format!("{part}_{stride}")))
                .collect(),
            DetectorDecode::Corners { scores, boxes, .. } => vec![scores.clone(), boxes.clone()],
            DetectorDecode::Anchors { scores, boxes, keypoints, .. } => {
                [scores, boxes].into_iter().chain(keypoints).cloned().collect()
            }
        }
    }

    /// The head for a task; its place among the heads is the place of its tensor in what a run gives.
    #[must_use]
    pub fn head(&self, task: Task) -> Option<(usize, &Head)> {
        self.heads.iter().enumerate().find(|(_, head)| head.task == task)
    }
}

/// The input tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Name in the ONNX graph.
    pub tensor: String,
    /// Order of the axes.
    #[serde(default)]
    pub layout: Layout,
    /// Order of the channels.
    #[serde(default)]
    pub colour: Colour,
    /// Width and height; where `multiple_of` is given, a default.
    pub size: [u32; 2],
    /// Given where the network takes any width and height that are multiples of this.
    #[serde(default)]
    pub multiple_of: Option<u32>,
    /// Subtracted from pixel values 0 to 255, per channel in the order of `colour`.
    #[serde(default)]
    pub mean: [f32; 3],
    /// Divides the difference.
    #[serde(default = "ones")]
    pub std: [f32; 3],
    /// Whether the first axis takes any number of pictures at once.
    #[serde(default)]
    pub batch: bool,
}

impl Default for Input {
    /// No input at all.
    fn default() -> Self {
        Self {
            tensor: String::new(),
            layout: Layout::default(),
            colour: Colour::default(),
            size: [0; 2],
            multiple_of: None,
            mean: [0.0; 3],
            std: ones(),
            batch: false,
        }
    }
}

impl Input {
    /// Whether nothing is said of an input.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The tensor's shape for `count` pictures of `width` by `height`, the axes in the order of `layout`.
    #[must_use]
    pub fn shape(&self, count: usize, width: u32, height: u32) -> [usize; 4] {
        let (width, height) = (width as usize, height as usize);
        match self.layout {
            Layout::Nchw => [count, 3, height, width],
            Layout::Nhwc => [count, height, width, 3],
            Layout::Nwhc => [count, width, height, 3],
        }
    }
}

fn ones() -> [f32; 3] {
    [1.0; 3]
}

/// Order of a tensor's axes: N pictures, C channels, H rows, W columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Layout {
    /// `[N, 3, H, W]`.
    #[default]
    Nchw,
    /// `[N, H, W, 3]`.
    Nhwc,
    /// `[N, W, H, 3]`, as networks converted from MATLAB have it.
    Nwhc,
}

/// Order of the colour channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Colour {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first.
    Bgr,
}

/// How a face becomes the network's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Crop {
    /// The detector's box.
    Box {
        /// How a box that is not square meets a square input.
        fit: Fit,
        /// Both sides of the box times this, first.
        #[serde(default = "one")]
        expand: f32,
    },
    /// Landmarks (or weighted means of them) meet given places by a similarity transform.
    Points {
        /// At least two.
        points: Vec<Anchor>,
    },
    /// The five landmarks meet the symmetric template of the house at the input's size.
    Aligned,
}

fn one() -> f32 {
    1.0
}

/// How a box meets the input's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// The shorter side grows until the box is square.
    Square,
    /// Aspect kept, the rest is zero.
    Pad,
}

/// One correspondence of [`Crop::Points`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// Weights of left eye, right eye, nose, left and right mouth corner; they sum to 1.
    pub landmarks: [f32; 5],
    /// Where the weighted mean goes, as a share of the input's width and height.
    pub at: [f32; 2],
}

/// How a detector's outputs become boxes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detector {
    /// Boxes below this score are dropped unless the user asks otherwise.
    pub score: f32,
    /// Of two boxes that overlap by more than this, the weaker is dropped.
    pub nms_iou: f32,
    /// The arithmetic.
    pub decode: DetectorDecode,
}

/// The arithmetic of a detector's outputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum DetectorDecode {
    /// YuNet: per stride s tensors `cls_s`, `obj_s` `[1, n, 1]`, `bbox_s` `[1, n, 4]`, `kps_s` `[1, n, 10]`.
    Yunet {
        /// Cell sizes in input pixels.
        strides: Vec<u32>,
    },
    /// Scores `[1, n, classes]` and finished boxes `[1, n, 4]` as x1 y1 x2 y2, 0 to 1.
    Corners {
        /// Tensor of scores.
        scores: String,
        /// Tensor of boxes.
        boxes: String,
        /// Column of the face class.
        face_class: usize,
    },
    /// The SSD family: scores `[1, n, classes]` and box offsets `[1, n, 4]` against anchors.
    Anchors {
        /// Tensor of scores.
        scores: String,
        /// Tensor of centre-size offsets.
        boxes: String,
        /// Tensor of keypoint offsets `[1, n, 10]`, where there is one.
        #[serde(default)]
        keypoints: Option<String>,
        /// Column of the face class.
        face_class: usize,
        /// What the scores still need.
        activation: Activation,
        /// Variances of centre and size.
        variances: [f32; 2],
        /// The pyramid, finest level first.
        levels: Vec<AnchorLevel>,
    },
}

/// The anchors of one feature map; every cell has `sizes × ratios` of them, sizes outermost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorLevel {
    /// Cell size in input pixels.
    pub stride: u32,
    /// Side of the square anchor, in input pixels.
    pub sizes: Vec<f32>,
    /// Width over height; area is kept.
    pub ratios: Vec<f32>,
}

/// What turns raw numbers into probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// They are probabilities.
    #[default]
    None,
    /// Softmax over the classes.
    Softmax,
    /// Each on its own.
    Sigmoid,
}

/// One answer of a face network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// What it answers.
    pub task: Task,
    /// Output name in the ONNX graph.
    pub tensor: String,
    /// How numbers become the answer.
    pub decode: HeadDecode,
}

/// The arithmetic of one answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum HeadDecode {
    /// `[N, 1]`: years.
    Years,
    /// `[N, n]`: one class per year from 0; the age is Σ p·i.
    Expectation {
        /// What the scores still need.
        #[serde(default)]
        activation: Activation,
    },
    /// `[N, labels]`: the share of one label against the rest.
    Label {
        /// Names of the classes.
        labels: Vec<String>,
        /// The label asked for: `female` for gender, the smiling one for smile.
        positive: String,
        /// What the scores still need.
        #[serde(default)]
        activation: Activation,
        /// From this share on the answer is yes.
        #[serde(default = "half")]
        threshold: f32,
    },
    /// `[N, 10]`: five landmarks as shares of the input's width and height.
    Points {
        /// How the ten numbers are laid out.
        order: PointOrder,
    },
    /// `[N, n]`: an embedding.
    Embedding {
        /// How two embeddings compare.
        metric: Metric,
        /// Same person at or nearer than this (distance for euclidean, 1 − cosine for cosine).
        same_person: f32,
        /// How likely two embeddings are of one person, by their distance; fitted to labelled faces.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        likeness: Option<Likeness>,
    },
}

fn half() -> f32 {
    0.5
}

/// How ten numbers make five points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PointOrder {
    /// x y x y …
    Pairs,
    /// Five x, then five y.
    Planes,
}

/// How two embeddings compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Distance of the raw vectors.
    Euclidean,
    /// 1 − cosine of the angle.
    Cosine,
}

/// A logistic curve: 1 / (1 + exp((distance − middle) / width)).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Likeness {
    /// The distance of an even chance.
    pub middle: f32,
    /// How fast it falls there; above 0.
    pub width: f32,
    /// The distances that one of 1,000, of 10,000 and of 100,000 pairs of two people is within, where they were measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strangers: Option<[f32; 3]>,
}

impl Likeness {
    /// The likelihood at a distance, 0 to 1.
    #[must_use]
    pub fn of(&self, distance: f32) -> f32 {
        1.0 / (1.0 + ((distance - self.middle) / self.width).exp())
    }

    /// The share of pairs of two people that are within a distance, where it was measured; between the measured distances and
    /// beyond them its logarithm is taken for straight.
    #[must_use]
    pub fn strangers_within(&self, distance: f32) -> Option<f32> {
        let [thousandth, middle, least] = self.strangers?;
        let (from, to, power) = if distance >= middle { (middle, thousandth, -4.0) } else { (least, middle, -5.0) };
        Some(10f32.powf(power + (distance - from) / (to - from)))
    }
}

/// A measured figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// What was measured on what.
    pub what: String,
    /// The value with its unit.
    pub value: String,
    /// The command that printed it, or who published it.
    pub by: String,
}

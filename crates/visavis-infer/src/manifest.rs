//! The description of a network except for its weights: a TOML file beside the file of the weights.

pub(crate) mod identity;
mod likeness;
mod validate;

pub use identity::{fingerprint, sha256};
pub use likeness::{Likeness, STRANGERS_SHARE, Strangers};

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::InferError;

/// The manifest format that this program writes and reads.
pub const FORMAT: u32 = 1;

/// What a network can determine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Where the faces are.
    Detection,
    /// The five keypoints of a face.
    Keypoints,
    /// Smiling or not smiling.
    Smile,
    /// The expression of the face: one of several classes, such as neutral, happiness, sadness.
    Expression,
    /// Years, 0 to 100.
    Age,
    /// Female or male.
    Gender,
    /// Yaw, pitch and roll of the head.
    HeadPose,
    /// An embedding: a vector; those of two pictures of one person are near each other.
    Similarity,
}

impl Task {
    /// All tasks.
    pub const ALL: [Self; 8] = [
        Self::Detection,
        Self::Keypoints,
        Self::Smile,
        Self::Expression,
        Self::Age,
        Self::Gender,
        Self::HeadPose,
        Self::Similarity,
    ];
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Detection => "detection",
            Self::Keypoints => "keypoints",
            Self::Smile => "smile",
            Self::Expression => "expression",
            Self::Age => "age",
            Self::Gender => "gender",
            Self::HeadPose => "head_pose",
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

/// The kind of a file of weights, given by its extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// `.onnx`: a network, which an engine runs.
    Onnx,
    /// `.forest`: a regression forest that locates keypoints, which needs no engine.
    Forest,
}

impl FileKind {
    /// The kind of a file with this name; `None` if it is no file of weights.
    #[must_use]
    pub fn of(file: &str) -> Option<Self> {
        let extension = std::path::Path::new(file).extension()?;
        [Self::Onnx, Self::Forest].into_iter().find(|kind| extension.eq_ignore_ascii_case(kind.extension()))
    }

    /// The file's extension, without the dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
            Self::Forest => "forest",
        }
    }
}

/// The description of a network or of a regression forest. `docs/manifest.md` explains each field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always [`FORMAT`].
    pub format: u32,
    /// Unique short name, used on the command line.
    pub name: String,
    /// A title of one line.
    pub title: String,
    /// All tasks of the network.
    pub tasks: Vec<Task>,
    /// Weights: a file name in the manifest's folder.
    pub file: String,
    /// SHA-256 of the weights, 64 hexadecimal digits.
    pub sha256: String,
    /// The same network with 8-bit weights and activations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantised: Option<Quantised>,
    /// SPDX expression.
    pub licence: String,
    /// Where the network comes from.
    pub source: String,
    /// What it was trained on.
    #[serde(default)]
    pub training_data: Option<String>,
    /// The picture that it takes; empty for a forest, which reads the picture itself.
    #[serde(default, skip_serializing_if = "Input::is_empty")]
    pub input: Input,
    /// How a face is cropped for it; absent for detectors and forests.
    #[serde(default)]
    pub crop: Option<Crop>,
    /// How the outputs of a detector become boxes.
    #[serde(default)]
    pub detector: Option<Detector>,
    /// How the outputs of a face network become results.
    #[serde(default, rename = "head", skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<Head>,
    /// Measured figures.
    #[serde(default, rename = "figure", skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<Figure>,
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// `origin` is named in every error: the file's path, or another description of the text's origin.
    ///
    /// # Errors
    /// [`InferError::ManifestSyntax`] with the line for text that is no manifest; the errors of [`Manifest::validate`].
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

    /// Names of the output tensors in the order in which [`crate::Model::run`] returns them.
    ///
    /// For detectors by the kind of decoding: `yunet`: for each stride `cls`, `obj`, `bbox`, `kps`; `corners`: scores,
    /// boxes; `anchors`: scores, boxes and, if named, keypoints. For face networks the tensors of the heads in the order
    /// of the heads, each tensor once.
    #[must_use]
    pub fn output_tensors(&self) -> Vec<String> {
        let Some(detector) = &self.detector else {
            let mut names: Vec<String> = Vec::new();
            for name in self.heads.iter().flat_map(Head::tensors) {
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
            return names;
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

    /// The head for a task.
    #[must_use]
    pub fn head(&self, task: Task) -> Option<&Head> {
        self.heads.iter().find(|head| head.task == task)
    }
}

/// A version of a network with 8-bit weights and activations. ONNX Runtime runs it on the CPU instead of the version with floats,
/// since it is faster; see [`crate::Precision`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantised {
    /// ONNX file: a file name in the manifest's folder.
    pub file: String,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
    /// What it loses and how much faster it is.
    #[serde(default, rename = "figure", skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<Figure>,
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
    /// Width and height; if `multiple_of` is given, only the default.
    pub size: [u32; 2],
    /// Given if the network takes any width and height that are multiples of this number.
    #[serde(default)]
    pub multiple_of: Option<u32>,
    /// Subtracted from the pixel values, 0 to 255, per channel in the order of `colour`.
    #[serde(default)]
    pub mean: [f32; 3],
    /// Divides the difference.
    #[serde(default = "ones")]
    pub std: [f32; 3],
    /// Whether the first axis may have any length, for several pictures at once.
    #[serde(default)]
    pub batch: bool,
}

impl Default for Input {
    /// No input.
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
    /// Whether there is no description of an input.
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
    /// `[N, W, H, 3]`, the order of networks converted from MATLAB.
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
        /// How a box that is not square is fitted to a square input.
        fit: Fit,
        /// Before that, both sides of the box are multiplied by this.
        #[serde(default = "one")]
        expand: f32,
    },
    /// A similarity transform maps landmarks (or weighted means of them) to given points.
    Points {
        /// At least two.
        points: Vec<Anchor>,
    },
    /// A similarity transform maps the five landmarks to this program's symmetric template at the input's size.
    Aligned,
}

fn one() -> f32 {
    1.0
}

/// How a box is fitted to the input's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// The shorter side is enlarged until the box is square.
    Square,
    /// The aspect ratio is kept; the rest is zero.
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
    /// Boxes below this score are dropped unless the user sets another score.
    pub score: f32,
    /// Of two boxes whose intersection over union is above this, the one with the lower score is dropped.
    pub nms_iou: f32,
    /// How the outputs are decoded.
    pub decode: DetectorDecode,
}

/// How a detector's outputs are decoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum DetectorDecode {
    /// YuNet: per stride s tensors `cls_s`, `obj_s` `[1, n, 1]`, `bbox_s` `[1, n, 4]`, `kps_s` `[1, n, 10]`.
    Yunet {
        /// Strides: cell sizes in input pixels.
        strides: Vec<u32>,
    },
    /// Scores `[1, n, classes]` and boxes `[1, n, 4]` as x1 y1 x2 y2, 0 to 1.
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
        /// Tensor of keypoint offsets `[1, n, 10]`, if there is one.
        #[serde(default)]
        keypoints: Option<String>,
        /// Column of the face class.
        face_class: usize,
        /// The activation function that the scores still need.
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
    /// Width over height; the area does not change.
    pub ratios: Vec<f32>,
}

/// The function that turns raw numbers into probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// None: they are probabilities already.
    #[default]
    None,
    /// Softmax over the classes.
    Softmax,
    /// Sigmoid of each number.
    Sigmoid,
}

/// One output of a face network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The task that it serves.
    pub task: Task,
    /// Output name in the ONNX graph.
    pub tensor: String,
    /// How the numbers become the result.
    pub decode: HeadDecode,
}

impl Head {
    /// The names of all output tensors that this head reads, in the order in which its decoding needs them: one, or three for
    /// a head pose whose angles are in separate tensors.
    pub fn tensors(&self) -> impl Iterator<Item = &str> {
        let (second, third) = match &self.decode {
            HeadDecode::Angles { pitch, roll, .. } => (pitch.as_deref(), roll.as_deref()),
            _ => (None, None),
        };
        std::iter::once(self.tensor.as_str()).chain(second).chain(third)
    }
}

/// How one output is decoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum HeadDecode {
    /// `[N, 1]`: years.
    Years,
    /// `[N, n]`: the probability of each year from 0; the age is the median.
    #[serde(alias = "expectation")]
    Distribution {
        /// The activation function that the scores still need.
        #[serde(default)]
        activation: Activation,
    },
    /// `[N, labels]`: the probability of one label.
    Label {
        /// Names of the classes.
        labels: Vec<String>,
        /// The label asked for: `female` for gender, the smiling one for smile.
        positive: String,
        /// The activation function that the scores still need.
        #[serde(default)]
        activation: Activation,
        /// From this probability on the result is yes.
        #[serde(default = "half")]
        threshold: f32,
    },
    /// `[N, labels]`: the probabilities of all labels, which sum to 1.
    Classes {
        /// Names of the classes, in the order of the columns.
        labels: Vec<String>,
        /// The activation function that the scores still need.
        #[serde(default)]
        activation: Activation,
    },
    /// Yaw, pitch and roll of the head in degrees: `[N, 3]` in this order, or three tensors `[N, 1]`, of which the head's own
    /// is the yaw.
    ///
    /// After `signs`, as seen in the picture: yaw is above 0 if the nose points to the right edge of the picture, pitch if it
    /// points up, roll if the head leans to the right (clockwise). All are 0 for an upright face that looks into the camera.
    /// The angles are those in the crop: the decoder adds the crop's own rotation in the picture to the roll.
    Angles {
        /// The tensor of the pitch, if it has its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pitch: Option<String>,
        /// The tensor of the roll, if it has its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        roll: Option<String>,
        /// Yaw, pitch and roll are multiplied by these, each 1 or −1, for a network with opposite directions.
        #[serde(default = "ones")]
        signs: [f32; 3],
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
        /// Same person at or below this distance (Euclidean, or 1 − cosine).
        same_person: f32,
        /// What a distance means, measured on labelled faces.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "likeness::read")]
        likeness: Option<Likeness>,
    },
}

fn half() -> f32 {
    0.5
}

/// How ten numbers form five points.
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
    /// Euclidean distance of the vectors as they are.
    Euclidean,
    /// 1 − cosine of the angle.
    Cosine,
}

/// A measured figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// What was measured on what.
    pub what: String,
    /// The value with its unit.
    pub value: String,
    /// The command that printed it, or its publisher.
    pub by: String,
}

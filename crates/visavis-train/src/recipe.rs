//! The recipe of a training run: a TOML file with everything needed to repeat it.

mod params;
mod stage;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use params::{AgeTarget, AugmentParams, IdentityParams, LossParams, Margin, SceneParams};
use serde::{Deserialize, Serialize};
pub use stage::{OptimiserParams, SceneSource, Schedule, Source, Stage};
use visavis_image::face_template;
use visavis_infer::manifest::{Anchor, Colour, Crop, Fit};

use crate::TrainError;
use crate::detector::{FasterRcnnPlan, SsdPlan, YunetPlan, faster_rcnn, ssd, yunet};
use crate::network::{Backbone, FaceTask, HeadPlan, Network, Parameters, face_network, onet};

/// Name of the class weights of [`Recipe::identities`] among the parameters.
pub(crate) const CLASS_WEIGHTS: &str = "identities.weight";

/// A training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name of the trained network.
    pub name: String,
    /// A title of one line.
    pub title: String,
    /// The network to train.
    pub network: NetworkRecipe,
    /// Seed of everything random: two runs with the same seed on the same device are identical.
    #[serde(default = "one")]
    pub seed: u64,
    /// Initial weights: from a `.pth`, `.pt` or `.safetensors` file the tensors that fit, from an `.onnx` file all.
    #[serde(default)]
    pub init: Option<PathBuf>,
    /// The network of the `.onnx` file takes blue first: the colours of its first convolution are swapped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub init_bgr: bool,
    /// Networks whose outputs are imitated.
    #[serde(default, rename = "teacher")]
    pub teachers: Vec<TeacherRecipe>,
    /// Augmentation of pictures.
    #[serde(default)]
    pub augment: AugmentParams,
    /// Composition of scenes for detectors.
    #[serde(default)]
    pub scenes: SceneParams,
    /// Parameters of the loss.
    #[serde(default)]
    pub loss: LossParams,
    /// Classification of people, for an embedding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identities: Option<IdentityParams>,
    /// The stages. Each begins with the result of the one before. Without any, the network has the weights of `init`.
    #[serde(default, rename = "stage")]
    pub stages: Vec<Stage>,
}

fn one() -> u64 {
    1
}

/// The network of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum NetworkRecipe {
    /// A backbone with one or several heads, on aligned faces.
    Face {
        /// Such as `mobilenetv1@0.5`.
        backbone: String,
        /// Side of the picture in pixels.
        side: usize,
        /// Its tasks.
        tasks: Vec<FaceTask>,
        /// Length of an embedding.
        #[serde(default = "embedding")]
        embedding: usize,
        /// Dropout rate.
        #[serde(default)]
        dropout: f64,
        /// Side of the crop as a multiple of the usual one. A wider crop shows hair and chin, but the face smaller.
        #[serde(default = "unit", skip_serializing_if = "is_unit")]
        expand: f32,
    },
    /// O-Net: five keypoints in a face's box.
    Onet,
    /// A single-shot detector.
    Ssd {
        /// `mobilenetv1` or `mobilenetv2`, such as `mobilenetv1@0.25`.
        backbone: String,
        /// SSDLite: depthwise separable predictors.
        #[serde(default)]
        lite: bool,
        /// Width and height of the pictures for validation; also the default of the exported network.
        #[serde(default = "detector_size")]
        size: [u32; 2],
    },
    /// An anchor-free detector with five keypoints.
    Yunet {
        /// Factor on all channel counts; 1 is the published `yunet_n`.
        #[serde(default = "full_width")]
        width: f64,
        /// As for a single-shot detector, in multiples of 32.
        #[serde(default = "yunet_size")]
        size: [u32; 2],
    },
    /// A two-stage detector.
    #[serde(rename = "faster_rcnn")]
    FasterRcnn {
        /// `resnet18`, `resnet50` or `resnet101`, or one of the MobileNets.
        backbone: String,
        /// Number of boxes per picture for the second stage.
        #[serde(default = "proposals")]
        proposals: usize,
        /// As for a single-shot detector.
        #[serde(default = "detector_size")]
        size: [u32; 2],
    },
}

fn proposals() -> usize {
    48
}

fn detector_size() -> [u32; 2] {
    [300, 300]
}

fn full_width() -> f64 {
    1.0
}

fn yunet_size() -> [u32; 2] {
    [320, 256]
}

fn embedding() -> usize {
    128
}

impl NetworkRecipe {
    /// Builds the network.
    ///
    /// # Errors
    /// [`TrainError::Recipe`] for an unknown backbone or a duplicate head.
    pub fn build(&self, seed: u64) -> Result<(Network, Parameters), TrainError> {
        match self {
            Self::Onet => Ok(onet(seed)),
            Self::Ssd { backbone, lite, .. } => ssd(&SsdPlan { backbone: backbone.parse()?, lite: *lite }, seed),
            Self::Yunet { width, .. } => yunet(YunetPlan { width: *width }, seed),
            Self::FasterRcnn { backbone, proposals, .. } => {
                if !(1..=300).contains(proposals) {
                    return Err(TrainError::Recipe { reason: format!("`proposals` is {proposals}: 1 to 300 boxes") });
                }
                faster_rcnn(&FasterRcnnPlan { backbone: backbone.parse()?, proposals: *proposals }, seed)
            }
            Self::Face { backbone, side, tasks, embedding, dropout, expand } => {
                let backbone: Backbone = backbone.parse()?;
                if tasks.is_empty() || (1..tasks.len()).any(|at| tasks[..at].contains(&tasks[at])) {
                    return Err(TrainError::Recipe { reason: "`tasks` names each task once, and at least one".into() });
                }
                if !(32..=1024).contains(side) {
                    return Err(TrainError::Recipe { reason: format!("`side` is {side}: 32 to 1024 pixels") });
                }
                if !(0.5..=3.0).contains(expand) {
                    return Err(TrainError::Recipe { reason: format!("`expand` is {expand}: 0.5 to 3") });
                }
                if !(1..=4096).contains(embedding) {
                    return Err(TrainError::Recipe {
                        reason: format!("`embedding` is {embedding}: 1 to 4096 numbers"),
                    });
                }
                if !(0.0..1.0).contains(dropout) {
                    return Err(TrainError::Recipe { reason: format!("`dropout` is {dropout}: 0 to below 1") });
                }
                let plan = HeadPlan { tasks: tasks.clone(), embedding: *embedding, dropout: *dropout };
                Ok(face_network(backbone, *side, &plan, seed))
            }
        }
    }

    /// Width and height of a detector's pictures; `None` for other networks.
    #[must_use]
    pub fn detector_size(&self) -> Option<[u32; 2]> {
        match self {
            Self::Ssd { size, .. } | Self::FasterRcnn { size, .. } | Self::Yunet { size, .. } => Some(*size),
            Self::Face { .. } | Self::Onet => None,
        }
    }

    /// Order of the input's colour channels.
    #[must_use]
    pub fn colour(&self) -> Colour {
        match self {
            Self::Face { backbone, .. } => backbone.parse::<Backbone>().map_or(Colour::Rgb, Backbone::colour),
            _ => Colour::Rgb,
        }
    }

    /// How a face is cropped for the network; `None` for a detector.
    #[must_use]
    pub fn crop(&self) -> Option<Crop> {
        match self {
            Self::Face { backbone, expand, .. } => {
                let usual = backbone.parse::<Backbone>().map_or(Crop::Aligned, Backbone::crop);
                Some(if is_unit(expand) { usual } else { wider(&usual, *expand) })
            }
            Self::Onet => Some(Crop::Box { fit: Fit::Square, expand: 1.0 }),
            Self::Ssd { .. } | Self::FasterRcnn { .. } | Self::Yunet { .. } => None,
        }
    }

    /// Mean and divisor of the input pixels (0 to 255), per channel.
    #[must_use]
    pub fn pixels(&self) -> ([f32; 3], [f32; 3]) {
        match self {
            Self::Onet => ([127.5; 3], [128.0; 3]),
            // The published network takes unscaled pixels.
            Self::Yunet { .. } => ([0.0; 3], [1.0; 3]),
            Self::Face { backbone, .. } | Self::Ssd { backbone, .. } | Self::FasterRcnn { backbone, .. } => {
                backbone.parse::<Backbone>().map_or(([127.5; 3], [128.0; 3]), Backbone::pixels)
            }
        }
    }
}

/// The crop by keypoints whose side is `expand` times that of another one, with the same centre.
fn wider(crop: &Crop, expand: f32) -> Crop {
    let template = face_template(TEMPLATE_SIDE).to_array();
    let points = match crop {
        Crop::Points { points } => points.clone(),
        _ => (0..5)
            .map(|point| Anchor {
                landmarks: std::array::from_fn(|at| f32::from(u8::from(at == point))),
                at: [template[point].x, template[point].y].map(|at| at / TEMPLATE_SIDE as f32),
            })
            .collect(),
    };
    let place = |at: f32| 0.5 + (at - 0.5) / expand;
    Crop::Points { points: points.into_iter().map(|point| Anchor { at: point.at.map(place), ..point }).collect() }
}

/// Number of beginnings of parameters' names in an error.
const BEGINNINGS: usize = 8;

/// Side of the template in pixels; any would do, since only shares of it are used.
const TEMPLATE_SIDE: u32 = 112;

/// A network whose outputs are imitated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherRecipe {
    /// Name in the registry.
    pub network: String,
    /// Which of its tasks are imitated.
    pub tasks: Vec<FaceTask>,
    /// Weight of the imitation; labels have 1.
    #[serde(default = "unit")]
    pub weight: f32,
    /// Whether it is also imitated for faces that have a label for the task.
    #[serde(default)]
    pub beside_labels: bool,
}

fn unit() -> f32 {
    1.0
}

fn is_unit(value: &f32) -> bool {
    (value - 1.0).abs() < f32::EPSILON
}

impl Recipe {
    /// Reads and checks a recipe; relative paths in it are relative to its folder.
    ///
    /// # Errors
    /// [`TrainError::Recipe`] with line and field.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let text = std::fs::read_to_string(path).map_err(|source| TrainError::file(path, source))?;
        let wrong = |reason: String| TrainError::Recipe { reason: format!("{}: {reason}", path.display()) };
        let mut recipe: Self = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        // Absolute, since a run stores its recipe in another folder.
        recipe.init = recipe.init.map(|file| {
            let file = folder.join(file);
            std::path::absolute(&file).unwrap_or(file)
        });
        for source in recipe.stages.iter_mut().flat_map(|stage| &mut stage.data) {
            source.pack = folder.join(&source.pack);
        }
        for source in recipe.stages.iter_mut().flat_map(|stage| &mut stage.scenes) {
            source.images = folder.join(&source.images);
            source.boxes = source.boxes.take().map(|file| folder.join(file));
        }
        recipe.validate()?;
        Ok(recipe)
    }

    /// The recipe without the folders of this computer: for the model card, and to compare recipes.
    #[must_use]
    pub fn without_folders(&self) -> Self {
        let mut recipe = self.clone();
        let short = |path: &Path| -> PathBuf { path.file_name().map(PathBuf::from).unwrap_or_default() };
        // Weights of runs all have the same file name, so the folder's name is kept.
        recipe.init = recipe.init.map(|file| file.parent().map(short).unwrap_or_default().join(short(&file)));
        for source in recipe.stages.iter_mut().flat_map(|stage| &mut stage.data) {
            source.pack = short(&source.pack);
        }
        for source in recipe.stages.iter_mut().flat_map(|stage| &mut stage.scenes) {
            source.boxes = source.boxes.as_deref().map(short);
            source.images = source.name().into();
        }
        recipe
    }

    /// Checks the recipe without reading the data.
    ///
    /// # Errors
    /// [`TrainError::Recipe`] with the field.
    pub fn validate(&self) -> Result<(), TrainError> {
        let wrong = |reason: String| Err(TrainError::Recipe { reason });
        let (_, parameters) = self.network.build(0)?;
        let class_weights = self.identities.iter().map(|_| CLASS_WEIGHTS);
        let names: Vec<&str> =
            parameters.all().iter().map(|parameter| parameter.name.as_str()).chain(class_weights).collect();
        let sizes = &self.scenes.sizes;
        if sizes.is_empty() || sizes.iter().flatten().any(|side| !(64..=2048).contains(side) || side % 4 != 0) {
            return wrong("`sizes` of scenes are one or more, of multiples of 4 from 64 to 2048".into());
        }
        if let NetworkRecipe::Yunet { size, .. } = &self.network
            && sizes.iter().chain([size]).flatten().any(|side| side % 32 != 0)
        {
            return wrong("`size` and `sizes` of an anchor-free detector are multiples of 32".into());
        }
        if self.name.is_empty() || !self.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        {
            return wrong(format!("`name` is `{}`: use a-z, 0-9 and _", self.name));
        }
        self.augment.validate()?;
        let is_share = |share: &f32| (0.0..=1.0).contains(share);
        let SceneParams { mosaic, crowd, covered, by_face, mirror, .. } = self.scenes;
        if ![mosaic, crowd, covered, by_face, mirror].iter().all(is_share) {
            return wrong("[scenes]: mosaic, crowd, covered, by_face and mirror are shares from 0 to 1".into());
        }
        if ![self.loss.smoothing, self.loss.focal_faces].iter().all(is_share) {
            return wrong("[loss]: smoothing and focal_faces are shares from 0 to 1".into());
        }
        if self.stages.is_empty() && self.init.is_none() {
            return wrong("there is no [[stage]], and no `init` whose weights would be taken as they are".into());
        }
        if let Some(identities) = &self.identities {
            let embeds =
                matches!(&self.network, NetworkRecipe::Face { tasks, .. } if tasks.contains(&FaceTask::Similarity));
            if !embeds {
                return wrong("[identities] is for networks with the task `similarity`".into());
            }
            let by = match identities.margin {
                Margin::None => 0.0,
                Margin::Cosine { by } | Margin::Angle { by } => by,
            };
            if identities.least == 0 || identities.scale <= 0.0 || !(0.0..=1.0).contains(&by) {
                return wrong("[identities]: `least` is 1 or more, `scale` above 0, a margin from 0 to 1".into());
            }
        }
        for (number, stage) in (1..).zip(&self.stages) {
            let (of_scenes, kind) = match self.network {
                NetworkRecipe::Ssd { .. } | NetworkRecipe::FasterRcnn { .. } | NetworkRecipe::Yunet { .. } => {
                    (true, "scenes")
                }
                _ => (false, "data"),
            };
            let looked_at = if of_scenes { stage.scenes.len() } else { stage.data.len() };
            if stage.batch < 2 || stage.epochs == 0 || looked_at == 0 {
                return wrong(format!(
                    "stage {number} needs `batch` of 2 or more, `epochs` of 1 or more, and `{kind}`"
                ));
            }
            let refused = |source: &Source| {
                !(0.0..=1.0).contains(&source.balance) || source.repeat.is_nan() || source.repeat <= 0.0
            };
            if stage.data.iter().any(refused) {
                return wrong(format!("stage {number}: `balance` lies in 0 to 1, `repeat` is above 0"));
            }
            let rate = stage.optimiser.rate();
            let sensible = rate > 0.0 && rate <= 10.0 && (0.0..1.0).contains(&stage.average);
            if !sensible {
                return wrong(format!("stage {number}: `rate` lies in 0 to 10, `average` in 0 to 1"));
            }
            let is_unknown = |prefix: &&String| !names.iter().any(|name| name.starts_with(prefix.as_str()));
            if let Some(unknown) = stage.freeze.iter().find(is_unknown) {
                let beginnings: BTreeSet<&str> = names.iter().filter_map(|name| name.split('.').next()).collect();
                let some: Vec<&str> = beginnings.into_iter().take(BEGINNINGS).collect();
                return wrong(format!(
                    "stage {number}: `freeze` has `{unknown}`, with which no parameter's name begins; names begin, for example, \
                     with {}",
                    some.join(", ")
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        name = "a"
        title = "A"
        init = "../runs/before/best.safetensors"
        [network]
        kind = "onet"
        [[stage]]
        epochs = 1
        batch = 8
        data = [{ pack = "../packs/mine" }]
    "#;

    fn read(folder: &Path, text: &str) -> Result<Recipe, TrainError> {
        let path = folder.join("a.toml");
        std::fs::write(&path, text).unwrap();
        Recipe::read(&path)
    }

    #[test]
    fn a_wider_crop_has_the_same_centre() {
        let network = |backbone: &str, expand: f32| NetworkRecipe::Face {
            backbone: backbone.into(),
            side: 112,
            tasks: vec![FaceTask::Age],
            embedding: 128,
            dropout: 0.0,
            expand,
        };
        assert_eq!(network("mobilenetv1", 1.0).crop(), Some(Crop::Aligned));
        for backbone in ["mobilenetv1", "mobilefacenet_se"] {
            let (Some(Crop::Points { points: usual }), Some(Crop::Points { points: wide })) =
                (network(backbone, 1.0 + 1e-3).crop(), network(backbone, 2.0).crop())
            else {
                panic!("{backbone} is not cropped by points");
            };
            assert_eq!(usual.len(), 5);
            for (usual, wide) in usual.iter().zip(&wide) {
                assert_eq!(usual.landmarks, wide.landmarks);
                for (usual, wide) in usual.at.iter().zip(wide.at) {
                    assert!(((usual - 0.5) / 2.0 - (wide - 0.5)).abs() < 1e-3, "{backbone}: {usual} became {wide}");
                }
            }
        }
        let error = network("mobilenetv1", 9.0).build(1).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("`expand` is 9"), "{error}");
    }

    #[test]
    fn paths_are_relative_to_the_recipe_and_do_not_make_it_another() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (a, b) = (read(here.path(), TEXT).unwrap(), read(there.path(), TEXT).unwrap());
        assert_eq!(a.stages[0].data[0].pack, here.path().join("../packs/mine"));
        assert_ne!(a, b);
        assert_eq!(a.without_folders(), b.without_folders());
        assert_eq!(a.without_folders().init, Some("before/best.safetensors".into()));
    }

    #[test]
    fn mistakes_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let face = |line: &str| {
            let network = "\"face\"\nbackbone = \"mobilenetv1@0.25\"\nside = 64\ntasks = [\"similarity\"]\n";
            TEXT.replace("\"onet\"", &format!("{network}{line}"))
        };
        let cases = [
            (TEXT.replace("epochs", "epoch"), "epoch"),
            (TEXT.replace("\"onet\"", "\"face\"\nbackbone = \"vgg19\"\nside = 64\ntasks = [\"age\"]"), "vgg19"),
            (TEXT.replace("name = \"a\"", "name = \"A b\""), "`name`"),
            (TEXT.replace("batch = 8", "batch = 1"), "`batch`"),
            (TEXT.replace("\"../packs/mine\"", "\"../packs/mine\", balance = 3.0"), "`balance`"),
            (TEXT.replace("[[stage]]", "[augment]\nsmall = 2.0\n[[stage]]"), "shares from 0 to 1"),
            (TEXT.replace("[[stage]]", "[augment]\nbrightness = -8.0\n[[stage]]"), "0 or more"),
            (TEXT.replace("[[stage]]", "[scenes]\nmosaic = 2.0\n[[stage]]"), "[scenes]: mosaic"),
            (TEXT.replace("[[stage]]", "[loss]\nsmoothing = nan\n[[stage]]"), "[loss]: smoothing"),
            (face("embedding = 1000000000000"), "`embedding`"),
            (face("dropout = 1.0"), "`dropout`"),
            (face("dropout = nan"), "`dropout`"),
            (TEXT.replace("batch = 8", "batch = 8\nfreeze = [\"conv1\", \"convv\"]"), "`freeze` has `convv`"),
            (TEXT.replace("batch = 8", "batch = 8\nfreeze = [\"convv\"]"), "with bn1, bn2, bn3, bn4, conv1"),
        ];
        for (text, named) in cases {
            let said = read(folder.path(), &text).unwrap_err().to_string();
            assert!(said.contains(named), "{named}: {said}");
        }
    }
}

//! What a training run is to do: a TOML file that anyone can read and run again.

mod params;

use std::path::{Path, PathBuf};

pub use params::{AgeTarget, AugmentParams, IdentityParams, LossParams, Margin, SceneParams};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::detector::{FasterRcnnPlan, SsdPlan, faster_rcnn, ssd};
use crate::network::{Backbone, FaceTask, HeadPlan, Network, Parameters, face_network, onet};

/// A training run, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name of the network that comes out.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// What is trained.
    pub network: NetworkRecipe,
    /// Everything random follows from it: two runs of one seed on one device are the same.
    #[serde(default = "one")]
    pub seed: u64,
    /// Weights to begin with: `.pth`, `.pt` or `.safetensors`, what fits is taken.
    #[serde(default)]
    pub init: Option<PathBuf>,
    /// Networks whose answers are imitated.
    #[serde(default, rename = "teacher")]
    pub teachers: Vec<TeacherRecipe>,
    /// How pictures are varied.
    #[serde(default)]
    pub augment: AugmentParams,
    /// How scenes for detectors are composed.
    #[serde(default)]
    pub scenes: SceneParams,
    /// How answers are judged.
    #[serde(default)]
    pub loss: LossParams,
    /// People are told apart, for an embedding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identities: Option<IdentityParams>,
    /// One after the other, each from where the last one ended.
    #[serde(rename = "stage")]
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
        /// What it tells.
        tasks: Vec<FaceTask>,
        /// Numbers of an embedding.
        #[serde(default = "embedding")]
        embedding: usize,
        /// Share of the features left out while training.
        #[serde(default)]
        dropout: f64,
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
        /// Width and height of the pictures that it is validated on, and that it takes unless told otherwise.
        #[serde(default = "detector_size")]
        size: [u32; 2],
    },
    /// A two-stage detector.
    #[serde(rename = "faster_rcnn")]
    FasterRcnn {
        /// `resnet18`, `resnet50` or `resnet101`, or one of the MobileNets.
        backbone: String,
        /// Boxes of a picture that the second stage looks at.
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

fn embedding() -> usize {
    128
}

impl NetworkRecipe {
    /// Lays it out.
    ///
    /// # Errors
    /// [`TrainError::Recipe`] for a backbone that there is not or a head twice.
    pub fn build(&self, seed: u64) -> Result<(Network, Parameters), TrainError> {
        match self {
            Self::Onet => Ok(onet(seed)),
            Self::Ssd { backbone, lite, .. } => ssd(&SsdPlan { backbone: backbone.parse()?, lite: *lite }, seed),
            Self::FasterRcnn { backbone, proposals, .. } => {
                if !(1..=300).contains(proposals) {
                    return Err(TrainError::Recipe { reason: format!("`proposals` is {proposals}: 1 to 300 boxes") });
                }
                faster_rcnn(&FasterRcnnPlan { backbone: backbone.parse()?, proposals: *proposals }, seed)
            }
            Self::Face { backbone, side, tasks, embedding, dropout } => {
                let backbone: Backbone = backbone.parse()?;
                if tasks.is_empty() || (1..tasks.len()).any(|at| tasks[..at].contains(&tasks[at])) {
                    return Err(TrainError::Recipe { reason: "`tasks` names each task once, and at least one".into() });
                }
                if !(32..=1024).contains(side) {
                    return Err(TrainError::Recipe { reason: format!("`side` is {side}: 32 to 1024 pixels") });
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
            Self::Ssd { size, .. } | Self::FasterRcnn { size, .. } => Some(*size),
            Self::Face { .. } | Self::Onet => None,
        }
    }

    /// What is subtracted from pixels of 0 to 255 and what then divides them, per channel.
    #[must_use]
    pub fn pixels(&self) -> ([f32; 3], [f32; 3]) {
        match self {
            Self::Onet => ([127.5; 3], [128.0; 3]),
            Self::Face { backbone, .. } | Self::Ssd { backbone, .. } | Self::FasterRcnn { backbone, .. } => {
                backbone.parse::<Backbone>().map_or(([127.5; 3], [128.0; 3]), Backbone::pixels)
            }
        }
    }
}

/// A network whose answers are imitated, by the name under which the registry knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherRecipe {
    /// Name in the registry.
    pub network: String,
    /// Which of its answers.
    pub tasks: Vec<FaceTask>,
    /// Weight of the imitation beside the labels.
    #[serde(default = "unit")]
    pub weight: f32,
    /// Also imitated where the face's own set labels it.
    #[serde(default)]
    pub beside_labels: bool,
}

fn unit() -> f32 {
    1.0
}

fn yes() -> bool {
    true
}

/// A part of the training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Passes over the data.
    pub epochs: usize,
    /// Pictures in a batch.
    pub batch: usize,
    /// Packed faces that are looked at.
    #[serde(default)]
    pub data: Vec<Source>,
    /// Pictures with face boxes that are looked at; these are for detectors.
    #[serde(default)]
    pub scenes: Vec<SceneSource>,
    /// How steps are taken.
    #[serde(default)]
    pub optimiser: OptimiserParams,
    /// How the learning rate goes.
    #[serde(default)]
    pub schedule: Schedule,
    /// Decay of the moving average of the weights; 0 leaves it out.
    #[serde(default = "average")]
    pub average: f64,
    /// Ends the stage after so many epochs without a better validation.
    #[serde(default)]
    pub patience: Option<usize>,
    /// Parameters whose names begin like this stay as they are.
    #[serde(default)]
    pub freeze: Vec<String>,
}

fn average() -> f64 {
    0.999
}

/// A pack in a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Folder of the pack.
    pub pack: PathBuf,
    /// How often each of its faces is seen in an epoch, on average.
    #[serde(default = "unit")]
    pub repeat: f32,
    /// Evens out the label's classes: 0 takes faces as they are, 1 takes each class equally often.
    #[serde(default)]
    pub balance: f32,
    /// Whether teachers are imitated on these faces.
    #[serde(default = "yes")]
    pub teach: bool,
    /// Only files whose path begins with one of these; empty takes all.
    #[serde(default)]
    pub only: Vec<String>,
    /// Not the files whose path begins with one of these.
    #[serde(default)]
    pub except: Vec<String>,
}

/// Pictures with face boxes in a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneSource {
    /// Folder of the pictures.
    pub images: PathBuf,
    /// The boxes, COCO JSON. Without it a teacher says where faces are.
    #[serde(default)]
    pub boxes: Option<PathBuf>,
    /// A detector by its name in the registry that says where faces are.
    #[serde(default)]
    pub teacher: Option<String>,
    /// How often each picture is seen in an epoch, on average.
    #[serde(default = "unit")]
    pub repeat: f32,
    /// Whether its validation part is validated on.
    #[serde(default = "yes")]
    pub validate: bool,
}

impl SceneSource {
    /// What the set is called, on which the split depends.
    #[must_use]
    pub fn name(&self) -> String {
        visavis_data::boxes::set_name(&self.images)
    }
}

/// How steps are taken.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum OptimiserParams {
    /// Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019); without decay it is Adam.
    Adamw {
        /// Peak learning rate.
        rate: f64,
        /// Weight decay.
        decay: f64,
    },
    /// Stochastic gradient descent with Nesterov's momentum.
    Sgd {
        /// Peak learning rate.
        rate: f64,
        /// Weight decay.
        decay: f64,
        /// Share of the last step kept.
        momentum: f64,
    },
}

impl Default for OptimiserParams {
    fn default() -> Self {
        Self::Adamw { rate: 1e-3, decay: 0.02 }
    }
}

impl OptimiserParams {
    /// Peak learning rate.
    #[must_use]
    pub fn rate(&self) -> f64 {
        match self {
            Self::Adamw { rate, .. } | Self::Sgd { rate, .. } => *rate,
        }
    }
}

/// How the learning rate goes, after a warm-up that rises in a straight line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Schedule {
    /// Always the same.
    Constant {
        /// Epochs of warm-up.
        warm_up: f64,
    },
    /// Half a cosine down to nothing at the stage's end.
    Cosine {
        /// Epochs of warm-up.
        warm_up: f64,
    },
    /// Times a factor whenever the validation has not improved for some epochs (paper, section III-E).
    Plateau {
        /// Epochs of warm-up.
        warm_up: f64,
        /// 0.1 in the paper.
        factor: f64,
        /// Epochs.
        patience: usize,
    },
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Cosine { warm_up: 0.5 }
    }
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
        recipe.init = recipe.init.map(|file| folder.join(file));
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

    /// The same without the folders of this machine: what a model card shows, and what decides whether a run is the same.
    #[must_use]
    pub fn without_folders(&self) -> Self {
        let mut recipe = self.clone();
        let short = |path: &Path| -> PathBuf { path.file_name().map(PathBuf::from).unwrap_or_default() };
        // Weights of runs all have one name; their folder tells them apart.
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

    /// Checks what can be checked without the data.
    ///
    /// # Errors
    /// [`TrainError::Recipe`] naming the field.
    pub fn validate(&self) -> Result<(), TrainError> {
        let wrong = |reason: String| Err(TrainError::Recipe { reason });
        self.network.build(0)?;
        let sizes = &self.scenes.sizes;
        if sizes.is_empty() || sizes.iter().flatten().any(|side| !(64..=2048).contains(side) || side % 4 != 0) {
            return wrong("`sizes` of scenes are one or more, of multiples of 4 from 64 to 2048".into());
        }
        if self.name.is_empty() || !self.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        {
            return wrong(format!("`name` is `{}`: use a-z, 0-9 and _", self.name));
        }
        if self.stages.is_empty() {
            return wrong("there is no [[stage]]".into());
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
                NetworkRecipe::Ssd { .. } | NetworkRecipe::FasterRcnn { .. } => (true, "scenes"),
                _ => (false, "data"),
            };
            let looked_at = if of_scenes { stage.scenes.len() } else { stage.data.len() };
            if stage.batch < 2 || stage.epochs == 0 || looked_at == 0 {
                return wrong(format!(
                    "stage {number} needs `batch` of 2 or more, `epochs` of 1 or more, and `{kind}`"
                ));
            }
            if let Some(source) = stage.scenes.iter().find(|source| source.boxes.is_some() == source.teacher.is_some())
            {
                return wrong(format!(
                    "stage {number}: {} needs either `boxes` or a `teacher` that says where faces are",
                    source.images.display()
                ));
            }
            let rate = stage.optimiser.rate();
            let sensible = rate > 0.0 && rate <= 10.0 && (0.0..1.0).contains(&stage.average);
            if !sensible {
                return wrong(format!("stage {number}: `rate` lies in 0 to 10, `average` in 0 to 1"));
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
        let cases = [
            (TEXT.replace("epochs", "epoch"), "epoch"),
            (TEXT.replace("\"onet\"", "\"face\"\nbackbone = \"vgg19\"\nside = 64\ntasks = [\"age\"]"), "vgg19"),
            (TEXT.replace("name = \"a\"", "name = \"A b\""), "`name`"),
            (TEXT.replace("batch = 8", "batch = 1"), "`batch`"),
        ];
        for (text, named) in cases {
            let said = read(folder.path(), &text).unwrap_err().to_string();
            assert!(said.contains(named), "{named}: {said}");
        }
    }
}

//! From flags to a ready loader and a choice of networks.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use visavis_face::Enroller;
use visavis_face::detect::DetectorParams;
use visavis_face::gallery::Gallery;
use visavis_infer::{Registry, Runtime, Task};
use visavis_live::{Choice, Loader, RegistryLoader};

use crate::options::{EngineArgs, NetworkArgs, complain};
use crate::place::GalleryPlace;

/// The networks that are taken where the user names none, best first (docs/tables.md); of those, the first that is on a
/// shelf. Ours are always on one.
const DEFAULTS: [(Task, &[&str]); 6] = [
    (Task::Detection, &["yunet_n", "ssdlite_mobilenetv2", "ultraface_rfb_320"]),
    (Task::Keypoints, &["kazemi_forest", "onet", "mtcnn_onet"]),
    (Task::Age, &["multitask_efficientnet_lite0", "faceapi_age_gender"]),
    (Task::Gender, &["multitask_efficientnet_lite0", "faceapi_age_gender"]),
    (Task::Smile, &["smile_mobilenetv1", "multitask_efficientnet_lite0", "faceapi_expression"]),
    (Task::Similarity, &["dlib_face_recognition", "similarity_efficientnet_lite0"]),
];

/// Everything that loads networks, as the flags say.
pub(crate) struct Session {
    pub(crate) loader: RegistryLoader,
    pub(crate) choice: Choice,
}

impl Session {
    /// Opens the shelves and settles which network does what. Similarity is done where there is a gallery.
    pub(crate) fn open(engines: &EngineArgs, networks: &NetworkArgs) -> Result<Self> {
        let registry = Registry::open(&engines.models)?;
        for problem in registry.problems() {
            complain(&format!("warning: {problem}"));
        }
        let mut choice = Choice {
            detector: pick(&registry, Task::Detection, networks.detector.as_deref())?.unwrap_or_default(),
            keypoints: networks.keypoints.clone().filter(|name| name != "detector"),
            age: pick(&registry, Task::Age, networks.age.as_deref())?,
            gender: pick(&registry, Task::Gender, networks.gender.as_deref())?,
            smile: pick(&registry, Task::Smile, networks.smile.as_deref())?,
            similarity: None,
        };
        if choice.detector.is_empty() {
            bail!(
                "no network that finds faces is on any shelf: name a folder of networks with --models DIR \
                 (`visavis models list` shows what is known and missing)"
            );
        }
        if networks.gallery.is_some() || networks.similarity.is_some() {
            // A gallery is searched by the network that made it, where that is here.
            let made_by = networks.gallery.as_ref().and_then(made_by).filter(|name| registry.get(name).is_ok());
            let named = networks.similarity.as_deref().or(made_by.as_deref());
            choice.similarity = pick(&registry, Task::Similarity, named)?;
            if choice.similarity.is_none() && networks.similarity.as_deref() != Some("none") {
                bail!(
                    "the gallery needs a network for similarity, and none is on any shelf: add one with --models DIR"
                );
            }
        }
        let detector_has_points =
            registry.get(&choice.detector).is_ok_and(|entry| entry.manifest.tasks.contains(&Task::Keypoints));
        if networks.keypoints.is_none() && !detector_has_points {
            // A detector without keypoints needs help where crops are cut by them.
            choice.keypoints = pick(&registry, Task::Keypoints, None)?;
        }
        let runtime = Runtime::discover(engines.onnxruntime.as_deref());
        let mut loader = RegistryLoader::new(registry, runtime);
        loader.detection = engines.detection();
        loader.recognition = engines.recognition();
        loader.set_detector_params(DetectorParams {
            size: networks.detector_size,
            native_size: false,
            score: networks.score,
            smallest: networks.smallest_face,
        });
        if let Some(place) = networks.gallery.clone() {
            loader.gallery = Some(Box::new(place));
        }
        Ok(Self { loader, choice })
    }

    /// The gallery that faces are compared with, if they are.
    pub(crate) fn gallery(&self) -> Result<Option<Arc<dyn Gallery>>> {
        match &self.choice.similarity {
            Some(network) => Ok(self.loader.gallery(network)?),
            None => Ok(None),
        }
    }

    /// What looks at photos for a gallery.
    pub(crate) fn enroller(&self) -> Result<Enroller> {
        self.choice.similarity.as_deref().context("no network for similarity was chosen")?;
        Ok(self.loader.enroller(&self.choice)?)
    }
}

/// The network that made a gallery; none where it cannot be opened, which whoever uses it says better.
fn made_by(gallery: &GalleryPlace) -> Option<String> {
    Some(gallery.open_any().ok()?.embedding().name.clone())
}

/// The network for `task`: the named one if it is there and does it, `None` for "none", else the default.
fn pick(registry: &Registry, task: Task, named: Option<&str>) -> Result<Option<String>> {
    match named {
        Some("none") => Ok(None),
        Some(name) => {
            let entry = registry.get(name)?;
            if !entry.manifest.tasks.contains(&task) {
                bail!("{name} does not do {task}: choose another (`visavis models list --task {task}`)");
            }
            Ok(Some(name.to_owned()))
        }
        None => {
            let preferred = DEFAULTS.iter().find(|(of, _)| *of == task).map_or(&[][..], |(_, names)| names);
            let on_shelf = |name: &&&str| registry.for_task(task).any(|entry| entry.manifest.name == **name);
            let fallback = || registry.for_task(task).next().map(|entry| entry.manifest.name.clone());
            Ok(preferred.iter().find(on_shelf).map(|name| (*name).to_owned()).or_else(fallback))
        }
    }
}

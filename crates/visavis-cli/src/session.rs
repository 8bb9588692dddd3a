//! Turns flags into a loader and a choice of networks.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use visavis_face::Enroller;
use visavis_face::detect::DetectorParams;
use visavis_gallery::Gallery;
use visavis_infer::{EngineKind, Entry, Registry, Runtime, Task};
use visavis_live::{Choice, Loader, RegistryLoader};

use crate::options::{EngineArgs, NetworkArgs, complain};
use crate::place::GalleryPlace;

/// The networks that are used if the user names none, best first (docs/tables.md): the first one that is available. Those
/// compiled into the program always are. A row with an engine applies to that engine only, and before the others.
const DEFAULTS: [(Task, Option<EngineKind>, &[&str]); 7] = [
    (Task::Detection, None, &["yunet", "yunet_n", "ultraface_rfb_320"]),
    (Task::Keypoints, None, &["kazemi_forest", "onet", "mtcnn_onet"]),
    (Task::Age, None, &["multitask_efficientnet_lite0", "faceapi_age_gender"]),
    (Task::Gender, None, &["multitask_efficientnet_lite0", "faceapi_age_gender"]),
    (Task::Smile, None, &["smile_mobilenetv1", "multitask_efficientnet_lite0", "faceapi_expression"]),
    (Task::Expression, None, &["face_mobilefacenet", "faceapi_expression"]),
    (
        Task::Similarity,
        None,
        &[
            "similarity_mobilefacenet",
            "face_reidentification_0095",
            "dlib_face_recognition",
            "similarity_efficientnet_lite0",
        ],
    ),
];

/// The networks that the flags choose, and the loader for them.
pub struct Session {
    /// Loads networks and the gallery.
    pub loader: RegistryLoader,
    /// The network of each task.
    pub choice: Choice,
}

impl Session {
    /// Opens the registry and chooses the networks. Similarity gets one if there is a gallery.
    pub fn open(engines: &EngineArgs, networks: &NetworkArgs) -> Result<Self> {
        let registry = Registry::open(&engines.models)?;
        for problem in registry.problems() {
            complain(&format!("warning: {problem}"));
        }
        let runtime = Runtime::discover(engines.onnxruntime.as_deref());
        let detection = runtime.choose(&engines.detection())?;
        let recognition = runtime.choose(&engines.recognition())?;
        let mut choice = Choice {
            detector: pick(&registry, Task::Detection, detection, networks.detector.as_deref())?.unwrap_or_default(),
            keypoints: networks.keypoints.clone().filter(|name| name != "detector"),
            age: pick(&registry, Task::Age, recognition, networks.age.as_deref())?,
            gender: pick(&registry, Task::Gender, recognition, networks.gender.as_deref())?,
            smile: pick(&registry, Task::Smile, recognition, networks.smile.as_deref())?,
            expression: match networks.expression.as_deref() {
                // Only on request.
                None => None,
                named => pick(&registry, Task::Expression, recognition, named)?,
            },
            head_pose: None,
            similarity: None,
        };
        if choice.detector.is_empty() {
            bail!(
                "no network for face detection was found: give a folder of networks with --models DIR \
                 (`visavis models list` shows which are known and missing)"
            );
        }
        if networks.gallery.is_some() || networks.similarity.is_some() {
            // A gallery is searched by the network that made it, if available.
            let made_by = networks.gallery.as_ref().and_then(made_by).filter(|name| registry.get(name).is_ok());
            let named = networks.similarity.as_deref().or(made_by.as_deref());
            choice.similarity = pick(&registry, Task::Similarity, recognition, named)?;
            if let (None, Some(old), Some(place)) = (&networks.similarity, &made_by, &networks.gallery) {
                offer_conversion(&registry, place, recognition, old)?;
            }
            if choice.similarity.is_none() && networks.similarity.as_deref() != Some("none") {
                bail!(
                    "the gallery needs a network for similarity, and none was found: add a folder of networks with --models DIR"
                );
            }
        }
        choice.head_pose = match networks.head_pose.as_deref() {
            Some(named) => pick(&registry, Task::HeadPose, recognition, Some(named))?,
            None => pose_beside(&registry, &choice),
        };
        if networks.keypoints.is_none() {
            // The error of the detectors' own keypoints is three times as large (docs/tables.md, Table II).
            choice.keypoints = pick(&registry, Task::Keypoints, recognition, None)?;
        }
        let mut loader = RegistryLoader::new(registry, runtime);
        loader.detection = engines.detection();
        loader.recognition = engines.recognition();
        loader.set_detector_params(DetectorParams {
            size: networks.detector_size,
            native_size: false,
            score: networks.score,
            smallest: networks.smallest_face,
        });
        if let Some(share) = networks.false_matches {
            loader.identity.false_matches = share;
        }
        if let Some(place) = networks.gallery.clone() {
            loader.gallery = Some(Box::new(place));
        }
        Ok(Self { loader, choice })
    }

    /// The gallery that faces are compared with, if they are.
    pub fn gallery(&self) -> Result<Option<Arc<Gallery>>> {
        match &self.choice.similarity {
            Some(network) => Ok(self.loader.gallery(network)?),
            None => Ok(None),
        }
    }

    /// Makes what detects and embeds faces in photos for a gallery.
    pub fn enroller(&self) -> Result<Enroller> {
        self.choice.similarity.as_deref().context("no network for similarity was chosen")?;
        Ok(self.loader.enroller(&self.choice)?)
    }
}

/// A network that is in use for another task and has the task head pose too.
fn pose_beside(registry: &Registry, choice: &Choice) -> Option<String> {
    let tasks = [Task::Similarity, Task::Age, Task::Gender, Task::Smile, Task::Expression];
    let running = tasks.into_iter().filter_map(|task| choice.of(task));
    let tells = |name: &&str| registry.get(name).is_ok_and(|entry| entry.manifest.tasks.contains(&Task::HeadPose));
    running.into_iter().find(tells).map(str::to_owned)
}

/// Tells the user if a better network than the one that made the gallery is available, and how to convert the gallery. For a
/// user's own network the program does not know a better one.
fn offer_conversion(registry: &Registry, gallery: &GalleryPlace, engine: EngineKind, made_by: &str) -> Result<()> {
    let known = DEFAULTS.iter().any(|(task, _, names)| *task == Task::Similarity && names.contains(&made_by));
    let preferred = pick(registry, Task::Similarity, engine, None)?.filter(|preferred| known && preferred != made_by);
    if let Some(preferred) = preferred {
        complain(&format!(
            "{gallery} was made with {made_by} and is searched with it; {preferred} distinguishes people better: \
             `visavis gallery convert {gallery} --similarity {preferred}` computes its embeddings anew"
        ));
    }
    Ok(())
}

/// The network that made a gallery; `None` if it cannot be opened, which is reported when it is used.
fn made_by(gallery: &GalleryPlace) -> Option<String> {
    Some(gallery.open_any().ok()?.embedding().name.clone())
}

/// The network for `task`: the named one if it exists and has this task, `None` for "none", else the default.
fn pick(registry: &Registry, task: Task, engine: EngineKind, named: Option<&str>) -> Result<Option<String>> {
    match named {
        Some("none") => Ok(None),
        Some(name) => {
            let entry = registry.get(name)?;
            if !entry.manifest.tasks.contains(&task) {
                bail!("{name} does not do {task}: choose another (`visavis models list --task {task}`)");
            }
            Ok(Some(name.to_owned()))
        }
        None => Ok(default_network(registry, task, engine).map(|entry| entry.manifest.name.clone())),
    }
}

/// The default network for `task` with `engine`: the first of `DEFAULTS` that is available, else any network with this
/// task.
pub fn default_network(registry: &Registry, task: Task, engine: EngineKind) -> Option<&Entry> {
    let rows = |only: Option<EngineKind>| {
        let of_row = move |row: &&(Task, Option<EngineKind>, &[&'static str])| row.0 == task && row.1 == only;
        DEFAULTS.iter().filter(of_row).flat_map(|row| row.2.iter())
    };
    let mut preferred = rows(Some(engine)).chain(rows(None));
    let here = |name: &&str| registry.for_task(task).find(|entry| entry.manifest.name == **name);
    preferred.find_map(here).or_else(|| registry.for_task(task).next())
}

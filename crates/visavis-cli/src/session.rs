//! Turns flags into a loader and a choice of networks.

use std::sync::Arc;

use anyhow::{Context, Result};
use visavis_face::detect::DetectorParams;
use visavis_face::{Choice, Enroller, FaceError, default_network, preferred_networks};
use visavis_gallery::Gallery;
use visavis_infer::{EngineKind, Registry, Runtime, Task};
use visavis_live::{Loader, RegistryLoader};

use crate::options::{EngineArgs, NetworkArgs, complain};
use crate::place::GalleryPlace;

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
        let mut names = networks.names();
        if let (None, Some(place)) = (&names.similarity, &networks.gallery) {
            // A gallery is searched by the network that made it, if available.
            let made_by = made_by(place).filter(|name| registry.get(name).is_ok());
            let preferred = default_network(&registry, Task::Similarity, recognition);
            let preferred = preferred.map(|entry| entry.manifest.name.clone());
            if let (Some(old), Some(preferred)) = (&made_by, &preferred) {
                offer_conversion(place, recognition, old, preferred);
            }
            names.similarity = Some(made_by.or(preferred).ok_or(FaceError::NoNetwork { task: Task::Similarity })?);
        }
        let choice = names.choose(&registry, detection, recognition)?;
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

/// Tells the user if a better network than the one that made the gallery is available, and how to convert the gallery. For a
/// user's own network the program does not know a better one.
fn offer_conversion(gallery: &GalleryPlace, engine: EngineKind, made_by: &str, preferred: &str) {
    let known = preferred_networks(Task::Similarity, engine).any(|name| name == made_by);
    if known && preferred != made_by {
        complain(&format!(
            "{gallery} was made with {made_by} and is searched with it; {preferred} distinguishes people better: \
             `visavis gallery convert {gallery} --similarity {preferred}` computes its embeddings anew"
        ));
    }
}

/// The network that made a gallery; `None` if it cannot be opened, which is reported when it is used.
fn made_by(gallery: &GalleryPlace) -> Option<String> {
    Some(gallery.open_any().ok()?.embedding().name.clone())
}

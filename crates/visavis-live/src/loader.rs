//! Loading networks by name.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use visavis_face::detect::{DetectorParams, PhotoDetector};
use visavis_face::{
    AnalyzerParams, Choice, Detect, Enroller, FaceAnalyzer, FaceDetector, FaceNetwork, FaceView, Locate, Recognise,
    load_locator,
};
use visavis_gallery::{Converted, EmbeddingId, Gallery, GalleryError, IdentityParams};
use visavis_image::{Picture, Rect, Turn, codec};
use visavis_infer::manifest::HeadDecode;
use visavis_infer::{EngineOptions, Registry, Runtime, fingerprint};

use crate::error::LiveError;

/// Loads networks by name. Called from several threads, also to load a network again after a panic.
pub trait Loader: Send + Sync {
    /// Loads a detector.
    ///
    /// # Errors
    /// [`LiveError`], which names the network.
    fn detector(&self, model: &str) -> Result<Box<dyn Detect>, LiveError>;

    /// Loads a keypoint network.
    ///
    /// # Errors
    /// [`LiveError`], which names the network.
    fn locator(&self, model: &str) -> Result<Box<dyn Locate>, LiveError>;

    /// Loads a recognition network.
    ///
    /// # Errors
    /// [`LiveError`], which names the network.
    fn recogniser(&self, model: &str) -> Result<Box<dyn Recognise>, LiveError>;

    /// The gallery for the embeddings of `model`. `None` if there is no gallery.
    ///
    /// # Errors
    /// [`LiveError::Gallery`] if the gallery belongs to another network.
    fn gallery(&self, model: &str) -> Result<Option<Arc<Gallery>>, LiveError>;

    /// Converts the gallery to the similarity network of `choice`, which computes the embeddings of all photos; see
    /// [`GalleryStore::convert`]. `progress` is called with the number of photos done and of all photos, and returns whether to go
    /// on.
    ///
    /// # Errors
    /// [`LiveError::Stopped`] if `progress` returns `false`; else the errors of the networks and the gallery. On an error the
    /// gallery is unchanged.
    fn convert_gallery(
        &self,
        choice: &Choice,
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Converted, LiveError>;
}

/// Where a gallery is stored: a file or a database.
pub trait GalleryStore: Send + Sync {
    /// Opens the gallery for the embeddings of a network.
    ///
    /// # Errors
    /// [`GalleryError::OtherNetwork`] if it belongs to another network; the errors of the store.
    fn open(&self, network: &EmbeddingId) -> Result<Arc<Gallery>, GalleryError>;

    /// Converts the gallery to another network; see [`Gallery::convert`].
    ///
    /// # Errors
    /// The errors of `embed` and of the store.
    fn convert(&self, to: &EmbeddingId, embed: &mut EmbedThumbnail<'_>) -> Result<Converted, LiveError>;
}

/// A gallery file.
impl GalleryStore for PathBuf {
    fn open(&self, network: &EmbeddingId) -> Result<Arc<Gallery>, GalleryError> {
        Ok(Arc::new(Gallery::open(self, Some(network))?))
    }

    fn convert(&self, to: &EmbeddingId, embed: &mut EmbedThumbnail<'_>) -> Result<Converted, LiveError> {
        Gallery::open(self, None)?.convert(to, embed)
    }
}

/// Computes the embedding of a thumbnail (JPEG). The numbers are the photos done and all photos.
pub type EmbedThumbnail<'a> = dyn FnMut(&[u8], usize, usize) -> Result<Vec<f32>, LiveError> + 'a;

/// Loads networks from the registry. Each stage has its own engine and device.
pub struct RegistryLoader {
    /// The networks.
    pub registry: Registry,
    /// The engines of this machine.
    pub runtime: Runtime,
    /// Engine, device and threads of detection.
    pub detection: EngineOptions,
    /// Engine, device and threads of each recognition worker.
    pub recognition: EngineOptions,
    detector: Mutex<DetectorParams>,
    /// Where the gallery is stored; `None` without a gallery.
    pub gallery: Option<Box<dyn GalleryStore>>,
    /// When a face is identified as a person of the gallery. For galleries that are opened after a change.
    pub identity: IdentityParams,
    loaded: Mutex<Option<(String, Arc<Gallery>)>>,
}

impl RegistryLoader {
    /// A loader without a gallery.
    #[must_use]
    pub fn new(registry: Registry, runtime: Runtime) -> Self {
        Self {
            registry,
            runtime,
            detection: EngineOptions::default(),
            recognition: EngineOptions::default(),
            detector: Mutex::default(),
            gallery: None,
            identity: IdentityParams::default(),
            loaded: Mutex::new(None),
        }
    }

    /// Input size and thresholds of detectors.
    #[must_use]
    pub fn detector_params(&self) -> DetectorParams {
        *self.detector.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Sets input size and thresholds of detectors that are loaded after this call.
    pub fn set_detector_params(&self, params: DetectorParams) {
        *self.detector.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = params;
    }

    /// Description of the embedding network `model` for a gallery. Runs the network once, to get the length of its vectors.
    ///
    /// # Errors
    /// [`LiveError::WrongTask`] if the network makes no embeddings; else the errors of loading it.
    pub fn embedding_id(&self, model: &str) -> Result<EmbeddingId, LiveError> {
        let manifest = &self.registry.get(model)?.manifest;
        let head = manifest.heads.iter().find_map(|head| match head.decode {
            HeadDecode::Embedding { metric, same_person, likeness } => Some((metric, same_person, likeness)),
            _ => None,
        });
        let wrong = || LiveError::WrongTask { model: model.to_owned(), task: visavis_infer::Task::Similarity };
        let (metric, same_person, likeness) = head.ok_or_else(wrong)?;
        let mut network = self.recogniser(model)?;
        let [width, height] = manifest.input.size;
        let answer = network.recognise(&Picture::new(width, height), &[whole(width, height)])?.pop();
        let length = answer.and_then(|findings| findings.embedding).ok_or_else(wrong)?.len();
        let (name, fingerprint) = (model.to_owned(), fingerprint(manifest));
        Ok(EmbeddingId { name, fingerprint, length, metric, same_person, likeness, identity: self.identity })
    }

    /// As [`Loader::convert_gallery`], for any gallery and with the same errors.
    ///
    /// # Errors
    /// See there.
    pub fn convert(
        &self,
        gallery: &dyn GalleryStore,
        choice: &Choice,
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Converted, LiveError> {
        let model = choice.similarity.as_deref().unwrap_or_default();
        let mut enroller = self.enroller(choice)?;
        gallery.convert(&self.embedding_id(model)?, &mut |jpeg, done, photos| {
            if !progress(done, photos) {
                return Err(LiveError::Stopped);
            }
            let picture = codec::decode(jpeg, codec::MAX_PIXELS)?;
            Ok(enroller.embed_thumbnail(&picture)?)
        })
    }

    /// Loads a detector for photos, which finds faces of all sizes, also in rotated photos.
    ///
    /// # Errors
    /// [`LiveError`], which names the network.
    pub fn photo_detector(&self, model: &str) -> Result<Box<dyn Detect>, LiveError> {
        let entry = self.registry.get(model)?;
        Ok(Box::new(PhotoDetector::load(entry, &self.runtime, &self.detection, self.detector_params())?))
    }

    /// Loads an analyzer of photos with the networks of `choice`.
    ///
    /// # Errors
    /// [`LiveError`], which names the network that cannot be loaded.
    pub fn analyzer(&self, choice: &Choice) -> Result<FaceAnalyzer, LiveError> {
        let params = AnalyzerParams {
            detection: self.detection.clone(),
            recognition: self.recognition.clone(),
            detector: self.detector_params(),
        };
        Ok(FaceAnalyzer::load(&self.registry, &self.runtime, &params, choice)?)
    }

    /// Loads the networks that turn photos into gallery entries.
    ///
    /// # Errors
    /// [`LiveError`], which names the network that cannot be loaded.
    pub fn enroller(&self, choice: &Choice) -> Result<Enroller, LiveError> {
        Ok(Enroller {
            detector: self.photo_detector(&choice.detector)?,
            locator: choice.keypoints.as_deref().map(|name| self.locator(name)).transpose()?,
            embedder: self.recogniser(choice.similarity.as_deref().unwrap_or_default())?,
        })
    }
}

fn whole(width: u32, height: u32) -> FaceView {
    FaceView::upright(Rect::new(0.0, 0.0, width as f32, height as f32), None)
}

impl Loader for RegistryLoader {
    fn detector(&self, model: &str) -> Result<Box<dyn Detect>, LiveError> {
        let entry = self.registry.get(model)?;
        let network = entry.load(&self.runtime, &self.detection)?;
        let mut detector = FaceDetector::new(&entry.manifest, network, self.detector_params())?;
        // The first run is much slower than later ones, since the engine prepares for the shape of the input. It is done here, so
        // that no live frame waits for it.
        detector.detect(&Picture::new(64, 64))?;
        Ok(Box::new(detector))
    }

    fn locator(&self, model: &str) -> Result<Box<dyn Locate>, LiveError> {
        let mut locator = load_locator(self.registry.get(model)?, &self.runtime, &self.recognition)?;
        locator.locate(&Picture::new(64, 64), &Rect::new(8.0, 8.0, 48.0, 48.0), Turn::None)?;
        Ok(locator)
    }

    fn recogniser(&self, model: &str) -> Result<Box<dyn Recognise>, LiveError> {
        let entry = self.registry.get(model)?;
        let mut network = FaceNetwork::new(&entry.manifest, entry.load(&self.runtime, &self.recognition)?)?;
        // A first run with several faces, for the same reason.
        network.recognise(&Picture::new(64, 64), &[whole(64, 64); 5])?;
        Ok(Box::new(network))
    }

    fn gallery(&self, model: &str) -> Result<Option<Arc<Gallery>>, LiveError> {
        let Some(store) = &self.gallery else { return Ok(None) };
        let mut loaded = self.loaded.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_, gallery)) = loaded.as_ref().filter(|(name, _)| name == model) {
            return Ok(Some(Arc::clone(gallery)));
        }
        let gallery = store.open(&self.embedding_id(model)?)?;
        *loaded = Some((model.to_owned(), Arc::clone(&gallery)));
        Ok(Some(gallery))
    }

    fn convert_gallery(
        &self,
        choice: &Choice,
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Converted, LiveError> {
        match &self.gallery {
            Some(store) => self.convert(store.as_ref(), choice, progress),
            None => Ok(Converted { photos: 0, denials: 0 }),
        }
    }
}

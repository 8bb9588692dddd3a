//! Bringing networks up: by name, ready to run.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use visavis_face::detect::DetectorParams;
use visavis_face::gallery::{Converted, EmbeddingId, FileGallery, Gallery, GalleryError, GalleryFile};
use visavis_face::{Detect, Enroller, FaceDetector, FaceNetwork, FaceView, Locate, Recognise, load_locator};
use visavis_image::{Picture, Rect, codec};
use visavis_infer::manifest::HeadDecode;
use visavis_infer::{EngineOptions, Registry, Runtime, fingerprint};

use crate::{Choice, LiveError};

/// Makes networks by name. Called from several threads, also to replace a network after a panic.
pub trait Loader: Send + Sync {
    /// A detector, ready to run.
    ///
    /// # Errors
    /// [`LiveError`] naming the network.
    fn detector(&self, model: &str) -> Result<Box<dyn Detect>, LiveError>;

    /// A keypoint network, ready to run.
    ///
    /// # Errors
    /// [`LiveError`] naming the network.
    fn locator(&self, model: &str) -> Result<Box<dyn Locate>, LiveError>;

    /// A recognition network, ready to run.
    ///
    /// # Errors
    /// [`LiveError`] naming the network.
    fn recogniser(&self, model: &str) -> Result<Box<dyn Recognise>, LiveError>;

    /// The gallery for the embeddings of `model`; `None` if there is no gallery.
    ///
    /// # Errors
    /// [`LiveError::Gallery`] if the gallery was made by another network.
    fn gallery(&self, model: &str) -> Result<Option<Arc<dyn Gallery>>, LiveError>;

    /// Gives the gallery to the similarity network of `choice`, which looks at all photos anew; see
    /// [`GalleryStore::convert`]. `progress` is told of the photos done and of all, and says whether to go on.
    ///
    /// # Errors
    /// [`LiveError::Stopped`] if not to go on; else what the networks and the gallery give. The gallery is as it was then.
    fn convert_gallery(
        &self,
        choice: &Choice,
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Converted, LiveError>;
}

/// A gallery in its place, a file or a database.
pub trait GalleryStore: Send + Sync {
    /// Opens it for the embeddings of a network.
    ///
    /// # Errors
    /// [`GalleryError::OtherNetwork`] if another network made it; the failures of the store.
    fn open(&self, network: &EmbeddingId) -> Result<Arc<dyn Gallery>, GalleryError>;

    /// Gives it to another network; see [`GalleryFile::convert`](visavis_face::gallery::GalleryFile::convert).
    ///
    /// # Errors
    /// What `embed` gives, and the failures of the store.
    fn convert(&self, to: &EmbeddingId, embed: &mut EmbedThumbnail<'_>) -> Result<Converted, LiveError>;
}

/// A gallery file.
impl GalleryStore for PathBuf {
    fn open(&self, network: &EmbeddingId) -> Result<Arc<dyn Gallery>, GalleryError> {
        Ok(Arc::new(FileGallery::open(self, network)?))
    }

    fn convert(&self, to: &EmbeddingId, embed: &mut EmbedThumbnail<'_>) -> Result<Converted, LiveError> {
        GalleryFile::open(self, None)?.convert(to, embed)
    }
}

/// Makes the embedding of a thumbnail; is told how many are done and how many there are.
pub type EmbedThumbnail<'a> = dyn FnMut(&[u8], usize, usize) -> Result<Vec<f32>, LiveError> + 'a;

/// Loads from the registry, each stage with an engine and a device of its own.
pub struct RegistryLoader {
    /// The shelves.
    pub registry: Registry,
    /// The engines of this machine.
    pub runtime: Runtime,
    /// Engine, device and threads of detection.
    pub detection: EngineOptions,
    /// Engine, device and threads of each recognition worker.
    pub recognition: EngineOptions,
    detector: Mutex<DetectorParams>,
    /// The gallery, wherever it lies.
    pub gallery: Option<Box<dyn GalleryStore>>,
    loaded: Mutex<Option<(String, Arc<dyn Gallery>)>>,
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
            loaded: Mutex::new(None),
        }
    }

    /// Input size and thresholds of detectors.
    #[must_use]
    pub fn detector_params(&self) -> DetectorParams {
        *self.detector.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The same for detectors that are loaded from now on.
    pub fn set_detector_params(&self, params: DetectorParams) {
        *self.detector.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = params;
    }

    /// What a gallery must know of the embedding network `model`. Runs it once, to learn how long its vectors are.
    ///
    /// # Errors
    /// [`LiveError::WrongTask`] if it makes no embeddings; else what loading it gives.
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
        Ok(EmbeddingId { name, fingerprint, length, metric, same_person, likeness })
    }

    /// As [`Loader::convert_gallery`], for any gallery.
    ///
    /// # Errors
    /// As there.
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

    /// What looks at photos for a gallery.
    ///
    /// # Errors
    /// [`LiveError`] naming the network that cannot be loaded.
    pub fn enroller(&self, choice: &Choice) -> Result<Enroller, LiveError> {
        Ok(Enroller {
            detector: self.detector(&choice.detector)?,
            locator: choice.keypoints.as_deref().map(|name| self.locator(name)).transpose()?,
            embedder: self.recogniser(choice.similarity.as_deref().unwrap_or_default())?,
        })
    }
}

fn whole(width: u32, height: u32) -> FaceView {
    FaceView { rect: Rect::new(0.0, 0.0, width as f32, height as f32), landmarks: None }
}

impl Loader for RegistryLoader {
    fn detector(&self, model: &str) -> Result<Box<dyn Detect>, LiveError> {
        let entry = self.registry.get(model)?;
        let network = entry.load(&self.runtime, &self.detection)?;
        let mut detector = FaceDetector::new(&entry.manifest, network, self.detector_params())?;
        // The first run is the slowest by far (engines prepare for the input's shape): not to be met by a live frame.
        detector.detect(&Picture::new(64, 64))?;
        Ok(Box::new(detector))
    }

    fn locator(&self, model: &str) -> Result<Box<dyn Locate>, LiveError> {
        let mut locator = load_locator(self.registry.get(model)?, &self.runtime, &self.recognition)?;
        locator.locate(&Picture::new(64, 64), &Rect::new(8.0, 8.0, 48.0, 48.0))?;
        Ok(locator)
    }

    fn recogniser(&self, model: &str) -> Result<Box<dyn Recognise>, LiveError> {
        let entry = self.registry.get(model)?;
        let mut network = FaceNetwork::new(&entry.manifest, entry.load(&self.runtime, &self.recognition)?)?;
        // One batch and one single: the two shapes that will come.
        network.recognise(&Picture::new(64, 64), &[whole(64, 64); 5])?;
        Ok(Box::new(network))
    }

    fn gallery(&self, model: &str) -> Result<Option<Arc<dyn Gallery>>, LiveError> {
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

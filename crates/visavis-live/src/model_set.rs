//! The loaded networks.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use visavis_face::{Locate, Recognise};
use visavis_gallery::Gallery;
use visavis_infer::Task;

use crate::detector_pool::DetectorPool;

/// Loaded instances of one network, one for each worker. Each worker takes one and keeps it.
pub(crate) struct Instances<N: ?Sized>(Mutex<Vec<Box<N>>>);

impl<N: ?Sized> Instances<N> {
    pub(crate) fn new(instances: Vec<Box<N>>) -> Self {
        Self(Mutex::new(instances))
    }

    /// Takes an instance. `None` if all are taken: a worker that is started later or again loads its own.
    pub(crate) fn take(&self) -> Option<Box<N>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop()
    }
}

/// A recognition network and the tasks that it is used for. A network that is chosen for several tasks runs once for all of them.
pub(crate) struct RecognitionModel {
    pub(crate) name: String,
    pub(crate) tasks: Vec<Task>,
    /// All tasks that the network can do.
    pub(crate) supports: Vec<Task>,
    pub(crate) needs_landmarks: bool,
    pub(crate) instances: Arc<Instances<dyn Recognise>>,
    /// Failures since the last success.
    pub(crate) failures: AtomicU32,
}

/// A network is disabled after this number of failures in a row.
const MAX_FAILURES: u32 = 5;

impl RecognitionModel {
    /// Records a success.
    pub(crate) fn succeeded(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// Records a failure. Returns the number of failures in a row when it reaches the limit.
    pub(crate) fn failed(&self) -> Option<u32> {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        (failures == MAX_FAILURES).then_some(failures)
    }
}

/// A keypoint network.
pub(crate) struct KeypointModel {
    pub(crate) name: String,
    pub(crate) instances: Arc<Instances<dyn Locate>>,
}

/// The recognition networks in use, and the gallery that belongs to one of them. Replaced as a whole, so that a worker sees a
/// switch only between two jobs.
#[derive(Default)]
pub(crate) struct ModelSet {
    pub(crate) generation: u64,
    pub(crate) recognition: Vec<Arc<RecognitionModel>>,
    pub(crate) keypoints: Option<Arc<KeypointModel>>,
    /// The gallery that embeddings are compared with.
    pub(crate) gallery: Option<Arc<Gallery>>,
}

impl ModelSet {
    /// The recognition network of this name.
    pub(crate) fn recogniser(&self, name: &str) -> Option<&Arc<RecognitionModel>> {
        self.recognition.iter().find(|network| network.name == name)
    }
}

/// The detector in use.
pub(crate) struct DetectionModel {
    pub(crate) generation: u64,
    pub(crate) name: String,
    pub(crate) detectors: DetectorPool,
}

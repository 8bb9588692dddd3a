//! Which networks run: the user's choice, and the loaded networks that recognition workers draw from.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use visavis_face::gallery::Gallery;
use visavis_face::{Detect, Locate, Recognise};
use visavis_infer::Task;

/// The networks chosen by name, one for each task; `None` leaves the task undone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// Finds the faces.
    pub detector: String,
    /// Finds keypoints; `None` takes those of the detector.
    pub keypoints: Option<String>,
    /// Tells smiles.
    pub smile: Option<String>,
    /// Tells ages.
    pub age: Option<String>,
    /// Tells genders.
    pub gender: Option<String>,
    /// Makes embeddings.
    pub similarity: Option<String>,
}

/// The tasks that recognition networks do, in the order of their priority.
pub(crate) const RECOGNITION: [Task; 4] = [Task::Smile, Task::Age, Task::Gender, Task::Similarity];

impl Choice {
    /// The network chosen for `task`.
    #[must_use]
    pub fn of(&self, task: Task) -> Option<&str> {
        match task {
            Task::Detection => Some(&self.detector),
            Task::Keypoints => self.keypoints.as_deref(),
            Task::Smile => self.smile.as_deref(),
            Task::Age => self.age.as_deref(),
            Task::Gender => self.gender.as_deref(),
            Task::Similarity => self.similarity.as_deref(),
        }
    }

    /// Sets the network for `task`. A detector cannot be unset: `None` for it changes nothing.
    pub fn set(&mut self, task: Task, model: Option<String>) {
        match task {
            Task::Detection => self.detector = model.unwrap_or_else(|| std::mem::take(&mut self.detector)),
            Task::Keypoints => self.keypoints = model,
            Task::Smile => self.smile = model,
            Task::Age => self.age = model,
            Task::Gender => self.gender = model,
            Task::Similarity => self.similarity = model,
        }
    }
}

/// Loaded networks of one name, one for each worker; each worker takes one and keeps it.
pub(crate) struct Pool<N: ?Sized>(Mutex<Vec<Box<N>>>);

impl<N: ?Sized> Pool<N> {
    pub(crate) fn new(instances: Vec<Box<N>>) -> Self {
        Self(Mutex::new(instances))
    }

    /// The next instance; `None` once all are taken (a restarted worker then loads its own).
    pub(crate) fn take(&self) -> Option<Box<N>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop()
    }
}

/// One network and the tasks it serves. A network chosen for several tasks runs once for all of them.
pub(crate) struct Lane {
    pub(crate) model: String,
    pub(crate) tasks: Vec<Task>,
    /// All that the network can do.
    pub(crate) supports: Vec<Task>,
    pub(crate) needs_landmarks: bool,
    pub(crate) pool: Arc<Pool<dyn Recognise>>,
    pub(crate) failures: AtomicU32,
}

/// After this many failures in a row a network is taken out.
const MOST_FAILURES: u32 = 5;

impl Lane {
    pub(crate) fn succeeded(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// Counts a failure; says how many there were in a row when they become too many, once.
    pub(crate) fn failed(&self) -> Option<u32> {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        (failures == MOST_FAILURES).then_some(failures)
    }
}

/// A keypoint network.
pub(crate) struct Locator {
    pub(crate) model: String,
    pub(crate) pool: Arc<Pool<dyn Locate>>,
}

/// All recognition networks in use. Replaced as a whole, so that workers see a switch between two jobs or not at all.
#[derive(Default)]
pub(crate) struct Lineup {
    pub(crate) generation: u64,
    pub(crate) lanes: Vec<Arc<Lane>>,
    pub(crate) locator: Option<Arc<Locator>>,
    /// Whom embeddings are compared with.
    pub(crate) gallery: Option<Arc<dyn Gallery>>,
}

impl Lineup {
    pub(crate) fn lane(&self, model: &str) -> Option<&Arc<Lane>> {
        self.lanes.iter().find(|lane| lane.model == model)
    }
}

/// The detector in use.
pub(crate) struct DetectorSlot {
    pub(crate) generation: u64,
    pub(crate) model: String,
    pub(crate) pool: Pool<dyn Detect>,
}

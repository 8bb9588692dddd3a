//! Which network does which task.

use visavis_infer::Task;

/// The name of the network for each task. `None`: the task is not done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// Face detection.
    pub detector: String,
    /// Keypoints. `None`: the keypoints of the detector are used.
    pub keypoints: Option<String>,
    /// Smiles.
    pub smile: Option<String>,
    /// Expressions.
    pub expression: Option<String>,
    /// Ages.
    pub age: Option<String>,
    /// Genders.
    pub gender: Option<String>,
    /// Head poses.
    pub head_pose: Option<String>,
    /// Embeddings, which are compared with the gallery.
    pub similarity: Option<String>,
}

/// The tasks of recognition networks, by priority.
pub(crate) const RECOGNITION: [Task; 6] =
    [Task::Smile, Task::Expression, Task::Age, Task::Gender, Task::HeadPose, Task::Similarity];

impl Choice {
    /// The network for `task`.
    #[must_use]
    pub fn of(&self, task: Task) -> Option<&str> {
        match task {
            Task::Detection => Some(&self.detector),
            Task::Keypoints => self.keypoints.as_deref(),
            Task::Smile => self.smile.as_deref(),
            Task::Expression => self.expression.as_deref(),
            Task::Age => self.age.as_deref(),
            Task::Gender => self.gender.as_deref(),
            Task::HeadPose => self.head_pose.as_deref(),
            Task::Similarity => self.similarity.as_deref(),
        }
    }

    /// The recognition networks, each once with its tasks, by the priority of their first task.
    #[must_use]
    pub fn recognition(&self) -> Vec<(&str, Vec<Task>)> {
        let mut networks: Vec<(&str, Vec<Task>)> = Vec::new();
        for task in RECOGNITION {
            let Some(model) = self.of(task) else { continue };
            match networks.iter_mut().find(|(known, _)| *known == model) {
                Some((_, tasks)) => tasks.push(task),
                None => networks.push((model, vec![task])),
            }
        }
        networks
    }

    /// Sets the network for `task`. `None` for detection changes nothing, since a pipeline always has a detector.
    pub fn set(&mut self, task: Task, model: Option<String>) {
        match task {
            Task::Detection => self.detector = model.unwrap_or_else(|| std::mem::take(&mut self.detector)),
            Task::Keypoints => self.keypoints = model,
            Task::Smile => self.smile = model,
            Task::Expression => self.expression = model,
            Task::Age => self.age = model,
            Task::Gender => self.gender = model,
            Task::HeadPose => self.head_pose = model,
            Task::Similarity => self.similarity = model,
        }
    }
}

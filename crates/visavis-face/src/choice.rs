//! Which network does which task, and which one does if the user names none.

use visavis_infer::{EngineKind, Entry, Registry, Task};

use crate::FaceError;

/// The networks that are used if the user names none, best first (their model cards have the figures): the first one that is available. Those
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
pub const RECOGNITION: [Task; 6] =
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

/// The networks that a user names. `None` is the default of the task, and `"none"` leaves the task out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkNames {
    /// Face detection; it cannot be left out.
    pub detector: Option<String>,
    /// Keypoints; `"detector"` uses the keypoints of the detector. They cannot be left out.
    pub keypoints: Option<String>,
    /// Ages.
    pub age: Option<String>,
    /// Genders.
    pub gender: Option<String>,
    /// Smiles.
    pub smile: Option<String>,
    /// Expressions. `None` leaves them out: they are estimated on request only.
    pub expression: Option<String>,
    /// Head poses. `None` is a network that is used for another task and also has this one, if there is one.
    pub head_pose: Option<String>,
    /// Embeddings. `None` leaves them out.
    pub similarity: Option<String>,
}

impl NetworkNames {
    /// Chooses the network of each task. `detection` and `recognition` are the engines that will run them.
    ///
    /// # Errors
    /// [`FaceError::Infer`] for an unknown name, [`FaceError::WrongTask`] for a network that does not have its task,
    /// [`FaceError::Needed`] for a detector or keypoints named `"none"`, [`FaceError::NoNetwork`] if there is no detector.
    pub fn choose(
        &self,
        registry: &Registry,
        detection: EngineKind,
        recognition: EngineKind,
    ) -> Result<Choice, FaceError> {
        let of = |task, named: &Option<String>| pick(registry, task, recognition, named.as_deref());
        let only_named = |task, named: &Option<String>| named.as_ref().map_or(Ok(None), |_| of(task, named));
        for (task, named) in [(Task::Detection, &self.detector), (Task::Keypoints, &self.keypoints)] {
            if named.as_deref() == Some("none") {
                return Err(FaceError::Needed { task });
            }
        }
        let detector = pick(registry, Task::Detection, detection, self.detector.as_deref())?;
        let mut choice = Choice {
            detector: detector.ok_or(FaceError::NoNetwork { task: Task::Detection })?,
            // The error of the detectors' own keypoints is three times as large (models/yunet.md).
            keypoints: match self.keypoints.as_deref() {
                Some("detector") => None,
                _ => of(Task::Keypoints, &self.keypoints)?,
            },
            age: of(Task::Age, &self.age)?,
            gender: of(Task::Gender, &self.gender)?,
            smile: of(Task::Smile, &self.smile)?,
            expression: only_named(Task::Expression, &self.expression)?,
            head_pose: None,
            similarity: only_named(Task::Similarity, &self.similarity)?,
        };
        choice.head_pose = match &self.head_pose {
            Some(_) => of(Task::HeadPose, &self.head_pose)?,
            None => pose_beside(registry, &choice),
        };
        Ok(choice)
    }
}

/// The network for `task`: the named one if it exists and has this task, `None` for "none", else the default.
fn pick(registry: &Registry, task: Task, engine: EngineKind, named: Option<&str>) -> Result<Option<String>, FaceError> {
    match named {
        Some("none") => Ok(None),
        Some(name) => {
            if !registry.get(name)?.manifest.tasks.contains(&task) {
                return Err(FaceError::WrongTask { model: name.to_owned(), task: task.to_string() });
            }
            Ok(Some(name.to_owned()))
        }
        None => Ok(default_network(registry, task, engine).map(|entry| entry.manifest.name.clone())),
    }
}

/// A network that is in use for another task and has the task head pose too.
fn pose_beside(registry: &Registry, choice: &Choice) -> Option<String> {
    let tasks = [Task::Similarity, Task::Age, Task::Gender, Task::Smile, Task::Expression];
    let running = tasks.into_iter().filter_map(|task| choice.of(task));
    let tells = |name: &&str| registry.get(name).is_ok_and(|entry| entry.manifest.tasks.contains(&Task::HeadPose));
    running.into_iter().find(tells).map(str::to_owned)
}

/// The default network for `task` with `engine`: the first of [`preferred_networks`] that is available, else any network with
/// this task. `None` if there is no network with this task.
#[must_use]
pub fn default_network(registry: &Registry, task: Task, engine: EngineKind) -> Option<&Entry> {
    let here = |name: &str| registry.for_task(task).find(|entry| entry.manifest.name == name);
    preferred_networks(task, engine).find_map(here).or_else(|| registry.for_task(task).next())
}

/// The names of the networks that may be the default for `task` with `engine`, best first.
pub fn preferred_networks(task: Task, engine: EngineKind) -> impl Iterator<Item = &'static str> {
    let rows = move |only: Option<EngineKind>| {
        let of_row = move |row: &&(Task, Option<EngineKind>, &[&'static str])| row.0 == task && row.1 == only;
        DEFAULTS.iter().filter(of_row).flat_map(|row| row.2.iter().copied())
    };
    rows(Some(engine)).chain(rows(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(names: &NetworkNames) -> Result<Choice, FaceError> {
        names.choose(&Registry::open(&[]).unwrap(), EngineKind::Tract, EngineKind::Tract)
    }

    #[test]
    fn expressions_and_embeddings_are_chosen_on_request_only() {
        let choice = choose(&NetworkNames::default()).unwrap();
        assert_eq!((choice.detector.as_str(), choice.keypoints.as_deref()), ("yunet", Some("kazemi_forest")));
        assert_eq!((choice.expression, choice.head_pose, choice.similarity), (None, None, None));
    }

    #[test]
    fn a_network_in_use_gives_the_head_pose_too() {
        let expression = Some("face_mobilefacenet".to_owned());
        let choice = choose(&NetworkNames { expression: expression.clone(), ..NetworkNames::default() }).unwrap();
        assert_eq!(choice.head_pose, expression);
        let (head_pose, age) = (Some("none".to_owned()), Some("none".to_owned()));
        let choice = choose(&NetworkNames { expression, head_pose, age, ..NetworkNames::default() }).unwrap();
        assert_eq!((choice.head_pose, choice.age), (None, None));
    }

    #[test]
    fn networks_that_do_not_fit_are_errors() {
        let detector = |name: &str| NetworkNames { detector: Some(name.to_owned()), ..NetworkNames::default() };
        assert!(matches!(choose(&detector("none")), Err(FaceError::Needed { task: Task::Detection })));
        assert!(matches!(choose(&detector("onet")), Err(FaceError::WrongTask { .. })));
        assert!(matches!(choose(&detector("nonsense")), Err(FaceError::Infer(_))));
        let keypoints = |name: &str| NetworkNames { keypoints: Some(name.to_owned()), ..NetworkNames::default() };
        assert!(matches!(choose(&keypoints("none")), Err(FaceError::Needed { task: Task::Keypoints })));
        assert!(matches!(choose(&keypoints("smile_mobilenetv1")), Err(FaceError::WrongTask { .. })));
    }
}

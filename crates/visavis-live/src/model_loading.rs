//! Loading the networks of a choice.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use visavis_face::Choice;
use visavis_infer::Task;

use crate::detector_pool::DetectorPool;
use crate::error::LiveError;
use crate::event::Event;
use crate::loader::Loader;
use crate::model_set::{DetectionModel, Instances, KeypointModel, ModelSet, RecognitionModel};

/// Loads a detector with `instances` instances, at least 1. Adds an [`Event::Running`] to `events`.
///
/// # Errors
/// [`LiveError::NoDetector`] for an empty name; else the errors of the loader.
pub(crate) fn load_detector(
    loader: &dyn Loader,
    name: &str,
    generation: u64,
    instances: usize,
    events: &mut Vec<Event>,
) -> Result<DetectionModel, LiveError> {
    if name.is_empty() {
        return Err(LiveError::NoDetector);
    }
    let first = loader.detector(name)?;
    let (model, placement) = (name.to_owned(), first.placement());
    let detectors = DetectorPool::new(first, instances);
    detectors.fill(|| loader.detector(name))?;
    events.push(Event::Running { task: Task::Detection, model: model.clone(), placement });
    Ok(DetectionModel { generation, name: model, detectors })
}

/// Loads the recognition networks of `choice` with one instance for each of `workers`. Networks of `old` are used again. Adds an
/// [`Event::Running`] to `events` for each task of a newly loaded network.
///
/// # Errors
/// [`LiveError::WrongTask`] if a network cannot do a task that it is chosen for; else the errors of the loader.
pub(crate) fn load_models(
    loader: &dyn Loader,
    choice: &Choice,
    workers: usize,
    old: &ModelSet,
    events: &mut Vec<Event>,
) -> Result<ModelSet, LiveError> {
    let recognition = choice
        .recognition()
        .into_iter()
        .map(|(name, tasks)| load_recogniser(loader, name, tasks, workers, old, events))
        .collect::<Result<_, _>>()?;
    let keypoints = match &choice.keypoints {
        None => None,
        Some(name) => match old.keypoints.as_ref().filter(|known| known.name == *name) {
            Some(known) => Some(Arc::clone(known)),
            None => {
                let instances = (0..workers).map(|_| loader.locator(name)).collect::<Result<Vec<_>, _>>()?;
                events.extend(instances.first().map(|first| Event::Running {
                    task: Task::Keypoints,
                    model: name.clone(),
                    placement: first.placement(),
                }));
                Some(Arc::new(KeypointModel { name: name.clone(), instances: Arc::new(Instances::new(instances)) }))
            }
        },
    };
    let gallery = match &choice.similarity {
        Some(name) => loader.gallery(name)?,
        None => None,
    };
    Ok(ModelSet { generation: old.generation + 1, recognition, keypoints, gallery })
}

fn load_recogniser(
    loader: &dyn Loader,
    name: &str,
    tasks: Vec<Task>,
    workers: usize,
    old: &ModelSet,
    events: &mut Vec<Event>,
) -> Result<Arc<RecognitionModel>, LiveError> {
    let known = old.recogniser(name);
    if let Some(known) = known.filter(|known| known.tasks == tasks) {
        return Ok(Arc::clone(known));
    }
    let (supports, needs_landmarks, instances) = match known {
        // Loaded already, for other tasks: the workers keep their instances.
        Some(known) => (known.supports.clone(), known.needs_landmarks, Arc::clone(&known.instances)),
        None => {
            let first = loader.recogniser(name)?;
            let (supports, needs_landmarks, placement) =
                (first.tasks().to_vec(), first.needs_landmarks(), first.placement());
            events.extend(tasks.iter().map(|&task| Event::Running {
                task,
                model: name.to_owned(),
                placement: placement.clone(),
            }));
            let others = (1..workers).map(|_| loader.recogniser(name));
            let instances = std::iter::once(Ok(first)).chain(others).collect::<Result<_, _>>()?;
            (supports, needs_landmarks, Arc::new(Instances::new(instances)))
        }
    };
    if let Some(&task) = tasks.iter().find(|task| !supports.contains(task)) {
        return Err(LiveError::WrongTask { model: name.to_owned(), task });
    }
    let failures = AtomicU32::new(0);
    Ok(Arc::new(RecognitionModel { name: name.to_owned(), tasks, supports, needs_landmarks, instances, failures }))
}

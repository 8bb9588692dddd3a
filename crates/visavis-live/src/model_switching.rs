//! The loader thread: loads networks while others run, and puts them to use between two frames.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use visavis_gallery::GalleryError;
use visavis_infer::Task;

use crate::choice::{Choice, RECOGNITION};
use crate::error::LiveError;
use crate::event::Event;
use crate::message::{LoaderRequest, Message};
use crate::model_loading::{load_detector, load_models};
use crate::shared::Shared;
use crate::thread::catch_panic;
use crate::worker_pool::WorkerPool;

/// How often the progress of a conversion is reported.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(3);

/// Handles requests until it is told to stop; then waits for the workers to end.
pub(crate) fn run(
    shared: &Shared,
    requests: &Receiver<LoaderRequest>,
    messages: &Sender<Message>,
    mut workers: WorkerPool,
) {
    while let Ok(request) = requests.recv() {
        let snapshot = shared.snapshots.newest();
        let choice = &snapshot.params.choice;
        match request {
            LoaderRequest::Stop => return workers.join(),
            LoaderRequest::SetWorkers(count) => {
                if let Err(error) = workers.resize(count) {
                    shared.emit(Event::StageFailed { stage: "recognition".into(), reason: error.to_string() });
                }
                let count = shared.jobs.workers();
                shared.snapshots.update(|snapshot| std::mem::replace(&mut snapshot.params.workers, count) != count);
            }
            LoaderRequest::Switch { task, model } => {
                if let Some(model) = &model {
                    shared.emit(Event::Loading { task, model: model.clone() });
                }
                let switched = match task {
                    Task::Detection => switch_detector(shared, model.as_deref().unwrap_or_default()),
                    _ => {
                        let mut wanted = choice.clone();
                        wanted.set(task, model.clone());
                        switch_models(shared, &wanted, task == Task::Similarity)
                    }
                };
                match switched {
                    Ok(()) => {
                        if task != Task::Detection {
                            let _ = messages.send(Message::Switched(task));
                        }
                        shared.emit(Event::Switched { task, model });
                    }
                    Err(reason) => {
                        let model = model.unwrap_or_else(|| "none".into());
                        shared.emit(Event::SwitchFailed { task, model, reason });
                    }
                }
            }
            LoaderRequest::Disable { model, failures } => {
                let mut wanted = choice.clone();
                for task in RECOGNITION.into_iter().filter(|&task| choice.of(task) == Some(&model)) {
                    wanted.set(task, None);
                }
                if wanted != *choice && switch_models(shared, &wanted, false).is_ok() {
                    shared.emit(Event::ModelDisabled { model, failures });
                }
            }
        }
    }
}

/// Loads a detector and puts it to use. On failure the old one stays in use.
fn switch_detector(shared: &Shared, name: &str) -> Result<(), String> {
    let (mut events, generation) = (Vec::new(), shared.detector().generation + 1);
    let detector = caught(|| load_detector(shared.loader.as_ref(), name, generation, &mut events))?;
    shared.replace_detector(detector);
    events.into_iter().for_each(|event| shared.emit(event));
    Ok(())
}

/// Loads the networks of `choice` that are missing and puts them to use. On failure nothing changes. With `converts`, a gallery
/// that belongs to another network is converted.
fn switch_models(shared: &Shared, choice: &Choice, converts: bool) -> Result<(), String> {
    let mut events = Vec::new();
    let (old, workers) = (shared.jobs.models(), shared.jobs.workers());
    let models = caught(|| match load_models(shared.loader.as_ref(), choice, workers, &old, &mut events) {
        Err(LiveError::Gallery(GalleryError::OtherNetwork { .. })) if converts => {
            shared.gallery_health.converting.store(true, Ordering::Release);
            convert(shared, choice)?;
            events.clear();
            load_models(shared.loader.as_ref(), choice, workers, &old, &mut events)
        }
        other => other,
    });
    let replaced = models.map(|models| shared.replace_models(models));
    shared.gallery_health.converting.store(false, Ordering::Release);
    replaced?;
    events.into_iter().for_each(|event| shared.emit(event));
    Ok(())
}

/// Converts the gallery to the similarity network of `choice`.
fn convert(shared: &Shared, choice: &Choice) -> Result<(), LiveError> {
    let model = choice.similarity.clone().unwrap_or_default();
    let mut reported: Option<Duration> = None;
    let converted = shared.loader.convert_gallery(choice, &mut |done, photos| {
        let now = shared.clock.now();
        if reported.is_none_or(|reported| now >= reported + PROGRESS_INTERVAL) {
            reported = Some(now);
            shared.emit(Event::Converting { model: model.clone(), done, photos });
        }
        !shared.clock.is_stopped()
    })?;
    shared.emit(Event::Converted { model, converted });
    Ok(())
}

/// Runs `load` and returns its error or its panic as a message.
fn caught<T>(load: impl FnOnce() -> Result<T, LiveError>) -> Result<T, String> {
    catch_panic(load).and_then(|loaded| loaded.map_err(|error| error.to_string()))
}

//! The loader thread: loads networks while others run, and puts them to use between two frames.

use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use visavis_face::{Choice, RECOGNITION};
use visavis_gallery::GalleryError;
use visavis_infer::Task;

use crate::error::LiveError;
use crate::event::Event;
use crate::message::{LoaderRequest, Message};
use crate::model_loading::{load_detector, load_models};
use crate::shared::CameraPool;
use crate::thread::catch_panic;
use crate::worker_threads::WorkerThreads;

/// How often the progress of a conversion is reported.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(3);

/// Handles requests until it is told to stop; then waits for the workers to end.
pub(crate) fn run(pool: &CameraPool, requests: &Receiver<LoaderRequest>, mut workers: WorkerThreads) {
    while let Ok(request) = requests.recv() {
        let _busy = pool.begin_request();
        match request {
            LoaderRequest::Stop => return workers.join(),
            LoaderRequest::SetWorkers(count) => {
                if let Err(error) = workers.resize(count) {
                    pool.emit(&Event::StageFailed { stage: "recognition".into(), reason: error.to_string() });
                }
                let count = pool.jobs.workers();
                pool.update(|snapshot| std::mem::replace(&mut snapshot.params.workers, count) != count);
                load_detectors(pool);
            }
            LoaderRequest::LoadDetectors => load_detectors(pool),
            LoaderRequest::Switch { task, model } => switch(pool, task, model),
            LoaderRequest::Disable { model, failures } => {
                let choice = pool.choice();
                let mut wanted = choice.clone();
                for task in RECOGNITION.into_iter().filter(|&task| choice.of(task) == Some(&model)) {
                    wanted.set(task, None);
                }
                if wanted != choice && switch_models(pool, &wanted, false).is_ok() {
                    pool.emit(&Event::ModelDisabled { model, failures });
                }
            }
        }
    }
}

/// Loads a network and puts it to use for a task. `None`: the task is switched off.
fn switch(pool: &CameraPool, task: Task, model: Option<String>) {
    if let Some(model) = &model {
        pool.emit(&Event::Loading { task, model: model.clone() });
    }
    let switched = match task {
        Task::Detection => switch_detector(pool, model.as_deref().unwrap_or_default()),
        _ => {
            let mut wanted = pool.choice();
            wanted.set(task, model.clone());
            switch_models(pool, &wanted, task == Task::Similarity)
        }
    };
    match switched {
        Ok(()) => {
            if task != Task::Detection {
                pool.tell(|| Message::Switched(task));
            }
            pool.emit(&Event::Switched { task, model });
        }
        Err(reason) => {
            let model = model.unwrap_or_else(|| "none".into());
            pool.emit(&Event::SwitchFailed { task, model, reason });
        }
    }
}

/// Loads or drops instances of the detector, so that there are as many as the cameras can use.
fn load_detectors(pool: &CameraPool) {
    let detector = pool.detector();
    detector.detectors.set_limit(pool.detector_limit());
    let load = || pool.loader.detector(&detector.name);
    if let Err(reason) = caught(|| detector.detectors.fill(load)) {
        pool.emit(&Event::StageFailed { stage: format!("{} ({})", Task::Detection, detector.name), reason });
    }
}

/// Loads a detector and puts it to use. On failure the old one stays in use.
fn switch_detector(pool: &CameraPool, name: &str) -> Result<(), String> {
    let (mut events, generation) = (Vec::new(), pool.detector().generation + 1);
    let instances = pool.detector_limit();
    let detector = caught(|| load_detector(pool.loader.as_ref(), name, generation, instances, &mut events))?;
    pool.replace_detector(detector);
    events.iter().for_each(|event| pool.emit(event));
    Ok(())
}

/// Loads the networks of `choice` that are missing and puts them to use. On failure nothing changes. With `converts`, a gallery
/// that belongs to another network is converted.
fn switch_models(pool: &CameraPool, choice: &Choice, converts: bool) -> Result<(), String> {
    let mut events = Vec::new();
    let (old, workers) = (pool.jobs.models(), pool.jobs.workers());
    let models = caught(|| match load_models(pool.loader.as_ref(), choice, workers, &old, &mut events) {
        Err(LiveError::Gallery(GalleryError::OtherNetwork { .. })) if converts => {
            pool.converting.store(true, Ordering::Release);
            convert(pool, choice)?;
            events.clear();
            load_models(pool.loader.as_ref(), choice, workers, &old, &mut events)
        }
        other => other,
    });
    let replaced = models.map(|models| pool.replace_models(models));
    pool.converting.store(false, Ordering::Release);
    replaced?;
    events.iter().for_each(|event| pool.emit(event));
    Ok(())
}

/// Converts the gallery to the similarity network of `choice`. Stops when no camera runs any more.
fn convert(pool: &CameraPool, choice: &Choice) -> Result<(), LiveError> {
    let model = choice.similarity.clone().unwrap_or_default();
    let mut reported: Option<Instant> = None;
    let converted = pool.loader.convert_gallery(choice, &mut |done, photos| {
        if reported.is_none_or(|reported| reported.elapsed() >= PROGRESS_INTERVAL) {
            reported = Some(Instant::now());
            pool.emit(&Event::Converting { model: model.clone(), done, photos });
        }
        pool.is_in_use()
    })?;
    pool.emit(&Event::Converted { model, converted });
    Ok(())
}

/// Runs `load` and returns its error or its panic as a message.
fn caught<T>(load: impl FnOnce() -> Result<T, LiveError>) -> Result<T, String> {
    catch_panic(load).and_then(|loaded| loaded.map_err(|error| error.to_string()))
}

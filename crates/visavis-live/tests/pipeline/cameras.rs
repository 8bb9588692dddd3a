//! Several pipelines with one worker pool.

use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex};

use visavis_infer::Task;
use visavis_live::{Delivery, Event, Loader, Pacing, Pipeline, Prepared, Subscription, WorkerPool};

use crate::fakes::{Behaviour, FakeLoader, camera, says};
use crate::{ages, choice, join, params, wait_for, watch_until};

/// A running camera. The trigger is dropped before the pipeline, so that its source ends.
struct Running {
    trigger: Sender<()>,
    scenes: Subscription,
    events: Receiver<Event>,
    pipeline: Pipeline,
}

impl Running {
    fn start(pool: &Arc<WorkerPool>) -> Self {
        let mut prepared = Prepared::with_pool(params(Pacing::Live, choice("ignored")), Arc::clone(pool));
        let scenes = prepared.subscribe(Delivery::Newest);
        let (source, trigger) = camera();
        let mut pipeline = prepared.start(Box::new(source)).unwrap();
        let events = pipeline.events().unwrap();
        Self { trigger, scenes, events, pipeline }
    }

    fn shows(&self, age: f32) {
        watch_until(&self.trigger, &self.scenes, |scene| ages(scene) == [Some(age); 2]);
    }

    fn end(self) {
        drop(self.trigger);
        let _ = join(self.pipeline);
    }
}

fn pool(loader: &Arc<FakeLoader>, workers: usize) -> Arc<WorkerPool> {
    Arc::new(WorkerPool::new(Arc::clone(loader) as Arc<dyn Loader>, &choice("young"), workers).unwrap())
}

fn loader() -> FakeLoader {
    FakeLoader::new().with("young", &[Task::Age], says(20.0)).with("old", &[Task::Age], says(70.0))
}

#[test]
fn networks_are_loaded_once_for_each_worker_and_not_for_each_camera() {
    let loader = Arc::new(loader());
    let pool = pool(&loader, 2);
    let cameras: Vec<Running> = (0..5).map(|_| Running::start(&pool)).collect();
    for camera in &cameras {
        camera.shows(20.0);
        assert_eq!(camera.pipeline.snapshot().params.choice.age.as_deref(), Some("young"));
    }
    assert_eq!(loader.loads("young"), 2);
    assert!(loader.detector_loads() <= 2, "{}", loader.detector_loads());
    // The others go on when one ends.
    let mut cameras = cameras.into_iter();
    cameras.next().unwrap().end();
    let cameras: Vec<Running> = cameras.collect();
    for camera in &cameras {
        camera.shows(20.0);
    }
    cameras.into_iter().for_each(Running::end);
    drop(pool);
    // No thread holds the loader any more.
    assert_eq!(Arc::strong_count(&loader), 1);
}

#[test]
fn a_switch_and_the_number_of_workers_apply_to_all_cameras() {
    let loader = Arc::new(loader());
    let pool = pool(&loader, 1);
    let cameras = [Running::start(&pool), Running::start(&pool)];
    cameras.iter().for_each(|camera| camera.shows(20.0));
    cameras[0].pipeline.switch(Task::Age, Some("old".into()));
    cameras[1].pipeline.handle().set_workers(3);
    for camera in &cameras {
        wait_for(&camera.events, |event| *event == Event::Switched { task: Task::Age, model: Some("old".into()) });
        camera.shows(70.0);
        let snapshot = camera.pipeline.snapshot();
        assert_eq!((snapshot.params.choice.age.as_deref(), snapshot.params.workers), (Some("old"), 3));
    }
    // A camera that is added later begins with the networks in use.
    let late = Running::start(&pool);
    let runs = wait_for(&late.events, |event| matches!(event, Event::Running { task: Task::Age, .. }));
    assert!(matches!(runs, Event::Running { model, .. } if model == "old"));
    late.shows(70.0);
    assert_eq!(late.pipeline.snapshot().params.choice, pool.choice());
    cameras.into_iter().chain([late]).for_each(Running::end);
}

#[test]
fn a_camera_that_ends_waits_for_its_own_job_and_leaves_the_others_running() {
    // The first call waits until the test lets it go on.
    let (go_on, waits) = std::sync::mpsc::channel::<()>();
    let waits = Mutex::new(waits);
    let first_waits: Behaviour = Arc::new(move |call, _| {
        if call == 0 {
            waits.lock().unwrap().recv_timeout(crate::TIMEOUT).expect("the job was not let go on");
        }
        Ok(50.0)
    });
    let loader = Arc::new(FakeLoader::new().with("young", &[Task::Age], first_waits));
    let pool = pool(&loader, 2);
    let (ends, stays) = (Running::start(&pool), Running::start(&pool));
    watch_until(&ends.trigger, &ends.scenes, |_| loader.calls("young") >= 1);
    let ending = std::thread::spawn(|| ends.end());
    stays.shows(50.0);
    assert!(!ending.is_finished(), "its job still runs");
    go_on.send(()).unwrap();
    ending.join().unwrap();
    stays.shows(50.0);
    stays.end();
}

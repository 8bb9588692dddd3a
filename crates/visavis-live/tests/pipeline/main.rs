//! The whole pipeline with fake networks: what must hold whatever the networks do.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, also in what tests share")]

mod fakes;
mod flaky;
mod keeper;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex};

use fakes::{Behaviour, Film, Shelf, camera, says};
use visavis_face::FaceError;
use visavis_infer::{InferError, Task};
use visavis_live::{Choice, Delivery, Event, LiveError, Pacing, PipelineParams, Prepared, Scene};

fn choice(age: &str) -> Choice {
    Choice { detector: "two".into(), age: Some(age.into()), ..Choice::default() }
}

fn params(pacing: Pacing, choice: Choice) -> PipelineParams {
    PipelineParams { pacing, choice, workers: 2, ..PipelineParams::default() }
}

/// Waits for the first event that fits; the pipeline must bring it or end.
fn wait_for(events: &Receiver<Event>, fits: impl Fn(&Event) -> bool) -> Event {
    events.iter().find(|event| fits(event)).expect("the pipeline ended without that event")
}

/// Triggers the camera and fetches the scene until one fits.
fn watch_until(
    trigger: &std::sync::mpsc::Sender<()>,
    scenes: &visavis_live::Subscription,
    fits: impl Fn(&Scene) -> bool,
) -> Arc<Scene> {
    loop {
        trigger.send(()).unwrap();
        let scene = scenes.recv().expect("the pipeline ended");
        if fits(&scene) {
            return scene;
        }
    }
}

fn ages(scene: &Scene) -> Vec<Option<f32>> {
    scene.faces.iter().map(|face| face.age).collect()
}

/// Where a recogniser waits until the test lets it go on: two seconds or two hours make no difference.
#[derive(Clone, Default)]
struct Gate {
    is_open: Arc<(Mutex<bool>, Condvar)>,
    entered: Arc<AtomicUsize>,
}

impl Gate {
    /// Waits here, then says 30.
    fn hang(&self) -> Behaviour {
        let gate = self.clone();
        Arc::new(move |_, _| {
            gate.entered.fetch_add(1, Ordering::SeqCst);
            let (is_open, opened) = &*gate.is_open;
            drop(opened.wait_while(is_open.lock().unwrap(), |open| !*open).unwrap());
            Ok(30.0)
        })
    }

    /// How many came so far.
    fn entered(&self) -> usize {
        self.entered.load(Ordering::SeqCst)
    }

    fn open(&self) {
        *self.is_open.0.lock().unwrap() = true;
        self.is_open.1.notify_all();
    }
}

#[test]
fn a_recogniser_that_hangs_holds_no_frame_up() {
    let gate = Gate::default();
    let shelf = Arc::new(Shelf::new().with("hangs", &[Task::Age], gate.hang()));
    let mut prepared = Prepared::new(params(Pacing::Live, choice("hangs")), shelf).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let (source, trigger) = camera();
    let pipeline = prepared.start(Box::new(source)).unwrap();
    // Dropped before the pipeline, so that the camera ends and its thread can be joined.
    let trigger = trigger;
    // Wait until both workers hang.
    watch_until(&trigger, &scenes, |_| gate.entered() == 2);
    // Every further frame is shown while they hang, each with its faces.
    for _ in 0..100 {
        trigger.send(()).unwrap();
        let scene = scenes.recv().unwrap();
        assert_eq!(ages(&scene).into_iter().flatten().count(), 0);
    }
    assert_eq!(pipeline.statistics().dropped_frames, 0);
    gate.open();
    watch_until(&trigger, &scenes, |scene| scene.faces.len() == 2 && ages(scene) == [Some(30.0); 2]);
}

#[test]
fn workers_come_and_go_while_it_plays() {
    let gate = Gate::default();
    let shelf = Arc::new(Shelf::new().with("hangs", &[Task::Age], gate.hang()));
    let one = PipelineParams { workers: 1, ..params(Pacing::Live, choice("hangs")) };
    let mut prepared = Prepared::new(one, Arc::clone(&shelf) as _).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let (source, trigger) = camera();
    let pipeline = prepared.start(Box::new(source)).unwrap();
    // Dropped before the pipeline, so that the camera ends and its thread can be joined.
    let trigger = trigger;
    watch_until(&trigger, &scenes, |_| gate.entered() == 1);
    for _ in 0..20 {
        watch_until(&trigger, &scenes, |_| true);
    }
    assert_eq!(gate.entered(), 1, "there is nobody else");
    pipeline.steering().set_workers(2);
    watch_until(&trigger, &scenes, |_| gate.entered() == 2);
    assert_eq!(shelf.loads("hangs"), 2, "one instance for each");
    // One of them goes home, and leaves its answer; the other goes on.
    pipeline.steering().set_workers(0);
    gate.open();
    watch_until(&trigger, &scenes, |scene| scene.faces.len() == 2 && ages(scene) == [Some(30.0); 2]);
    let before = gate.entered();
    watch_until(&trigger, &scenes, |_| gate.entered() > before + 5);
}

#[test]
fn a_recogniser_that_panics_is_reported_and_restarted() {
    let dies_once = Arc::new(|call: usize, _: &[_]| {
        assert!(call != 0, "a fault of the fake");
        Ok(40.0)
    });
    let shelf = Arc::new(Shelf::new().with("dies", &[Task::Age], dies_once));
    let one = PipelineParams { workers: 1, ..params(Pacing::Live, choice("dies")) };
    let mut prepared = Prepared::new(one, Arc::clone(&shelf) as _).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let (source, trigger) = camera();
    let mut pipeline = prepared.start(Box::new(source)).unwrap();
    // Dropped before the pipeline, so that the camera ends and its thread can be joined.
    let trigger = trigger;
    let events = pipeline.events().unwrap();
    watch_until(&trigger, &scenes, |scene| scene.faces.len() == 2 && ages(scene) == [Some(40.0); 2]);
    let event = wait_for(&events, |event| matches!(event, Event::StageRestarted { .. }));
    assert!(event.to_string().contains("a fault of the fake"), "{event}");
    assert_eq!(shelf.loads("dies"), 2, "one at the start, one after the panic");
}

#[test]
fn a_network_that_always_fails_is_taken_out_and_the_rest_goes_on() {
    let fails = Arc::new(|_: usize, _: &[_]| {
        Err(FaceError::Infer(InferError::Run { model: "fails".into(), reason: "no memory".into() }))
    });
    let shelf = Arc::new(Shelf::new().with("fails", &[Task::Age], fails).with("works", &[Task::Gender], says(80.0)));
    let mut both = choice("fails");
    both.gender = Some("works".into());
    let mut prepared = Prepared::new(params(Pacing::Live, both), Arc::clone(&shelf) as _).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let (source, trigger) = camera();
    let mut pipeline = prepared.start(Box::new(source)).unwrap();
    // Dropped before the pipeline, so that the camera ends and its thread can be joined.
    let trigger = trigger;
    let events = pipeline.events().unwrap();
    let gave_up = std::thread::spawn(move || wait_for(&events, |event| matches!(event, Event::GaveUp { .. })));
    while !gave_up.is_finished() {
        watch_until(&trigger, &scenes, |_| true);
    }
    assert_eq!(gave_up.join().unwrap(), Event::GaveUp { model: "fails".into(), failures: 5 });
    let scene = watch_until(&trigger, &scenes, |scene| scene.faces.iter().any(|face| face.female.is_some()));
    assert!(scene.faces.iter().all(|face| face.age.is_none()));
}

#[test]
fn networks_are_switched_without_a_face_in_view() {
    let shelf = Shelf::new().with("young", &[Task::Age, Task::Gender, Task::Smile], says(20.0)).with(
        "old",
        &[Task::Age, Task::Gender, Task::Smile],
        says(70.0),
    );
    let all = Choice {
        detector: "nobody".into(),
        age: Some("young".into()),
        gender: Some("young".into()),
        smile: Some("young".into()),
        ..Choice::default()
    };
    let mut prepared = Prepared::new(params(Pacing::Live, all), Arc::new(shelf)).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let (source, trigger) = camera();
    let mut pipeline = prepared.start(Box::new(source)).unwrap();
    // Dropped before the pipeline, so that the camera ends and its thread can be joined.
    let trigger = trigger;
    let events = pipeline.events().unwrap();
    for task in [Task::Age, Task::Gender, Task::Smile] {
        pipeline.switch(task, Some("old".into()));
        let switched = wait_for(&events, |event| matches!(event, Event::Switched { .. } | Event::SwitchFailed { .. }));
        assert_eq!(switched, Event::Switched { task, model: Some("old".into()) });
    }
    // The detector too; and now the faces are told by the new networks alone.
    pipeline.switch(Task::Detection, Some("two".into()));
    wait_for(&events, |event| matches!(event, Event::Switched { task: Task::Detection, .. }));
    let told =
        |scene: &Scene| scene.faces.len() == 2 && scene.faces.iter().all(|f| f.age.is_some() && f.smile.is_some());
    let scene = watch_until(&trigger, &scenes, told);
    assert!(scene.faces.iter().all(|face| face.age == Some(70.0)), "{:?}", scene.faces);
    // Off.
    pipeline.switch(Task::Age, None);
    wait_for(&events, |event| *event == Event::Switched { task: Task::Age, model: None });
    watch_until(&trigger, &scenes, |scene| scene.faces.len() == 2 && ages(scene) == [None; 2]);
}

#[test]
fn an_answer_that_comes_after_a_switch_is_of_no_account() {
    let gate = Gate::default();
    let shelf = Shelf::new().with("hangs", &[Task::Age, Task::Smile], gate.hang());
    let both = Choice { smile: Some("hangs".into()), ..choice("hangs") };
    let mut prepared = Prepared::new(params(Pacing::Live, both), Arc::new(shelf)).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let (source, trigger) = camera();
    let mut pipeline = prepared.start(Box::new(source)).unwrap();
    // Dropped before the pipeline, so that the camera ends and its thread can be joined.
    let trigger = trigger;
    let events = pipeline.events().unwrap();
    watch_until(&trigger, &scenes, |_| gate.entered() > 0);
    pipeline.switch(Task::Age, None);
    wait_for(&events, |event| *event == Event::Switched { task: Task::Age, model: None });
    gate.open();
    let scene = watch_until(&trigger, &scenes, |scene| scene.faces.iter().any(|face| face.smile.is_some()));
    assert_eq!(ages(&scene), [None; 2], "it is the smile that is still asked for");
}

#[test]
fn a_switch_that_fails_keeps_the_old_network() {
    let shelf = Shelf::new().with("good", &[Task::Age], says(33.0)).with("other", &[Task::Gender], says(1.0));
    let mut prepared = Prepared::new(params(Pacing::Live, choice("good")), Arc::new(shelf)).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let (source, trigger) = camera();
    let mut pipeline = prepared.start(Box::new(source)).unwrap();
    // Dropped before the pipeline, so that the camera ends and its thread can be joined.
    let trigger = trigger;
    let events = pipeline.events().unwrap();
    for (task, model, words) in [
        (Task::Age, Some("missing"), "no such network"),
        (Task::Age, Some("other"), "does not do"),
        (Task::Keypoints, Some("missing"), "no such network"),
        (Task::Detection, Some("missing"), "no such network"),
        (Task::Detection, None, "no detector"),
    ] {
        pipeline.switch(task, model.map(str::to_owned));
        let event = wait_for(&events, |event| matches!(event, Event::Switched { .. } | Event::SwitchFailed { .. }));
        assert!(matches!(&event, Event::SwitchFailed { .. }) && event.to_string().contains(words), "{event}");
    }
    watch_until(&trigger, &scenes, |scene| scene.faces.len() == 2 && ages(scene) == [Some(33.0); 2]);
}

fn every_scene(shelf: Shelf, choice: Choice, source: Film, workers: usize) -> (Vec<Arc<Scene>>, visavis_live::Outcome) {
    let params = PipelineParams { workers, ..params(Pacing::EveryFrame, choice) };
    let mut prepared = Prepared::new(params, Arc::new(shelf)).unwrap();
    let scenes = prepared.subscribe(Delivery::All { queue: 2 });
    let pipeline = prepared.start(Box::new(source)).unwrap();
    let all: Vec<Arc<Scene>> = std::iter::from_fn(|| scenes.recv()).collect();
    (all, pipeline.join())
}

#[test]
fn every_frame_comes_in_order_and_a_run_repeats() {
    // Answers differ from call to call and workers overtake each other; yet frame n is told what it was told before.
    let run = |workers| {
        let uneven = Arc::new(|_: usize, faces: &[visavis_face::FaceView]| {
            if std::thread::current().name() == Some("recognition-2") {
                std::thread::yield_now();
            }
            Ok(faces[0].rect.x * 10.0)
        });
        let shelf = Shelf::new().with("a", &[Task::Age], uneven.clone()).with("g", &[Task::Gender], uneven);
        let mut both = choice("a");
        both.gender = Some("g".into());
        let (scenes, outcome) = every_scene(shelf, both, Film::new(60), workers);
        assert_eq!(outcome.frames, 60);
        scenes.iter().map(|scene| (scene.frame.seq, scene.frame.captured_at, scene.faces.clone())).collect::<Vec<_>>()
    };
    let once = run(3);
    assert!(once.iter().enumerate().all(|(n, (seq, ..))| n as u64 == *seq));
    assert!(once[2..].iter().all(|(.., faces)| faces.len() == 2 && faces.iter().all(|face| face.age.is_some())));
    assert_eq!(once, run(3));
    assert_eq!(once, run(1));
}

#[test]
fn a_network_chosen_for_two_tasks_runs_once() {
    let shelf = Arc::new(Shelf::new().with("both", &[Task::Age, Task::Gender], says(50.0)));
    let mut both = choice("both");
    both.gender = Some("both".into());
    let mut prepared = Prepared::new(params(Pacing::EveryFrame, both), Arc::clone(&shelf) as _).unwrap();
    let scenes = prepared.subscribe(Delivery::All { queue: 2 });
    let pipeline = prepared.start(Box::new(Film::new(10))).unwrap();
    while scenes.recv().is_some() {}
    assert_eq!(pipeline.join().frames, 10);
    assert_eq!(shelf.calls("both"), 10);
}

#[test]
fn a_source_that_breaks_gives_all_it_had_and_says_why() {
    let shelf = Shelf::new().with("a", &[Task::Age], says(5.0));
    let (scenes, outcome) = every_scene(shelf, choice("a"), Film::breaking(12), 2);
    assert_eq!(scenes.len(), 12);
    assert!(outcome.source_failure.unwrap().contains("was pulled out"));
}

#[test]
fn stills_are_shown_at_once_and_forgotten() {
    let shelf = Shelf::new().with("a", &[Task::Age], says(5.0));
    let (scenes, _) = every_scene(shelf, choice("a"), Film::stills(3), 2);
    assert!(scenes.iter().all(|scene| scene.faces.len() == 2), "no waiting for a third detection");
    let mut tracks: Vec<u64> = scenes.iter().flat_map(|scene| scene.faces.iter().map(|face| face.track)).collect();
    tracks.dedup();
    assert_eq!(tracks.len(), 6, "a face on the next picture is another face");
}

#[test]
fn a_film_without_frames_ends() {
    let (scenes, outcome) = every_scene(Shelf::new().with("a", &[Task::Age], says(5.0)), choice("a"), Film::new(0), 2);
    assert!(scenes.is_empty());
    assert_eq!(outcome.source_failure, None);
}

#[test]
fn a_reader_that_goes_away_does_not_stop_the_rest() {
    let shelf = Arc::new(Shelf::new().with("a", &[Task::Age], says(5.0)));
    let mut prepared = Prepared::new(params(Pacing::EveryFrame, choice("a")), shelf).unwrap();
    let (gone, stays) =
        (prepared.subscribe(Delivery::All { queue: 1 }), prepared.subscribe(Delivery::All { queue: 1 }));
    let pipeline = prepared.start(Box::new(Film::new(30))).unwrap();
    drop(gone);
    let mut seen = 0;
    while stays.recv().is_some() {
        seen += 1;
    }
    assert_eq!((seen, pipeline.join().frames), (30, 30));
}

#[test]
fn dropping_a_running_pipeline_ends_its_threads() {
    let shelf = Arc::new(Shelf::new().with("a", &[Task::Age], says(5.0)));
    let repeat = PipelineParams { repeat: true, ..params(Pacing::Live, choice("a")) };
    let mut prepared = Prepared::new(repeat, Arc::clone(&shelf) as _).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let pipeline = prepared.start(Box::new(Film::new(5))).unwrap();
    assert!(scenes.recv().is_some());
    drop(pipeline);
    while scenes.recv().is_some() {}
    // The shelf is ours alone again: no thread holds it.
    assert_eq!(Arc::strong_count(&shelf), 1);
}

#[test]
fn a_missing_network_is_an_error_before_anything_starts() {
    let wrong = Prepared::new(params(Pacing::Live, choice("missing")), Arc::new(Shelf::new())).err().unwrap();
    assert!(wrong.to_string().contains("missing"), "{wrong}");
    let none = Prepared::new(params(Pacing::Live, Choice::default()), Arc::new(Shelf::new())).err().unwrap();
    assert!(matches!(none, LiveError::NoDetector), "{none}");
}

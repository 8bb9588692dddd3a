//! The whole pipeline with fake networks.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, also in what tests share")]

mod cameras;
mod fakes;
mod flaky;
mod gallery_worker;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use fakes::{Behaviour, FakeLoader, Film, camera, says};
use visavis_face::{Choice, FaceError};
use visavis_infer::{InferError, Task};
use visavis_live::{
    Delivery, Event, LiveError, Outcome, Pacing, Pipeline, PipelineParams, Prepared, Received, Scene, Subscription,
};

fn choice(age: &str) -> Choice {
    Choice { detector: "two".into(), age: Some(age.into()), ..Choice::default() }
}

fn params(pacing: Pacing, choice: Choice) -> PipelineParams {
    PipelineParams { pacing, choice, workers: 2, ..PipelineParams::default() }
}

/// A wait of a test that takes longer than this fails the test.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Waits for the first event that fits.
fn wait_for(events: &Receiver<Event>, fits: impl Fn(&Event) -> bool) -> Event {
    let until = Instant::now() + TIMEOUT;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let event = events.recv_timeout(left).expect("the event did not come");
        if fits(&event) {
            return event;
        }
    }
}

/// The next scene; `None` once the pipeline has ended.
fn next(scenes: &Subscription) -> Option<Arc<Scene>> {
    match scenes.recv_within(TIMEOUT) {
        Received::Scene(scene) => Some(scene),
        Received::Ended => None,
        Received::Nothing => panic!("no scene came"),
    }
}

/// All scenes until the pipeline ends.
fn all(scenes: &Subscription) -> Vec<Arc<Scene>> {
    std::iter::from_fn(|| next(scenes)).collect()
}

/// Triggers the camera and receives the scene until one fits.
fn watch_until(trigger: &Sender<()>, scenes: &Subscription, fits: impl Fn(&Scene) -> bool) -> Arc<Scene> {
    let until = Instant::now() + TIMEOUT;
    while Instant::now() < until {
        trigger.send(()).unwrap();
        let scene = next(scenes).expect("the pipeline ended");
        if fits(&scene) {
            return scene;
        }
    }
    panic!("no scene fits")
}

/// Waits for the end of the pipeline.
fn join(pipeline: Pipeline) -> Outcome {
    let (done, ended) = channel();
    let joining = std::thread::spawn(move || done.send(pipeline.join()));
    let outcome = ended.recv_timeout(TIMEOUT).expect("the pipeline did not end");
    joining.join().unwrap().unwrap();
    outcome
}

fn ages(scene: &Scene) -> Vec<Option<f32>> {
    scene.faces.iter().map(|face| face.age).collect()
}

/// Makes a recogniser wait until the test opens the gate.
#[derive(Clone, Default)]
struct Gate {
    is_open: Arc<(Mutex<bool>, Condvar)>,
    entered: Arc<AtomicUsize>,
}

impl Gate {
    /// A recogniser that waits and then returns 30.
    fn hang(&self) -> Behaviour {
        let gate = self.clone();
        Arc::new(move |_, _| {
            gate.entered.fetch_add(1, Ordering::SeqCst);
            let (is_open, opened) = &*gate.is_open;
            let waited = opened.wait_timeout_while(is_open.lock().unwrap(), TIMEOUT, |open| !*open).unwrap();
            assert!(!waited.1.timed_out(), "the gate was not opened");
            drop(waited);
            Ok(30.0)
        })
    }

    /// Number of calls so far.
    fn entered(&self) -> usize {
        self.entered.load(Ordering::SeqCst)
    }

    fn open(&self) {
        *self.is_open.0.lock().unwrap() = true;
        self.is_open.1.notify_all();
    }
}

#[test]
fn a_recogniser_that_hangs_delays_no_frame() {
    let gate = Gate::default();
    let loader = Arc::new(FakeLoader::new().with("hangs", &[Task::Age], gate.hang()));
    let mut prepared = Prepared::new(params(Pacing::Live, choice("hangs")), loader).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let (source, trigger) = camera();
    let pipeline = prepared.start(Box::new(source)).unwrap();
    // Declared last, so dropped before the pipeline: the camera ends and its thread can be joined.
    let trigger = trigger;
    // Wait until both workers hang.
    watch_until(&trigger, &scenes, |_| gate.entered() == 2);
    // Every further frame is shown meanwhile.
    for _ in 0..100 {
        trigger.send(()).unwrap();
        let scene = next(&scenes).unwrap();
        assert_eq!(ages(&scene).into_iter().flatten().count(), 0);
    }
    assert_eq!(pipeline.statistics().dropped_frames, 0);
    gate.open();
    watch_until(&trigger, &scenes, |scene| scene.faces.len() == 2 && ages(scene) == [Some(30.0); 2]);
}

#[test]
fn the_number_of_workers_changes_while_the_pipeline_runs() {
    let gate = Gate::default();
    let loader = Arc::new(FakeLoader::new().with("hangs", &[Task::Age], gate.hang()));
    let one = PipelineParams { workers: 1, ..params(Pacing::Live, choice("hangs")) };
    let mut prepared = Prepared::new(one, Arc::clone(&loader) as _).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let (source, trigger) = camera();
    let pipeline = prepared.start(Box::new(source)).unwrap();
    // Declared last, so dropped before the pipeline: the camera ends and its thread can be joined.
    let trigger = trigger;
    watch_until(&trigger, &scenes, |_| gate.entered() == 1);
    for _ in 0..20 {
        watch_until(&trigger, &scenes, |_| true);
    }
    assert_eq!(gate.entered(), 1, "there is one worker");
    pipeline.handle().set_workers(2);
    watch_until(&trigger, &scenes, |_| gate.entered() == 2);
    assert_eq!(loader.loads("hangs"), 2, "one instance for each worker");
    // One of them ends after its job, whose results are used. The other goes on.
    pipeline.handle().set_workers(0);
    gate.open();
    watch_until(&trigger, &scenes, |scene| scene.faces.len() == 2 && ages(scene) == [Some(30.0); 2]);
    let before = gate.entered();
    watch_until(&trigger, &scenes, |_| gate.entered() > before + 5);
}

#[test]
fn a_recogniser_that_panics_is_reported_and_loaded_again() {
    let dies_once = Arc::new(|call: usize, _: &[_]| {
        assert!(call != 0, "a fault of the fake");
        Ok(40.0)
    });
    let loader = Arc::new(FakeLoader::new().with("dies", &[Task::Age], dies_once));
    let one = PipelineParams { workers: 1, ..params(Pacing::Live, choice("dies")) };
    let mut prepared = Prepared::new(one, Arc::clone(&loader) as _).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let (source, trigger) = camera();
    let mut pipeline = prepared.start(Box::new(source)).unwrap();
    // Declared last, so dropped before the pipeline: the camera ends and its thread can be joined.
    let trigger = trigger;
    let events = pipeline.events().unwrap();
    watch_until(&trigger, &scenes, |scene| scene.faces.len() == 2 && ages(scene) == [Some(40.0); 2]);
    let event = wait_for(&events, |event| matches!(event, Event::StageRestarted { .. }));
    assert!(event.to_string().contains("a fault of the fake"), "{event}");
    assert_eq!(loader.loads("dies"), 2, "one at the start, one after the panic");
}

#[test]
fn a_network_that_always_fails_is_disabled_and_the_others_run() {
    let fails = Arc::new(|_: usize, _: &[_]| {
        Err(FaceError::Infer(InferError::Run { model: "fails".into(), reason: "no memory".into() }))
    });
    let loader =
        Arc::new(FakeLoader::new().with("fails", &[Task::Age], fails).with("works", &[Task::Gender], says(80.0)));
    let mut both = choice("fails");
    both.gender = Some("works".into());
    let mut prepared = Prepared::new(params(Pacing::Live, both), Arc::clone(&loader) as _).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let (source, trigger) = camera();
    let mut pipeline = prepared.start(Box::new(source)).unwrap();
    // Declared last, so dropped before the pipeline: the camera ends and its thread can be joined.
    let trigger = trigger;
    let events = pipeline.events().unwrap();
    let gave_up = std::thread::spawn(move || wait_for(&events, |event| matches!(event, Event::ModelDisabled { .. })));
    while !gave_up.is_finished() {
        watch_until(&trigger, &scenes, |_| true);
    }
    assert_eq!(gave_up.join().unwrap(), Event::ModelDisabled { model: "fails".into(), failures: 5 });
    let scene = watch_until(&trigger, &scenes, |scene| scene.faces.iter().any(|face| face.female.is_some()));
    assert!(scene.faces.iter().all(|face| face.age.is_none()));
}

#[test]
fn networks_are_switched_without_a_face_in_view() {
    let loader = FakeLoader::new().with("young", &[Task::Age, Task::Gender, Task::Smile], says(20.0)).with(
        "old",
        &[Task::Age, Task::Gender, Task::Smile],
        says(70.0),
    );
    let all = Choice {
        detector: "none".into(),
        age: Some("young".into()),
        gender: Some("young".into()),
        smile: Some("young".into()),
        ..Choice::default()
    };
    let mut prepared = Prepared::new(params(Pacing::Live, all), Arc::new(loader)).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let (source, trigger) = camera();
    let mut pipeline = prepared.start(Box::new(source)).unwrap();
    // Declared last, so dropped before the pipeline: the camera ends and its thread can be joined.
    let trigger = trigger;
    let events = pipeline.events().unwrap();
    for task in [Task::Age, Task::Gender, Task::Smile] {
        pipeline.switch(task, Some("old".into()));
        let switched = wait_for(&events, |event| matches!(event, Event::Switched { .. } | Event::SwitchFailed { .. }));
        assert_eq!(switched, Event::Switched { task, model: Some("old".into()) });
    }
    // The detector too. Now all results come from the new networks.
    pipeline.switch(Task::Detection, Some("two".into()));
    wait_for(&events, |event| matches!(event, Event::Switched { task: Task::Detection, .. }));
    let told =
        |scene: &Scene| scene.faces.len() == 2 && scene.faces.iter().all(|f| f.age.is_some() && f.smile.is_some());
    let scene = watch_until(&trigger, &scenes, told);
    assert!(scene.faces.iter().all(|face| face.age == Some(70.0)), "{:?}", scene.faces);
    // Switched off.
    pipeline.switch(Task::Age, None);
    wait_for(&events, |event| *event == Event::Switched { task: Task::Age, model: None });
    watch_until(&trigger, &scenes, |scene| scene.faces.len() == 2 && ages(scene) == [None; 2]);
}

#[test]
fn a_result_that_comes_after_a_switch_is_discarded() {
    let gate = Gate::default();
    let loader = FakeLoader::new().with("hangs", &[Task::Age, Task::Smile], gate.hang());
    let both = Choice { smile: Some("hangs".into()), ..choice("hangs") };
    let mut prepared = Prepared::new(params(Pacing::Live, both), Arc::new(loader)).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let (source, trigger) = camera();
    let mut pipeline = prepared.start(Box::new(source)).unwrap();
    // Declared last, so dropped before the pipeline: the camera ends and its thread can be joined.
    let trigger = trigger;
    let events = pipeline.events().unwrap();
    watch_until(&trigger, &scenes, |_| gate.entered() > 0);
    pipeline.switch(Task::Age, None);
    wait_for(&events, |event| *event == Event::Switched { task: Task::Age, model: None });
    gate.open();
    let scene = watch_until(&trigger, &scenes, |scene| scene.faces.iter().any(|face| face.smile.is_some()));
    assert_eq!(ages(&scene), [None; 2], "only the smile is still wanted");
}

#[test]
fn a_switch_that_fails_keeps_the_old_network() {
    let loader = FakeLoader::new().with("good", &[Task::Age], says(33.0)).with("other", &[Task::Gender], says(1.0));
    let mut prepared = Prepared::new(params(Pacing::Live, choice("good")), Arc::new(loader)).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let (source, trigger) = camera();
    let mut pipeline = prepared.start(Box::new(source)).unwrap();
    // Declared last, so dropped before the pipeline: the camera ends and its thread can be joined.
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

fn every_scene(loader: FakeLoader, choice: Choice, source: Film, workers: usize) -> (Vec<Arc<Scene>>, Outcome) {
    let params = PipelineParams { workers, ..params(Pacing::EveryFrame, choice) };
    let mut prepared = Prepared::new(params, Arc::new(loader)).unwrap();
    let scenes = prepared.subscribe(Delivery::All { queue: 2 });
    let pipeline = prepared.start(Box::new(source)).unwrap();
    (all(&scenes), join(pipeline))
}

#[test]
fn every_frame_comes_in_order_and_runs_are_reproducible() {
    // Workers overtake each other. Every frame has the same results in every run.
    let run = |workers| {
        let uneven = Arc::new(|_: usize, faces: &[visavis_face::FaceView]| {
            if std::thread::current().name() == Some("recognition-2") {
                std::thread::yield_now();
            }
            Ok(faces[0].rect.x * 10.0)
        });
        let loader = FakeLoader::new().with("a", &[Task::Age], uneven.clone()).with("g", &[Task::Gender], uneven);
        let mut both = choice("a");
        both.gender = Some("g".into());
        let (scenes, outcome) = every_scene(loader, both, Film::new(60), workers);
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
    let loader = Arc::new(FakeLoader::new().with("both", &[Task::Age, Task::Gender], says(50.0)));
    let mut both = choice("both");
    both.gender = Some("both".into());
    let mut prepared = Prepared::new(params(Pacing::EveryFrame, both), Arc::clone(&loader) as _).unwrap();
    let scenes = prepared.subscribe(Delivery::All { queue: 2 });
    let pipeline = prepared.start(Box::new(Film::new(10))).unwrap();
    all(&scenes);
    assert_eq!(join(pipeline).frames, 10);
    assert_eq!(loader.calls("both"), 10);
}

#[test]
fn all_frames_before_a_failure_of_the_source_are_shown() {
    let loader = FakeLoader::new().with("a", &[Task::Age], says(5.0));
    let (scenes, outcome) = every_scene(loader, choice("a"), Film::breaking(12), 2);
    assert_eq!(scenes.len(), 12);
    assert!(outcome.source_failure.unwrap().contains("was pulled out"));
}

#[test]
fn frames_that_cannot_be_read_are_skipped_and_counted() {
    let loader = Arc::new(FakeLoader::new().with("a", &[Task::Age], says(5.0)));
    let mut prepared = Prepared::new(params(Pacing::EveryFrame, choice("a")), loader).unwrap();
    let scenes = prepared.subscribe(Delivery::All { queue: 4 });
    let mut pipeline = prepared.start(Box::new(Film::torn(20, &[0, 7, 8, 12]))).unwrap();
    let events = pipeline.events().unwrap();
    let mut times = Vec::new();
    while let Some(scene) = next(&scenes) {
        times.push(scene.frame.captured_at.as_millis() / 40);
    }
    let outcome = join(pipeline);
    assert_eq!((outcome.frames, outcome.skipped, outcome.source_failure), (16, 4, None));
    assert_eq!(times[..8], [1, 2, 3, 4, 5, 6, 9, 10], "the other frames keep their times");
    let skipped: Vec<String> =
        events.try_iter().map(|event| event.to_string()).filter(|text| text.contains("torn")).collect();
    assert_eq!(skipped.len(), 4, "{skipped:?}");
}

#[test]
fn faces_are_shown_from_the_first_frame_on() {
    let loader = FakeLoader::new().with("a", &[Task::Age], says(5.0));
    let (scenes, _) = every_scene(loader, choice("a"), Film::new(5), 2);
    assert!(scenes.iter().all(|scene| scene.faces.len() == 2 && scene.faces.iter().all(|face| face.detected)));
}

/// The scenes of a live run.
fn live_scenes(source: Film) -> Vec<Arc<Scene>> {
    let loader = Arc::new(FakeLoader::new().with("a", &[Task::Age], says(5.0)));
    let mut prepared = Prepared::new(params(Pacing::Live, choice("a")), loader).unwrap();
    let scenes = prepared.subscribe(Delivery::All { queue: 100 });
    let pipeline = prepared.start(Box::new(source)).unwrap();
    let seen = all(&scenes);
    assert_eq!(join(pipeline).source_failure, None);
    seen
}

#[test]
fn if_pictures_are_rare_each_shows_its_own_faces() {
    for (source, same) in [(Film::slow(4), true), (Film::stills(4), false)] {
        let scenes = live_scenes(source);
        assert_eq!(scenes.iter().map(|scene| scene.frame.seq).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert!(scenes.iter().all(|scene| scene.faces.len() == 2), "two faces on each, also on the last");
        let first = scenes[0].faces[0].track;
        assert!(scenes[1..].iter().all(|scene| (scene.faces[0].track == first) == same));
    }
}

#[test]
fn a_stalled_source_is_reported_and_shown_and_so_is_its_return() {
    let loader = Arc::new(FakeLoader::new().with("a", &[Task::Age], says(5.0)));
    let soon = PipelineParams { stalled_after: Duration::from_millis(50), ..params(Pacing::Live, choice("a")) };
    let mut prepared = Prepared::new(soon, loader).unwrap();
    let scenes = prepared.subscribe(Delivery::All { queue: 10_000 });
    let (source, trigger) = camera();
    let mut pipeline = prepared.start(Box::new(source)).unwrap();
    let events = pipeline.events().unwrap();
    let trigger = trigger;
    let told = |wanted: fn(&Event) -> bool| {
        while !wanted(&events.recv_timeout(TIMEOUT).expect("the event did not come")) {}
    };
    trigger.send(()).unwrap();
    assert!(next(&scenes).unwrap().stalled_since.is_none());
    told(|event| matches!(event, Event::SourceStalled { .. }));
    assert!(pipeline.snapshot().source.stalled_since.is_some());
    let silent = next(&scenes).unwrap();
    assert!(silent.stalled_since.is_some() && silent.faces.is_empty() && silent.frame.seq == 0);
    assert!(matches!(scenes.recv_within(Duration::from_millis(1)), Received::Nothing), "reported once");
    trigger.send(()).unwrap();
    told(|event| matches!(event, Event::SourceResumed { .. }));
    assert_eq!(pipeline.snapshot().source.stalled_since, None);
    assert!(next(&scenes).unwrap().stalled_since.is_none());
}

#[test]
fn a_source_that_hangs_does_not_delay_the_end() {
    let loader = Arc::new(FakeLoader::new().with("a", &[Task::Age], says(5.0)));
    let prepared = Prepared::new(params(Pacing::Live, choice("a")), loader).unwrap();
    let (source, trigger) = camera();
    let pipeline = prepared.start(Box::new(source)).unwrap();
    let (done, ended) = channel();
    let ending = std::thread::spawn(move || {
        pipeline.stop();
        let _ = done.send(pipeline.join().frames);
    });
    assert_eq!(ended.recv_timeout(TIMEOUT), Ok(0), "the pipeline ended although the source hangs");
    ending.join().unwrap();
    drop(trigger);
}

#[test]
fn each_still_has_its_own_tracks() {
    let loader = FakeLoader::new().with("a", &[Task::Age], says(5.0));
    let (scenes, _) = every_scene(loader, choice("a"), Film::stills(3), 2);
    assert!(scenes.iter().all(|scene| scene.faces.len() == 2), "faces are shown after the first detection");
    let mut tracks: Vec<u64> = scenes.iter().flat_map(|scene| scene.faces.iter().map(|face| face.track)).collect();
    tracks.dedup();
    assert_eq!(tracks.len(), 6, "a face on the next picture is another track");
}

#[test]
fn a_film_without_frames_ends() {
    let (scenes, outcome) =
        every_scene(FakeLoader::new().with("a", &[Task::Age], says(5.0)), choice("a"), Film::new(0), 2);
    assert!(scenes.is_empty());
    assert_eq!(outcome.source_failure, None);
}

#[test]
fn a_reader_that_goes_away_does_not_stop_the_rest() {
    let loader = Arc::new(FakeLoader::new().with("a", &[Task::Age], says(5.0)));
    let mut prepared = Prepared::new(params(Pacing::EveryFrame, choice("a")), loader).unwrap();
    let (gone, stays) =
        (prepared.subscribe(Delivery::All { queue: 1 }), prepared.subscribe(Delivery::All { queue: 1 }));
    let pipeline = prepared.start(Box::new(Film::new(30))).unwrap();
    drop(gone);
    assert_eq!((all(&stays).len(), join(pipeline).frames), (30, 30));
}

#[test]
fn dropping_a_running_pipeline_ends_its_threads() {
    let loader = Arc::new(FakeLoader::new().with("a", &[Task::Age], says(5.0)));
    let repeat = PipelineParams { repeat: true, ..params(Pacing::Live, choice("a")) };
    let mut prepared = Prepared::new(repeat, Arc::clone(&loader) as _).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let pipeline = prepared.start(Box::new(Film::new(5))).unwrap();
    assert!(next(&scenes).is_some());
    drop(pipeline);
    all(&scenes);
    // No thread holds the loader any more.
    assert_eq!(Arc::strong_count(&loader), 1);
}

#[test]
fn a_missing_network_is_an_error_before_anything_starts() {
    let wrong = Prepared::new(params(Pacing::Live, choice("missing")), Arc::new(FakeLoader::new())).err().unwrap();
    assert!(wrong.to_string().contains("missing"), "{wrong}");
    let none = Prepared::new(params(Pacing::Live, Choice::default()), Arc::new(FakeLoader::new())).err().unwrap();
    assert!(matches!(none, LiveError::NoDetector), "{none}");
}

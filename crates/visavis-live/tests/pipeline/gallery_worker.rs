//! Alarms, visitors that are added to the gallery, and sightings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use visavis_face::{Choice, QualityParams};
use visavis_gallery::{
    EmbeddingId, Gallery, GalleryParams, IdentityParams, NewPhoto, PersonId, SightingFilter, SqliteStore,
};
use visavis_infer::Task;
use visavis_infer::manifest::Metric;
use visavis_live::{
    AlarmParams, Cause, Delivery, Event, GrowthParams, Pacing, Pipeline, PipelineParams, Prepared, ScheduleParams,
    SightingKind, SightingParams, Subscription, VisitorParams,
};

use crate::fakes::{FakeLoader, camera, says};
use crate::flaky::{Fault, Flaky};
use crate::{TIMEOUT, join, wait_for, watch_until};

/// The embeddings of the fakes: the result of the network, and the x coordinate of the face.
fn network() -> EmbeddingId {
    EmbeddingId {
        name: "owl".into(),
        fingerprint: "1a2b".into(),
        length: 2,
        metric: Metric::Euclidean,
        same_person: 3.0,
        likeness: None,
        identity: IdentityParams::default(),
    }
}

fn photo(vector: [f32; 2]) -> NewPhoto {
    NewPhoto { source: "x.jpg".into(), sha256: None, vector: vector.to_vec(), thumbnail: None, score: None }
}

fn gallery(people: &[(&str, [f32; 2])]) -> (TempDir, Arc<Gallery>) {
    gallery_of(&network(), people)
}

fn gallery_of(network: &EmbeddingId, people: &[(&str, [f32; 2])]) -> (TempDir, Arc<Gallery>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.gallery");
    let gallery = Gallery::create(&path, network).unwrap();
    for (name, vector) in people {
        gallery.add(name, &[photo(*vector)]).unwrap();
    }
    (folder, Arc::new(gallery))
}

/// A gallery whose store may fail.
fn flaky(people: &[(&str, [f32; 2])]) -> (TempDir, Arc<Gallery>, Fault) {
    let (folder, gallery) = gallery(people);
    let (inner, fault) = (SqliteStore::open(gallery.place()).unwrap(), Fault::default());
    let store = Flaky { inner, fault: fault.clone() };
    (folder, Arc::new(Gallery::over(store, Some(&network()), GalleryParams::default()).unwrap()), fault)
}

fn alarm() -> AlarmParams {
    AlarmParams { confirm: 3, cool_down: Duration::from_secs(3600), false_alarms: None, ..AlarmParams::default() }
}

fn growth() -> GrowthParams {
    // The faces of the fakes are small and not sharp.
    let quality = QualityParams { smallest: 0.0, sharpness: 0.0, ..VisitorParams::default().quality };
    let visitors = VisitorParams { quality, ..VisitorParams::default() };
    GrowthParams { visitors, ..GrowthParams::default() }
}

/// A pipeline that sees two faces, one at x = 4 and one at x = 40.
fn watching(
    gallery: &Arc<Gallery>,
    alarm: Option<AlarmParams>,
    growth: Option<GrowthParams>,
) -> (Pipeline, Subscription, Sender<()>) {
    let loader = FakeLoader::new().with("owl", &[Task::Similarity], says(30.0)).with_gallery(Arc::clone(gallery));
    let choice = Choice { detector: "two".into(), similarity: Some("owl".into()), ..Choice::default() };
    started(Arc::new(loader), choice, alarm, growth)
}

fn started(
    loader: Arc<FakeLoader>,
    choice: Choice,
    alarm: Option<AlarmParams>,
    growth: Option<GrowthParams>,
) -> (Pipeline, Subscription, Sender<()>) {
    // Settled faces are compared as often as others, so that the tests need not wait.
    let schedule = ScheduleParams { settled_pause: Duration::ZERO, ..ScheduleParams::default() };
    let mut params =
        PipelineParams { pacing: Pacing::Live, choice, alarm, growth, schedule, ..PipelineParams::default() };
    params.camera = Some("door".into());
    let mut prepared = Prepared::new(params, loader).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let (source, trigger) = camera();
    (prepared.start(Box::new(source)).unwrap(), scenes, trigger)
}

/// Plays frames until an event fits. Returns all events, that one last.
fn play_until(
    events: &Receiver<Event>,
    trigger: &Sender<()>,
    scenes: &Subscription,
    mut fits: impl FnMut(&Event) -> bool,
) -> Vec<Event> {
    let mut seen = Vec::new();
    let until = Instant::now() + TIMEOUT;
    while Instant::now() < until {
        watch_until(trigger, scenes, |_| true);
        while let Ok(event) = events.try_recv() {
            let found = fits(&event);
            seen.push(event);
            if found {
                return seen;
            }
        }
    }
    panic!("the event did not come: {seen:?}")
}

fn alarms(events: &[Event]) -> Vec<&Cause> {
    events.iter().filter_map(|event| if let Event::Alarm(alarm) = event { Some(&alarm.cause) } else { None }).collect()
}

#[test]
fn a_watched_person_raises_one_alarm_and_a_denied_face_none() {
    let (_folder, gallery) = gallery(&[("Eve", [30.0, 5.0]), ("Ada", [30.0, 41.0])]);
    gallery.watch(gallery.find_person("Eve").unwrap().id, true).unwrap();
    let (mut pipeline, scenes, trigger) = watching(&gallery, Some(AlarmParams { crops: true, ..alarm() }), None);
    let events = pipeline.events().unwrap();
    let seen = play_until(&events, &trigger, &scenes, |event| matches!(event, Event::Alarm(_)));
    let Some(Event::Alarm(first)) = seen.last() else { panic!("{seen:?}") };
    assert!(matches!(&first.cause, Cause::Watched { name, .. } if name == "Eve"), "{first:?}");
    assert_eq!((first.number, first.rect.x), (1, 4.0));
    assert!(first.crop.as_ref().is_some_and(|crop| crop.starts_with(&[0xFF, 0xD8])));
    assert_eq!(serde_json::to_value(&**first).unwrap()["name"], "Eve");
    // Recorded by the pipeline itself, with the name of the source.
    let [recorded] = &gallery.alarms(None, 9).unwrap()[..] else { panic!("one alarm is recorded") };
    assert_eq!((Some(recorded.id), recorded.source.as_deref()), (first.id, Some("door")));
    assert_eq!((recorded.person.as_ref().map(|(_, name)| &**name), recorded.has_crop), (Some("Eve"), true));
    pipeline.deny_last_alarm();
    let seen = play_until(&events, &trigger, &scenes, |event| matches!(event, Event::AlarmDenied { .. }));
    assert_eq!(alarms(&seen), Vec::<&Cause>::new(), "one alarm");
    // Eve is excluded for this face, so Ada is the most similar person.
    watch_until(&trigger, &scenes, |scene| {
        scene.faces.iter().any(|face| {
            face.rect.x < 10.0
                && face.resembles.as_ref().is_some_and(|found| &*found.name == "Ada" && !found.same_person)
        })
    });
    assert_eq!(&*gallery.search(&[30.0, 4.0], 1).unwrap()[0].name, "Ada");
}

#[test]
fn changes_of_another_program_are_reported_and_found() {
    let (folder, gallery) = gallery(&[("Ada", [30.0, 41.0])]);
    let (mut pipeline, scenes, trigger) = watching(&gallery, Some(alarm()), None);
    let events = pipeline.events().unwrap();
    watch_until(&trigger, &scenes, |scene| scene.faces.iter().any(|face| face.resembles.is_some()));
    let other = Gallery::open(folder.path().join("people.gallery"), Some(&network())).unwrap();
    other.add("Eve", &[photo([30.0, 5.0])]).unwrap();
    play_until(&events, &trigger, &scenes, |event| *event == Event::GalleryChanged);
    assert_eq!(&*gallery.search(&[30.0, 5.0], 1).unwrap()[0].name, "Eve");
}

#[test]
fn every_visitor_is_added_once() {
    let (_folder, gallery) = gallery(&[("Ada", [30.0, 41.0])]);
    let (mut pipeline, scenes, trigger) = watching(&gallery, None, Some(growth()));
    let events = pipeline.events().unwrap();
    // One of the two faces is Ada; the other is a new visitor.
    let met = play_until(&events, &trigger, &scenes, |event| matches!(event, Event::PersonAdded { .. }));
    assert_eq!(met.last(), Some(&Event::PersonAdded { person: PersonId(2) }));
    let scene = watch_until(&trigger, &scenes, |scene| {
        scene.faces.len() == 2
            && scene.faces.iter().all(|face| face.resembles.as_ref().is_some_and(|who| who.same_person))
    });
    let names: Vec<&str> =
        scene.faces.iter().filter_map(|face| face.resembles.as_ref()).map(|who| &*who.name).collect();
    assert_eq!(names, ["Visitor 2", "Ada"]);
    // Both visits are recorded, in an order that depends on the workers.
    let noted = || {
        let people = gallery.people().unwrap();
        people.into_iter().map(|person| (person.name, person.seen, person.met)).collect::<Vec<_>>()
    };
    let expected = [("Ada".to_owned(), 1, false), ("Visitor 2".to_owned(), 1, true)];
    watch_until(&trigger, &scenes, |_| noted() == expected);
    assert!(gallery.portrait(PersonId(2)).unwrap().is_some());
}

#[test]
fn a_face_beside_a_similar_person_is_a_visitor() {
    // Both faces are near enough to Ada, but only one of two faces in a picture can be her.
    let lenient = EmbeddingId { same_person: 100.0, ..network() };
    let (_folder, gallery) = gallery_of(&lenient, &[("Ada", [30.0, 41.0])]);
    let (mut pipeline, scenes, trigger) = watching(&gallery, None, Some(growth()));
    let events = pipeline.events().unwrap();
    let met = play_until(&events, &trigger, &scenes, |event| matches!(event, Event::PersonAdded { .. }));
    assert_eq!(met.last(), Some(&Event::PersonAdded { person: PersonId(2) }));
}

#[test]
fn no_visitor_is_added_without_growth() {
    let (_folder, gallery) = gallery(&[]);
    let (mut pipeline, scenes, trigger) = watching(&gallery, Some(AlarmParams { unknown: true, ..alarm() }), None);
    let events = pipeline.events().unwrap();
    let seen = play_until(&events, &trigger, &scenes, |event| matches!(event, Event::Alarm(_)));
    assert_eq!(alarms(&seen), [&Cause::Unknown]);
    assert_eq!(gallery.people().unwrap(), []);
}

#[test]
fn alarm_and_growth_parameters_change_while_the_pipeline_runs() {
    let (_folder, gallery) = gallery(&[]);
    let (mut pipeline, scenes, trigger) = watching(&gallery, Some(alarm()), None);
    let (events, handle) = (pipeline.events().unwrap(), pipeline.handle());
    for _ in 0..30 {
        watch_until(&trigger, &scenes, |_| true);
    }
    handle.set_gallery_params(Some(AlarmParams { unknown: true, ..alarm() }), None);
    let seen = play_until(&events, &trigger, &scenes, |event| matches!(event, Event::Alarm(_)));
    assert_eq!(alarms(&seen), [&Cause::Unknown]);
    assert_eq!(gallery.people().unwrap(), []);
    handle.set_gallery_params(None, Some(growth()));
    play_until(&events, &trigger, &scenes, |event| matches!(event, Event::PersonAdded { .. }));
    handle.set_gallery_params(None, None);
    assert!(!gallery.people().unwrap().is_empty());
}

#[test]
fn a_gallery_is_converted_while_the_old_network_is_used() {
    let (_folder, gallery) = gallery(&[("Ada", [30.0, 4.0])]);
    let choice = Choice { detector: "two".into(), similarity: Some("owl".into()), ..Choice::default() };
    let converting = Arc::new(AtomicBool::new(true));
    let loader = FakeLoader::new()
        .with("owl", &[Task::Similarity], says(30.0))
        .with("hawk", &[Task::Similarity], says(30.0))
        .with_gallery(gallery)
        .made_by("owl", &converting);
    let params = PipelineParams { pacing: Pacing::Live, choice, ..PipelineParams::default() };
    let mut prepared = Prepared::new(params, Arc::new(loader)).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let (source, trigger) = camera();
    let mut pipeline = prepared.start(Box::new(source)).unwrap();
    let trigger = trigger;
    let events = pipeline.events().unwrap();
    pipeline.switch(Task::Similarity, Some("hawk".into()));
    play_until(&events, &trigger, &scenes, |event| matches!(event, Event::Converting { photos: 400, .. }));
    watch_until(&trigger, &scenes, |scene| scene.faces.iter().any(|face| face.resembles.is_some()));
    converting.store(false, Ordering::SeqCst);
    let seen = play_until(&events, &trigger, &scenes, |event| matches!(event, Event::Switched { .. }));
    let converted = |event: &Event| matches!(event, Event::Converted { model, .. } if model == "hawk");
    assert!(seen.iter().any(converted), "{seen:?}");
}

#[test]
fn after_a_switch_nothing_of_the_old_network_is_kept() {
    let hawk = EmbeddingId { name: "hawk".into(), fingerprint: "99".into(), ..network() };
    let ((_old, of_owl), (_new, of_hawk)) = (gallery(&[]), gallery_of(&hawk, &[]));
    let loader = FakeLoader::new()
        .with("owl", &[Task::Similarity], says(30.0))
        .with("hawk", &[Task::Similarity], says(70.0))
        .with_gallery(of_owl)
        .with_gallery_of("hawk", Arc::clone(&of_hawk));
    let choice = Choice { detector: "two".into(), similarity: Some("owl".into()), ..Choice::default() };
    // Too few results of the first network to add a visitor, and enough to be part of a mean.
    let mut growth = growth();
    growth.visitors.results = 40;
    let loader = Arc::new(loader);
    let (mut pipeline, scenes, trigger) = started(Arc::clone(&loader), choice, None, Some(growth));
    let events = pipeline.events().unwrap();
    watch_until(&trigger, &scenes, |_| loader.calls("owl") >= 10);
    pipeline.switch(Task::Similarity, Some("hawk".into()));
    wait_for(&events, |event| matches!(event, Event::Switched { .. }));
    play_until(&events, &trigger, &scenes, |event| matches!(event, Event::PersonAdded { .. }));
    let people = of_hawk.people().unwrap();
    assert!(!people.is_empty());
    for person in people {
        let photos = of_hawk.person_record(person.id).unwrap().unwrap().photos;
        assert!(photos.iter().all(|photo| photo.vector[0] == 70.0), "{photos:?}");
    }
}

#[test]
fn a_stop_ends_the_conversion_of_a_gallery() {
    let (_folder, gallery) = gallery(&[]);
    let choice = Choice { detector: "two".into(), similarity: Some("owl".into()), ..Choice::default() };
    let loader = FakeLoader::new()
        .with("owl", &[Task::Similarity], says(30.0))
        .with("hawk", &[Task::Similarity], says(30.0))
        .with_gallery(gallery)
        .made_by("owl", &Arc::new(AtomicBool::new(true)));
    let params = PipelineParams { pacing: Pacing::Live, choice, ..PipelineParams::default() };
    let mut prepared = Prepared::new(params, Arc::new(loader)).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let (source, trigger) = camera();
    let mut pipeline = prepared.start(Box::new(source)).unwrap();
    let events = pipeline.events().unwrap();
    pipeline.switch(Task::Similarity, Some("hawk".into()));
    play_until(&events, &trigger, &scenes, |event| matches!(event, Event::Converting { .. }));
    pipeline.stop();
    drop(trigger);
    assert_eq!(join(pipeline).source_failure, None);
    let failed = |event: &Event| matches!(event, Event::SwitchFailed { reason, .. } if reason.contains("stopped"));
    assert!(events.iter().any(|event| failed(&event)));
}

#[test]
fn without_the_store_everything_else_goes_on() {
    let (_folder, gallery, fault) = flaky(&[("Eve", [30.0, 5.0]), ("Ada", [30.0, 41.0])]);
    // The network also determines ages.
    let tasks = [Task::Age, Task::Similarity];
    let loader = Arc::new(FakeLoader::new().with("owl", &tasks, says(30.0)).with_gallery(Arc::clone(&gallery)));
    let choice =
        Choice { detector: "two".into(), age: Some("owl".into()), similarity: Some("owl".into()), ..Choice::default() };
    fault.down.store(true, Ordering::SeqCst);
    let alarm = AlarmParams { unknown: true, ..alarm() };
    let (mut pipeline, scenes, trigger) = started(Arc::clone(&loader), choice, Some(alarm), Some(growth()));
    let events = pipeline.events().unwrap();
    let mut seen = play_until(&events, &trigger, &scenes, |event| matches!(event, Event::GalleryFailed { .. }));
    assert!(pipeline.snapshot().gallery.as_ref().is_some_and(|gallery| gallery.failure.is_some()));
    // Many more jobs than the number of failures that disables a network.
    let before = loader.calls("owl");
    watch_until(&trigger, &scenes, |_| loader.calls("owl") > before + 30);
    // Faces are compared in memory.
    watch_until(&trigger, &scenes, |scene| {
        scene.faces.len() == 2
            && scene
                .faces
                .iter()
                .all(|face| face.age.is_some() && face.resembles.as_ref().is_some_and(|found| found.same_person))
    });
    fault.down.store(false, Ordering::SeqCst);
    seen.extend(play_until(&events, &trigger, &scenes, |event| *event == Event::GalleryRestored));
    assert!(pipeline.snapshot().gallery.as_ref().is_some_and(|gallery| gallery.failure.is_none()));
    watch_until(&trigger, &scenes, |scene| {
        scene.faces.len() == 2
            && scene.faces.iter().all(|face| face.resembles.as_ref().is_some_and(|who| who.same_person))
    });
    drop(trigger);
    let outcome = join(pipeline);
    seen.extend(events.try_iter());
    let failures: Vec<&Event> = seen.iter().filter(|event| event.is_failure()).collect();
    assert!(matches!(failures[..], [Event::GalleryFailed { .. }]), "reported once: {failures:?}");
    assert_eq!(seen.iter().filter(|event| **event == Event::GalleryRestored).count(), 1);
    assert_eq!(outcome.stage_failures, 1);
    assert_eq!(alarms(&seen), Vec::<&Cause>::new());
    assert_eq!(gallery.people().unwrap().len(), 2);
}

#[test]
fn a_read_only_gallery_is_reported_once_and_searched() {
    let (_folder, gallery, fault) = flaky(&[("Ada", [30.0, 41.0])]);
    fault.frozen.store(true, Ordering::SeqCst);
    let (mut pipeline, scenes, trigger) = watching(&gallery, None, Some(growth()));
    let events = pipeline.events().unwrap();
    let mut seen = play_until(&events, &trigger, &scenes, |event| matches!(event, Event::StageFailed { .. }));
    for _ in 0..100 {
        watch_until(&trigger, &scenes, |_| true);
    }
    watch_until(&trigger, &scenes, |scene| {
        scene.faces.iter().any(|face| face.resembles.as_ref().is_some_and(|who| who.same_person))
    });
    seen.extend(events.try_iter());
    let failures: Vec<&Event> = seen.iter().filter(|event| event.is_failure()).collect();
    assert!(matches!(failures[..], [Event::StageFailed { .. }]), "reported once: {failures:?}");
    // The visitor is added when the gallery can be changed.
    fault.frozen.store(false, Ordering::SeqCst);
    play_until(&events, &trigger, &scenes, |event| matches!(event, Event::PersonAdded { .. }));
}

#[test]
fn an_alarm_is_raised_even_if_it_cannot_be_recorded() {
    let (_folder, gallery, fault) = flaky(&[("Eve", [30.0, 5.0])]);
    gallery.watch(gallery.find_person("Eve").unwrap().id, true).unwrap();
    fault.frozen.store(true, Ordering::SeqCst);
    let (mut pipeline, scenes, trigger) = watching(&gallery, Some(alarm()), None);
    let events = pipeline.events().unwrap();
    let seen = play_until(&events, &trigger, &scenes, |event| matches!(event, Event::Alarm(_)));
    let Some(Event::Alarm(first)) = seen.last() else { panic!("{seen:?}") };
    assert_eq!(first.id, None);
    assert!(seen.iter().any(|event| matches!(event, Event::StageFailed { .. })), "the failure is reported: {seen:?}");
    assert!(gallery.alarms(None, 9).unwrap().is_empty());
}

#[test]
fn every_visit_is_stored_and_ends_with_the_pipeline() {
    let (_folder, gallery) = gallery(&[("Eve", [30.0, 4.0])]);
    let loader = FakeLoader::new().with("owl", &[Task::Similarity], says(30.0)).with_gallery(Arc::clone(&gallery));
    let params = PipelineParams {
        choice: Choice { detector: "two".into(), similarity: Some("owl".into()), ..Choice::default() },
        camera: Some("door".into()),
        sightings: Some(SightingParams::default()),
        ..PipelineParams::default()
    };
    let mut prepared = Prepared::new(params, Arc::new(loader)).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let (source, trigger) = camera();
    let mut pipeline = prepared.start(Box::new(source)).unwrap();
    let events = pipeline.events().unwrap();
    let sighting = |event: &Event| match event {
        Event::Sighting(sighting) => Some((sighting.kind, sighting.person.as_ref().map(|(_, name)| name.to_string()))),
        _ => None,
    };
    // One of the two faces is Eve. Events may come in any order of the faces.
    let mut appeared = 0;
    let seen = play_until(&events, &trigger, &scenes, |event| {
        appeared += usize::from(sighting(event).is_some_and(|(kind, _)| kind == SightingKind::Appeared));
        appeared == 2
    });
    // An event is sent when its sighting is stored.
    let stored = gallery.sightings(&SightingFilter::default(), 9).unwrap();
    assert_eq!(stored.len(), 2, "{stored:?}");
    assert!(stored.iter().all(|entry| entry.camera == "door" && entry.has_crop));
    pipeline.stop();
    let _ = pipeline.join();
    let seen: Vec<_> =
        seen.iter().filter_map(sighting).chain(events.try_iter().filter_map(|event| sighting(&event))).collect();
    let count = |kind| seen.iter().filter(|(other, _)| *other == kind).count();
    assert_eq!((count(SightingKind::Appeared), count(SightingKind::Left)), (2, 2), "{seen:?}");
    assert!(seen.contains(&(SightingKind::Identified, Some("Eve".into()))), "{seen:?}");
}

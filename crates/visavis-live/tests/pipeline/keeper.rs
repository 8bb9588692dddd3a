//! Alarms, and a gallery that grows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tempfile::TempDir;
use visavis_face::gallery::{EmbeddingId, FileGallery, Gallery, GalleryFile, NewPhoto, PersonId};
use visavis_face::visitors::VisitorParams;
use visavis_infer::Task;
use visavis_infer::manifest::Metric;
use visavis_live::{
    AlarmParams, Cause, Choice, Delivery, Event, GrowthParams, Pacing, Pipeline, PipelineParams, Prepared, Subscription,
};

use crate::fakes::{Shelf, camera, says};
use crate::flaky::Flaky;
use crate::{wait_for, watch_until};

/// The embeddings of the fakes: what the network says, and where the face is.
fn network() -> EmbeddingId {
    EmbeddingId {
        name: "owl".into(),
        fingerprint: "1a2b".into(),
        length: 2,
        metric: Metric::Euclidean,
        same_person: 3.0,
        likeness: None,
    }
}

fn photo(vector: [f32; 2]) -> NewPhoto {
    NewPhoto { source: "x.jpg".into(), sha256: None, vector: vector.to_vec(), thumbnail: None, score: None }
}

fn gallery(people: &[(&str, [f32; 2])]) -> (TempDir, Arc<FileGallery>) {
    gallery_of(&network(), people)
}

fn gallery_of(network: &EmbeddingId, people: &[(&str, [f32; 2])]) -> (TempDir, Arc<FileGallery>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.gallery");
    drop(GalleryFile::create(&path, network).unwrap());
    let gallery = FileGallery::open(&path, network).unwrap();
    for (name, vector) in people {
        gallery.add(name, &[photo(*vector)]).unwrap();
    }
    (folder, Arc::new(gallery))
}

fn alarm() -> AlarmParams {
    AlarmParams { confirm: 3, cool_down: Duration::from_secs(3600), false_alarms: None, ..AlarmParams::default() }
}

fn growth() -> GrowthParams {
    // The faces of the fakes are small and black.
    let visitors = VisitorParams { smallest: 0.0, sharpness: 0.0, ..VisitorParams::default() };
    GrowthParams { visitors, ..GrowthParams::default() }
}

/// Two faces, one at 4 and one at 40, before a gallery.
fn watching<G: Gallery + 'static>(
    gallery: &Arc<G>,
    alarm: Option<AlarmParams>,
    growth: Option<GrowthParams>,
) -> (Pipeline, Subscription, std::sync::mpsc::Sender<()>) {
    let shelf = Shelf::new().with("owl", &[Task::Similarity], says(30.0)).with_gallery(Arc::clone(gallery) as _);
    let choice = Choice { detector: "two".into(), similarity: Some("owl".into()), ..Choice::default() };
    started(Arc::new(shelf), choice, alarm, growth)
}

fn started(
    shelf: Arc<Shelf>,
    choice: Choice,
    alarm: Option<AlarmParams>,
    growth: Option<GrowthParams>,
) -> (Pipeline, Subscription, std::sync::mpsc::Sender<()>) {
    let params = PipelineParams { pacing: Pacing::Live, choice, alarm, growth, ..PipelineParams::default() };
    let mut prepared = Prepared::new(params, shelf).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let (source, trigger) = camera();
    (prepared.start(Box::new(source)).unwrap(), scenes, trigger)
}

/// Plays frames until an event fits; gives all that came, that one last.
fn play_until(
    events: &Receiver<Event>,
    trigger: &std::sync::mpsc::Sender<()>,
    scenes: &Subscription,
    fits: impl Fn(&Event) -> bool,
) -> Vec<Event> {
    let mut seen = Vec::new();
    loop {
        watch_until(trigger, scenes, |_| true);
        while let Ok(event) = events.try_recv() {
            let found = fits(&event);
            seen.push(event);
            if found {
                return seen;
            }
        }
    }
}

fn alarms(events: &[Event]) -> Vec<&Cause> {
    events.iter().filter_map(|event| if let Event::Alarm(alarm) = event { Some(&alarm.cause) } else { None }).collect()
}

#[test]
fn who_is_watched_rings_once_and_who_was_denied_no_more() {
    let (_folder, gallery) = gallery(&[("Eve", [30.0, 5.0]), ("Ada", [30.0, 41.0])]);
    gallery.watch("Eve", true).unwrap();
    let (mut pipeline, scenes, trigger) = watching(&gallery, Some(AlarmParams { crops: true, ..alarm() }), None);
    let events = pipeline.events().unwrap();
    let seen = play_until(&events, &trigger, &scenes, |event| matches!(event, Event::Alarm(_)));
    let Some(Event::Alarm(first)) = seen.last() else { panic!("{seen:?}") };
    assert!(matches!(&first.cause, Cause::Watched { name, .. } if name == "Eve"), "{first:?}");
    assert_eq!((first.number, first.rect.x), (1, 4.0));
    assert!(first.crop.as_ref().is_some_and(|crop| crop.starts_with(&[0xFF, 0xD8])));
    assert_eq!(serde_json::to_value(&**first).unwrap()["name"], "Eve");
    pipeline.not_this_person();
    let seen = play_until(&events, &trigger, &scenes, |event| matches!(event, Event::Denied { .. }));
    assert_eq!(alarms(&seen), Vec::<&Cause>::new(), "it rings once");
    // The face that rang is Ada's from then on, the only one left.
    watch_until(&trigger, &scenes, |scene| {
        scene.faces.iter().any(|face| {
            face.rect.x < 10.0
                && face.resembles.as_ref().is_some_and(|found| &*found.name == "Ada" && !found.same_person)
        })
    });
    assert_eq!(&*gallery.search(&[30.0, 4.0], 1).unwrap()[0].name, "Ada");
}

#[test]
fn what_another_program_changes_is_told_and_found() {
    let (folder, gallery) = gallery(&[("Ada", [30.0, 41.0])]);
    let (mut pipeline, scenes, trigger) = watching(&gallery, Some(alarm()), None);
    let events = pipeline.events().unwrap();
    watch_until(&trigger, &scenes, |scene| scene.faces.iter().any(|face| face.resembles.is_some()));
    let mut other = GalleryFile::open(folder.path().join("people.gallery"), Some(&network())).unwrap();
    other.add("Eve", &[photo([30.0, 5.0])]).unwrap();
    play_until(&events, &trigger, &scenes, |event| *event == Event::GalleryChanged);
    assert_eq!(&*gallery.search(&[30.0, 5.0], 1).unwrap()[0].name, "Eve");
}

#[test]
fn everyone_seen_is_added_once() {
    let (_folder, gallery) = gallery(&[("Ada", [30.0, 41.0])]);
    let (mut pipeline, scenes, trigger) = watching(&gallery, None, Some(growth()));
    let events = pipeline.events().unwrap();
    // One of the two is Ada; the other is somebody new, and found as such with the next look.
    let met = play_until(&events, &trigger, &scenes, |event| matches!(event, Event::Met { .. }));
    assert_eq!(met.last(), Some(&Event::Met { person: PersonId(2) }));
    let scene = watch_until(&trigger, &scenes, |scene| {
        scene.faces.len() == 2
            && scene.faces.iter().all(|face| face.resembles.as_ref().is_some_and(|who| who.same_person))
    });
    let names: Vec<&str> =
        scene.faces.iter().filter_map(|face| face.resembles.as_ref()).map(|who| &*who.name).collect();
    assert_eq!(names, ["Visitor 2", "Ada"]);
    // Both are noted sooner or later; who of them first depends on the workers.
    let noted = || {
        let people = gallery.people().unwrap();
        people.into_iter().map(|person| (person.name, person.seen, person.met)).collect::<Vec<_>>()
    };
    let expected = [("Ada".to_owned(), 1, false), ("Visitor 2".to_owned(), 1, true)];
    watch_until(&trigger, &scenes, |_| noted() == expected);
    assert!(gallery.portrait(PersonId(2)).unwrap().is_some());
}

#[test]
fn without_being_asked_nobody_is_added() {
    let (_folder, gallery) = gallery(&[]);
    let (mut pipeline, scenes, trigger) = watching(&gallery, Some(AlarmParams { unknown: true, ..alarm() }), None);
    let events = pipeline.events().unwrap();
    let seen = play_until(&events, &trigger, &scenes, |event| matches!(event, Event::Alarm(_)));
    assert_eq!(alarms(&seen), [&Cause::Unknown]);
    assert_eq!(gallery.people().unwrap(), []);
}

#[test]
fn alarms_and_growth_change_while_it_plays() {
    let (_folder, gallery) = gallery(&[]);
    let (mut pipeline, scenes, trigger) = watching(&gallery, Some(alarm()), None);
    let (events, steering) = (pipeline.events().unwrap(), pipeline.steering());
    for _ in 0..30 {
        watch_until(&trigger, &scenes, |_| true);
    }
    steering.keep(Some(AlarmParams { unknown: true, ..alarm() }), None);
    let seen = play_until(&events, &trigger, &scenes, |event| matches!(event, Event::Alarm(_)));
    assert_eq!(alarms(&seen), [&Cause::Unknown]);
    assert_eq!(gallery.people().unwrap(), []);
    steering.keep(None, Some(growth()));
    play_until(&events, &trigger, &scenes, |event| matches!(event, Event::Met { .. }));
    steering.keep(None, None);
    assert!(!gallery.people().unwrap().is_empty());
}

#[test]
fn a_gallery_of_another_network_is_taken_over_while_the_old_one_answers() {
    let (_folder, gallery) = gallery(&[("Ada", [30.0, 4.0])]);
    let choice = Choice { detector: "two".into(), similarity: Some("owl".into()), ..Choice::default() };
    let converting = Arc::new(AtomicBool::new(true));
    let shelf = Shelf::new()
        .with("owl", &[Task::Similarity], says(30.0))
        .with("hawk", &[Task::Similarity], says(30.0))
        .with_gallery(gallery as _)
        .made_by("owl", &converting);
    let params = PipelineParams { pacing: Pacing::Live, choice, ..PipelineParams::default() };
    let mut prepared = Prepared::new(params, Arc::new(shelf)).unwrap();
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
    let shelf = Shelf::new()
        .with("owl", &[Task::Similarity], says(30.0))
        .with("hawk", &[Task::Similarity], says(70.0))
        .with_gallery(of_owl as _)
        .with_gallery_of("hawk", Arc::clone(&of_hawk) as _);
    let choice = Choice { detector: "two".into(), similarity: Some("owl".into()), ..Choice::default() };
    // Too few looks of the first to add anybody, and enough to be part of a mean.
    let mut growth = growth();
    growth.visitors.looks = 40;
    let shelf = Arc::new(shelf);
    let (mut pipeline, scenes, trigger) = started(Arc::clone(&shelf), choice, None, Some(growth));
    let events = pipeline.events().unwrap();
    watch_until(&trigger, &scenes, |_| shelf.calls("owl") >= 10);
    pipeline.switch(Task::Similarity, Some("hawk".into()));
    wait_for(&events, |event| matches!(event, Event::Switched { .. }));
    play_until(&events, &trigger, &scenes, |event| matches!(event, Event::Met { .. }));
    let people = of_hawk.people().unwrap();
    assert!(!people.is_empty());
    for person in people {
        let photos = of_hawk.person_record(person.id).unwrap().unwrap().photos;
        assert!(photos.iter().all(|photo| photo.vector[0] == 70.0), "{photos:?}");
    }
}

#[test]
fn a_stop_ends_the_taking_over_of_a_gallery() {
    let (_folder, gallery) = gallery(&[]);
    let choice = Choice { detector: "two".into(), similarity: Some("owl".into()), ..Choice::default() };
    let shelf = Shelf::new()
        .with("owl", &[Task::Similarity], says(30.0))
        .with("hawk", &[Task::Similarity], says(30.0))
        .with_gallery(gallery as _)
        .made_by("owl", &Arc::new(AtomicBool::new(true)));
    let params = PipelineParams { pacing: Pacing::Live, choice, ..PipelineParams::default() };
    let mut prepared = Prepared::new(params, Arc::new(shelf)).unwrap();
    let scenes = prepared.subscribe(Delivery::Newest);
    let (source, trigger) = camera();
    let mut pipeline = prepared.start(Box::new(source)).unwrap();
    let events = pipeline.events().unwrap();
    pipeline.switch(Task::Similarity, Some("hawk".into()));
    play_until(&events, &trigger, &scenes, |event| matches!(event, Event::Converting { .. }));
    pipeline.stop();
    drop(trigger);
    assert_eq!(pipeline.join().source_failure, None);
    let failed = |event: &Event| matches!(event, Event::SwitchFailed { reason, .. } if reason.contains("stopped"));
    assert!(events.iter().any(|event| failed(&event)));
}

#[test]
fn a_gallery_that_goes_away_takes_nothing_else_with_it() {
    let (_folder, file) = gallery(&[("Eve", [30.0, 5.0]), ("Ada", [30.0, 41.0])]);
    let gallery = Arc::new(Flaky::new(Arc::into_inner(file).unwrap()));
    // One network tells ages too.
    let tasks = [Task::Age, Task::Similarity];
    let shelf = Arc::new(Shelf::new().with("owl", &tasks, says(30.0)).with_gallery(Arc::clone(&gallery) as _));
    let choice =
        Choice { detector: "two".into(), age: Some("owl".into()), similarity: Some("owl".into()), ..Choice::default() };
    gallery.down.store(true, Ordering::SeqCst);
    let alarm = AlarmParams { unknown: true, ..alarm() };
    let (mut pipeline, scenes, trigger) = started(Arc::clone(&shelf), choice, Some(alarm), Some(growth()));
    let events = pipeline.events().unwrap();
    let mut seen = play_until(&events, &trigger, &scenes, |event| matches!(event, Event::GalleryFailed { .. }));
    // Many more looks than would take a network out.
    let before = shelf.calls("owl");
    watch_until(&trigger, &scenes, |_| shelf.calls("owl") > before + 30);
    let scene = watch_until(&trigger, &scenes, |scene| scene.faces.iter().all(|face| face.age.is_some()));
    assert_eq!(scene.faces.len(), 2);
    assert!(scene.faces.iter().all(|face| face.resembles.is_none()), "nobody is recognised");
    gallery.down.store(false, Ordering::SeqCst);
    seen.extend(play_until(&events, &trigger, &scenes, |event| *event == Event::GalleryBack));
    watch_until(&trigger, &scenes, |scene| {
        scene.faces.len() == 2
            && scene.faces.iter().all(|face| face.resembles.as_ref().is_some_and(|who| who.same_person))
    });
    drop(trigger);
    let outcome = pipeline.join();
    seen.extend(events.try_iter());
    let failures: Vec<&Event> = seen.iter().filter(|event| event.is_failure()).collect();
    assert!(matches!(failures[..], [Event::GalleryFailed { .. }]), "told once: {failures:?}");
    assert_eq!(seen.iter().filter(|event| **event == Event::GalleryBack).count(), 1);
    assert_eq!(outcome.stage_failures, 1);
    // Whom nobody looked up is not taken for somebody new, nor rung for.
    assert_eq!(alarms(&seen), Vec::<&Cause>::new());
    assert_eq!(gallery.inner.people().unwrap().len(), 2);
}

#[test]
fn a_gallery_that_may_not_be_changed_is_told_once_and_searched_on() {
    let (_folder, file) = gallery(&[("Ada", [30.0, 41.0])]);
    let gallery = Arc::new(Flaky::new(Arc::into_inner(file).unwrap()));
    gallery.frozen.store(true, Ordering::SeqCst);
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
    assert!(matches!(failures[..], [Event::StageFailed { .. }]), "told once: {failures:?}");
    // The visitor who could not be added is, as soon as it may be.
    gallery.frozen.store(false, Ordering::SeqCst);
    play_until(&events, &trigger, &scenes, |event| matches!(event, Event::Met { .. }));
}

use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;
use visavis_infer::manifest::Metric;

use super::super::{AlarmId, Answer, NewAlarm};
use super::*;

fn network() -> EmbeddingId {
    EmbeddingId {
        name: "owl".into(),
        fingerprint: "1a2b".into(),
        length: 2,
        metric: Metric::Euclidean,
        same_person: 0.5,
        likeness: None,
    }
}

fn photo(x: f32, y: f32) -> NewPhoto {
    NewPhoto { source: "x.jpg".into(), sha256: None, vector: vec![x, y], thumbnail: None, score: None }
}

fn opened() -> (TempDir, PathBuf, FileGallery) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.gallery");
    let mut file = GalleryFile::create(&path, &network()).unwrap();
    file.add("Ada", &[photo(0.0, 0.0), photo(1.0, 0.0)]).unwrap();
    file.add("Grace", &[photo(5.0, 0.0)]).unwrap();
    drop(file);
    let gallery = FileGallery::open(&path, &network()).unwrap();
    (folder, path, gallery)
}

fn found(gallery: &FileGallery, x: f32, y: f32) -> Vec<(String, f32)> {
    let found = gallery.search(&[x, y], 9).unwrap();
    found.into_iter().map(|found| (found.name.to_string(), found.distance)).collect()
}

fn names(gallery: &FileGallery, x: f32, y: f32) -> Vec<String> {
    found(gallery, x, y).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn changes_are_found_at_once() {
    let (_folder, _, gallery) = opened();
    assert_eq!(found(&gallery, 1.0, 0.0), [("Ada".into(), 0.0), ("Grace".into(), 4.0)]);
    // Somebody new, and a nearer photo of somebody old.
    gallery.add("Eve", &[photo(2.0, 0.0)]).unwrap();
    gallery.add("Grace", &[photo(1.5, 0.0)]).unwrap();
    assert_eq!(found(&gallery, 1.0, 0.0), [("Ada".into(), 0.0), ("Grace".into(), 0.5), ("Eve".into(), 1.0)]);
    // Gone from the base, and gone from what came later.
    assert!(gallery.remove_person("Ada").unwrap().erased);
    gallery.remove_person("Eve").unwrap();
    assert_eq!(found(&gallery, 1.0, 0.0), [("Grace".into(), 0.5)]);
    assert_eq!(gallery.search(&[1.0, 0.0], 1).unwrap()[0].photo, PhotoId(5));
}

#[test]
fn what_another_program_changed_is_found_after_a_look() {
    let (_folder, path, gallery) = opened();
    let mut other = GalleryFile::open(&path, Some(&network())).unwrap();
    assert!(!gallery.refresh().unwrap());
    other.add("Eve", &[photo(9.0, 0.0)]).unwrap();
    other.watch("Grace", true).unwrap();
    other.rename("Ada", "Ada L.").unwrap();
    assert!(gallery.refresh().unwrap());
    assert_eq!(names(&gallery, 9.0, 0.0), ["Eve", "Grace", "Ada L."]);
    assert!(gallery.search(&[5.0, 0.0], 1).unwrap()[0].watched);
    other.remove_person("Grace").unwrap();
    assert!(gallery.refresh().unwrap());
    assert_eq!(names(&gallery, 9.0, 0.0), ["Eve", "Ada L."]);
}

#[test]
fn who_was_denied_is_passed_over_where_that_face_comes_again() {
    let (_folder, path, gallery) = opened();
    let ada = gallery.search(&[2.0, 0.0], 1).unwrap()[0].person;
    gallery.deny(ada, &[2.0, 0.0]).unwrap();
    assert_eq!(names(&gallery, 2.0, 0.0), ["Grace"]);
    assert_eq!(gallery.search(&[2.0, 0.0], 1).unwrap()[0].person, PersonId(2));
    // Nearer to the person than to the denied face.
    assert_eq!(names(&gallery, 1.4, 0.0), ["Ada", "Grace"]);
    // It lasts, and goes with the person.
    let again = FileGallery::open(&path, &network()).unwrap();
    assert_eq!(names(&again, 2.0, 0.0), ["Grace"]);
    assert!(gallery.deny(ada, &[f32::NAN, 0.0]).is_err());
    gallery.remove_person("Ada").unwrap();
    gallery.add("Ada", &[photo(2.0, 0.0)]).unwrap();
    assert_eq!(names(&gallery, 2.0, 0.0), ["Ada", "Grace"]);
}

#[test]
fn visitors_are_met_counted_joined_and_forgotten() {
    let (_folder, _, gallery) = opened();
    let first = gallery.meet(&photo(3.0, 3.0), 1_000).unwrap();
    let second = gallery.meet(&photo(3.0, 3.4), 2_000).unwrap();
    assert!(gallery.add_to(first, &photo(3.0, 2.8)).unwrap());
    assert!(!gallery.add_to(PersonId(99), &photo(3.0, 2.8)).unwrap());
    gallery.seen(first, 1_500, true).unwrap();
    gallery.seen(first, 1_400, false).unwrap();
    gallery.merge(second, first).unwrap();
    gallery.merge(first, first).unwrap();
    gallery.merge(PersonId(99), first).unwrap();
    let people = gallery.people().unwrap();
    let visitor = people.iter().find(|person| person.id == first).unwrap();
    assert_eq!((visitor.name.as_str(), visitor.photos, visitor.met), ("Visitor 3", 3, true));
    assert_eq!((visitor.seen, visitor.last_seen), (3, Some(2_000)));
    assert_eq!(people.len(), 3);
    let nearest = gallery.search(&[3.0, 3.4], 1).unwrap();
    assert_eq!((nearest[0].person, nearest[0].distance), (first, 0.0));
    // Not yet, then yes; who was added by hand is never forgotten.
    assert_eq!(gallery.forget_met_before(2_000).unwrap(), 0);
    assert_eq!(gallery.forget_met_before(2_001).unwrap(), 1);
    assert_eq!(gallery.forget_met_before(i64::MAX).unwrap(), 0);
    assert_eq!(names(&gallery, 3.0, 3.0), ["Ada", "Grace"]);
}

#[test]
fn a_visitor_with_a_name_stays() {
    let (_folder, path, gallery) = opened();
    gallery.meet(&photo(3.0, 3.0), 1).unwrap();
    let mut file = GalleryFile::open(&path, None).unwrap();
    assert!(matches!(file.rename("Visitor 3", "Grace"), Err(GalleryError::NameTaken { .. })));
    file.rename("Visitor 3", "Eve").unwrap();
    assert_eq!(gallery.forget_met_before(i64::MAX).unwrap(), 0);
    gallery.refresh().unwrap();
    assert_eq!(names(&gallery, 3.0, 3.0)[0], "Eve");
}

#[test]
fn many_new_photos_become_part_of_the_base() {
    let (_folder, _, gallery) = opened();
    let photos: Vec<NewPhoto> = (0..MOST_FRESH).map(|at| photo(at as f32, 7.0)).collect();
    gallery.add("Many", &photos).unwrap();
    assert_eq!(gallery.state().unwrap().fresh.len(), MOST_FRESH);
    gallery.add("One more", &[photo(-1.0, 7.0)]).unwrap();
    assert_eq!((gallery.state().unwrap().fresh.len(), gallery.state().unwrap().base.photos()), (0, MOST_FRESH + 4));
    assert_eq!(names(&gallery, -1.0, 7.0)[..2], ["One more", "Many"]);
}

proptest! {
    // Each case waits for the disk dozens of times.
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// However a gallery came about, it finds what a fresh look at the file finds.
    #[test]
    fn a_gallery_that_changed_is_as_one_just_opened(
        steps in prop::collection::vec((0..5u8, 0..6i64, 0..6i64, -4i8..4, -4i8..4), 1..25),
        query in (-4f32..4.0, -4f32..4.0),
    ) {
        let (_folder, path, gallery) = opened();
        for (what, a, b, x, y) in steps {
            let new = photo(f32::from(x), f32::from(y));
            match what {
                0 => { gallery.add(&format!("Person {a}"), &[new]).unwrap(); }
                1 => { let _ = gallery.remove_person(&format!("Person {a}")); }
                2 => gallery.merge(PersonId(a), PersonId(b)).unwrap(),
                3 => { gallery.meet(&new, a).unwrap(); }
                _ => { gallery.forget_met_before(b).unwrap(); }
            }
        }
        let fresh = FileGallery::open(&path, &network()).unwrap();
        prop_assert_eq!(gallery.search(&[query.0, query.1], 9).unwrap(), fresh.search(&[query.0, query.1], 9).unwrap());
    }
}

#[test]
fn who_was_removed_can_be_put_back_with_everything() {
    let (_folder, _, gallery) = opened();
    let ada = gallery.watch("Ada", true).unwrap();
    gallery.deny(ada, &[9.0, 9.0]).unwrap();
    let record = gallery.person_record(ada).unwrap().unwrap();
    gallery.remove_person("Ada").unwrap();
    assert_eq!(names(&gallery, 0.0, 0.0), ["Grace"]);
    assert_eq!(gallery.person_record(ada).unwrap(), None);
    let back = gallery.restore(&record).unwrap();
    assert_ne!(back, ada, "a number is never given again");
    assert_eq!(names(&gallery, 0.0, 0.0), ["Ada", "Grace"]);
    assert_eq!(gallery.person_record(back).unwrap().unwrap(), record);
    assert!(gallery.people().unwrap()[0].watched);
    assert!(matches!(gallery.restore(&record), Err(GalleryError::NameTaken { .. })));
    assert_eq!(gallery.photos(back).unwrap().len(), 2);
}

#[test]
fn who_was_joined_can_be_taken_apart() {
    let (_folder, path, gallery) = opened();
    let twin = NewPhoto { sha256: Some([7; 32]), ..photo(0.5, 0.5) };
    gallery.add("Ada", std::slice::from_ref(&twin)).unwrap();
    gallery.add("Grace", std::slice::from_ref(&twin)).unwrap();
    let id = |name: &str| gallery.find_person(name).unwrap().id;
    let (ada, grace) = (gallery.watch("Ada", true).unwrap(), id("Grace"));
    gallery.deny(ada, &[9.0, 9.0]).unwrap();
    gallery.seen(ada, 50, true).unwrap();
    gallery.seen(grace, 40, true).unwrap();
    let vector = [0.4, 0.0];
    let alarm = NewAlarm { time: 7, person: Some(ada), similarity: None, vector: &vector, crop: None };
    gallery.record_alarm(&alarm).unwrap();
    let before = [ada, grace].map(|person| gallery.person_record(person).unwrap().unwrap());
    let joint = gallery.join(ada, grace).unwrap().unwrap();
    let joined = gallery.person(grace).unwrap().unwrap();
    assert_eq!((joined.seen, joined.last_seen, joined.watched), (2, Some(50), true));
    // What comes in between belongs to who stayed.
    gallery.add("Grace", &[photo(5.0, 5.0)]).unwrap();
    let back = gallery.part(&joint).unwrap().unwrap();
    let [mut adas, graces] = [back, grace].map(|person| gallery.person_record(person).unwrap().unwrap());
    adas.photos.sort_by_key(|photo| before[0].photos.iter().position(|known| known == photo));
    let [adas_before, mut graces_before] = before;
    assert_eq!(adas, adas_before);
    graces_before.photos.push(photo(5.0, 5.0));
    assert_eq!(graces, graces_before);
    assert_eq!(gallery.alarms(None, 9).unwrap()[0].person, Some((back, "Ada".into())));
    let fresh = FileGallery::open(&path, &network()).unwrap();
    assert_eq!(gallery.search(&[0.0, 0.0], 9).unwrap(), fresh.search(&[0.0, 0.0], 9).unwrap());
    assert!(matches!(gallery.part(&joint), Err(GalleryError::NameTaken { .. })));
    assert_eq!(gallery.join(back, back).unwrap(), None);
    assert_eq!(gallery.join(back, PersonId(99)).unwrap(), None);
    gallery.remove_person("Ada").unwrap();
    gallery.remove_person("Grace").unwrap();
    assert_eq!(gallery.part(&joint).unwrap(), None, "nobody is there to take apart");
}

#[test]
fn single_photos_go_but_for_the_last() {
    let (_folder, path, gallery) = opened();
    let ada = gallery.find_person("Ada").unwrap().id;
    let photos = gallery.photos(ada).unwrap();
    let record = gallery.person_record(ada).unwrap().unwrap();
    let removed = gallery.remove_photo(photos[0]).unwrap().unwrap();
    assert_eq!((removed.person, removed.erased), (ada, true));
    assert_eq!(gallery.photos(ada).unwrap(), photos[1..]);
    let fresh = FileGallery::open(&path, &network()).unwrap();
    assert_eq!(gallery.search(&[0.0, 0.0], 9).unwrap(), fresh.search(&[0.0, 0.0], 9).unwrap());
    assert!(matches!(gallery.remove_photo(photos[1]), Err(GalleryError::OnlyPhoto { name, .. }) if name == "Ada"));
    assert_eq!(gallery.remove_photo(photos[0]).unwrap(), None);
    assert!(gallery.restore_photo(&removed).unwrap());
    let restored = gallery.person_record(ada).unwrap().unwrap().photos;
    assert!(restored.len() == 2 && record.photos.iter().all(|photo| restored.contains(photo)));
}

#[test]
fn alarms_are_kept_answered_and_gone_with_the_person() {
    let (_folder, path, gallery) = opened();
    let ada = gallery.people().unwrap()[0].id;
    let vector = [0.4, 0.0];
    let alarm = NewAlarm { time: 7, person: Some(ada), similarity: Some(0.75), vector: &vector, crop: Some(b"x") };
    let first = gallery.record_alarm(&alarm).unwrap().unwrap();
    let unknown =
        gallery.record_alarm(&NewAlarm { person: None, similarity: None, crop: None, ..alarm }).unwrap().unwrap();
    assert_eq!(gallery.record_alarm(&NewAlarm { person: Some(PersonId(99)), ..alarm }).unwrap(), None);
    let list = gallery.alarms(None, 9).unwrap();
    assert_eq!(list.iter().map(|alarm| alarm.id).collect::<Vec<_>>(), [unknown, first]);
    assert_eq!((list[1].person.clone(), list[1].similarity), (Some((ada, "Ada".into())), Some(0.75)));
    assert_eq!((list[1].answer, list[1].has_crop, list[0].person.is_none()), (Answer::Open, true, true));
    assert_eq!(gallery.alarms(Some(unknown), 9).unwrap().len(), 1);
    assert_eq!(gallery.alarm_crop(first).unwrap().as_deref(), Some(&b"x"[..]));
    assert!(gallery.answer_alarm(unknown, Answer::Acknowledged).unwrap());
    assert!(!gallery.answer_alarm(AlarmId(99), Answer::Acknowledged).unwrap());
    // It was somebody else: that face is not taken for Ada again, here and after a restart.
    assert_eq!(names(&gallery, 0.45, 0.0)[0], "Ada");
    assert!(gallery.answer_alarm(first, Answer::Denied).unwrap());
    assert_eq!(names(&gallery, 0.45, 0.0), ["Grace"]);
    drop(gallery);
    let gallery = FileGallery::open(&path, &network()).unwrap();
    let answers: Vec<Answer> = gallery.alarms(None, 9).unwrap().iter().map(|alarm| alarm.answer).collect();
    assert_eq!(answers, [Answer::Acknowledged, Answer::Denied]);
    assert_eq!(names(&gallery, 0.45, 0.0), ["Grace"]);
    gallery.remove_person("Ada").unwrap();
    assert_eq!(gallery.alarms(None, 9).unwrap().len(), 1);
}

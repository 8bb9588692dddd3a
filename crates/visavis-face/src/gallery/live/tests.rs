use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;
use visavis_infer::manifest::Metric;

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

/// What a search finds in a gallery that was opened before its file changed, and in one opened after.
fn finds_what_is_in_the_file(gallery: &FileGallery, path: &Path) {
    let fresh = FileGallery::open(path, &network()).unwrap();
    assert_eq!(gallery.search(&[0.0, 0.0], 9).unwrap(), fresh.search(&[0.0, 0.0], 9).unwrap());
}

#[test]
fn what_is_taken_back_is_in_the_file_and_found() {
    let (_folder, path, gallery) = opened();
    let [ada, grace] = ["Ada", "Grace"].map(|name| gallery.find_person(name).unwrap().id);
    let removed = gallery.remove_photo(gallery.photos(ada).unwrap()[0]).unwrap().unwrap();
    assert!(removed.erased);
    finds_what_is_in_the_file(&gallery, &path);
    gallery.restore_photo(&removed).unwrap();
    finds_what_is_in_the_file(&gallery, &path);
    let joint = gallery.join(ada, grace).unwrap().unwrap();
    finds_what_is_in_the_file(&gallery, &path);
    gallery.part(&joint).unwrap();
    finds_what_is_in_the_file(&gallery, &path);
}

#[test]
fn alarms_outlast_a_restart() {
    let (_folder, path, gallery) = opened();
    let ada = gallery.people().unwrap()[0].id;
    let vector = [0.4, 0.0];
    let alarm =
        NewAlarm { time: 7, source: "door", person: Some(ada), similarity: Some(0.75), vector: &vector, crop: None };
    let kept = gallery.record_alarm(&alarm).unwrap().unwrap();
    assert!(gallery.answer_alarm(kept, Answer::Denied).unwrap());
    drop(gallery);
    let gallery = FileGallery::open(&path, &network()).unwrap();
    assert_eq!(gallery.alarms(None, 9).unwrap()[0].answer, Answer::Denied);
    assert_eq!(names(&gallery, 0.45, 0.0), ["Grace"]);
}

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;
use visavis_infer::manifest::Metric;

use super::*;
use crate::{Answer, IdentityParams, NewAlarm, NewPhoto};

fn network() -> EmbeddingId {
    EmbeddingId {
        name: "owl".into(),
        fingerprint: "1a2b".into(),
        length: 2,
        metric: Metric::Euclidean,
        same_person: 0.5,
        likeness: None,
        identity: IdentityParams::default(),
    }
}

fn photo(x: f32, y: f32) -> NewPhoto {
    NewPhoto { source: "x.jpg".into(), sha256: None, vector: vec![x, y], thumbnail: None, score: None }
}

fn opened() -> (TempDir, PathBuf, Gallery) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.gallery");
    let file = Gallery::create(&path, &network()).unwrap();
    file.add("Ada", &[photo(0.0, 0.0), photo(1.0, 0.0)]).unwrap();
    file.add("Grace", &[photo(5.0, 0.0)]).unwrap();
    drop(file);
    let gallery = Gallery::open(&path, Some(&network())).unwrap();
    (folder, path, gallery)
}

fn found(gallery: &Gallery, x: f32, y: f32) -> Vec<(String, f32)> {
    let found = gallery.search(&[x, y], 9).unwrap();
    found.into_iter().map(|found| (found.name.to_string(), found.distance)).collect()
}

fn names(gallery: &Gallery, x: f32, y: f32) -> Vec<String> {
    found(gallery, x, y).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn changes_are_found_at_once() {
    let (_folder, _, gallery) = opened();
    assert_eq!(found(&gallery, 1.0, 0.0), [("Ada".into(), 0.0), ("Grace".into(), 4.0)]);
    // A new person, and a nearer photo of a known one.
    gallery.add("Eve", &[photo(2.0, 0.0)]).unwrap();
    gallery.add("Grace", &[photo(1.5, 0.0)]).unwrap();
    assert_eq!(found(&gallery, 1.0, 0.0), [("Ada".into(), 0.0), ("Grace".into(), 0.5), ("Eve".into(), 1.0)]);
    // Removed from the base, and from what was added later.
    assert!(gallery.remove_person(gallery.find_person("Ada").unwrap().id).unwrap().erased);
    gallery.remove_person(gallery.find_person("Eve").unwrap().id).unwrap();
    assert_eq!(found(&gallery, 1.0, 0.0), [("Grace".into(), 0.5)]);
    assert_eq!(gallery.search(&[1.0, 0.0], 1).unwrap()[0].photo, PhotoId(5));
}

#[test]
fn what_another_program_changed_is_found_after_a_refresh() {
    let (_folder, path, gallery) = opened();
    let other = Gallery::open(&path, Some(&network())).unwrap();
    assert!(!gallery.refresh().unwrap());
    other.add("Eve", &[photo(9.0, 0.0)]).unwrap();
    other.watch(other.find_person("Grace").unwrap().id, true).unwrap();
    other.rename(other.find_person("Ada").unwrap().id, "Ada L.").unwrap();
    assert!(gallery.refresh().unwrap());
    assert_eq!(names(&gallery, 9.0, 0.0), ["Eve", "Grace", "Ada L."]);
    assert!(gallery.search(&[5.0, 0.0], 1).unwrap()[0].watched);
    other.remove_person(other.find_person("Grace").unwrap().id).unwrap();
    assert!(gallery.refresh().unwrap());
    assert_eq!(names(&gallery, 9.0, 0.0), ["Eve", "Ada L."]);
}

#[test]
fn many_new_photos_become_part_of_the_base() {
    let (_folder, _, gallery) = opened();
    let photos: Vec<NewPhoto> = (0..MOST_FRESH).map(|at| photo(at as f32, 7.0)).collect();
    gallery.add("Many", &photos).unwrap();
    assert_eq!(gallery.state().fresh.len(), MOST_FRESH);
    gallery.add("One more", &[photo(-1.0, 7.0)]).unwrap();
    assert_eq!((gallery.state().fresh.len(), gallery.state().base.photos()), (0, MOST_FRESH + 4));
    assert_eq!(names(&gallery, -1.0, 7.0)[..2], ["One more", "Many"]);
}

proptest! {
    // Each case waits for the disk dozens of times, so there are few.
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// After any sequence of changes, a gallery finds what a newly opened one finds.
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
                1 => { let _ = gallery.find_person(&format!("Person {a}")).and_then(|person| gallery.remove_person(person.id)); }
                2 => drop(gallery.merge(PersonId(a), PersonId(b)).unwrap()),
                3 => { gallery.meet(&new, a).unwrap(); }
                _ => { gallery.forget_met_before(b).unwrap(); }
            }
        }
        let fresh = Gallery::open(&path, Some(&network())).unwrap();
        prop_assert_eq!(gallery.search(&[query.0, query.1], 9).unwrap(), fresh.search(&[query.0, query.1], 9).unwrap());
    }
}

/// Compares a gallery that was opened before its file changed with one that was opened after.
fn finds_what_is_in_the_file(gallery: &Gallery, path: &Path) {
    let fresh = Gallery::open(path, Some(&network())).unwrap();
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
    let merge = gallery.merge(ada, grace).unwrap().unwrap();
    finds_what_is_in_the_file(&gallery, &path);
    gallery.separate(&merge).unwrap();
    finds_what_is_in_the_file(&gallery, &path);
}

#[test]
fn alarms_outlast_a_restart() {
    let (_folder, path, gallery) = opened();
    let ada = gallery.people().unwrap()[0].id;
    let vector = [0.4, 0.0];
    let alarm =
        NewAlarm { time: 7, source: "door", person: Some(ada), identified: Some(0.75), vector: &vector, crop: None };
    let kept = gallery.record_alarm(&alarm).unwrap().unwrap();
    assert!(gallery.answer_alarm(kept, Answer::Denied).unwrap());
    drop(gallery);
    let gallery = Gallery::open(&path, Some(&network())).unwrap();
    assert_eq!(gallery.alarms(None, 9).unwrap()[0].answer, Answer::Denied);
    assert_eq!(names(&gallery, 0.45, 0.0), ["Grace"]);
}

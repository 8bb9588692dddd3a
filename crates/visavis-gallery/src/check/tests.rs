use visavis_infer::manifest::Metric;

use super::*;
use crate::{IdentityParams, NewPhoto};

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
    NewPhoto { source: format!("{x} {y}.jpg"), sha256: None, vector: vec![x, y], thumbnail: None, score: None }
}

/// The findings of a gallery of these people, as text: the photo's file or the person's name, and what was found.
fn findings(people: &[(&str, &[(f32, f32)])]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let gallery = Gallery::create(folder.path().join("faces.gallery"), &network()).unwrap();
    for (name, photos) in people {
        let photos: Vec<NewPhoto> = photos.iter().map(|(x, y)| photo(*x, *y)).collect();
        gallery.add(name, &photos).unwrap();
    }
    let name = |person| gallery.person(person).unwrap().unwrap().name;
    let file = |photo| gallery.source(photo).unwrap().unwrap();
    let mut steps = Vec::new();
    let found = gallery.check(&CheckParams::default(), |done, all| steps.push((done, all))).unwrap();
    let all: usize = people.iter().map(|(_, photos)| photos.len()).sum();
    assert_eq!(steps.last(), Some(&(all, all)));
    found
        .into_iter()
        .map(|finding| match finding {
            Finding::OtherPerson { photo, person, other, .. } => {
                format!("{} of {}: {}", file(photo), name(person), name(other))
            }
            Finding::Unlike { photo, person, .. } => format!("{} of {}: unlike", file(photo), name(person)),
            Finding::SamePerson { person, other, .. } => format!("{} is {}", name(person), name(other)),
            Finding::Redundant { photo, of, .. } => format!("{} repeats {}", file(photo), file(of)),
        })
        .collect()
}

#[test]
fn a_photo_of_another_person_is_found() {
    let ada = &[(0.0, 0.0), (0.1, 0.0), (0.0, 0.1), (5.1, 0.1)];
    let grace = &[(5.0, 0.0), (5.1, 0.0), (5.0, 0.1)];
    assert_eq!(findings(&[("Ada", ada), ("Grace", grace)]), ["5.1 0.1.jpg of Ada: Grace"]);
}

#[test]
fn a_photo_like_nobody_is_found() {
    let ada = &[(0.0, 0.0), (0.1, 0.0), (0.0, 0.1), (3.0, 3.0)];
    assert_eq!(findings(&[("Ada", ada), ("Grace", &[(9.0, 0.0)])]), ["3 3.jpg of Ada: unlike"]);
}

#[test]
fn two_names_of_one_person_are_found_once() {
    let ada = &[(0.0, 0.0), (0.1, 0.0), (0.0, 0.1)];
    assert_eq!(findings(&[("Ada", ada), ("A. Lovelace", &[(0.05, 0.05)])]), ["A. Lovelace is Ada"]);
    let again = &[(0.05, 0.05), (0.15, 0.05), (0.05, 0.15)];
    assert_eq!(findings(&[("Ada", ada), ("A. Lovelace", again)]), ["Ada is A. Lovelace"]);
}

#[test]
fn a_repeated_photo_is_found_and_a_good_gallery_has_no_findings() {
    assert_eq!(findings(&[("Ada", &[(0.0, 0.0), (0.01, 0.0)])]), ["0.01 0.jpg repeats 0 0.jpg"]);
    assert_eq!(findings(&[("Ada", &[(0.0, 0.0), (0.3, 0.0)]), ("Grace", &[(5.0, 0.0)])]), Vec::<String>::new());
    assert_eq!(findings(&[("Ada", &[(0.0, 0.0)])]), Vec::<String>::new());
}

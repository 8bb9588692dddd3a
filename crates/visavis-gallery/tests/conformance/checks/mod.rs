//! The behaviour of every gallery, whichever store it uses. The tests of both stores include this file by path.

mod changes;
mod search;
mod traces;
mod undo;

use visavis_gallery::{EmbeddingId, Gallery, IdentityParams, NewPhoto, NewSighting, PersonId};
use visavis_infer::manifest::Metric;

/// Creates a new empty gallery.
pub(crate) type Make<'a> = &'a dyn Fn(&EmbeddingId) -> Gallery;

/// A check and its description.
pub(crate) type Check = (&'static str, fn(Make<'_>));

pub(crate) const CHECKS: &[Check] = &[
    ("the nearest photo of each person counts", search::nearest_photos),
    ("no person is hidden behind one with many photos", search::many_photos),
    ("equally near people come by number", search::equally_near),
    ("cosine compares directions", search::cosine),
    ("the same photo is added once", changes::once),
    ("unusable photos change nothing", changes::unusable),
    ("unusual names are stored unchanged", changes::names),
    ("unknown people get suggestions", changes::unknown),
    ("people are listed by parts of their names", changes::listed),
    ("a person is shown by the best photo", changes::portraits),
    ("a renamed person is not deleted", changes::renamed),
    ("a match says whether the person is watched", changes::watched),
    ("a denied person is not found", changes::denied),
    ("visitors are added, counted, merged and deleted", changes::visitors),
    ("only visitors are changed automatically", changes::met),
    ("a merged person keeps all", undo::joined),
    ("a removed person is not found", undo::removed),
    ("a removed person can be restored completely", undo::restored),
    ("alarms and sightings are restored with their person", traces::restored_traces),
    ("merged people can be separated", undo::parted),
    ("single photos go but for the last", undo::single_photos),
    ("alarms are kept, answered and gone with the person", traces::alarms),
    ("an acknowledged alarm is not denied", traces::acknowledged),
    ("sightings are found by time, camera, person and face", traces::sightings),
    ("sightings are named, and belong to their person", traces::named_sightings),
    ("old sightings are deleted", traces::old_sightings),
    ("people are ignored, for other programs too", changes::ignored),
    ("everything about a person is exported", changes::exported),
    ("how near strangers come is measured", search::strangers),
    ("a gallery does not report its own changes as changes by others", search::news),
];

pub(crate) fn network() -> EmbeddingId {
    EmbeddingId {
        name: "owl".into(),
        fingerprint: "1a2b3c4d5e6f".into(),
        length: 2,
        metric: Metric::Euclidean,
        same_person: 0.5,
        likeness: None,
        identity: IdentityParams::default(),
    }
}

pub(crate) fn photo(x: f32, y: f32) -> NewPhoto {
    NewPhoto { source: "/home/eve/x.jpg".into(), sha256: None, vector: vec![x, y], thumbnail: None, score: None }
}

fn id(gallery: &Gallery, name: &str) -> PersonId {
    gallery.find_person(name).unwrap().id
}

fn found(gallery: &Gallery, x: f32, y: f32) -> Vec<(String, f32)> {
    let found = gallery.search(&[x, y], 9).unwrap();
    found.into_iter().map(|found| (found.name.to_string(), found.distance)).collect()
}

fn names_near(gallery: &Gallery, x: f32, y: f32) -> Vec<String> {
    found(gallery, x, y).into_iter().map(|(name, _)| name).collect()
}

fn people(gallery: &Gallery) -> Vec<(String, usize)> {
    gallery.people().unwrap().into_iter().map(|person| (person.name, person.photos)).collect()
}

/// Ada at (0, 0) and (1, 0), Grace at (5, 0).
fn two(make: Make<'_>) -> Gallery {
    let gallery = make(&network());
    gallery.add("Ada", &[photo(0.0, 0.0), photo(1.0, 0.0)]).unwrap();
    gallery.add("Grace", &[photo(5.0, 0.0)]).unwrap();
    gallery
}

const JPEG: &[u8] = &[0xFF, 0xD8, 0xFF, 0xE0];

fn sighting(camera: &'static str, at: i64, person: Option<PersonId>, vector: &'static [f32]) -> NewSighting<'static> {
    NewSighting {
        camera,
        first_seen: at,
        last_seen: at + 9,
        person,
        identified: person.map(|_| 0.9),
        age: Some(40.0),
        female: Some(0.5),
        smiling: None,
        quality: 1.5,
        vector,
        crop: Some(JPEG),
    }
}

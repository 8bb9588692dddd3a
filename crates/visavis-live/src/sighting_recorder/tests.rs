use tempfile::TempDir;
use visavis_face::TrackId;
use visavis_gallery::{IdentityParams, NewPhoto, PersonId, Resemblance, SightingFilter, SightingId};
use visavis_image::{Frame, Picture, Rect, Turn};
use visavis_infer::manifest::Metric;

use super::*;
use crate::scene::SceneFace;
use crate::sighting::SightingKind;

const AWAY: Duration = Duration::from_secs(30);

fn gallery() -> (TempDir, Gallery) {
    let folder = tempfile::tempdir().unwrap();
    let embedding = EmbeddingId {
        name: "owl".into(),
        fingerprint: "1a2b".into(),
        length: 2,
        metric: Metric::Euclidean,
        same_person: 0.5,
        likeness: None,
        identity: IdentityParams::default(),
    };
    let gallery = Gallery::create(folder.path().join("seen.gallery"), &embedding).unwrap();
    (folder, gallery)
}

fn face(track: TrackId, vector: [f32; 2]) -> SceneFace {
    SceneFace {
        track,
        rect: Rect::new(20.0, 20.0, 40.0, 40.0),
        landmarks: None,
        score: 0.9,
        turn: Turn::None,
        detected: true,
        age: Some(41.0),
        female: Some(0.1),
        smile: Some(0.8),
        smiling: Some(true),
        expression: None,
        pose: None,
        ages: None,
        resembles: None,
        ignored: false,
        candidates: Vec::new(),
        embedding: Some(vector.into()),
    }
}

fn identified(face: SceneFace, person: PersonId, name: &str) -> SceneFace {
    let resembles = Resemblance {
        name: name.into(),
        person,
        photo: visavis_gallery::PhotoId(1),
        likeness: 0.9,
        identified: Some(0.98),
        same_person: true,
    };
    SceneFace { resembles: Some(resembles), ..face }
}

/// A recorder with its gallery, and the clock of the pipeline in seconds.
struct Setup {
    recorder: Recorder,
    gallery: Gallery,
    /// The name of the source.
    camera: &'static str,
    _folder: TempDir,
}

impl Setup {
    fn new() -> Self {
        let (folder, gallery) = gallery();
        let params = SightingParams { away: AWAY, ..SightingParams::default() };
        Self { recorder: Recorder::new(params), gallery, camera: "door", _folder: folder }
    }

    /// Shows faces at a time in seconds. The changes as kind, number of the sighting, and name.
    fn at(&mut self, second: f64, faces: Vec<SceneFace>) -> Vec<(SightingKind, i64, Option<String>)> {
        self.step(second, Some(faces), false)
    }

    fn step(
        &mut self,
        second: f64,
        faces: Option<Vec<SceneFace>>,
        ended: bool,
    ) -> Vec<(SightingKind, i64, Option<String>)> {
        let (now, time) = (Duration::from_secs_f64(second), 1_000 + second as i64);
        if let Some(faces) = faces {
            let frame = Frame::new(0, now, Picture::new(100, 100));
            let scene = Scene { frame, faces, stalled_since: None };
            self.recorder.observe(&scene, self.camera, now, time, self.gallery.embedding());
        }
        let (stored, failure) = self.recorder.store(&self.gallery, now, ended);
        assert!(failure.is_none(), "{failure:?}");
        let name = |sighting: &Sighting| sighting.person.as_ref().map(|(_, name)| name.to_string());
        stored.iter().map(|sighting| (sighting.kind, sighting.id.0, name(sighting))).collect()
    }

    /// First and last second of all sightings, oldest first.
    fn stored(&self) -> Vec<(i64, i64)> {
        let mut all = self.gallery.sightings(&SightingFilter::default(), 100).unwrap();
        all.reverse();
        all.iter().map(|entry| (entry.first_seen - 1_000, entry.last_seen - 1_000)).collect()
    }
}

#[test]
fn a_visit_keeps_the_camera_that_saw_it_when_another_source_is_chosen() {
    let mut setup = Setup::new();
    setup.at(0.0, vec![face(1, [0.0, 0.0])]);
    setup.at(1.0, vec![face(1, [0.0, 0.0])]);
    setup.camera = "yard";
    setup.at(2.0, vec![face(2, [9.0, 0.0])]);
    setup.step(3.0, Some(vec![face(2, [9.0, 0.0])]), true);
    let all = setup.gallery.sightings(&SightingFilter::default(), 100).unwrap();
    let mut cameras: Vec<_> = all.iter().map(|entry| (entry.first_seen, entry.camera.as_str())).collect();
    cameras.sort_unstable();
    assert_eq!(cameras, [(1_000, "door"), (1_002, "yard")]);
}

#[test]
fn a_visit_is_stored_soon_after_it_begins_and_once_more_when_it_ends() {
    let mut setup = Setup::new();
    assert_eq!(setup.at(0.0, vec![face(1, [0.0, 0.0])]), []);
    assert_eq!(setup.at(0.6, vec![face(1, [0.0, 0.0])]), [(SightingKind::Appeared, 1, None)]);
    assert_eq!(setup.at(5.0, vec![face(1, [0.0, 0.0])]), []);
    assert_eq!(setup.step(20.0, None, false), []);
    assert_eq!(setup.step(35.1, None, false), [(SightingKind::Left, 1, None)]);
    assert_eq!(setup.stored(), [(0, 5)]);
    let stored = setup.gallery.sighting(SightingId(1)).unwrap().unwrap();
    assert_eq!((stored.camera.as_str(), stored.age, stored.smiling), ("door", Some(41.0), Some(1.0)));
    let crop = setup.gallery.sighting_crop(SightingId(1)).unwrap().unwrap();
    assert!(crop.starts_with(&[0xFF, 0xD8, 0xFF]));
}

#[test]
fn a_face_that_comes_back_continues_its_visit_and_another_face_does_not() {
    let mut setup = Setup::new();
    setup.at(0.0, vec![face(1, [0.0, 0.0])]);
    setup.at(1.0, vec![face(1, [0.0, 0.0])]);
    // The track was lost; the same face has another number.
    assert_eq!(setup.at(20.0, vec![face(2, [0.1, 0.0])]), []);
    // Another face, and one that resembles the first while the first is in view: two people.
    setup.at(21.0, vec![face(2, [0.1, 0.0]), face(3, [3.0, 0.0]), face(4, [0.1, 0.1])]);
    let appeared = setup.at(22.0, vec![face(2, [0.1, 0.0]), face(3, [3.0, 0.0]), face(4, [0.1, 0.1])]);
    assert_eq!(appeared, [(SightingKind::Appeared, 2, None), (SightingKind::Appeared, 3, None)]);
    // After the time of absence a new visit begins.
    setup.step(60.0, None, false);
    setup.at(60.5, vec![face(5, [0.0, 0.0])]);
    assert_eq!(setup.at(61.5, vec![face(5, [0.0, 0.0])]), [(SightingKind::Appeared, 4, None)]);
    assert_eq!(setup.step(62.0, None, true), [(SightingKind::Left, 4, None)]);
    assert_eq!(setup.stored(), [(0, 22), (21, 22), (21, 22), (60, 61)]);
}

#[test]
fn a_face_that_is_ignored_has_no_sighting() {
    let mut setup = Setup::new();
    for second in [0.0, 1.0] {
        let ignored = SceneFace { ignored: true, ..face(1, [0.0, 0.0]) };
        assert_eq!(setup.at(second, vec![ignored]), []);
    }
    assert_eq!(setup.step(40.0, None, true), []);
    assert_eq!(setup.stored(), []);
}

#[test]
fn an_identity_is_reported_once_and_two_people_are_not_one_visit() {
    let mut setup = Setup::new();
    let photo =
        |x| NewPhoto { source: "a.jpg".into(), sha256: None, vector: vec![x, 0.0], thumbnail: None, score: None };
    let ada = setup.gallery.add("Ada", &[photo(0.0)]).unwrap().person;
    let eve = setup.gallery.add("Eve", &[photo(0.2)]).unwrap().person;
    setup.at(0.0, vec![face(1, [0.0, 0.0])]);
    assert_eq!(setup.at(1.0, vec![face(1, [0.0, 0.0])]), [(SightingKind::Appeared, 1, None)]);
    let seen = setup.at(2.0, vec![identified(face(1, [0.0, 0.0]), ada, "Ada")]);
    assert_eq!(seen, [(SightingKind::Identified, 1, Some("Ada".into()))]);
    assert_eq!(setup.at(3.0, vec![identified(face(1, [0.0, 0.0]), ada, "Ada")]), []);
    // As near as Ada, but identified as Eve.
    setup.at(4.0, vec![identified(face(2, [0.1, 0.0]), eve, "Eve")]);
    let seen = setup.at(5.0, vec![identified(face(2, [0.1, 0.0]), eve, "Eve")]);
    let eve_seen = |kind| (kind, 2, Some("Eve".to_owned()));
    assert_eq!(seen, [eve_seen(SightingKind::Appeared), eve_seen(SightingKind::Identified)]);
    // Removing Ada deletes her sighting, and her visit in progress is not stored again.
    setup.gallery.remove_person(ada).unwrap();
    assert_eq!(setup.at(20.0, vec![identified(face(1, [0.0, 0.0]), ada, "Ada")]), []);
    assert_eq!(setup.stored(), [(4, 5)]);
    assert_eq!(setup.step(21.0, None, true), [eve_seen(SightingKind::Left)]);
}

//! The protocol with fake packs and networks.

use std::sync::Mutex;

use visavis_data::{Labels, pack::DetectedFace};
use visavis_face::{Age, CutFace, FaceView};
use visavis_image::Point;
use visavis_infer::{Placement, Task};

use super::*;

/// A face of `set`, in the validation part: box (20, 20, 80, 90), eyes 40 apart, detected 2 pixels to the right.
pub(crate) fn face(file: &str) -> PackedFace {
    let landmarks = Landmarks::from(
        [(40.0, 50.0), (80.0, 50.0), (60.0, 70.0), (45.0, 90.0), (75.0, 90.0)].map(|(x, y)| Point::new(x, y)),
    );
    PackedFace {
        set: "set".into(),
        file: file.into(),
        identity: None,
        split: Split::Validation,
        labels: Labels { age: Some(30.0), ..Labels::default() },
        scale: 1.0,
        rect: Rect::new(20.0, 20.0, 80.0, 90.0),
        landmarks: Some(landmarks),
        detected: Some(DetectedFace {
            rect: Rect::new(22.0, 20.0, 80.0, 90.0),
            score: 0.9,
            landmarks: Some(landmarks.map(|p| Point::new(p.x + 2.0, p.y))),
        }),
    }
}

/// Faces with pictures of 160 × 120 whose colour is the face's number.
struct Faces(Vec<PackedFace>);

impl FaceSource for Faces {
    fn faces(&self) -> &[PackedFace] {
        &self.0
    }

    fn picture(&self, index: usize) -> Result<Picture, DataError> {
        Ok(Picture::filled(160, 120, [index as u8; 3]))
    }
}

fn ten() -> Faces {
    Faces((0..10).map(|number| face(&format!("{number}.jpg"))).collect())
}

fn placement() -> Placement {
    Placement { engine: "fake".into(), device: "none".into(), threads: 1 }
}

/// Returns keypoints at fixed shares of the box, shifted by a number of pixels of its picture.
struct AtShares {
    by: f32,
}

impl Locate for AtShares {
    fn locate(&mut self, _: &Picture, rect: &Rect, _: Turn) -> Result<Landmarks, FaceError> {
        let truth = face("");
        let place = |p: Point| {
            let (x, y) = ((p.x - truth.rect.x) / truth.rect.width, (p.y - truth.rect.y) / truth.rect.height);
            Point::new(rect.x + x * rect.width + self.by, rect.y + y * rect.height)
        };
        Ok(truth.landmarks.unwrap().map(place))
    }

    fn placement(&self) -> Placement {
        placement()
    }
}

/// Returns as age the x of the left eye by which it aligns, and records its input.
struct LeftEye<'a> {
    aligned: bool,
    seen: &'a Mutex<Vec<(u8, FaceView)>>,
}

impl Recognise for LeftEye<'_> {
    fn tasks(&self) -> &[Task] {
        &[Task::Age]
    }

    fn needs_landmarks(&self) -> bool {
        self.aligned
    }

    fn recognise_cut(
        &mut self,
        picture: &Picture,
        faces: &[FaceView],
        _: &mut CutFace<'_>,
    ) -> Result<Vec<Findings>, FaceError> {
        let tell = |face: &FaceView| {
            self.seen.lock().unwrap().push((picture.pixel(0, 0)[0], *face));
            let years = face.landmarks.map_or(0.0, |landmarks| landmarks.left_eye.x);
            Findings { age: Some(Age { years, distribution: None }), ..Findings::default() }
        };
        Ok(faces.iter().map(tell).collect())
    }

    fn placement(&self) -> Placement {
        placement()
    }
}

/// Detects two faces: one at the label, one beside it.
struct TwoFaces;

impl Detect for TwoFaces {
    fn detect(&mut self, picture: &Picture) -> Result<Vec<visavis_face::Face>, FaceError> {
        let truth = face("");
        // It does not detect face 3.
        if picture.pixel(0, 0)[0] == 3 {
            return Ok(Vec::new());
        }
        let beside = Rect { x: truth.rect.x + 50.0, ..truth.rect };
        let elsewhere = truth.landmarks.map(|landmarks| landmarks.map(|p| Point::new(p.x + 50.0, p.y)));
        Ok(vec![
            visavis_face::Face { rect: beside, score: 0.9, landmarks: elsewhere, turn: Turn::None },
            visavis_face::Face { rect: truth.rect, score: 0.8, landmarks: truth.landmarks, turn: Turn::None },
        ])
    }

    fn placement(&self) -> Placement {
        placement()
    }
}

fn quiet(_: Progress) {}

fn every_view(workers: usize) -> ProtocolParams {
    ProtocolParams { views: View::ALL.to_vec(), workers, ..ProtocolParams::default() }
}

fn two_locators() -> Result<Vec<KeypointFinder>, Box<dyn std::error::Error + Send + Sync>> {
    Ok([0.0, 4.0].map(|by| KeypointFinder::Network(Box::new(AtShares { by }))).into())
}

#[test]
fn keypoints_come_back_in_the_face_s_own_pixels_under_every_view() {
    let faces = ten();
    let answers = keypoints(&faces, &every_view(1), &two_locators, &quiet).unwrap();
    assert_eq!(answers.iter().map(|view| view.view).collect::<Vec<_>>(), View::ALL);
    let truth = face("").landmarks.unwrap();
    let off = |view: usize, network: usize| {
        let (_, found) = answers[view].of(network).next().unwrap();
        found.unwrap().left_eye.x - truth.left_eye.x
    };
    assert!((off(0, 0)).abs() < 1e-4 && (off(0, 1) - 4.0).abs() < 1e-4, "labelled");
    assert!((off(1, 0) - 2.0).abs() < 1e-4, "the detector's box");
    assert!(off(2, 0).abs() < 16.0 && off(2, 0) != 0.0, "jitter");
    // The picture is shrunk by 64 / 80: 4 of its pixels are 5 of the face's own.
    assert!((off(3, 0)).abs() < 1e-3 && (off(3, 1) - 5.0).abs() < 1e-3, "small");
}

#[test]
fn the_number_of_workers_changes_nothing() {
    let faces = ten();
    let once = keypoints(&faces, &every_view(1), &two_locators, &quiet).unwrap();
    assert_eq!(keypoints(&faces, &every_view(4), &two_locators, &quiet).unwrap(), once);
    let done = Mutex::new(Vec::new());
    keypoints(&faces, &every_view(4), &two_locators, &|step| done.lock().unwrap().push(step)).unwrap();
    let done = done.into_inner().unwrap();
    assert_eq!((done[0], done.len()), (Progress::Faces(10), 11));
}

#[test]
fn split_labels_and_limit_choose_the_faces() {
    let mut faces = ten();
    faces.0[1].split = Split::Train;
    faces.0[2].landmarks = None;
    let chosen = |params: &ProtocolParams| -> Vec<usize> {
        let answers = keypoints(&faces, params, &two_locators, &quiet).unwrap();
        answers[0].faces.iter().map(|face| face.face).collect()
    };
    assert_eq!(chosen(&ProtocolParams::default()), [0, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(chosen(&ProtocolParams { limit: Some(4), ..ProtocolParams::default() }), [0, 4, 6, 8]);
    assert_eq!(chosen(&ProtocolParams { split: None, limit: Some(99), ..ProtocolParams::default() }).len(), 9);
}

#[test]
fn a_detector_serves_as_keypoint_network_and_may_miss() {
    let faces = ten();
    let detector = || Ok(vec![KeypointFinder::Detector(Box::new(TwoFaces))]);
    let answers = keypoints(&faces, &ProtocolParams::default(), &detector, &quiet).unwrap();
    for (face, found) in answers[0].of(0) {
        assert_eq!(*found, faces.0[face].landmarks.filter(|_| face != 3), "the nearer of the two, face {face}");
    }
}

#[test]
fn faces_are_aligned_by_what_live_would_have() {
    let mut faces = ten();
    faces.0[5].detected = None;
    // Per view: the age, which is the x of the left eye that was used.
    let predicted = |locator: bool, views: &[View]| {
        let seen: &'static Mutex<_> = Box::leak(Box::default());
        let params = ProtocolParams { views: views.to_vec(), ..ProtocolParams::default() };
        let make = || {
            let keypoints = locator.then(|| KeypointFinder::Network(Box::new(AtShares { by: 4.0 })));
            Ok(AttributeNetworks { keypoints, tested: vec![Box::new(LeftEye { aligned: true, seen })] })
        };
        let answers = attributes(&faces, &params, &make, &quiet)?;
        Ok::<Vec<(f32, usize, usize)>, ProtocolError>(
            answers
                .iter()
                .map(|view| {
                    let (_, first) = view.of(0).next().unwrap();
                    (first.age.as_ref().unwrap().years, view.faces.len(), view.left_out)
                })
                .collect(),
        )
    };
    let all = predicted(true, &View::ALL).unwrap();
    assert_eq!(all[0], (40.0, 10, 0), "labelled keypoints");
    assert_eq!(all[1], (46.0, 9, 1), "located in the detector's box: 40 + 2 + 4");
    assert!(all[2].0 != 40.0 && all[2].1 == 10, "located in the random box");
    assert!((all[3].0 - 36.0).abs() < 1e-3, "located in the small picture: 40 · 0.8 + 4");
    let without = predicted(false, &[View::Labelled, View::Detected, View::Small]).unwrap();
    assert_eq!((without[0].0, without[1].0), (40.0, 42.0), "the detector's own keypoints");
    assert!((without[2].0 - 32.0).abs() < 1e-3, "the labelled ones, shrunk");
    assert!(matches!(predicted(false, &[View::Jitter]), Err(ProtocolError::NoLocator { view: View::Jitter })));
}

#[test]
fn every_network_sees_the_same_views_and_plain_crops_need_no_locator() {
    let faces = ten();
    let seen: &'static [Mutex<Vec<(u8, FaceView)>>; 2] = Box::leak(Box::default());
    let make = || {
        let tested = seen.iter().map(|seen| Box::new(LeftEye { aligned: false, seen }) as Box<dyn Recognise>).collect();
        Ok(AttributeNetworks { keypoints: None, tested })
    };
    let params = every_view(1);
    attributes(&faces, &params, &make, &quiet).unwrap();
    let [first, second] = seen.each_ref().map(|seen| seen.lock().unwrap().clone());
    assert_eq!((first.len(), &first), (10 * View::ALL.len(), &second));
}

#[test]
fn a_run_without_faces_fails_and_says_what_they_lack() {
    let faces = ten();
    let make = || Ok(AttributeNetworks { keypoints: None, tested: Vec::new() });
    let params = |split| ProtocolParams { split, ..ProtocolParams::default() };
    let validation = params(Some(Split::Validation));
    let error = embeddings(&faces, &validation, &make, &quiet).unwrap_err();
    assert_eq!(error.to_string(), "none of its 10 faces of the validation part has an identity");
    let error = embeddings(&faces, &params(None), &make, &quiet).unwrap_err();
    assert_eq!(error.to_string(), "none of its 10 faces has an identity");
    let error = keypoints(&faces, &params(Some(Split::Train)), &two_locators, &quiet).unwrap_err();
    assert_eq!(error.to_string(), "none of its 0 faces of the training part has labelled keypoints");
    // The people of a gallery need no identity.
    assert_eq!(gallery_embeddings(&faces, &validation, &make, &quiet).unwrap()[0].faces.len(), 10);
}

#[test]
fn failures_are_reported_and_nothing_hangs() {
    let faces = ten();
    let broken = || Err("no such network".into());
    let error = keypoints(&faces, &every_view(3), &broken, &quiet).unwrap_err();
    assert_eq!(error.to_string(), "no such network");
    for params in [
        ProtocolParams { views: Vec::new(), ..ProtocolParams::default() },
        ProtocolParams { jitter: 1.0, ..ProtocolParams::default() },
        ProtocolParams { small: f32::NAN, ..ProtocolParams::default() },
        ProtocolParams { workers: 0, ..ProtocolParams::default() },
        ProtocolParams { limit: Some(0), ..ProtocolParams::default() },
    ] {
        assert!(matches!(keypoints(&faces, &params, &two_locators, &quiet), Err(ProtocolError::Params { .. })));
    }
    assert!("large".parse::<View>().unwrap_err().contains("labelled, detected, jitter, small"));
}

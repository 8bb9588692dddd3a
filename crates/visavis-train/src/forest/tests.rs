//! Forests trained on drawn faces, in seconds.

use fastrand::Rng;
use visavis_face::forest::{BoxFrame, Forest, GreyImage, GreyPicture, Mirrored};
use visavis_image::{Landmarks, Picture, Point, Rect, Similarity, Turn};

use super::*;

/// A drawn face: light skin, dark eyes, a nose with a shadow, a dark mouth; rotation, place and light are random. Its box has
/// errors like a detector's.
fn drawn_face(rng: &mut Rng) -> LabelledFace {
    let mut spread = |reach: f32| reach * (2.0 * rng.f32() - 1.0);
    let angle = spread(0.25);
    let scale = 1.0 + spread(0.15);
    let middle = Point::new(48.0 + spread(6.0), 48.0 + spread(6.0));
    let to_picture = Similarity { a: scale * angle.cos(), b: scale * angle.sin(), tx: middle.x, ty: middle.y };
    // The proportions of faces vary too.
    let (eyes, nose, mouth) = (12.0 + spread(1.5), 5.0 + spread(2.0), 16.0 + spread(2.5));
    let smile = 8.0 + spread(2.5);
    let face = [(-eyes, -8.0), (eyes, -8.0), (spread(3.0), nose), (-smile, mouth), (smile, mouth)];
    let points = face.map(|(x, y)| Point::new(x, y));
    let light = 150.0 + spread(40.0);
    let back = to_picture.inverse();
    let mut picture = Picture::new(96, 96);
    for y in 0..96 {
        for x in 0..96 {
            let at = back.apply(Point::new(x as f32 + 0.5, y as f32 + 0.5));
            let near = |point: Point, reach: f32| (-(at.distance(point) / reach).powi(2)).exp();
            let inside = (at.x / 26.0).powi(2) + (at.y / 34.0).powi(2) < 1.0;
            let mut grey = if inside { light } else { 60.0 };
            grey -= 90.0 * (near(points[0], 4.0) + near(points[1], 4.0));
            grey -= 45.0 * near(Point::new(points[2].x, points[2].y + 2.0), 4.0);
            if (points[3].x..=points[4].x).contains(&at.x) {
                grey -= 80.0 * (-((at.y - points[3].y) / 2.5).powi(2)).exp();
            }
            let noise = 12.0 * (2.0 * rng.f32() - 1.0);
            picture.set_pixel(x, y, [(grey + noise).clamp(0.0, 255.0) as u8; 3]);
        }
    }
    let landmarks: Landmarks = points.map(|point| to_picture.apply(point)).into();
    let mut spread = |reach: f32| reach * (2.0 * rng.f32() - 1.0);
    let rect = Rect::around(middle, 54.0 * scale, 66.0 * scale);
    let centre = Point::new(middle.x + spread(3.0), middle.y + spread(3.0));
    let detected = Rect::around(centre, rect.width * (1.0 + spread(0.05)), rect.height * (1.0 + spread(0.05)));
    LabelledFace { grey: GreyPicture::from(&picture), landmarks, rect, detected: Some(detected) }
}

fn drawn_faces(count: usize, seed: u64) -> Vec<LabelledFace> {
    let mut rng = Rng::with_seed(seed);
    (0..count).map(|_| drawn_face(&mut rng)).collect()
}

fn small() -> TrainForestParams {
    TrainForestParams {
        levels: 4,
        trees: 25,
        depth: 3,
        pixels: 120,
        candidates: 12,
        shrinkage: 0.25,
        starts: 6,
        foreign_starts: 0.25,
        ..TrainForestParams::default()
    }
}

/// Mean distance divided by the eye distance.
fn error(faces: &[LabelledFace], mut locate: impl FnMut(&LabelledFace) -> Landmarks) -> f32 {
    let of = |face: &LabelledFace, found: Landmarks| {
        let apart = found.to_array().into_iter().zip(face.landmarks.to_array()).map(|(a, b)| a.distance(b));
        apart.sum::<f32>() / 5.0 / face.landmarks.interocular()
    };
    faces.iter().map(|face| of(face, locate(face))).sum::<f32>() / faces.len() as f32
}

/// Every pixel becomes `times` by `times`.
fn enlarged(face: &LabelledFace, times: u32) -> LabelledFace {
    let mut picture = Picture::new(face.grey.width() * times, face.grey.height() * times);
    for y in 0..picture.height() {
        for x in 0..picture.width() {
            picture.set_pixel(x, y, [face.grey.grey(x / times, y / times); 3]);
        }
    }
    let factor = times as f32;
    LabelledFace {
        grey: GreyPicture::from(&picture),
        landmarks: face.landmarks.map(|p| Point::new(p.x * factor, p.y * factor)),
        rect: face.rect.scaled(factor, factor),
        detected: face.detected.map(|rect| rect.scaled(factor, factor)),
    }
}

fn located(forest: &Forest, face: &LabelledFace) -> Landmarks {
    forest.locate(&face.grey, &face.search_box(), &mut Vec::new())
}

#[test]
fn a_small_forest_learns_drawn_faces() {
    let (faces, unseen) = (drawn_faces(150, 1), drawn_faces(60, 2));
    let mut last = None;
    let forest = train(&faces, &unseen, &small(), |progress| last = Some(*progress)).unwrap();
    let last = last.unwrap();
    assert_eq!((last.done, last.total, last.level, last.tree), (100, 100, 4, 25));
    let mean_face = error(&unseen, |face| BoxFrame::of(&face.search_box()).landmarks(forest.mean()));
    let found = error(&unseen, |face| located(&forest, face));
    assert!(found < 0.4 * mean_face && found < 0.08, "{found}, where the mean face has {mean_face}");
    // The error reported in training is that of the finished forest.
    assert!((last.validation.unwrap().interocular - found).abs() < 1e-4, "{last:?}, {found}");
    // The error on mirror images is the same.
    let mirrored = error(&unseen, |face| {
        let width = face.grey.width() as f32;
        let rect = face.search_box();
        let there = Rect { x: width - rect.right(), ..rect };
        let mirror = Mirrored(&face.grey);
        let found = forest.locate(&mirror, &there, &mut Vec::new()).map(|p| Point::new(width - p.x, p.y));
        let [left_eye, right_eye, nose, left_mouth, right_mouth] = found.to_array();
        Landmarks::from([right_eye, left_eye, nose, right_mouth, left_mouth])
    });
    assert!((mirrored - found).abs() < 0.25 * found, "{mirrored} in a mirror, {found} without");
    // So is that on faces three times as large.
    let large: Vec<LabelledFace> = unseen.iter().map(|face| enlarged(face, 3)).collect();
    let enlarged = error(&large, |face| located(&forest, face));
    assert!((enlarged - found).abs() < 0.1 * found, "{enlarged} enlarged, {found} as it is");
    // Writing and reading preserves the forest.
    assert_eq!(Forest::read(&forest.write()).unwrap(), forest);
}

#[test]
fn a_seed_is_a_forest_however_many_threads() {
    let faces = drawn_faces(30, 3);
    let params = TrainForestParams { levels: 2, trees: 4, ..small() };
    let grown = |params: &TrainForestParams| train(&faces, &[], params, |_| {}).unwrap();
    let first = grown(&params);
    assert_eq!(grown(&params), first);
    assert_eq!(grown(&TrainForestParams { threads: 3, ..params }), first);
    assert_ne!(grown(&TrainForestParams { seed: 2, ..params }), first);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let faces = drawn_faces(10, 4);
    let grown = |faces: &[LabelledFace], params: TrainForestParams| train(faces, &[], &params, |_| {}).map(|_| ());
    let few = grown(&faces[..3], small()).unwrap_err();
    assert!(matches!(few, TrainForestError::TooFewFaces { faces: 3, .. }), "{few}");
    for (params, field) in [
        (TrainForestParams { levels: 0, ..small() }, "levels"),
        (TrainForestParams { depth: 9, ..small() }, "depth"),
        (TrainForestParams { shrinkage: f32::NAN, ..small() }, "shrinkage"),
        (TrainForestParams { jitter: 0.9, ..small() }, "jitter"),
    ] {
        let error = grown(&faces, params).unwrap_err().to_string();
        assert!(error.starts_with(field), "{error}");
    }
}

#[test]
fn a_model_is_three_files_that_the_registry_takes() {
    let folder = tempfile::tempdir().unwrap();
    let forest =
        train(&drawn_faces(10, 5), &[], &TrainForestParams { levels: 1, trees: 2, ..small() }, |_| {}).unwrap();
    let card = ForestCard {
        name: "drawn".into(),
        command: "visavis-lab train forest --data drawn".into(),
        data: "drawings".into(),
        params: small(),
        figures: vec![visavis_infer::manifest::Figure {
            what: "error".into(),
            value: "small".into(),
            by: "this test".into(),
        }],
    };
    write_model(folder.path(), &forest, &card).unwrap();
    let registry = visavis_infer::Registry::join(&[], None, &[folder.path().to_owned()]).unwrap();
    assert!(registry.problems().is_empty(), "{:?}", registry.problems());
    let entry = registry.get("drawn").unwrap();
    let runtime = visavis_infer::Runtime::from_search(&visavis_infer::runtime::Search::default());
    let mut locator = visavis_face::load_locator(entry, &runtime, &visavis_infer::EngineOptions::default()).unwrap();
    assert_eq!(locator.placement().engine, "regression forest");
    locator.locate(&Picture::new(50, 50), &Rect::new(5.0, 5.0, 30.0, 30.0), Turn::None).unwrap();
    let text = std::fs::read_to_string(folder.path().join("drawn.md")).unwrap();
    for part in ["# drawn", "--data drawn", "drawings", "| error | small | this test |", "## Limits"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    let bad = ForestCard { name: "Not a name".into(), ..card };
    assert!(write_model(folder.path(), &forest, &bad).unwrap_err().to_string().contains("Not a name"));
}

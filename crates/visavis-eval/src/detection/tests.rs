//! Small cases computed by hand. `tests/pycocotools.rs` compares with pycocotools on random boxes.

use super::*;
use visavis_data::boxes::LabelledImage;

fn face(x: f32, y: f32, width: f32, height: f32) -> LabelledFace {
    LabelledFace { rect: Rect::new(x, y, width, height), label: Label::Face, wider: None, landmarks: None }
}

fn labelled(label: Label, face: LabelledFace) -> LabelledFace {
    LabelledFace { label, ..face }
}

fn boxes(images: impl IntoIterator<Item = Vec<LabelledFace>>) -> FaceBoxes {
    let images = images.into_iter().zip(1..).map(|(faces, id)| LabelledImage {
        id,
        file_name: format!("{id}.jpg"),
        width: 640,
        height: 480,
        source: None,
        negative: faces.is_empty(),
        faces,
    });
    FaceBoxes { images: images.collect() }
}

fn found(image_id: u64, score: f32, [x, y, width, height]: [f32; 4]) -> Detection {
    Detection { image_id, rect: Rect::new(x, y, width, height), score }
}

fn all(boxes: &FaceBoxes, detections: &[Detection]) -> DetectionReport {
    evaluate(boxes, detections, &DetectionParams::default()).unwrap().all
}

fn assert_close(figure: Option<f64>, expected: f64) {
    let figure = figure.unwrap();
    assert!((figure - expected).abs() < 1e-12, "{figure} is not {expected}");
}

const A: [f32; 4] = [0.0, 0.0, 10.0, 10.0];
const B: [f32; 4] = [100.0, 0.0, 10.0, 10.0];
const NOWHERE: [f32; 4] = [300.0, 300.0, 10.0, 10.0];

fn two_faces() -> FaceBoxes {
    boxes([vec![face(0.0, 0.0, 10.0, 10.0), face(100.0, 0.0, 10.0, 10.0)]])
}

#[test]
fn average_precision_by_hand() {
    // Recalls 0 to 0.5 are the first 51 of the 101 samples, recalls 0.51 to 1 the other 50.
    let cases: &[(&str, Vec<Detection>, f64)] = &[
        ("both found", vec![found(1, 0.9, A), found(1, 0.8, B)], 1.0),
        ("one found", vec![found(1, 0.9, A)], 51.0 / 101.0),
        ("nothing found", vec![], 0.0),
        ("false alarm first", vec![found(1, 0.9, NOWHERE), found(1, 0.8, A), found(1, 0.7, B)], 2.0 / 3.0),
        (
            "false alarm between",
            vec![found(1, 0.9, A), found(1, 0.8, NOWHERE), found(1, 0.7, B)],
            (51.0 + 50.0 * 2.0 / 3.0) / 101.0,
        ),
        ("false alarm last", vec![found(1, 0.9, A), found(1, 0.8, B), found(1, 0.7, NOWHERE)], 1.0),
        ("the order given does not matter", vec![found(1, 0.7, NOWHERE), found(1, 0.8, B), found(1, 0.9, A)], 1.0),
        (
            "a second detection of a face is a false alarm",
            vec![found(1, 0.9, A), found(1, 0.8, A), found(1, 0.7, B)],
            (51.0 + 50.0 * 2.0 / 3.0) / 101.0,
        ),
    ];
    for (name, detections, expected) in cases {
        let report = all(&two_faces(), detections);
        assert!((report.ap50.unwrap() - expected).abs() < 1e-12, "{name}: {:?} is not {expected}", report.ap50);
        // Exact boxes match at every threshold.
        assert_close(report.ap50_95, *expected);
        assert_eq!((report.faces, report.images), (2, 1));
    }
}

#[test]
fn overlap_decides_the_threshold() {
    // 10 x 8 inside 10 x 10: IoU 0.8 passes 0.5, 0.55, …, 0.8, which are 7 of the 10 thresholds.
    let set = boxes([vec![face(0.0, 0.0, 10.0, 10.0)]]);
    let report = all(&set, &[found(1, 0.9, [0.0, 0.0, 10.0, 8.0])]);
    assert_close(report.ap50, 1.0);
    assert_close(report.ap75, 1.0);
    assert_close(report.ap50_95, 0.7);

    // Exactly one half still matches.
    assert_close(all(&set, &[found(1, 0.9, [0.0, 0.0, 10.0, 5.0])]).ap50, 1.0);
    assert_close(all(&set, &[found(1, 0.9, [0.0, 0.0, 10.0, 4.9])]).ap50, 0.0);
}

#[test]
fn ignored_boxes_cost_nothing() {
    let ignored = labelled(Label::Ignore, face(100.0, 0.0, 10.0, 10.0));
    let set = boxes([vec![ignored, face(0.0, 0.0, 10.0, 10.0)]]);
    // Not found: it is not missed.
    let report = all(&set, &[found(1, 0.9, A)]);
    assert_eq!(report.faces, 1);
    assert_close(report.ap50, 1.0);
    // Found: no false positive.
    assert_close(all(&set, &[found(1, 0.9, B), found(1, 0.8, A)]).ap50, 1.0);
    // Found twice: the box is taken, so the second detection is a false positive.
    assert_close(all(&set, &[found(1, 0.9, B), found(1, 0.85, B), found(1, 0.8, A)]).ap50, 0.5);
}

#[test]
fn a_face_is_preferred_to_an_ignored_box_that_overlaps_more() {
    let set = boxes([vec![labelled(Label::Ignore, face(0.0, 0.0, 10.0, 10.0)), face(0.0, 0.0, 10.0, 14.0)]]);
    assert_close(all(&set, &[found(1, 0.9, A)]).ap50, 1.0);
    // IoU 10/14 = 0.714 is below 0.75: the detection is matched to the ignored box, and the face is missed.
    assert_close(all(&set, &[found(1, 0.9, A)]).ap75, 0.0);
}

#[test]
fn a_crowd_swallows_every_detection_inside() {
    let crowd = labelled(Label::Crowd, face(200.0, 200.0, 200.0, 200.0));
    let set = boxes([vec![crowd, face(0.0, 0.0, 10.0, 10.0)]]);
    let mut detections: Vec<Detection> =
        (0..5_u8).map(|i| found(1, 0.9, [210.0 + 20.0 * f32::from(i), 250.0, 10.0, 10.0])).collect();
    detections.push(found(1, 0.5, A));
    assert_close(all(&set, &detections).ap50, 1.0);
}

#[test]
fn bands_count_their_own_faces() {
    let set = boxes([vec![face(0.0, 0.0, 10.0, 90.0), face(100.0, 0.0, 16.0, 16.0)]]);
    // The large face is found; there is a small and a large false positive.
    let detections = [
        found(1, 0.9, [300.0, 300.0, 8.0, 40.0]),
        found(1, 0.8, [400.0, 300.0, 20.0, 20.0]),
        found(1, 0.7, [100.0, 0.0, 16.0, 16.0]),
    ];
    let evaluation = evaluate(&set, &detections, &DetectionParams::default()).unwrap();
    let [small, middle, ..] = &evaluation.bands[..] else { panic!("five bands") };
    assert_eq!((small.report.faces, middle.report.faces), (1, 1));
    assert_close(small.report.ap50, 0.0);
    assert_close(middle.report.ap50, 0.5);
    assert_eq!(small.report.curve.len(), 1, "only the false alarm of its own size");
    let empty = &evaluation.bands[4];
    assert_eq!(empty.band, SizeBand { from: 128.0, to: None });
    assert_eq!((empty.report.ap50, empty.report.recall, empty.report.ap50_95), (None, None, None));
    assert!(empty.report.curve.is_empty());
    assert_close(evaluation.all.ap50, 51.0 / 101.0 / 3.0);
}

#[test]
fn wider_subsets_ignore_the_other_faces() {
    let flagged = |face: LabelledFace, easy, medium, hard| LabelledFace {
        wider: Some(WiderFlags { easy, medium, hard }),
        ..face
    };
    let set = boxes([vec![
        flagged(face(0.0, 0.0, 10.0, 10.0), true, true, true),
        flagged(face(100.0, 0.0, 10.0, 10.0), false, true, true),
        flagged(face(200.0, 0.0, 10.0, 10.0), false, false, true),
    ]]);
    let evaluation = evaluate(&set, &[found(1, 0.9, B), found(1, 0.8, A)], &DetectionParams::default()).unwrap();
    let wider = evaluation.wider.unwrap();
    assert_eq!((wider.easy.faces, wider.medium.faces, wider.hard.faces), (1, 2, 3));
    assert_close(wider.easy.ap50, 1.0);
    assert_close(wider.medium.ap50, 1.0);
    // Two of three found: recalls 0 to 0.66 are 67 samples.
    assert_close(wider.hard.ap50, 67.0 / 101.0);
    assert_eq!(evaluate(&two_faces(), &[], &DetectionParams::default()).unwrap().wider, None);
}

#[test]
fn recall_within_the_allowed_false_alarms() {
    // Ten pictures with a face each: one false positive in total is allowed.
    let set = boxes((0..10).map(|_| vec![face(0.0, 0.0, 10.0, 10.0)]));
    let mut detections = vec![found(1, 0.9, A), found(1, 0.8, NOWHERE), found(2, 0.7, A), found(3, 0.6, A)];
    assert_close(all(&set, &detections).recall, 0.3);
    detections.push(found(2, 0.65, NOWHERE));
    assert_close(all(&set, &detections).recall, 0.2);
    // A threshold cannot separate a face and a false positive with the same score, in either order.
    detections.insert(0, found(2, 0.7, B));
    assert_close(all(&set, &detections).recall, 0.1);
}

#[test]
fn curve_by_hand() {
    let set = boxes([vec![face(0.0, 0.0, 10.0, 10.0)], vec![face(0.0, 0.0, 10.0, 10.0)]]);
    let report = all(&set, &[found(1, 0.5, A), found(2, 0.5, NOWHERE), found(2, 0.25, A)]);
    let point = |score, recall, precision, false_positives_per_image| CurvePoint {
        score,
        recall,
        precision,
        false_positives_per_image,
    };
    assert_eq!(report.curve, [point(0.5, 0.5, 0.5, 0.5), point(0.25, 1.0, 2.0 / 3.0, 0.5)]);
}

#[test]
fn only_the_best_detections_of_a_picture_count() {
    let detections = [found(1, 0.9, A), found(1, 0.8, B)];
    let params = DetectionParams { max_detections: 1, ..DetectionParams::default() };
    assert_close(evaluate(&two_faces(), &detections, &params).unwrap().all.ap50, 51.0 / 101.0);
}

#[test]
fn detections_of_another_picture_match_nothing() {
    let set = boxes([vec![face(0.0, 0.0, 10.0, 10.0)], vec![]]);
    assert_close(all(&set, &[found(2, 0.9, A)]).ap50, 0.0);
}

#[test]
fn bad_input_is_named() {
    let default = DetectionParams::default;
    let cases: [(FaceBoxes, Vec<Detection>, DetectionParams, &str); 7] = [
        (FaceBoxes::default(), vec![], default(), "no image"),
        (two_faces(), vec![found(1, 0.5, A), found(7, 0.5, A)], default(), "detection 1 is on image id 7"),
        (two_faces(), vec![found(1, f32::NAN, A)], default(), "detection 0 on image id 1 has score NaN"),
        (two_faces(), vec![found(1, 0.5, [0.0, 0.0, -1.0, 1.0])], default(), "the sides not negative"),
        (two_faces(), vec![], DetectionParams { max_detections: 0, ..default() }, "max_detections is 0"),
        (
            two_faces(),
            vec![],
            DetectionParams { false_positives_per_image: f64::NAN, ..default() },
            "false_positives_per_image is NaN",
        ),
        (
            two_faces(),
            vec![],
            DetectionParams { bands: vec![SizeBand { from: 8.0, to: Some(8.0) }], ..default() },
            "bands is SizeBand",
        ),
    ];
    for (set, detections, params, expected) in cases {
        let message = evaluate(&set, &detections, &params).unwrap_err().to_string();
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
}

#[test]
fn thresholds_are_numpys() {
    let expected = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95];
    for (threshold, expected) in iou_thresholds().into_iter().zip(expected) {
        assert!((threshold - expected).abs() < 1e-15);
    }
    assert_eq!(iou_thresholds()[AT_75], 0.75);
}

#[test]
fn faces_too_small_at_the_input_cost_nothing() {
    // 640×480 fitted into 320×320 is halved: sides of 10 and 40 become 5 and 20.
    let set = boxes([vec![face(0.0, 0.0, 10.0, 10.0), face(100.0, 0.0, 40.0, 60.0)]]);
    let large = [100.0, 0.0, 40.0, 60.0];
    let report = |pixels, input, detections: &[Detection]| {
        let least_side = Some(LeastSide { pixels, input });
        evaluate(&set, detections, &DetectionParams { least_side, ..DetectionParams::default() }).unwrap().all
    };
    for (pixels, input, faces) in
        [(5.0, Some([320, 320]), 2), (5.1, Some([320, 320]), 1), (20.1, Some([320, 320]), 0), (10.0, None, 2)]
    {
        assert_eq!(report(pixels, input, &[]).faces, faces, "{pixels} px at {input:?}");
    }
    // The small face may be missed or found, and a small false positive does not count; a large one does.
    let at_16 = |detections: &[Detection]| report(16.0, Some([320, 320]), detections).ap50;
    assert_close(at_16(&[found(1, 0.5, large)]), 1.0);
    assert_close(at_16(&[found(1, 0.9, A), found(1, 0.8, NOWHERE), found(1, 0.5, large)]), 1.0);
    assert_close(at_16(&[found(1, 0.9, [300.0, 300.0, 40.0, 40.0]), found(1, 0.5, large)]), 0.5);
    let bad =
        DetectionParams { least_side: Some(LeastSide { pixels: -1.0, input: None }), ..DetectionParams::default() };
    assert!(evaluate(&set, &[], &bad).unwrap_err().to_string().starts_with("least_side is -1"));
}

#[test]
fn misses_come_largest_first_and_false_alarms_strongest_first() {
    let ignored = labelled(Label::Ignore, face(0.0, 100.0, 90.0, 90.0));
    let set = boxes([
        vec![face(0.0, 0.0, 10.0, 10.0), face(100.0, 0.0, 10.0, 10.0), ignored],
        vec![face(0.0, 0.0, 50.0, 20.0)],
    ]);
    let detections = [
        found(1, 0.9, A),
        // The second face, with a score below the threshold; then half of it.
        found(1, 0.3, B),
        found(1, 0.2, [100.0, 0.0, 10.0, 4.0]),
        found(1, 0.95, NOWHERE),
        found(1, 0.5, [0.0, 100.0, 90.0, 90.0]),
        found(2, 0.99, [0.0, 0.0, 50.0, 5.0]),
    ];
    let found = faults(&set, &detections, &DetectionParams::default(), 0.4).unwrap();
    assert_eq!(found.faces, 3);
    assert_eq!(found.misses, [Miss { image: 1, face: 0, weaker: None }, Miss { image: 0, face: 1, weaker: Some(0.3) }]);
    let alarms: Vec<(usize, f32, f64)> =
        found.false_alarms.iter().map(|alarm| (alarm.image, alarm.detection.score, alarm.overlap)).collect();
    assert_eq!(alarms.iter().map(|alarm| (alarm.0, alarm.1)).collect::<Vec<_>>(), [(1, 0.99), (0, 0.95), (0, 0.2)]);
    assert_close(Some(alarms[0].2), 0.25);
    assert_close(Some(alarms[1].2), 0.0);
    assert_close(Some(alarms[2].2), 0.4);
}

#[test]
fn false_positives_on_pictures_without_faces() {
    let set = boxes([vec![face(0.0, 0.0, 10.0, 10.0)], vec![], vec![], vec![]]);
    let detections = [found(1, 0.9, NOWHERE), found(2, 0.9, A), found(2, 0.5, A), found(3, 0.5, B), found(4, 0.1, A)];
    let report = on_negatives(&set, &detections, &[0.6, 0.5]).unwrap();
    assert_eq!(report.images, 3);
    assert_eq!(report.at.iter().map(|at| at.score).collect::<Vec<_>>(), [0.6, 0.5]);
    assert_close(Some(report.at[0].false_positives_per_image), 1.0 / 3.0);
    assert_close(Some(report.at[1].false_positives_per_image), 1.0);
    assert_eq!(on_negatives(&boxes([vec![face(0.0, 0.0, 1.0, 1.0)]]), &[], &[0.5]), None);
}

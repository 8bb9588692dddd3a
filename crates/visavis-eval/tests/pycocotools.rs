//! Compares with pycocotools on random boxes: faces of all sizes, ignored boxes, crowds, WIDER FACE flags, duplicate and
//! false detections, equal scores.
//!
//! The boxes are exactly those of `tools/reference/synthetic_boxes.py --seed 7 --images 40`; the expected figures were
//! printed for them by `tools/reference/coco_ap.py`.

// clippy.toml lets tests unwrap, but not the functions that they call here.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use serde_json::{Value, json};
use visavis_data::boxes::FaceBoxes;
use visavis_eval::coco::{Detection, parse_detections};
use visavis_eval::detection::{DetectionParams, DetectionReport, evaluate};

/// Knuth's MMIX generator, upper 31 bits.
struct Generator(u64);

impl Generator {
    /// A whole number from 0 to `limit` - 1.
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(limit)) as u32
    }

    fn face(&mut self, image_id: u32, id: usize) -> Value {
        let (x, y) = (self.below(560), self.below(400));
        let crowd = self.below(24) == 0;
        let shrink = 1 + self.below(4);
        let mut side = || f64::from((64 + self.below(640)) / shrink) / 4.0 + if crowd { 100.0 } else { 0.0 };
        let (width, height) = (side(), side());
        let ignore = self.below(6) == 0;
        let easy = self.below(3) == 0;
        let medium = easy || self.below(2) == 0;
        let hard = medium || self.below(4) > 0;
        json!({
            "id": id, "image_id": image_id, "category_id": 1, "bbox": [x, y, width, height],
            "ignore": u8::from(ignore), "iscrowd": u8::from(crowd), "easy": easy, "medium": medium, "hard": hard,
        })
    }

    /// A box near the given one; offsets in quarters of a pixel, scores in 64ths.
    fn detection(&mut self, image_id: u32, [x, y, width, height]: [f64; 4]) -> Value {
        let spread = width.min(height) as u32 + 1;
        let mut offset = || (f64::from(self.below(spread)) - f64::from(spread / 2)) / 4.0;
        let [dx, dy, dw, dh] = [offset(), offset(), offset(), offset()];
        let score = f64::from(1 + self.below(64)) / 64.0;
        let bbox = [x + dx, y + dy, (width + dw).max(1.0), (height + dh).max(1.0)];
        json!({"image_id": image_id, "category_id": 1, "bbox": bbox, "score": score})
    }
}

/// The two files, parsed by the crate's own readers.
fn synthetic(seed: u64, count: u32) -> (FaceBoxes, Vec<Detection>) {
    let mut random = Generator(seed);
    let (mut images, mut faces, mut detections) = (Vec::new(), Vec::new(), Vec::new());
    for image_id in 1..=count {
        images.push(json!({"id": image_id, "file_name": format!("{image_id}.jpg"), "width": 640, "height": 480}));
        for _ in 0..random.below(10) {
            let face = random.face(image_id, faces.len() + 1);
            let bbox: [f64; 4] = serde_json::from_value(face["bbox"].clone()).unwrap();
            faces.push(face);
            for _ in 0..random.below(5).min(2) {
                detections.push(random.detection(image_id, bbox));
            }
        }
        for _ in 0..random.below(4) {
            let (x, y) = (random.below(560), random.below(400));
            let anywhere = [x, y, 8 + random.below(64), 8 + random.below(64)].map(f64::from);
            detections.push(random.detection(image_id, anywhere));
        }
    }
    let boxes = json!({"images": images, "annotations": faces}).to_string();
    let detections = Value::from(detections).to_string();
    (
        FaceBoxes::parse(boxes.as_bytes(), Path::new("boxes.json")).unwrap(),
        parse_detections(detections.as_bytes(), Path::new("detections.json")).unwrap(),
    )
}

/// faces, AP@0.5, AP@0.75, AP@[0.5:0.95], recall at 0.1 false positives per image
type Golden = (usize, f64, f64, f64, f64);

fn assert_agrees(name: &str, report: &DetectionReport, (faces, ap50, ap75, ap50_95, recall): Golden) {
    assert_eq!((report.images, report.faces), (40, faces), "{name}");
    let figures = [
        ("AP@0.5", report.ap50, ap50),
        ("AP@0.75", report.ap75, ap75),
        ("AP@[0.5:0.95]", report.ap50_95, ap50_95),
        ("recall", report.recall, recall),
    ];
    for (figure, ours, theirs) in figures {
        let ours = ours.unwrap();
        assert!((ours - theirs).abs() < 1e-12, "{name}: {figure} is {ours}, pycocotools has {theirs}");
    }
}

#[test]
fn figures_agree() {
    let (boxes, detections) = synthetic(7, 40);
    let evaluation = evaluate(&boxes, &detections, &DetectionParams::default()).unwrap();
    assert_agrees("all", &evaluation.all, GOLDEN_ALL);
    assert_eq!(evaluation.bands.len(), GOLDEN_BANDS.len());
    for (band, golden) in evaluation.bands.iter().zip(GOLDEN_BANDS) {
        assert_agrees(&format!("{:?}", band.band), &band.report, golden);
    }
    let wider = evaluation.wider.unwrap();
    for ((name, report), golden) in
        [("easy", &wider.easy), ("medium", &wider.medium), ("hard", &wider.hard)].into_iter().zip(GOLDEN_WIDER)
    {
        assert_agrees(name, report, golden);
    }
}

const GOLDEN_ALL: Golden = (152, 0.5369844749731645, 0.3765952279347121, 0.32784875175711503, 0.08552631578947369);

/// Shorter side below 16, 32, 64, 128 pixels, and above.
const GOLDEN_BANDS: [Golden; 5] = [
    (40, 0.5350897199153073, 0.39142304784587695, 0.3377171161385444, 0.15),
    (54, 0.5460335558892386, 0.42280806766635076, 0.35218619769336884, 0.1111111111111111),
    (38, 0.6046239197481594, 0.4290797112022064, 0.3810639459986943, 0.2631578947368421),
    (16, 0.6329443658651579, 0.4205315268368942, 0.3695488991527462, 0.625),
    (4, 0.7524752475247525, 0.2524752475247525, 0.35, 0.75),
];

/// Easy, medium, hard.
const GOLDEN_WIDER: [Golden; 3] = [
    (58, 0.35297245023352164, 0.1941202726519946, 0.19783343426180144, 0.1206896551724138),
    (98, 0.453595277216947, 0.30214372385363025, 0.271036467720439, 0.10204081632653061),
    (144, 0.5216811878055808, 0.3585115207087071, 0.31668339960973463, 0.09027777777777778),
];

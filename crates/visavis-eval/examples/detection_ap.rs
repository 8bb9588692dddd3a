//! Prints the figures of a detection file against a box file as JSON, without curves:
//! `cargo run -p visavis-eval --example detection_ap -- boxes.json detections.json`.
//! `tools/reference/coco_ap.py --against` compares its output with pycocotools.

use std::error::Error;
use std::io::{Write, stdout};
use std::path::PathBuf;

use visavis_data::boxes::FaceBoxes;
use visavis_eval::coco::read_detections;
use visavis_eval::detection::{DetectionParams, DetectionReport, evaluate};

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [boxes, detections] = &paths[..] else {
        return Err("usage: detection_ap BOXES.json DETECTIONS.json".into());
    };
    let (boxes, detections) = (FaceBoxes::read(boxes)?, read_detections(detections)?);
    let mut evaluation = evaluate(&boxes, &detections, &DetectionParams::default())?;
    let drop_curve = |report: &mut DetectionReport| report.curve.clear();
    drop_curve(&mut evaluation.all);
    evaluation.bands.iter_mut().for_each(|band| drop_curve(&mut band.report));
    if let Some(wider) = &mut evaluation.wider {
        [&mut wider.easy, &mut wider.medium, &mut wider.hard].into_iter().for_each(drop_curve);
    }
    let mut out = stdout().lock();
    serde_json::to_writer_pretty(&mut out, &evaluation)?;
    writeln!(out)?;
    Ok(())
}

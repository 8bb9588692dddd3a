//! `visavis evaluate detection`: average precision on pictures with face boxes.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use visavis_eval::coco::{Detection, FaceBoxes, write_detections};
use visavis_eval::detection::{DetectionParams, DetectionReport, evaluate};
use visavis_face::detect::DetectorParams;
use visavis_live::Loader;

use super::faces::progress_bar;
use crate::commands::gallery::read_picture;
use crate::options::{EngineArgs, NetworkArgs, parse_size, say, say_json};
use crate::session::Session;

/// Average precision of a detector on pictures with face boxes (COCO JSON)
#[derive(Parser)]
#[command(
    after_help = "Example:\n  visavis evaluate detection --boxes wider/boxes.json --images wider/images --detector yunet_n"
)]
pub(super) struct Args {
    /// The boxes, COCO JSON
    #[arg(long, value_name = "FILE")]
    boxes: PathBuf,
    /// The folder that the file names in it are relative to [default: `images` beside the boxes]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// The detector
    #[arg(long, value_name = "NETWORK")]
    detector: Option<String>,
    /// Input size; without it each picture goes in at its own size where the network takes any
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    size: Option<[u32; 2]>,
    /// Least score; low, since the whole curve counts
    #[arg(long, default_value_t = 0.02, value_name = "SCORE")]
    score: f32,
    /// Write all detections here (COCO results JSON)
    #[arg(long, value_name = "FILE")]
    detections: Option<PathBuf>,
    #[command(flatten)]
    engines: EngineArgs,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let boxes = FaceBoxes::read(&args.boxes)?;
    let folder = match &args.images {
        Some(folder) => folder.clone(),
        None => args.boxes.with_file_name("images"),
    };
    let networks = NetworkArgs { detector: args.detector.clone(), ..NetworkArgs::default() };
    let mut session = Session::open(&args.engines, &networks)?;
    let free = session.loader.registry.get(&session.choice.detector)?.manifest.input.multiple_of.is_some();
    session.loader.detector = DetectorParams {
        size: args.size,
        native_size: args.size.is_none() && free,
        score: Some(args.score),
        smallest: 0.0,
    };
    let mut detector = session.loader.detector(&session.choice.detector)?;
    let bar = progress_bar(boxes.images.len() as u64, "pictures");
    let mut detections = Vec::new();
    for image in &boxes.images {
        let (picture, _) = read_picture(&folder.join(&image.file_name))?;
        let faces = detector.detect(&picture)?;
        detections.extend(faces.iter().map(|face| Detection {
            image_id: image.id,
            rect: face.rect,
            score: face.score,
        }));
        bar.inc(1);
    }
    bar.finish_and_clear();
    if let Some(path) = &args.detections {
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        write_detections(&detections, BufWriter::new(file))?;
    }
    let mut result = evaluate(&boxes, &detections, &DetectionParams::default())?;
    // The curves are for plots; a line of figures is for people and scripts.
    let reports = result.bands.iter_mut().map(|band| &mut band.report);
    let wider = result.wider.iter_mut().flat_map(|wider| [&mut wider.easy, &mut wider.medium, &mut wider.hard]);
    for report in reports.chain(wider).chain([&mut result.all]) {
        report.curve.clear();
    }
    if args.json {
        return say_json(&serde_json::json!({
            "detector": session.choice.detector, "size": args.size, "score": args.score, "figures": result,
        }));
    }
    say("faces                  n    AP@0.5   AP@0.5:0.95   recall at 0.1 false alarms a picture")?;
    line("all", &result.all)?;
    for band in &result.bands {
        let to = band.band.to.map_or(" px and more".to_owned(), |to| format!(" to {to} px"));
        line(&format!("{}{to}", band.band.from), &band.report)?;
    }
    if let Some(wider) = &result.wider {
        for (name, report) in
            [("WIDER easy", &wider.easy), ("WIDER medium", &wider.medium), ("WIDER hard", &wider.hard)]
        {
            line(name, report)?;
        }
    }
    Ok(())
}

fn line(name: &str, report: &DetectionReport) -> Result<()> {
    let figure = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.3}"));
    say(&format!(
        "{name:18} {:5}    {:>6}   {:>11}   {:>6}",
        report.faces,
        figure(report.ap50),
        figure(report.ap50_95),
        figure(report.recall)
    ))
}

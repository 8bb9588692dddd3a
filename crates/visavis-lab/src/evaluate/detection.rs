//! `visavis-lab evaluate detection`: average precision on pictures with face boxes.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use clap::Parser;
use visavis_eval::coco::write_detections;
use visavis_eval::detection::{
    DetectionEvaluation, DetectionParams, DetectionReport, LeastSide, evaluate, on_negatives,
};
use visavis_eval::hard_view::HardView;
use visavis_eval::plots::{DetectorCurve, Plot, PrecisionRecall};

use super::detectors::{PictureSet, Run, SizedDetector};
use super::faces::SplitArg;
use super::faults;
use super::text_table::TextTable;
use crate::endings::{PICTURES, check_ending, ending};
use visavis_cli::options::{EngineArgs, NetworkArgs, complain, parse_share, parse_size, say, say_json};
use visavis_cli::output::write_file;
use visavis_cli::session::Session;

/// Measure the average precision of detectors on pictures with face boxes (COCO JSON)
///
/// By COCO's rules. False positives are also counted on the pictures that the set marks as negative. `visavis-lab data boxes`
/// converts other layouts to COCO JSON.
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis-lab evaluate detection --boxes wider/boxes.json --detector yunet_n,ultraface_rfb_320 --size 320x240 --plot pr.svg
  visavis-lab evaluate detection --boxes mine/boxes.json --split validation --least-side 16 --sheet faults.png")]
pub(super) struct Args {
    /// Face boxes, COCO JSON
    #[arg(long, value_name = "FILE")]
    boxes: PathBuf,
    /// Folder of the pictures [default: `images` beside the boxes]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Side of the split, by a hash of the set's name (that of its folder) and the file name
    #[arg(long, default_value = "all")]
    split: SplitArg,
    /// Make the pictures harder: dark (an eighth of the light), blurred (a third of the resolution), turned (by 30°),
    /// covered (the lower half of every face) or close (the largest face fills the picture)
    #[arg(long, value_name = "VIEW", value_parser = HardView::from_str)]
    view: Option<HardView>,
    /// Detectors to measure
    #[arg(long, value_delimiter = ',', value_name = "NETWORK,…")]
    detector: Vec<String>,
    /// Input size [default: each picture's own size, if the network accepts any]. If a network does not accept the size,
    /// pictures are padded with black to the next size that it accepts
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    size: Option<[u32; 2]>,
    /// Least score; low, since the whole curve counts
    #[arg(long, default_value_t = 0.02, value_name = "SCORE", value_parser = parse_share)]
    score: f32,
    /// Only faces whose shorter side has this many pixels at the network's input. Smaller faces and false positives do not count,
    /// except for false positives on negatives
    #[arg(long, value_name = "PIXELS")]
    least_side: Option<f32>,
    /// Write all detections to this file (COCO results JSON)
    #[arg(long, value_name = "FILE")]
    detections: Option<PathBuf>,
    /// Draw precision over recall, SVG or PNG by the extension
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Draw the errors, PNG or JPEG by the extension: the largest faces missed at the detector's own threshold and the
    /// false positives with the highest scores
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    /// Number of missed faces and of false positives on the sheet
    #[arg(long, default_value_t = 32, value_name = "N", requires = "sheet")]
    sheet_count: usize,
    #[command(flatten)]
    engines: EngineArgs,
    /// As JSON, for scripts: a line for each detector
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    for path in args.plot.iter().chain(&args.sheet) {
        let endings: &[_] = if args.plot.as_ref() == Some(path) { &["svg", "png"] } else { PICTURES };
        check_ending(path, endings)?;
    }
    if let Some(out) = &args.detections
        && is_same_file(out, &args.boxes)
    {
        bail!("--detections would replace the labelled boxes {}: name another file", args.boxes.display());
    }
    let mut set = PictureSet::read(&args.boxes, args.images.as_deref(), args.split)?;
    if let Some(view) = args.view {
        set = set.seen(view)?;
    }
    let networks = NetworkArgs { detector: args.detector.first().cloned(), ..NetworkArgs::default() };
    let session = Session::open(&args.engines, &networks)?;
    let mut names = args.detector.clone();
    if names.is_empty() {
        names.push(session.choice.detector.clone());
    }
    if names.len() > 1 && (args.sheet.is_some() || args.detections.is_some()) {
        bail!("--sheet and --detections are for one detector: name one with --detector");
    }
    let runs = names.iter().map(|name| measure(args, &session, &set, name)).collect::<Result<Vec<Run>>>()?;
    if let (Some(path), [run]) = (&args.detections, &runs[..]) {
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        write_detections(&run.detections, BufWriter::new(file))?;
    }
    if let (Some(path), [run]) = (&args.sheet, &runs[..]) {
        faults::write_sheet(path, &set, run, args.sheet_count)?;
    }
    if let Some(path) = &args.plot {
        let plot = plot(args, &set, &runs);
        let bytes = if ending(path) == "svg" { plot.svg()?.into_bytes() } else { plot.png()? };
        write_file(path, bytes)?;
    }
    if args.json { runs.iter().try_for_each(|run| tell_json(args, run)) } else { tell(args, &set, &runs) }
}

fn measure(args: &Args, session: &Session, set: &PictureSet, name: &str) -> Result<Run> {
    let loader = &session.loader;
    let entry = loader.registry.get(name)?;
    let mut sized = SizedDetector::load(entry, &loader.runtime, &loader.detection, args.size, Some(args.score))?;
    if let (Some([width, height]), Some(padded)) = (sized.size, sized.padded) {
        complain(&format!(
            "{name} does not take {width}x{height}: pictures are as large as there, with black borders up to {}x{}",
            padded[0], padded[1]
        ));
    }
    let least_side = args.least_side.map(|pixels| LeastSide { pixels, input: sized.size });
    let params = DetectionParams { least_side, ..DetectionParams::default() };
    check_faces(args, set, &params, name)?;
    let detections = set.detect(sized.detector.as_mut(), name)?;
    let threshold = entry.manifest.detector.as_ref().map_or(0.5, |detector| detector.score);
    // Detections below the least score were dropped, so these thresholds cannot be counted.
    let mut thresholds = vec![threshold, 0.5];
    thresholds.dedup();
    thresholds.retain(|&threshold| threshold >= args.score);
    Ok(Run {
        name: name.to_owned(),
        threshold,
        evaluation: evaluate(&set.boxes, &detections, &params)?,
        negatives: on_negatives(&set.boxes, &detections, &thresholds),
        params,
        detections,
    })
}

/// Fails if there is nothing to find. A set of negatives alone is no error.
fn check_faces(args: &Args, set: &PictureSet, params: &DetectionParams, detector: &str) -> Result<()> {
    let (boxes, labelled) = (args.boxes.display(), set.boxes.face_count());
    if evaluate(&set.boxes, &[], params)?.all.faces > 0 {
        return Ok(());
    }
    if let Some(pixels) = args.least_side.filter(|_| labelled > 0) {
        bail!(
            "{boxes}: the shorter side of none of its {labelled} faces has {pixels} pixels or more at the input of {detector}: \
             choose a smaller --least-side"
        );
    }
    let pictures = set.boxes.images.len();
    if !set.boxes.images.iter().any(|image| image.negative) {
        bail!("{boxes}: its {pictures} pictures have no labelled face, and none of them is marked as negative");
    }
    Ok(())
}

fn plot(args: &Args, set: &PictureSet, runs: &[Run]) -> PrecisionRecall {
    let curve = |run: &Run| DetectorCurve {
        name: format!("{}: AP@0.5 {}", run.name, figure(run.evaluation.all.ap50)),
        points: run.evaluation.all.curve.clone(),
        threshold: run.threshold,
    };
    let faces = runs.first().map_or(0, |run| run.evaluation.all.faces);
    let at = args.size.map_or("at their own size".to_owned(), |[width, height]| format!("at {width}×{height}"));
    let least = args.least_side.map_or(String::new(), |pixels| format!(" of {pixels} px and more"));
    PrecisionRecall {
        title: format!(
            "Precision and recall on {}{}",
            set.name,
            args.view.map_or(String::new(), |view| format!(" ({view})"))
        ),
        subtitle: format!(
            "{faces} faces{least}, {} pictures {at}, IoU 0.5; discs: each detector's own threshold",
            set.boxes.images.len()
        ),
        curves: runs.iter().map(curve).collect(),
    }
}

fn tell_json(args: &Args, run: &Run) -> Result<()> {
    let mut figures = run.evaluation.clone();
    // Curves are only for plots, not for JSON.
    let bands = figures.bands.iter_mut().map(|band| &mut band.report);
    let wider = figures.wider.iter_mut().flat_map(|wider| [&mut wider.easy, &mut wider.medium, &mut wider.hard]);
    bands.chain(wider).chain([&mut figures.all]).for_each(|report| report.curve.clear());
    say_json(&serde_json::json!({
        "detector": run.name, "size": args.size, "view": args.view.map(|view| view.to_string()), "score": args.score, "threshold": run.threshold,
        "least_side": args.least_side, "figures": figures, "negatives": run.negatives,
    }))
}

fn tell(args: &Args, set: &PictureSet, runs: &[Run]) -> Result<()> {
    let allowed = DetectionParams::default().false_positives_per_image;
    let recall = format!("recall at {allowed} false positives a picture");
    let mut sheet = TextTable::new(&["faces", "n", "detector", "AP@0.5", "AP@0.5:0.95", &recall]);
    let mut rows = |faces: &str, pick: &dyn Fn(&DetectionEvaluation) -> Option<&DetectionReport>| {
        for run in runs {
            let Some(report) = pick(&run.evaluation) else { continue };
            sheet.row([
                faces.to_owned(),
                report.faces.to_string(),
                run.name.clone(),
                figure(report.ap50),
                figure(report.ap50_95),
                figure(report.recall),
            ]);
        }
    };
    let all = args.least_side.map_or("all".to_owned(), |pixels| format!("{pixels} px and more at the input"));
    rows(&all, &|evaluation| Some(&evaluation.all));
    for (place, band) in DetectionParams::default().bands.iter().enumerate() {
        let to = band.to.map_or(" px and more".to_owned(), |to| format!(" to {to} px"));
        rows(&format!("{}{to}", band.from), &|evaluation| evaluation.bands.get(place).map(|band| &band.report));
    }
    rows("WIDER easy", &|evaluation| evaluation.wider.as_ref().map(|wider| &wider.easy));
    rows("WIDER medium", &|evaluation| evaluation.wider.as_ref().map(|wider| &wider.medium));
    rows("WIDER hard", &|evaluation| evaluation.wider.as_ref().map(|wider| &wider.hard));
    let view = args.view.map_or(String::new(), |view| format!(" ({view})"));
    say(&format!("{}{view}, {} pictures", set.name, set.boxes.images.len()))?;
    sheet.print()?;
    for run in runs {
        let Some(negatives) = &run.negatives else { continue };
        let at = negatives.at.iter().map(|at| {
            format!("{} ({:.3} a picture) at score {}", at.false_positives, at.false_positives_per_image, at.score)
        });
        let at = at.collect::<Vec<_>>().join(", ");
        say(&format!("{}: false positives on {} negatives: {at}", run.name, negatives.images))?;
    }
    Ok(())
}

/// Whether both paths lead to one file that exists.
fn is_same_file(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

fn figure(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.3}"))
}

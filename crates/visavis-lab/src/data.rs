//! `visavis-lab data`: converts labelled faces in the layouts of data sets to packs for training and measuring.

mod boxes;
mod label;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use visavis_data::layout::classes::{self, ClassRule};
use visavis_data::layout::{self, Layout};
use visavis_data::pack::{BoxFit, Mixer, Pack, PackParams, PackReport, Packer, Summary, contact_sheet};
use visavis_data::{DataSet, SplitRule};
use visavis_face::Detect;
use visavis_face::detect::{DetectorParams, PointedDetector};
use visavis_image::codec;
use visavis_live::Loader;

use crate::endings::{PICTURES, check_ending, ending};
use visavis_cli::options::{EngineArgs, NetworkArgs, complain, cores, parse_share, parse_size, say, say_json};
use visavis_cli::output::write_file;
use visavis_cli::session::Session;

/// Prepare labelled faces for training and evaluation
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis-lab data pack --layout table --from faces/ --out packs/faces    faces/labels.csv and the pictures it names
  visavis-lab data show packs/faces                                       how many faces say what
  visavis-lab data sheet packs/faces --out sheet.png                      view some of them
  visavis-lab data boxes --layout voc --from mine --out mine/boxes.json   face boxes, for detectors
  visavis-lab data label --images photos --teacher yunet --teacher ssd_mobilenetv1_quarter --out photos.json
                                                                          face boxes on which two detectors agree")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Pack(PackArgs),
    /// Show how many faces of a pack have each label, for training and validation
    #[command(after_help = "Example:\n  visavis-lab data show packs/utkface --json")]
    Show {
        /// The pack
        pack: PathBuf,
        /// Read everything and compare its hash with the one stored when it was made
        #[arg(long)]
        verify: bool,
        /// As JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Draw faces of a pack with box and keypoints: labelled in green, detected in orange
    #[command(after_help = "Example:\n  visavis-lab data sheet packs/utkface --out sheet.png --count 64")]
    Sheet {
        /// The pack
        pack: PathBuf,
        /// The picture to write, PNG or JPEG by the extension
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Number of faces
        #[arg(long, default_value_t = 64, value_name = "N")]
        count: usize,
        /// Faces per row
        #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
        columns: u32,
    },
    Mix(MixArgs),
    Boxes(boxes::Args),
    Label(label::Args),
}

/// Blend pairs of faces of packs into a pack of mixtures, for training a network that imitates the embeddings of another one
#[derive(Parser)]
#[command(after_help = "Example:
  visavis-lab data mix packs/utkface packs/mtfl --except images/lfw_5590 --faces 40000 --out packs/mixed")]
struct MixArgs {
    /// The packs; only their training faces are mixed
    #[arg(required = true, value_name = "PACK")]
    packs: Vec<PathBuf>,
    /// Leave out faces whose file in their set begins with this; may be given more than once
    #[arg(long, value_name = "PREFIX")]
    except: Vec<String>,
    /// Number of mixtures
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    faces: usize,
    /// Seed: the same number gives the same mixtures
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// The pack to make; an existing one is replaced when the new one is complete
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Pack the faces of a set: crops with box, keypoints, labels, and the side of the split
#[derive(Parser)]
#[command(after_help = after_help())]
struct PackArgs {
    /// Layout of the set (see below)
    #[arg(long, value_name = "LAYOUT", value_parser = Layout::from_str)]
    layout: Layout,
    /// Its folder, or its list
    #[arg(long, value_name = "PATH")]
    from: PathBuf,
    /// Layout `classes`: label of the pictures in a folder whose name is not a known label, such as grin=smile:1,
    /// boys=gender:male or seniors=age:75; may be given more than once, for different folders
    #[arg(long = "class", value_name = "FOLDER=LABEL:VALUE", value_parser = ClassRule::from_str)]
    classes: Vec<ClassRule>,
    /// Name of the set; it determines the split, so do not change it [default: that of the folder]
    #[arg(long)]
    name: Option<String>,
    /// The pack to make; an existing one is replaced when the new one is complete
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Percent of the people, or of the pictures if people are not known, that are kept for validation
    #[arg(long, default_value_t = 10, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    validation_percent: u8,
    /// Side of a crop in pixels
    #[arg(long, default_value_t = 160, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(16..=2048))]
    side: u32,
    /// Side of a crop as a multiple of the longer side of the face's box
    #[arg(long, default_value_t = 2.0, value_name = "TIMES", value_parser = parse_expansion)]
    expansion: f32,
    /// Network that detects the faces
    #[arg(long, value_name = "NETWORK")]
    detector: Option<String>,
    /// Input size of the detector, such as 320x192
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    detector_size: Option<[u32; 2]>,
    /// Least score of a face, 0 to 1 [default: that in the detector's manifest]
    #[arg(long, value_name = "SCORE", value_parser = parse_share)]
    score: Option<f32>,
    /// Number of threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = visavis_cli::options::parse_workers)]
    workers: Option<usize>,
    #[command(flatten)]
    engines: EngineArgs,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

fn after_help() -> String {
    let lines: Vec<String> =
        Layout::ALL.iter().map(|layout| format!("  {:10} {}", layout.name(), layout.description())).collect();
    format!(
        "Layouts:\n{}\ndocs/training.md describes the columns of a table.\n\nExamples:\n  \
         visavis-lab data pack --layout table --from utkface --name utkface --out packs/utkface\n  \
         visavis-lab data pack --layout classes --from mine --class grin=smile:1 --class grim=smile:0 --out packs/mine",
        lines.join("\n")
    )
}

fn parse_expansion(text: &str) -> Result<f32> {
    let expansion: f32 = text.parse().with_context(|| format!("`{text}` is no number"))?;
    if !(1.0..=8.0).contains(&expansion) {
        bail!("{expansion} is not between 1 and 8");
    }
    Ok(expansion)
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::Pack(args) => pack(args),
        Command::Show { pack, verify, json } => show(pack, *verify, *json),
        Command::Sheet { pack, out, count, columns } => sheet(pack, out, *count, *columns),
        Command::Mix(args) => mix(args),
        Command::Boxes(args) => boxes::run(args),
        Command::Label(args) => label::run(args),
    }
}

fn pack(args: &PackArgs) -> Result<()> {
    let started = Instant::now();
    let mut set = match args.layout {
        Layout::Classes => classes::read(&args.from, &args.classes)?,
        _ if !args.classes.is_empty() => bail!("--class is for `--layout classes`: leave it out"),
        layout => layout::read(layout, &args.from)?,
    };
    if let Some(name) = &args.name {
        set.name.clone_from(name);
    }
    for note in &set.notes {
        complain(note);
    }
    let networks = NetworkArgs { detector: args.detector.clone(), ..NetworkArgs::default() };
    let session = Session::open(&args.engines, &networks)?;
    let params = DetectorParams { size: args.detector_size, native_size: false, score: args.score, smallest: 0.0 };
    session.loader.set_detector_params(params);
    let detector = &session.choice.detector;
    let workers = args.workers.unwrap_or_else(cores).max(1);
    // A detector without keypoints is combined with a locator: faces are aligned here as live.
    let keypoints = session.choice.keypoints.as_deref();
    let seen_by = keypoints.map_or_else(|| detector.clone(), |name| format!("{detector}, keypoints by {name}"));
    let make_detector = || -> Result<Box<dyn Detect>> {
        let found = session.loader.photo_detector(detector)?;
        Ok(match keypoints {
            Some(name) => Box::new(PointedDetector::new(found, session.loader.locator(name)?)),
            None => found,
        })
    };
    let mut detectors = (0..workers).map(|_| make_detector()).collect::<Result<Vec<_>>>()?;
    let placement = detectors[0].placement().to_string();
    let params = PackParams {
        side: args.side,
        expansion: args.expansion,
        split: SplitRule { validation_percent: args.validation_percent },
        ..PackParams::default()
    };
    let bar = bar(set.samples.len(), "pictures");
    let report = Packer { params }.pack(&set, &seen_by, &mut detectors, &args.out, || bar.inc(1))?;
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    if args.json {
        return say_json(&serde_json::json!({
            "out": args.out, "detector": detector, "placement": placement, "workers": workers,
            "seconds": (seconds * 10.0).round() / 10.0, "notes": set.notes, "report": report,
        }));
    }
    tell(&report, &set)?;
    say(&format!("{seen_by}, on {placement}, {workers} at once: {seconds:.0} s, pack in {}", args.out.display()))
}

fn bar(length: usize, of: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{{bar:32}} {{pos}}/{{len}} {of}, {{per_sec}}, {{eta}} left"));
    ProgressBar::new(length as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn mix(args: &MixArgs) -> Result<()> {
    let packs = args.packs.iter().map(|pack| Ok(Pack::open(pack)?)).collect::<Result<Vec<_>>>()?;
    if let Ok(out) = args.out.canonicalize()
        && args.packs.iter().any(|pack| pack.canonicalize().is_ok_and(|pack| pack == out))
    {
        bail!("{} is one of the packs to be mixed and would be replaced: name another folder", args.out.display());
    }
    let name = args.out.file_name().context("name a folder for the pack")?.to_string_lossy();
    let params = PackParams::default();
    let mixer =
        Mixer { faces: args.faces, seed: args.seed, except: args.except.clone(), params, threads: cores().max(1) };
    let bar = bar(args.faces, "mixtures");
    let info = mixer.mix(&packs, &name, &args.out, || bar.inc(1))?;
    bar.finish_and_clear();
    say(&format!("{}: {} mixtures, pack in {}", info.name, info.faces, args.out.display()))
}

fn tell(report: &PackReport, set: &DataSet) -> Result<()> {
    for file in &report.faceless {
        complain(&format!("left out, no face found: {file}"));
    }
    for file in &report.outside {
        complain(&format!("left out, the labelled face lies outside of the picture: {file}"));
    }
    for unreadable in &report.unreadable {
        complain(&format!("left out, not readable: {}: {}", unreadable.file, unreadable.reason));
    }
    say(&format!(
        "{}: {} faces of {} pictures, {} to train and {} to validate; without a face {}, outside of the picture {}, not \
         readable {}, labelled but not detected {}",
        report.name,
        report.faces,
        set.samples.len(),
        report.train,
        report.validation,
        report.faceless.len(),
        report.outside.len(),
        report.unreadable.len(),
        report.undetected,
    ))
}

fn show(path: &Path, verify: bool, json: bool) -> Result<()> {
    let pack = Pack::open(path)?;
    if verify {
        pack.verify()?;
    }
    let summary = Summary::of(pack.faces());
    let fit = BoxFit::measure(pack.faces());
    if json {
        return say_json(&serde_json::json!({ "pack": pack.info(), "summary": summary, "detector_box": fit }));
    }
    let info = pack.info();
    say(&format!(
        "{}: crops of {} pixels, {} boxes wide, seen by {}",
        info.name, info.params.side, info.params.expansion, info.detector
    ))?;
    say(&format!("fingerprint {}", info.fingerprint))?;
    say(&format!("\n{:10} {:12} {:>8} {:>11}", "", "", "training", "validation"))?;
    say(&format!("{:10} {:12} {:8} {:11}", "faces", "", summary.train, summary.validation))?;
    for count in &summary.counts {
        say(&format!("{:10} {:12} {:8} {:11}", count.label, count.value, count.train, count.validation))?;
    }
    if summary.identities > 0 {
        say(&format!("{} people", summary.identities))?;
    }
    if let Some(BoxFit { usual: [x, y, width, height], iou, faces }) = fit {
        say(&format!(
            "\ndetector's box about the labelled keypoints, in sides of the face template: centre ({x:.3}, {y:.3}), \
             {width:.3} wide, {height:.3} high (medians over {faces} faces); overlap with the box made from the \
             keypoints {iou:.2}"
        ))?;
    }
    Ok(())
}

fn sheet(path: &Path, out: &Path, count: usize, columns: u32) -> Result<()> {
    check_ending(out, PICTURES)?;
    let sheet = contact_sheet(&Pack::open(path)?, count, columns)?;
    let bytes = if ending(out) == "png" { codec::encode_png(&sheet)? } else { codec::encode_jpeg(&sheet, 90)? };
    write_file(out, bytes)
}

//! `visavis-lab evaluate main-face`: share of labelled faces that detectors find, by group.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Result, ensure};
use clap::Parser;
use serde::Serialize;
use visavis_data::layout::{self, Layout};
use visavis_data::pack::belonging;
use visavis_data::{DataSet, Sample};
use visavis_eval::bootstrap::{Bootstrap, Estimate};
use visavis_eval::fault_sheet::{FaultSheet, Mark};
use visavis_eval::groups::Grouping;
use visavis_face::Face;
use visavis_image::Rect;

use super::detectors::{SizedDetector, read_photo};
use super::faces::{progress_bar, write_picture};
use super::text_table::TextTable;
use crate::endings::{PICTURES, check_ending};
use visavis_cli::options::{EngineArgs, NetworkArgs, complain, parse_share, parse_size, say, say_json};
use visavis_cli::session::Session;

/// Measure how often detectors find the labelled face of a picture, by group
///
/// For sets with one labelled face per picture. It is found if a detection overlaps its box, contains its keypoints or, if the
/// set has neither, if there is any detection. Other detections do not count, since other faces are not labelled.
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis-lab evaluate main-face --layout genki4k --from GENKI-R2009a --detector yunet_n --size 320x240
  visavis-lab evaluate main-face --layout table --from mine --sheet missed.png")]
pub(super) struct Args {
    /// Layout of the set (see `visavis-lab data pack --help`)
    #[arg(long, value_name = "LAYOUT", value_parser = Layout::from_str)]
    layout: Layout,
    /// Its folder, or its list
    #[arg(long, value_name = "PATH")]
    from: PathBuf,
    /// Only files whose path in the set begins with this
    #[arg(long, default_value = "", value_name = "PREFIX")]
    within: String,
    /// Detectors to measure
    #[arg(long, value_delimiter = ',', value_name = "NETWORK,…")]
    detector: Vec<String>,
    /// Input size [default: each picture's own size, if the network accepts any]
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    size: Option<[u32; 2]>,
    /// Least score [default: that in the detector's manifest]
    #[arg(long, value_name = "SCORE", value_parser = parse_share)]
    score: Option<f32>,
    /// Draw the pictures whose face was missed, PNG or JPEG by the extension; for one detector
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    /// Pictures on the sheet
    #[arg(long, default_value_t = 40, value_name = "N", requires = "sheet")]
    sheet_count: usize,
    #[command(flatten)]
    engines: EngineArgs,
    /// As JSON, for scripts: a line for each figure
    #[arg(long)]
    json: bool,
}

/// Share of faces found.
#[derive(Serialize)]
struct Row {
    detector: String,
    by: &'static str,
    group: String,
    found: Estimate,
    missed: usize,
}

/// The groupings of the faces.
const GROUPINGS: [Grouping; 7] = [
    Grouping::Age,
    Grouping::Gender,
    Grouping::Race,
    Grouping::Pose,
    Grouping::Glasses,
    Grouping::Smile,
    Grouping::Folder,
];

pub(super) fn run(args: &Args) -> Result<()> {
    args.sheet.iter().try_for_each(|path| check_ending(path, PICTURES))?;
    let mut set = layout::read(args.layout, &args.from)?;
    ensure!(!set.samples.is_empty(), "{}: no picture is listed in it", args.from.display());
    set.samples.retain(|sample| sample.file.starts_with(&args.within));
    ensure!(!set.samples.is_empty(), "{}: no picture begins with `{}`", args.from.display(), args.within);
    let networks = NetworkArgs { detector: args.detector.first().cloned(), ..NetworkArgs::default() };
    let session = Session::open(&args.engines, &networks)?;
    let mut names = args.detector.clone();
    if names.is_empty() {
        names.push(session.choice.detector.clone());
    }
    ensure!(names.len() == 1 || args.sheet.is_none(), "--sheet is for one detector: name one with --detector");
    let mut rows = Vec::new();
    for name in &names {
        let found = find_faces(args, &session, &set, name)?;
        let (from, pictures) = (args.from.display(), found.len());
        ensure!(found.iter().any(Option::is_some), "{from}: none of its {pictures} pictures could be read");
        rows.extend(report(&set, name, &found));
        if let Some(path) = &args.sheet {
            write_sheet(path, args, &set, name, &found)?;
        }
    }
    if args.json {
        return say_json(&rows);
    }
    say(&format!("{}, {} pictures", set.name, set.samples.len()))?;
    let mut sheet = TextTable::new(&["faces", "n", "detector", "found, %", "missed"]);
    for row in &rows {
        let kind = if row.by.is_empty() { row.group.clone() } else { format!("{}: {}", row.by, row.group) };
        let found = row.found.times(100.0).text(1);
        sheet.row([kind, row.found.n.to_string(), row.detector.clone(), found, row.missed.to_string()]);
    }
    sheet.print()
}

/// Whether each picture's face was found; `None` for pictures that cannot be read.
fn find_faces(args: &Args, session: &Session, set: &DataSet, name: &str) -> Result<Vec<Option<bool>>> {
    let loader = &session.loader;
    let entry = loader.registry.get(name)?;
    let mut sized = SizedDetector::load(entry, &loader.runtime, &loader.detection, args.size, args.score)?;
    let bar = progress_bar(set.samples.len() as u64, "pictures").with_message(name.to_owned());
    let mut found = Vec::with_capacity(set.samples.len());
    for sample in &set.samples {
        bar.inc(1);
        found.push(match read_photo(&sample.path) {
            Ok(picture) => {
                let faces: Vec<Face> = sized.detector.detect(&picture)?;
                Some(belonging(sample, &faces, &picture).is_some())
            }
            Err(error) => {
                complain(&format!("{error:#}: left out"));
                None
            }
        });
    }
    bar.finish_and_clear();
    Ok(found)
}

fn report(set: &DataSet, name: &str, found: &[Option<bool>]) -> Vec<Row> {
    let seen: Vec<(&Sample, bool)> =
        set.samples.iter().zip(found).filter_map(|(sample, found)| found.map(|found| (sample, found))).collect();
    let row = |by: &'static str, group: String, places: &[usize]| {
        let holds: Vec<bool> = places.iter().map(|&place| seen[place].1).collect();
        let missed = holds.iter().filter(|found| !**found).count();
        let found = Bootstrap::default().share(&holds)?;
        Some(Row { detector: name.to_owned(), by, group, found, missed })
    };
    let all: Vec<usize> = (0..seen.len()).collect();
    let mut rows: Vec<Row> = row("", "all".into(), &all).into_iter().collect();
    for grouping in GROUPINGS {
        let groups = grouping.split(seen.iter().map(|(sample, _)| (&*sample.file, &sample.labels)));
        rows.extend(groups.into_iter().filter_map(|(group, places)| row(grouping.name(), group, &places)));
    }
    rows
}

/// Draws the whole pictures of the first missed faces.
fn write_sheet(path: &Path, args: &Args, set: &DataSet, name: &str, found: &[Option<bool>]) -> Result<()> {
    let missed = set.samples.iter().zip(found).filter(|(_, found)| **found == Some(false));
    let mut sheet = FaultSheet::new(10);
    sheet.section(format!("{name}: {} of {} faces missed", missed.clone().count(), found.len()));
    for (sample, _) in missed.take(args.sheet_count) {
        let picture = read_photo(&sample.path)?;
        let (width, height) = (picture.width() as f32, picture.height() as f32);
        // The sheet shows three times its subject: with this one, the whole picture.
        let middle = Rect::new(width / 3.0, height / 3.0, width / 3.0, height / 3.0);
        let subject = sample.rect.unwrap_or(middle);
        sheet.add(&picture, (subject, Mark::Labelled), &[], [format!("{width:.0}×{height:.0}"), sample.file.clone()]);
    }
    write_picture(path, &sheet.draw())
}

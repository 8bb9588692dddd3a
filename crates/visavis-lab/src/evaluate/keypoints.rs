//! `visavis-lab evaluate keypoints`: errors of located keypoints.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;
use serde::Serialize;
use visavis_data::pack::{Pack, PackedFace};
use visavis_eval::bootstrap::{Bootstrap, Estimate};
use visavis_eval::groups::Grouping;
use visavis_eval::keypoints::{KeypointCase, KeypointReport, evaluate, sorted_errors};
use visavis_eval::plots::{CumulativeErrors, ErrorCurve};
use visavis_eval::protocol::{self, KeypointAnswer, ViewAnswers};
use visavis_infer::Task;

use super::faces::{FaceArgs, Networks, Row, note, watched, write_plot};
use super::text_table::TextTable;
use visavis_cli::options::{EngineArgs, say, say_json};

/// Measure the errors of located keypoints
///
/// The error of a face is the mean distance of its five keypoints divided by the distance between the labelled eyes, or by the
/// size of the labelled box. All networks get exactly the same faces. Detectors that give keypoints can be measured too: they
/// run on the picture around each face.
#[derive(Parser)]
#[command(after_help = "Example:
  visavis-lab evaluate keypoints --data packs/mtfl --network kazemi_forest,mtcnn_onet,yunet_n \\
      --view labelled,detected,jitter,small --groups --plot plots")]
pub(super) struct Args {
    /// Networks to measure
    #[arg(long, required = true, value_delimiter = ',', value_name = "NETWORK,…")]
    network: Vec<String>,
    #[command(flatten)]
    faces: FaceArgs,
    /// Also by pose and by folder of the set
    #[arg(long)]
    groups: bool,
    /// Draw the cumulative error curves into this folder, as SVG and PNG
    #[arg(long, value_name = "DIR")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    engines: EngineArgs,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// The figures of one network.
#[derive(Serialize)]
struct Figures {
    #[serde(flatten)]
    report: KeypointReport,
    groups: Vec<GroupRow>,
}

#[derive(Serialize)]
struct GroupRow {
    by: &'static str,
    group: String,
    #[serde(flatten)]
    report: KeypointReport,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let networks = Networks::open(&args.engines)?;
    networks.check(&args.network, &[Task::Keypoints])?;
    let mut rows = Vec::new();
    for pack in args.faces.packs()? {
        for answers in measure(&networks, &args.network, &pack, &args.faces, args.engines.threads)? {
            let found: Vec<Answers> =
                (0..args.network.len()).map(|network| Answers::of(&pack, &answers, network)).collect();
            if let Some(folder) = &args.plot {
                let curve = |(name, answers): (&String, &Answers)| legend(name, &answers.cases);
                let plot = CumulativeErrors {
                    title: format!("Keypoint error on {}", pack.info().name),
                    subtitle: format!("{} faces, view “{}”", answers.faces.len(), answers.view),
                    curves: args.network.iter().zip(&found).map(curve).collect(),
                    most: 0.25,
                };
                write_plot(folder, &format!("keypoints_{}_{}", pack.info().name, answers.view), &plot)?;
            }
            for (network, found) in args.network.iter().zip(&found) {
                let report = evaluate(&found.cases, &Bootstrap::default());
                let folder = pack.folder().display();
                ensure!(report.faces > 0, "{folder}: no face has labelled eyes in two places and a box with an area");
                let figures = Figures { report, groups: if args.groups { found.groups() } else { Vec::new() } };
                rows.push(Row::new(&pack, &answers, network, figures));
            }
        }
    }
    if args.json { say_json(&rows) } else { print(&rows) }
}

/// Runs the networks on a pack.
pub(super) fn measure(
    networks: &Networks,
    names: &[String],
    pack: &Pack,
    faces: &FaceArgs,
    threads: usize,
) -> Result<Vec<ViewAnswers<KeypointAnswer>>> {
    let make = || networks.finders(names);
    watched(pack, |progress| protocol::keypoints(pack, &faces.params(threads), &make, progress))
}

/// The faces of one view and the results of one network.
pub(super) struct Answers<'a> {
    pub(super) cases: Vec<KeypointCase>,
    faces: Vec<&'a PackedFace>,
}

impl<'a> Answers<'a> {
    pub(super) fn of(pack: &'a Pack, answers: &ViewAnswers<KeypointAnswer>, network: usize) -> Self {
        let labelled = answers.of(network).filter_map(|(place, found)| {
            let face = &pack.faces()[place];
            Some((KeypointCase { truth: face.landmarks?, found: *found, rect: face.rect }, face))
        });
        let (cases, faces) = labelled.unzip();
        Self { cases, faces }
    }

    fn groups(&self) -> Vec<GroupRow> {
        let by = |grouping: Grouping| {
            let groups = grouping.split(self.faces.iter().map(|face| (&*face.file, &face.labels)));
            groups.into_iter().map(move |(group, places)| {
                let cases: Vec<KeypointCase> = places.iter().map(|&place| self.cases[place]).collect();
                GroupRow { by: grouping.name(), group, report: evaluate(&cases, &Bootstrap::default()) }
            })
        };
        [Grouping::Pose, Grouping::Folder].into_iter().flat_map(by).collect()
    }
}

fn legend(network: &str, cases: &[KeypointCase]) -> ErrorCurve {
    let errors = sorted_errors(cases);
    let found: Vec<f64> = errors.iter().copied().filter(|error| error.is_finite()).collect();
    let mean = found.iter().sum::<f64>() / found.len().max(1) as f64;
    ErrorCurve { name: format!("{network}, mean {:.2} %", mean * 100.0), errors }
}

fn percent(estimate: Option<Estimate>) -> String {
    estimate.map_or("–".into(), |estimate| estimate.times(100.0).text(2))
}

fn figures(report: &KeypointReport) -> [String; 7] {
    let points = report.points.iter().map(|point| format!("{:.1}", point.value * 100.0));
    [
        report.faces.to_string(),
        report.missed.to_string(),
        percent(report.interocular),
        percent(report.median),
        percent(report.failures),
        percent(report.by_box),
        points.collect::<Vec<String>>().join(" "),
    ]
}

const FIGURES: [&str; 7] = ["n", "missed", "error", "median", "above 10 %", "of the box", "eyes, nose, mouth"];

fn print(rows: &[Row<Figures>]) -> Result<()> {
    say("Mean distance of five keypoints in % of the eye distance, with 95 % intervals.")?;
    let mut table = TextTable::new(&[&["set", "view", "network"], &FIGURES[..], &[""]].concat());
    for row in rows {
        let names = row.names();
        table.row(names.into_iter().chain(figures(&row.figures.report)).chain([note(row.left_out, row.unchanged)]));
    }
    table.print()?;
    if rows.iter().all(|row| row.figures.groups.is_empty()) {
        return Ok(());
    }
    say("")?;
    let mut table =
        TextTable::new(&["set", "view", "network", "by", "group", "n", "missed", "error", "above 10 %", "of the box"]);
    for row in rows {
        for GroupRow { by, group, report } in &row.figures.groups {
            let cells = [
                (*by).to_owned(),
                group.clone(),
                report.faces.to_string(),
                report.missed.to_string(),
                percent(report.interocular),
                percent(report.failures),
                percent(report.by_box),
            ];
            table.row(row.names().into_iter().chain(cells));
        }
    }
    table.print()
}

//! `visavis-lab evaluate attributes`: accuracy of age, gender, smile and expression.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Parser;
use serde::Serialize;
use visavis_data::Labels;
use visavis_data::pack::{Pack, PackedFace};
use visavis_eval::attributes::{AgePair, AgeReport, AttributeCase, AttributeReport, LabelReport, evaluate};
use visavis_eval::bootstrap::Bootstrap;
use visavis_eval::groups::Grouping;
use visavis_eval::plots::{AgeMap, ConfusionMatrix};
use visavis_eval::protocol::{self, AttributeAnswer, View, ViewAnswers};
use visavis_infer::Task;

use super::faces::{FaceArgs, Networks, Row, note, watched, write_plot};
use super::text_table::TextTable;
use visavis_cli::options::{EngineArgs, say, say_json};

/// The tasks measured here.
pub(super) const TASKS: [Task; 4] = [Task::Age, Task::Gender, Task::Smile, Task::Expression];

/// Measure the accuracy of age, gender, smile and expression
///
/// Each network is measured on the tasks that it has and that the faces have labels for. All networks get exactly the same faces.
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis-lab evaluate attributes --data packs/utkface packs/genki4k --network faceapi_age_gender,faceapi_expression
  visavis-lab evaluate attributes --data packs/utkface --network multitask_efficientnet_lite0 --keypoints kazemi_forest \\
      --view labelled,detected,jitter,small --groups --plot plots")]
pub(super) struct Args {
    /// Networks to measure
    #[arg(long, required = true, value_delimiter = ',', value_name = "NETWORK,…")]
    network: Vec<String>,
    /// Network that locates the keypoints for networks that crop by them, as live [default: the detector's keypoints, of
    /// detected faces]
    #[arg(long, value_name = "NETWORK")]
    keypoints: Option<String>,
    #[command(flatten)]
    faces: FaceArgs,
    /// Average the results for each face and its mirror image, as `visavis analyze` does for ages in photos
    #[arg(long)]
    mirrored: bool,
    /// Also by age band, gender and race code
    #[arg(long)]
    groups: bool,
    /// Draw age maps and confusion matrices into this folder, as SVG and PNG
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
    report: AttributeReport,
    groups: Vec<GroupRow>,
}

#[derive(Serialize)]
pub(super) struct GroupRow {
    pub(super) by: &'static str,
    pub(super) group: String,
    #[serde(flatten)]
    pub(super) report: AttributeReport,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let networks = Networks { mirrored: args.mirrored, ..Networks::open(&args.engines)? };
    networks.check(&args.network, &TASKS)?;
    networks.check(args.keypoints.as_slice(), &[Task::Keypoints])?;
    let packs = args.faces.packs()?;
    check_labels(args, &networks, &packs)?;
    let mut rows = Vec::new();
    for pack in packs {
        let keypoints = args.keypoints.as_deref();
        for answers in measure(&networks, &args.network, keypoints, &pack, &args.faces, args.engines.threads)? {
            for (place, network) in args.network.iter().enumerate() {
                let found = Answers::of(&pack, &answers, place);
                let report = evaluate(&found.cases, &Bootstrap::default());
                if let Some(folder) = &args.plot {
                    draw(folder, &pack.info().name, answers.view, network, &found, &report)?;
                }
                let figures = Figures { report, groups: if args.groups { found.groups() } else { Vec::new() } };
                rows.push(Row::new(&pack, &answers, network, figures));
            }
        }
    }
    if args.json { say_json(&rows) } else { print(&rows) }
}

/// Whether a face has a label for one of these tasks.
pub(super) fn is_labelled(labels: &Labels, tasks: &[Task]) -> bool {
    tasks.iter().any(|task| match task {
        Task::Age => labels.age.is_some(),
        Task::Gender => labels.gender.is_some(),
        Task::Smile => labels.smile.is_some(),
        Task::Expression => labels.main_expression().is_some(),
        _ => false,
    })
}

/// Fails if there would be no figure for one of the packs, or for one of the networks.
fn check_labels(args: &Args, networks: &Networks, packs: &[Pack]) -> Result<()> {
    let mut tasks = Vec::new();
    for name in &args.network {
        let own = &networks.manifest(name)?.tasks;
        if !packs.iter().any(|pack| args.faces.any(pack, |face| is_labelled(&face.labels, own))) {
            bail!("{name}: no face of the packs that --split selects has a label for {}", named(own));
        }
        tasks.extend_from_slice(own);
    }
    for pack in packs {
        if !args.faces.any(pack, |face| is_labelled(&face.labels, &tasks)) {
            let folder = pack.folder().display();
            bail!("{folder}: no face that --split selects has a label for {}", named(&tasks));
        }
    }
    Ok(())
}

/// The tasks that are measured here, as text.
fn named(tasks: &[Task]) -> String {
    let measured = TASKS.iter().filter(|task| tasks.contains(task)).map(Task::to_string);
    measured.collect::<Vec<_>>().join(" or ")
}

/// Runs networks for age, gender, smile or expression on a pack.
pub(super) fn measure(
    networks: &Networks,
    names: &[String],
    keypoints: Option<&str>,
    pack: &Pack,
    faces: &FaceArgs,
    threads: usize,
) -> Result<Vec<ViewAnswers<AttributeAnswer>>> {
    let make = || networks.attributes(names, keypoints);
    watched(pack, |progress| protocol::attributes(pack, &faces.params(threads), &make, progress))
}

/// The faces of one view and the results of one network.
pub(super) struct Answers<'a> {
    pub(super) cases: Vec<AttributeCase<'a>>,
    faces: Vec<&'a PackedFace>,
}

impl<'a> Answers<'a> {
    pub(super) fn of(pack: &'a Pack, answers: &'a ViewAnswers<AttributeAnswer>, network: usize) -> Self {
        let said = answers.of(network).map(|(place, findings)| {
            let face = &pack.faces()[place];
            (AttributeCase { labels: &face.labels, findings }, face)
        });
        let (cases, faces) = said.unzip();
        Self { cases, faces }
    }

    pub(super) fn groups(&self) -> Vec<GroupRow> {
        let by = |grouping: Grouping| {
            let groups = grouping.split(self.faces.iter().map(|face| (&*face.file, &face.labels)));
            groups.into_iter().map(move |(group, places)| {
                let cases: Vec<AttributeCase> = places.iter().map(|&place| self.cases[place]).collect();
                GroupRow { by: grouping.name(), group, report: evaluate(&cases, &Bootstrap::default()) }
            })
        };
        [Grouping::Age, Grouping::Gender, Grouping::Race].into_iter().flat_map(by).collect()
    }
}

fn draw(
    folder: &Path,
    set: &str,
    view: View,
    network: &str,
    found: &Answers<'_>,
    report: &AttributeReport,
) -> Result<()> {
    let file = |what: &str| format!("{what}_{set}_{view}_{network}");
    let on = format!("{network} on {set}, view “{view}”");
    if let Some(age) = &report.age {
        let pairs: Vec<AgePair> = found.cases.iter().filter_map(AttributeCase::age).collect();
        let subtitle = format!("{on}: mean absolute error {} years, n = {}", age.mae.text(2), age.mae.n);
        write_plot(folder, &file("age"), &AgeMap { title: "Age".into(), subtitle, pairs })?;
        let matrix =
            ConfusionMatrix { title: "Age bands".into(), subtitle: on.clone(), confusion: age.confusion.clone() };
        write_plot(folder, &file("age_bands"), &matrix)?;
    }
    let labels = [
        ("Gender", "gender", &report.gender),
        ("Smile", "smile", &report.smile),
        ("Expression", "expression", &report.expression),
    ];
    for (title, name, label) in labels {
        if let Some(LabelReport { accuracy, confusion }) = label {
            let subtitle = format!("{on}: {} %", accuracy.times(100.0).text(1));
            let matrix = ConfusionMatrix { title: title.into(), subtitle, confusion: confusion.clone() };
            write_plot(folder, &file(name), &matrix)?;
        }
    }
    Ok(())
}

/// A line for each figure: name, number of faces, the figure with its interval, and remarks.
fn figures(report: &AttributeReport) -> Vec<[String; 4]> {
    let mut lines = Vec::new();
    if let Some(AgeReport { mae, bias, within, .. }) = &report.age {
        let share = |years: usize| within.get(years).map_or(0.0, |within| within.share * 100.0);
        let more = format!("bias {:+.2}, within 5 years {:.1} %, within 10 {:.1} %", bias.value, share(5), share(10));
        lines.push(["age, MAE in years".to_owned(), mae.n.to_string(), mae.text(2), more]);
    }
    let labels = [
        ("gender, % right", &report.gender),
        ("smile, % right", &report.smile),
        ("expression, % right", &report.expression),
    ];
    for (name, label) in labels {
        if let Some(LabelReport { accuracy, confusion }) = label {
            let right = |row: usize| {
                let total: usize = confusion.counts[row].iter().sum();
                let share = confusion.counts[row][row] as f64 * 100.0 / total as f64;
                (total > 0).then(|| format!("{} {share:.1} % of {total}", confusion.labels[row]))
            };
            let more = (0..confusion.labels.len()).filter_map(right).collect::<Vec<String>>().join(", ");
            lines.push([name.to_owned(), accuracy.n.to_string(), accuracy.times(100.0).text(1), more]);
        }
    }
    lines
}

fn print(rows: &[Row<Figures>]) -> Result<()> {
    say("With 95 % intervals.")?;
    let mut table = TextTable::new(&["set", "view", "network", "figure", "n", "", "", ""]);
    for row in rows {
        for line in figures(&row.figures.report) {
            let names = row.names();
            table.row(names.into_iter().chain(line).chain([note(row.left_out, row.unchanged)]));
        }
    }
    table.print()?;
    if rows.iter().all(|row| row.figures.groups.is_empty()) {
        return Ok(());
    }
    say("")?;
    let mut table = TextTable::new(&["set", "view", "network", "by", "group", "figure", "n", "", ""]);
    for row in rows {
        for group in &row.figures.groups {
            for line in figures(&group.report) {
                let names = row.names();
                table.row(names.into_iter().chain([group.by.to_owned(), group.group.clone()]).chain(line));
            }
        }
    }
    table.print()
}

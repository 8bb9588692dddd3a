//! `visavis-lab evaluate trust`: one report on the accuracy and the fairness of the networks.

mod report;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use visavis_data::Gender;
use visavis_data::pack::Pack;
use visavis_eval::attributes::{AgePair, AttributeCase};
use visavis_eval::bootstrap::{Bootstrap, Estimate};
use visavis_eval::groups::Grouping;
use visavis_eval::plots::{AgeMap, ErrorTradeOff, ScoreDistributions};
use visavis_eval::protocol;
use visavis_eval::similarity::{Embedded, open_set};
use visavis_eval::trust::{PairDistances, ages_by_gender, challenge_ages, matches};
use visavis_infer::{Task, fingerprint};

use self::report::{Report, Table};
use super::attributes::{Answers, is_labelled, measure};
use super::faces::{FaceArgs, Networks, watched, write_plot};
use super::machine;
use super::similarity::{embedded, metric};
use visavis_cli::options::{EngineArgs, parse_rate, say};
use visavis_cli::output::write_file;

/// Write a report on accuracy and fairness, as Markdown and HTML
///
/// Ages: errors by gender and age band, and the errors of a check of a legal age with a challenge age. Gender, smile and
/// expression by group. Identification: missed people at several rates of false alarms, false matches within groups of people at
/// one threshold, distributions of distances. Quantities and names are those of NIST's FATE and FRTE and of ISO/IEC 19795.
/// Packs without ages or identities are used for the sections that they have labels for.
#[derive(Parser)]
#[command(after_help = "Example:
  visavis-lab evaluate trust --data packs/utkface packs/celeba --view detected --attributes multitask_efficientnet_lite0 \\
      --similarity similarity_mobilefacenet --keypoints kazemi_forest --out trust")]
pub(super) struct Args {
    /// Network for age, gender, smile and expression
    #[arg(long, value_name = "NETWORK")]
    attributes: String,
    /// Network for embeddings
    #[arg(long, value_name = "NETWORK")]
    similarity: String,
    /// Network that locates the keypoints, as live [default: the detector's keypoints]
    #[arg(long, value_name = "NETWORK")]
    keypoints: Option<String>,
    #[command(flatten)]
    faces: FaceArgs,
    /// Legal age in years
    #[arg(long, default_value_t = 18.0, value_name = "YEARS")]
    legal_age: f32,
    /// Challenge ages in years: people with a lower estimated age are asked for a document
    #[arg(long, value_delimiter = ',', default_value = "18,21,23,25,28,30", value_name = "YEARS,…")]
    challenge_ages: Vec<f32>,
    /// False-match rate that sets the threshold of verification
    #[arg(long, default_value_t = 0.001, value_name = "SHARE", value_parser = parse_rate)]
    false_match_rate: f64,
    /// Folder for trust.md, trust.html and the plots
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    engines: EngineArgs,
}

impl Args {
    /// The command for the document: packs without their folders.
    fn command(&self) -> String {
        let name = |path: &PathBuf| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let data: Vec<String> = self.faces.data.iter().map(name).collect();
        let views: Vec<String> = self.faces.view.iter().map(ToString::to_string).collect();
        let keypoints = self.keypoints.as_ref().map(|name| format!(" --keypoints {name}")).unwrap_or_default();
        format!(
            "visavis-lab evaluate trust --data {} --view {} --attributes {} --similarity {}{keypoints}",
            data.join(" "),
            views.join(","),
            self.attributes,
            self.similarity
        )
    }
}

/// False positive identification rates of the open-set section.
const ALARM_RATES: [f64; 3] = [0.001, 0.01, 0.1];

pub(super) fn run(args: &Args) -> Result<()> {
    let networks = Networks::open(&args.engines)?;
    networks.check(std::slice::from_ref(&args.attributes), &super::attributes::TASKS)?;
    networks.check(std::slice::from_ref(&args.similarity), &[Task::Similarity])?;
    networks.check(args.keypoints.as_slice(), &[Task::Keypoints])?;
    let mut report = Report::new("Accuracy and fairness of the networks");
    introduce(args, &networks, &mut report)?;
    let tasks = &networks.manifest(&args.attributes)?.tasks;
    for pack in args.faces.packs()? {
        let labelled = args.faces.any(&pack, |face| is_labelled(&face.labels, tasks));
        let identified = args.faces.any(&pack, |face| face.identity.is_some());
        ensure!(
            labelled || identified,
            "{}: no face that --split selects has a label that {} gives, or an identity: there is nothing to report",
            pack.folder().display(),
            args.attributes
        );
        if labelled {
            attributes(args, &networks, &pack, &mut report)?;
        }
        if identified {
            identities(args, &networks, &pack, &mut report)?;
        }
    }
    report.heading("Limits");
    report.text(
        "Labels of age, gender and race code in these sets are the impressions of labellers or of a network, not what people say of \
         themselves. The photos come from the web: a camera in a shop, poor light and low resolution give larger errors. Groups \
         that the sets do not label, such as skin tone measured on the skin, disabilities or head coverings, were not examined.",
    );
    std::fs::create_dir_all(&args.out).with_context(|| format!("{} cannot be made", args.out.display()))?;
    for (name, text) in [("trust.md", report.markdown()), ("trust.html", report.html())] {
        let path = args.out.join(name);
        write_file(&path, text)?;
        say(&path.display().to_string())?;
    }
    Ok(())
}

fn introduce(args: &Args, networks: &Networks, report: &mut Report) -> Result<()> {
    report.text(&format!("Measured by `{}` on {}.", args.command(), machine::describe()));
    report.text(
        "Figures in brackets are 95 % bootstrap intervals over faces; those of groups with few faces are wide. “–”: not measured, \
         since the set has no labels for it or the network does not tell it. The view says how a face is cut out: `detected` is the \
         box of the detector, as in live use. A fingerprint identifies the weights of a network and how its results are decoded.",
    );
    let mut table = Table::new(&["network", "tasks", "fingerprint", "trained on"]);
    for name in [&args.attributes, &args.similarity] {
        let manifest = networks.manifest(name)?;
        let tasks: Vec<String> = manifest.tasks.iter().map(Task::to_string).collect();
        let data = manifest.training_data.clone().unwrap_or_else(|| "not known".into());
        table.row([name.clone(), tasks.join(", "), fingerprint(manifest), data]);
    }
    report.table(table);
    Ok(())
}

/// The sections on age, gender, smile and expression of one pack.
fn attributes(args: &Args, networks: &Networks, pack: &Pack, report: &mut Report) -> Result<()> {
    let (set, keypoints) = (&pack.info().name, args.keypoints.as_deref());
    let names = std::slice::from_ref(&args.attributes);
    let Some(answers) =
        measure(networks, names, keypoints, pack, &args.faces, args.engines.threads)?.into_iter().next()
    else {
        return Ok(());
    };
    let bootstrap = Bootstrap::default();
    let found = Answers::of(pack, &answers, 0);
    let aged: Vec<AgePair> = found.cases.iter().filter_map(AttributeCase::age).collect();
    let by_gender: Vec<(Gender, AgePair)> =
        found.cases.iter().filter_map(|case| Some((case.labels.gender?, case.age()?))).collect();
    if !aged.is_empty() {
        report.heading(&format!("Age: {set}"));
        report.text(&format!(
            "{} faces, view `{}`. A positive bias means that estimates are too high on average.",
            aged.len(),
            answers.view
        ));
        let mut table = Table::new(&["gender", "age", "faces", "mean absolute error, years", "bias, years"]);
        for cell in ages_by_gender(&by_gender, &bootstrap) {
            let gender = match cell.gender {
                Gender::Female => "female",
                Gender::Male => "male",
            };
            let n = cell.error.n.to_string();
            table.row([gender.into(), cell.band.into(), n, cell.error.text(2), cell.bias.text(2)]);
        }
        report.table(table);
        let map = AgeMap {
            title: format!("{}: estimated and labelled age, {set}", args.attributes),
            subtitle: String::new(),
            pairs: aged.clone(),
        };
        plot(args, report, &format!("ages_{set}"), &map, "Estimated age against labelled age")?;
        report.heading(&format!("Challenge age: {set}"));
        report.text(&format!(
            "The legal age is {}. Everyone whose estimated age is below the challenge age is asked for a document. A false positive \
             is a person below the legal age who is not asked; a false negative is an adult who is asked.",
            args.legal_age
        ));
        let nearly = format!("of those aged {} and more, %", args.legal_age - 3.0);
        let mut table =
            Table::new(&["challenge age", "false positives, % of all minors", &nearly, "false negatives, % of adults"]);
        for rates in challenge_ages(&aged, args.legal_age, &args.challenge_ages, &bootstrap) {
            let cells = [rates.minors_not_asked, rates.nearly_adults_not_asked, rates.adults_asked].map(percent);
            let [minors, nearly, adults] = cells;
            table.row([rates.age.to_string(), minors, nearly, adults]);
        }
        report.table(table);
    }
    let groups = found.groups();
    let mut table = Table::new(&["by", "group", "gender correct, %", "smile correct, %", "expression correct, %"]);
    for group in &groups {
        let cell = |report: &Option<visavis_eval::attributes::LabelReport>| {
            percent(report.as_ref().map(|report| report.accuracy))
        };
        let cells = [&group.report.gender, &group.report.smile, &group.report.expression].map(cell);
        if cells.iter().any(|cell| cell != report::NOTHING) {
            let [gender, smile, expression] = cells;
            table.row([group.by.into(), group.group.clone(), gender, smile, expression]);
        }
    }
    if !table.is_empty() {
        report.heading(&format!("Gender, smile and expression by group: {set}"));
        report.table(table);
    }
    Ok(())
}

/// The sections on identification of one pack.
fn identities(args: &Args, networks: &Networks, pack: &Pack, report: &mut Report) -> Result<()> {
    let (set, keypoints) = (&pack.info().name, args.keypoints.as_deref());
    let names = std::slice::from_ref(&args.similarity);
    let make = || networks.attributes(names, keypoints);
    let params = args.faces.params(args.engines.threads);
    let views = watched(pack, |progress| protocol::embeddings(pack, &params, &make, progress))?;
    let Some(answers) = views.first() else { return Ok(()) };
    let metric = metric(networks.manifest(&args.similarity)?)?;
    let (faces, packed) = embedded(pack, answers, 0);
    let bootstrap = Bootstrap::default();
    report.heading(&format!("Identification: {set}"));
    let mut table = Table::new(&[
        "false positive identification rate, %",
        "false negative identification rate, %",
        "photos of strangers",
    ]);
    for rate in ALARM_RATES {
        // With fewer strangers than 1 / rate, the rate cannot be measured.
        let found = open_set(metric, &faces, rate, &bootstrap);
        if let Some(found) = found.filter(|found| found.strangers as f64 * rate >= 1.0) {
            table.row([format!("{}", rate * 100.0), percent(Some(found.fnir)), found.strangers.to_string()]);
        }
    }
    report.text(
        "A third of the people are strangers: they are not in the gallery. The threshold is set so that the share of their photos in the \
         first column is identified as a person of the gallery. The second column is the share of photos of the other people that are \
         not identified correctly.",
    );
    report.table(table);
    let groups = groups(pack, &faces, &packed);
    let Some(found) = matches(metric, &faces, &groups, args.false_match_rate, &bootstrap) else {
        report.text("The set has too few pairs of people for this false-match rate.");
        return Ok(());
    };
    report.heading(&format!("False matches within groups: {set}"));
    report.text(&format!(
        "The threshold is the same for all groups (distance {:.3}): {} % of {} pairs of photos of two people match. The rate of a group \
         counts only pairs within the group. It is usually higher, since the people of a group resemble each other more.",
        found.threshold,
        found.rate * 100.0,
        found.pairs
    ));
    let mut table = Table::new(&["group", "faces", "false-match rate, %", "false non-match rate, %"]);
    for group in &found.groups {
        let n = group.false_matches.n.to_string();
        let matched = group.false_matches.times(100.0).text(3);
        table.row([group.group.clone(), n, matched, percent(group.false_non_matches)]);
    }
    report.table(table);
    let pairs = PairDistances::of(metric, &faces);
    let subtitle = format!("{} pairs of one person, {} of two", pairs.one_person.len(), pairs.two_people.len());
    let scores = ScoreDistributions {
        title: format!("{}: distances, {set}", args.similarity),
        subtitle: subtitle.clone(),
        pairs: &pairs,
        threshold: found.threshold,
    };
    plot(args, report, &format!("scores_{set}"), &scores, "Distances of pairs; the dashed line is the threshold")?;
    let trade_off = ErrorTradeOff {
        title: format!("False non-matches against false matches, {set}"),
        subtitle,
        curves: vec![(args.similarity.clone(), &pairs)],
    };
    plot(args, report, &format!("errors_{set}"), &trade_off, "Trade-off of the two errors")
}

/// The groups of faces by gender, age band, race code, glasses and smile.
fn groups(pack: &Pack, faces: &[Embedded], packed: &[usize]) -> Vec<(String, Vec<usize>)> {
    debug_assert_eq!(faces.len(), packed.len());
    let all = [Grouping::Gender, Grouping::Age, Grouping::Race, Grouping::Glasses, Grouping::Smile];
    let by = |grouping: Grouping| {
        let labels = packed.iter().map(|&place| (&*pack.faces()[place].file, &pack.faces()[place].labels));
        grouping.split(labels).into_iter().map(move |(group, places)| (format!("{} {group}", grouping.name()), places))
    };
    all.into_iter().flat_map(by).collect()
}

fn percent(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(|| report::NOTHING.into(), |estimate| estimate.times(100.0).text(1))
}

/// Draws a plot beside the report and adds it.
fn plot(
    args: &Args,
    report: &mut Report,
    name: &str,
    plot: &impl visavis_eval::plots::Plot,
    caption: &str,
) -> Result<()> {
    write_plot(Path::new(&args.out), name, plot)?;
    report.picture(&format!("{name}.svg"), caption);
    Ok(())
}

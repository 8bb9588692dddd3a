//! `visavis-lab train forest`: trains a regression forest that locates keypoints.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use visavis_data::pack::{Pack, PackedFace};
use visavis_data::{DataError, Split};
use visavis_eval::bootstrap::{Bootstrap, Estimate};
use visavis_eval::keypoints::{KeypointCase, evaluate};
use visavis_eval::protocol::{self, FaceSource, KeypointFinder, ProtocolParams, View};
use visavis_eval::speed::{self, SpeedParams};
use visavis_face::forest::{Forest, ForestLocator};
use visavis_image::Picture;
use visavis_infer::manifest::Figure;
use visavis_train::forest::{
    Errors, ForestCard, Progress, TrainForestParams, labelled_faces, rehearsal, train, write_model,
};

use visavis_cli::options::{complain, say};

/// Train a regression forest that locates the five keypoints (Kazemi and Sullivan)
///
/// Writes NAME.forest, its manifest NAME.toml, its model card NAME.md, and metrics.csv with a line for each tree. Use the
/// forest with --models FOLDER --keypoints NAME.
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis-lab train forest --data packs/mtfl --out runs/forest
  visavis-lab train forest --data packs/mtfl --out runs/quick --levels 5 --trees 100 --rehearsal")]
pub(super) struct Args {
    /// Packed faces with labelled keypoints
    #[arg(long, value_name = "PACK")]
    data: PathBuf,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Name of the forest
    #[arg(long, default_value = "forest")]
    name: String,
    /// Description and licence of the data, for the model card
    #[arg(long, value_name = "TEXT")]
    about: Option<String>,
    /// Train on nine tenths of the training part and measure on the rest: to choose settings without using the validation
    /// part
    #[arg(long)]
    rehearsal: bool,
    /// Levels of the cascade
    #[arg(long, default_value_t = defaults().levels, value_name = "N")]
    levels: usize,
    /// Trees per level
    #[arg(long, default_value_t = defaults().trees, value_name = "N")]
    trees: usize,
    /// Depth of the trees
    #[arg(long, default_value_t = defaults().depth, value_name = "N")]
    depth: u8,
    /// Pixels that a level reads
    #[arg(long, default_value_t = defaults().pixels, value_name = "N")]
    pixels: usize,
    /// Splits tried per node
    #[arg(long, default_value_t = defaults().candidates, value_name = "N")]
    candidates: usize,
    /// Share of a tree's result that is added
    #[arg(long, default_value_t = defaults().shrinkage, value_name = "SHARE")]
    shrinkage: f32,
    /// Start shapes per face
    #[arg(long, default_value_t = defaults().starts, value_name = "N")]
    starts: usize,
    /// Share of the start shapes that come from another face
    #[arg(long, default_value_t = defaults().foreign_starts, value_name = "SHARE")]
    foreign_starts: f32,
    /// Typical distance of a pair of pixels, in sides of the box
    #[arg(long, default_value_t = defaults().pair_distance, value_name = "SIDES")]
    pair_distance: f32,
    /// Margin around the mean shape in which pixels are drawn, in sides of the box
    #[arg(long, default_value_t = defaults().padding, value_name = "SIDES")]
    padding: f32,
    /// Random shift and scaling of the boxes beyond the detector's own, in sides of the box
    #[arg(long, default_value_t = defaults().jitter, value_name = "SIDES")]
    jitter: f32,
    /// Grey samples per side of a box
    #[arg(long, default_value_t = defaults().resolution, value_name = "N")]
    resolution: u16,
    /// Seed of everything random
    #[arg(long, default_value_t = defaults().seed, value_name = "N")]
    seed: u64,
    /// Threads; the result does not depend on their number
    #[arg(long, default_value_t = defaults().threads, value_name = "N")]
    threads: usize,
}

fn defaults() -> TrainForestParams {
    TrainForestParams::default()
}

impl Args {
    fn params(&self) -> TrainForestParams {
        TrainForestParams {
            levels: self.levels,
            trees: self.trees,
            depth: self.depth,
            pixels: self.pixels,
            candidates: self.candidates,
            shrinkage: self.shrinkage,
            starts: self.starts,
            foreign_starts: self.foreign_starts,
            pair_distance: self.pair_distance,
            padding: self.padding,
            jitter: self.jitter,
            resolution: self.resolution,
            seed: self.seed,
            threads: self.threads,
        }
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    let params = args.params();
    params.validate()?;
    let pack = Pack::open(&args.data)?;
    let part = Part::of(&pack, args.rehearsal);
    let faces = labelled_faces(&pack, |face| part.side(face) == Some(Split::Train))?;
    let unseen = labelled_faces(&pack, |face| part.side(face) == Some(Split::Validation))?;
    if unseen.is_empty() {
        bail!("{} has no face with keypoints to measure by: pack it with a validation part", args.data.display());
    }
    let mut metrics = Metrics::create(&args.out)?;
    let bar = ProgressBar::new(params.all_trees() as u64).with_style(
        ProgressStyle::with_template("{bar:32} {pos}/{len} trees, {eta} left, {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let forest = train(&faces, &unseen, &params, |progress| {
        metrics.add(progress);
        bar.set_message(predicted(progress));
        bar.inc(1);
        if progress.tree == params.trees {
            bar.suspend(|| complain(&format!("level {}: {}", progress.level, predicted(progress))));
        }
    })?;
    bar.finish_and_clear();
    metrics.finish()?;
    let mut figures = measure(&forest, &part)?;
    figures.push(timed(&args.name, &forest)?);
    let card = ForestCard {
        name: args.name.clone(),
        command: recipe(args),
        data: data_text(args, &pack, faces.len(), unseen.len()),
        params,
        figures,
    };
    write_model(&args.out, &forest, &card)?;
    for figure in &card.figures {
        say(&format!("{}: {}", figure.what, figure.value))?;
    }
    say(&format!("{} is written: visavis live --models {0} --keypoints {}", args.out.display(), args.name))
}

fn predicted(progress: &Progress) -> String {
    let percent = |errors: &Errors| format!("{:.2} %", errors.interocular * 100.0);
    let validation = progress.validation.as_ref().map_or("–".into(), percent);
    format!("error {validation} (while learning {})", percent(&progress.training))
}

/// The faces of a run, by part.
struct Part<'a> {
    pack: &'a Pack,
    rehearsal: bool,
    /// Those for measuring, and their indices in the pack.
    unseen: Vec<PackedFace>,
    places: Vec<usize>,
}

impl<'a> Part<'a> {
    fn of(pack: &'a Pack, rehearsal: bool) -> Self {
        let mut part = Self { pack, rehearsal, unseen: Vec::new(), places: Vec::new() };
        for (place, face) in pack.faces().iter().enumerate() {
            if part.side(face) == Some(Split::Validation) {
                part.unseen.push(PackedFace { split: Split::Validation, ..face.clone() });
                part.places.push(place);
            }
        }
        part
    }

    fn side(&self, face: &PackedFace) -> Option<Split> {
        if self.rehearsal { rehearsal(face) } else { Some(face.split) }
    }
}

impl FaceSource for Part<'_> {
    fn faces(&self) -> &[PackedFace] {
        &self.unseen
    }

    fn picture(&self, index: usize) -> Result<Picture, DataError> {
        self.pack.picture(self.places[index])
    }
}

/// Lines of metrics.csv.
struct Metrics {
    path: PathBuf,
    table: csv::Writer<std::fs::File>,
    /// The first error while writing; training continues without the table.
    failed: Option<csv::Error>,
}

impl Metrics {
    fn create(folder: &Path) -> Result<Self> {
        let path = folder.join("metrics.csv");
        let open = || -> Result<csv::Writer<std::fs::File>> {
            std::fs::create_dir_all(folder)?;
            let mut table = csv::Writer::from_path(&path)?;
            table.write_record([
                "level",
                "tree",
                "training_by_box",
                "training_interocular",
                "validation_by_box",
                "validation_interocular",
            ])?;
            Ok(table)
        };
        let table = open().with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Self { path, table, failed: None })
    }

    fn add(&mut self, progress: &Progress) {
        let pair = |errors: &Errors| [errors.by_box, errors.interocular].map(|error| format!("{error:.6}"));
        let validation = progress.validation.as_ref().map(pair).unwrap_or_default();
        let numbers = [progress.level, progress.tree].map(|number| number.to_string());
        let row = numbers.into_iter().chain(pair(&progress.training)).chain(validation);
        if let Err(error) = self.table.write_record(row) {
            self.failed.get_or_insert(error);
        }
    }

    fn finish(mut self) -> Result<()> {
        let written = self.failed.take().map_or(Ok(()), Err).and_then(|()| Ok(self.table.flush()?));
        written.with_context(|| format!("{} cannot be written", self.path.display()))
    }
}

/// Poses other than full profile, by MTFL's code: in full profile the eye distance is not a useful unit.
const NO_PROFILES: std::ops::RangeInclusive<u8> = 2..=4;

/// Measures the finished forest like `visavis-lab evaluate keypoints`.
fn measure(forest: &Forest, part: &Part<'_>) -> Result<Vec<Figure>> {
    let params = ProtocolParams { views: View::ALL.to_vec(), ..ProtocolParams::default() };
    let make = || Ok(vec![KeypointFinder::Network(Box::new(ForestLocator::new(forest.clone())))]);
    let mut figures = Vec::new();
    for view in protocol::keypoints(part, &params, &make, &|_| {})? {
        // If no face is larger than the view's size, it equals the labelled view: no figure of its own.
        if view.view == View::Small && view.unchanged == view.faces.len() {
            continue;
        }
        let cases: Vec<(KeypointCase, Option<u8>)> = view
            .of(0)
            .filter_map(|(place, found)| {
                let face = &part.unseen[place];
                Some((KeypointCase { truth: face.landmarks?, found: *found, rect: face.rect }, face.labels.pose))
            })
            .collect();
        let no_profile = |pose: &Option<u8>| pose.is_some_and(|pose| NO_PROFILES.contains(&pose));
        let mut groups = vec![("all poses", cases.iter().map(|(case, _)| *case).collect::<Vec<_>>())];
        if cases.iter().any(|(_, pose)| pose.is_some()) {
            groups.push((
                "without full profiles",
                cases.iter().filter(|(_, pose)| no_profile(pose)).map(|(case, _)| *case).collect(),
            ));
        }
        for (group, cases) in groups {
            let report = evaluate(&cases, &Bootstrap::default());
            let percent = |estimate: Option<Estimate>| {
                estimate.map_or("–".to_owned(), |estimate| format!("{} %", estimate.times(100.0).text(2)))
            };
            figures.push(Figure {
                what: format!(
                    "keypoint error, {} {}, {group}, view \"{}\"",
                    report.faces,
                    if part.rehearsal { "training faces held back" } else { "validation faces" },
                    view.view
                ),
                value: format!(
                    "{} of the eye distance (median {}), {} of the box; above 10 %: {}",
                    percent(report.interocular),
                    percent(report.median),
                    percent(report.by_box),
                    percent(report.failures)
                ),
                by: "visavis-lab train forest".into(),
            });
        }
    }
    Ok(figures)
}

fn timed(name: &str, forest: &Forest) -> Result<Figure> {
    let params = SpeedParams { warm_up: 50, runs: 1000, least: Duration::from_secs(1), ..SpeedParams::default() };
    let speed = speed::locator(name, [0, 0], &mut ForestLocator::new(forest.clone()), &params)?.speed;
    Ok(Figure {
        what: "time for a face of 160 by 192 pixels, one core".into(),
        value: format!("{:.0} µs (median), {:.0} µs (95 %)", speed.median_ms.value * 1e3, speed.p95_ms * 1e3),
        by: "visavis-lab train forest".into(),
    })
}

/// The command as it was given, with the names of folders instead of their paths.
fn recipe(args: &Args) -> String {
    let leaf = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let words = std::env::args().skip(1).map(|word| {
        if Path::new(&word) == args.data {
            return format!("packs/{}", leaf(&args.data));
        }
        if Path::new(&word) == args.out {
            return format!("runs/{}", leaf(&args.out));
        }
        if word.contains(' ') { format!("\"{word}\"") } else { word }
    });
    std::iter::once("visavis".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

fn data_text(args: &Args, pack: &Pack, faces: usize, unseen: usize) -> String {
    let info = pack.info();
    let about = args.about.as_deref().map_or(String::new(), |about| format!("{about}. "));
    format!(
        "{about}Pack `{}`, {faces} faces for training and {unseen} for measuring, boxes by {}; fingerprint {}",
        info.name, info.detector, info.fingerprint
    )
}

//! `visavis train network`: run a recipe.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use visavis_data::boxes::FaceBoxes;
use visavis_data::pack::Pack;
use visavis_face::detect::{DetectorParams, FaceDetector};
use visavis_face::{Detect, FaceNetwork, Recognise};
use visavis_infer::{Registry, Runtime};
use visavis_train::TrainError;
use visavis_train::recipe::{Recipe, SceneSource, Stage, TeacherRecipe};
use visavis_train::teacher::Answers;
use visavis_train::trainer::{EpochReport, Observer, StepReport, TrainOptions, can_resume, train};

use crate::interrupt;
use crate::options::{EngineArgs, cores};

/// Losses that the dashboard's curve shows.
const CURVE: usize = 48;
/// Bars of the curve, lowest first.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Train a network as a recipe says (docs/training.md)
///
/// The folder gets the recipe, hashes of the data, the revision of the sources, steps.csv and epochs.csv, checkpoints, and
/// best.safetensors, the weights of the best validation. Ctrl-C leaves a checkpoint; --resume goes on from the last one.
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis train network --recipe recipes/smile.toml --out runs/smile
  visavis train network --recipe recipes/smile.toml --out runs/smile --resume")]
pub(super) struct Args {
    /// The recipe
    #[arg(long, value_name = "FILE")]
    recipe: PathBuf,
    /// Folder of the run
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on from the last checkpoint in the folder
    #[arg(long)]
    resume: bool,
    /// Threads that prepare pictures beside those that train
    #[arg(long, default_value_t = 1, value_name = "N")]
    feeders: usize,
    /// Minutes between two checkpoints within an epoch
    #[arg(long, default_value_t = 5.0, value_name = "MINUTES")]
    checkpoint_every: f64,
    #[command(flatten)]
    engines: EngineArgs,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let recipe = Recipe::read(&args.recipe)?;
    let resume = args.resume && can_resume(&args.out);
    static STOP: AtomicBool = AtomicBool::new(false);
    interrupt::sets(&STOP)?;
    let dashboard = RefCell::new(Dashboard::new(&recipe.name));
    let teach = |teacher: &TeacherRecipe, pack: &Pack| {
        let progress = dashboard.borrow().teaching(teacher, pack);
        let answers = ask(teacher, pack, &args.engines, &progress);
        progress.finish_and_clear();
        answers
    };
    let options = TrainOptions {
        folder: args.out.clone(),
        resume,
        feeders: args.feeders,
        checkpoint_every: Duration::from_secs_f64(args.checkpoint_every.max(0.0) * 60.0),
        stop: &STOP,
        teach: &teach,
        point_out: &|detector, source| point_out(detector, source, &args.engines, &dashboard.borrow()),
    };
    let trained = train(&recipe, &options, &mut Shared(&dashboard))
        .with_context(|| format!("the run in {} ended", args.out.display()))?;
    dashboard.borrow().close();
    for (name, value) in &trained.figures {
        crate::options::say(&format!("{name:28} {value:.4}"))?;
    }
    Ok(())
}

/// What a teacher says of every face of a pack.
fn ask(
    teacher: &TeacherRecipe,
    pack: &Pack,
    engines: &EngineArgs,
    progress: &ProgressBar,
) -> Result<Answers, TrainError> {
    let registry = Registry::open(&engines.models)?;
    let entry = registry.get(&teacher.network)?;
    let runtime = Runtime::discover(engines.onnxruntime.as_deref());
    let make = || {
        let model = entry.load(&runtime, &engines.recognition())?;
        Ok(Box::new(FaceNetwork::new(&entry.manifest, model)?) as Box<dyn Recognise>)
    };
    Answers::ask(pack, &teacher.tasks, make, cores(), |_| progress.inc(1))
}

/// Where a detector sees faces in a folder's pictures: sure ones are faces, doubtful ones do not count either way.
fn point_out(
    detector: &str,
    source: &SceneSource,
    engines: &EngineArgs,
    dashboard: &Dashboard,
) -> Result<FaceBoxes, TrainError> {
    let registry = Registry::open(&engines.models)?;
    let entry = registry.get(detector)?;
    let runtime = Runtime::discover(engines.onnxruntime.as_deref());
    let make = || {
        let model = entry.load(&runtime, &engines.recognition())?;
        Ok(Box::new(FaceDetector::new(&entry.manifest, model, pointing())?) as Box<dyn Detect>)
    };
    let progress = dashboard.pointing_out(detector, source);
    let boxes = visavis_train::teacher::point_out(&source.images, make, cores(), |done, all| {
        progress.set_length(all as u64);
        progress.set_position(done as u64);
    });
    progress.finish_and_clear();
    boxes
}

/// Every picture at its own size.
fn pointing() -> DetectorParams {
    DetectorParams { native_size: true, score: Some(visavis_train::teacher::DOUBTFUL), ..DetectorParams::default() }
}

/// The run on the terminal: where it is, how fast, the loss as a curve, a line for each epoch.
struct Dashboard {
    bars: MultiProgress,
    epoch: ProgressBar,
    curve: ProgressBar,
    losses: Vec<f32>,
    speed: f64,
    epochs: usize,
}

impl Dashboard {
    fn new(name: &str) -> Self {
        let bars = MultiProgress::new();
        let style =
            |template: &str| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let epoch = bars.add(ProgressBar::new(0));
        epoch.set_style(style("{prefix:.bold} {bar:32.cyan/blue} {pos}/{len} steps, {eta} to go  {msg}"));
        epoch.set_prefix(name.to_owned());
        let curve = bars.add(ProgressBar::new_spinner());
        curve.set_style(style("  loss {msg}"));
        Self { bars, epoch, curve, losses: Vec::new(), speed: 0.0, epochs: 0 }
    }

    fn teaching(&self, teacher: &TeacherRecipe, pack: &Pack) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new(pack.faces().len() as u64));
        if let Ok(style) = ProgressStyle::with_template("  asking {prefix} {bar:24} {pos}/{len}, {eta} to go") {
            bar.set_style(style);
        }
        bar.set_prefix(format!("{} about {}", teacher.network, pack.info().name));
        bar
    }

    fn pointing_out(&self, detector: &str, source: &SceneSource) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new(0));
        if let Ok(style) = ProgressStyle::with_template("  asking {prefix} {bar:24} {pos}/{len}, {eta} to go") {
            bar.set_style(style);
        }
        bar.set_prefix(format!("{detector} about {}", source.name()));
        bar
    }

    fn line(&self, text: &str) {
        // A bar that is hidden, since nobody looks, swallows lines.
        if self.bars.is_hidden() {
            crate::options::complain(text);
        } else {
            let _ = self.bars.println(text);
        }
    }

    fn close(&self) {
        self.epoch.finish_and_clear();
        self.curve.finish_and_clear();
    }

    /// The last losses, each as a bar of its height among them.
    fn drawn(&self) -> String {
        let shown = &self.losses[self.losses.len().saturating_sub(CURVE)..];
        let (low, high) =
            shown.iter().fold((f32::MAX, f32::MIN), |(low, high), loss| (low.min(*loss), high.max(*loss)));
        let bar = |loss: &f32| {
            let share = (loss - low) / (high - low).max(f32::EPSILON);
            BARS[((share * BARS.len() as f32) as usize).min(BARS.len() - 1)]
        };
        shown.iter().map(bar).collect()
    }
}

/// The dashboard as the trainer's observer.
struct Shared<'a>(&'a RefCell<Dashboard>);

impl Observer for Shared<'_> {
    fn stage(&mut self, number: usize, stage: &Stage, faces: usize, validation: usize) {
        let mut dashboard = self.0.borrow_mut();
        dashboard.epochs = stage.epochs;
        dashboard.line(&format!(
            "stage {}: {} epochs of {faces} faces in batches of {}, {validation} faces to validate on",
            number + 1,
            stage.epochs,
            stage.batch
        ));
    }

    fn step(&mut self, report: &StepReport) {
        let mut dashboard = self.0.borrow_mut();
        let (done, all) = report.batch;
        // Averaged over some ten steps.
        let share = if dashboard.speed == 0.0 { 1.0 } else { 0.1 };
        dashboard.speed += (report.pictures_per_second - dashboard.speed) * share;
        dashboard.losses.push(report.loss);
        dashboard.epoch.set_length(all as u64);
        dashboard.epoch.set_position(done as u64);
        dashboard.epoch.set_message(format!(
            "epoch {}/{}  rate {:.1e}  {:.0} pictures/s",
            report.epoch + 1,
            dashboard.epochs,
            report.rate,
            dashboard.speed
        ));
        dashboard.curve.set_message(format!("{} {:.3}", dashboard.drawn(), report.loss));
    }

    fn epoch(&mut self, report: &EpochReport) {
        let mut dashboard = self.0.borrow_mut();
        let main = report.figures.iter().filter(|(name, _)| !name.contains('.'));
        let figures: Vec<String> = main.map(|(name, value)| format!("{name} {value:.4}")).collect();
        dashboard.line(&format!(
            "epoch {:3}  step {:6}  {:.0} pictures/s  loss {:.4}  {}{}",
            report.epoch + 1,
            report.step,
            dashboard.speed,
            report.loss,
            figures.join("  "),
            if report.best { "  best" } else { "" }
        ));
        dashboard.epoch.reset();
        dashboard.speed = 0.0;
    }
}

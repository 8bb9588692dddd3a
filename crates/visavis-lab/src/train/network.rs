//! `visavis-lab train network`: trains a network by a recipe.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use visavis_data::pack::Pack;
use visavis_face::{FaceNetwork, Recognise};
use visavis_infer::{Registry, Runtime};
use visavis_train::TrainError;
use visavis_train::network::Taken;
use visavis_train::recipe::{Recipe, Stage, TeacherRecipe};
use visavis_train::teacher::Answers;
use visavis_train::trainer::{EpochReport, Observer, StepReport, TrainOptions, can_resume, train};

use visavis_cli::interrupt;
use visavis_cli::options::{EngineArgs, complain, cores};

/// Number of losses in the curve on the terminal.
const CURVE: usize = 48;
/// Bars of the curve, lowest first.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Train a network by a recipe (docs/training.md)
///
/// The folder gets the recipe, hashes of the data, the revision of the sources, steps.csv and epochs.csv, checkpoints, and
/// best.safetensors, the weights of the best validation. Ctrl-C writes a checkpoint; --resume continues from the last one.
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis-lab train network --recipe recipes/smile_mobilenetv1.toml --out runs/smile
  visavis-lab train network --recipe recipes/smile_mobilenetv1.toml --out runs/smile --resume")]
pub(super) struct Args {
    /// The recipe
    #[arg(long, value_name = "FILE")]
    recipe: PathBuf,
    /// Folder of the run
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Continue from the last checkpoint in the folder
    #[arg(long)]
    resume: bool,
    /// Threads that prepare pictures, besides those that train
    #[arg(long, default_value_t = 1, value_name = "N")]
    feeders: usize,
    /// Minutes between two checkpoints within an epoch
    #[arg(long, default_value_t = 5.0, value_name = "MINUTES", value_parser = parse_minutes)]
    checkpoint_every: f64,
    #[command(flatten)]
    engines: EngineArgs,
}

/// Parses a number of minutes up to a week.
fn parse_minutes(text: &str) -> Result<f64> {
    let minutes: f64 = text.parse().with_context(|| format!("`{text}` is not a number"))?;
    if !(0.0..=10_080.0).contains(&minutes) {
        bail!("{minutes} is not between 0 and 10080");
    }
    Ok(minutes)
}

pub(super) fn run(args: &Args) -> Result<()> {
    let recipe = Recipe::read(&args.recipe)?;
    let resume = args.resume && can_resume(&args.out);
    if args.resume && !resume {
        complain(&format!("{} holds no checkpoint: the training starts anew", args.out.display()));
    }
    static STOP: AtomicBool = AtomicBool::new(false);
    interrupt::sets(&STOP)?;
    let dashboard = RefCell::new(Dashboard::new(&recipe.name));
    let teach = |teacher: &TeacherRecipe, pack: &Pack| {
        let progress = dashboard.borrow().teaching(teacher, pack);
        let answers = run_teacher(teacher, pack, &args.engines, &progress);
        progress.finish_and_clear();
        answers
    };
    let options = TrainOptions {
        folder: args.out.clone(),
        resume,
        feeders: args.feeders,
        checkpoint_every: Duration::from_secs_f64(args.checkpoint_every * 60.0),
        stop: &STOP,
        teach: &teach,
    };
    let trained = train(&recipe, &options, &mut Shared(&dashboard))
        .with_context(|| format!("the run in {} ended", args.out.display()))?;
    dashboard.borrow().close();
    for (name, value) in &trained.figures {
        visavis_cli::options::say(&format!("{name:28} {value:.4}"))?;
    }
    Ok(())
}

/// Runs a teacher on every face of a pack.
fn run_teacher(
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

/// Progress on the terminal: bars for the run, speed, the loss as a curve, a line for each epoch.
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
        if let Ok(style) = ProgressStyle::with_template("  teacher {prefix} {bar:24} {pos}/{len}, {eta} to go") {
            bar.set_style(style);
        }
        bar.set_prefix(format!("{} on {}", teacher.network, pack.info().name));
        bar
    }

    fn line(&self, text: &str) {
        // A hidden bar, when there is no terminal, does not print lines.
        if self.bars.is_hidden() {
            visavis_cli::options::complain(text);
        } else {
            let _ = self.bars.println(text);
        }
    }

    fn close(&self) {
        self.epoch.finish_and_clear();
        self.curve.finish_and_clear();
    }

    /// The last losses, each as a bar of relative height.
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

/// Lets the trainer use the dashboard as its observer.
struct Shared<'a>(&'a RefCell<Dashboard>);

impl Observer for Shared<'_> {
    fn began_with(&mut self, taken: &Taken) {
        let dashboard = self.0.borrow();
        taken.mapping.iter().for_each(|line| dashboard.line(line));
        dashboard.line(&format!("begins with {} tensors of published weights", taken.filled.len()));
    }

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
        // Averaged over about ten steps.
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

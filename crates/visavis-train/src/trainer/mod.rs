//! The training loop: stages, steps, validation, checkpoints.

mod faces;
mod scenes;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor};
use visavis_data::DataError;
use visavis_data::pack::Pack;

use crate::TrainError;
use crate::checkpoint::{Checkpoint, Position};
use crate::feed::mix;
use crate::identities::Identities;
use crate::network::{Calibration, Layer, Mode, Network, Norm, Parameters, Pass, Taken, Trace, load_pretrained};
use crate::optimiser::{Optimiser, follow};
use crate::recipe::{NetworkRecipe, Recipe, Stage, TeacherRecipe};
use crate::report::StepLine;
pub use crate::report::{EpochReport, StepReport};
use crate::run_folder::RunFolder;
use crate::schedule::Progress;
use crate::teacher::Answers;
use crate::validation::{Figures, score};

/// Weight of a batch's mean and variance in the running ones (PyTorch's momentum).
const STATISTICS: f32 = 0.1;

/// Steps between two lines of the table of steps.
const STEPS_PER_LINE: usize = 20;

/// Parameters of a run that are not part of its recipe.
pub struct TrainOptions<'a> {
    /// Folder for the files of the run.
    pub folder: PathBuf,
    /// Continue the run in the folder.
    pub resume: bool,
    /// Threads that prepare pictures.
    pub feeders: usize,
    /// Time between two checkpoints within an epoch.
    pub checkpoint_every: Duration,
    /// Ends the run after the current step, with a checkpoint.
    pub stop: &'a AtomicBool,
    /// Runs a teacher on all faces of a pack.
    pub teach: &'a dyn Fn(&TeacherRecipe, &Pack) -> Result<Answers, TrainError>,
}

/// Receives the progress of a run.
pub trait Observer {
    /// Published weights were loaded.
    fn began_with(&mut self, taken: &Taken) {
        let _ = taken;
    }
    /// A stage begins or continues.
    fn stage(&mut self, number: usize, stage: &Stage, faces: usize, validation: usize);
    /// A step is finished.
    fn step(&mut self, report: &StepReport);
    /// An epoch is finished.
    fn epoch(&mut self, report: &EpochReport);
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The network.
    pub network: Network,
    /// The weights of the last stage's best validation.
    pub parameters: Parameters,
    /// Its figures.
    pub figures: Figures,
}

/// Runs a recipe, or continues its run.
///
/// # Errors
/// [`TrainError`]; [`TrainError::Stopped`] if it was asked to stop.
pub fn train(recipe: &Recipe, options: &TrainOptions, observer: &mut dyn Observer) -> Result<Trained, TrainError> {
    recipe.validate()?;
    let (network, mut parameters) = recipe.network.build(recipe.seed)?;
    // Before anything is written, since something needed may be missing.
    let identities = match (&recipe.identities, &recipe.network) {
        (Some(params), NetworkRecipe::Face { embedding, .. }) => {
            Some(Identities::new(recipe, params, *embedding, &mut parameters)?)
        }
        _ => None,
    };
    if !options.resume {
        faces::check_sources(recipe)?;
    }
    let folder = RunFolder::open(&options.folder, recipe, options.resume)?;
    let resumed = match folder.checkpoint().filter(|_| options.resume) {
        Some(path) => {
            let params = |position: &Position| {
                let stage = recipe.stages.get(position.stage.min(recipe.stages.len().saturating_sub(1)));
                let matches = position.recipe == folder.recipe_hash();
                stage.filter(|_| matches).map(|stage| stage.optimiser).ok_or_else(|| TrainError::Run {
                    path: options.folder.clone(),
                    reason: "it was begun with another recipe: give that one, or another folder".into(),
                })
            };
            Some(Checkpoint::read(&path, &parameters, params)?)
        }
        None => None,
    };
    let mut calibrate = false;
    if let (Some(init), None) = (&recipe.init, &resumed) {
        let taken = load_pretrained(&network, &mut parameters, init, recipe.init_bgr)?;
        log::info!(
            "{} tensors taken from {}, {} copied for the branch, {} left as they were",
            taken.filled.len(),
            init.display(),
            taken.copied,
            taken.missing.len()
        );
        // Loaded by order: normalisations were folded into the loaded weights.
        let normalises = network.layers().iter().any(|layer| matches!(layer, Layer::Norm(_)));
        calibrate = !taken.mapping.is_empty() && normalises;
        observer.began_with(&taken);
    }
    let Some(first) = recipe.stages.first() else {
        folder.keep_best(&parameters, &Figures::new())?;
        return Ok(Trained { network, parameters, figures: Figures::new() });
    };
    let mut state = match resumed {
        Some(checkpoint) => checkpoint,
        None => Checkpoint {
            position: Position { recipe: folder.recipe_hash().to_owned(), ..Position::default() },
            average: parameters.clone(),
            optimiser: Optimiser::new(first.optimiser, &parameters),
            parameters,
        },
    };
    folder.drop_after(state.position.step)?;
    let mut run = Run { recipe, options, folder: &folder, observer, calibrate };
    match recipe.network.detector_size() {
        Some(size) => run.all(scenes::Scenes::new(recipe, &network, options, size), &mut state)?,
        None => run.all(faces::Faces::new(recipe, &network, options, identities), &mut state)?,
    }
    let (parameters, figures) = folder.best(&state.parameters)?;
    Ok(Trained { network, parameters, figures })
}

/// A kind of training: how its batches are made, their loss and validation. The loop is the same for all kinds.
trait Problem {
    /// The data of a stage.
    type Data;
    /// The data of a step.
    type Batch: Send + 'static;

    /// Opens the data, and runs teachers on new packs. `weights` are those at the start of the stage.
    fn open(
        &mut self,
        folder: &RunFolder,
        number: usize,
        stage: &Stage,
        weights: &Parameters,
    ) -> Result<Self::Data, TrainError>;

    /// Number of training examples in an epoch, and of validation examples.
    fn counts(&self, data: &Self::Data, stage: usize) -> (usize, usize);

    /// The batches of an epoch from `skip` on, and their number without skipping.
    fn batches(&self, data: &Self::Data, stage: &Stage, place: Place) -> (Batches<Self::Batch>, usize);

    /// Number of examples in a batch.
    fn len(&self, batch: &Self::Batch) -> usize;

    /// Runs a batch through the network and computes the loss; `None` if nothing in it is labelled.
    fn judge(&self, data: &Self::Data, batch: Self::Batch, pass: Pass<'_>, device: &Device) -> Option<Judged>;

    /// Runs a batch through the network for the statistics of its normalisations.
    fn measure(&self, batch: Self::Batch, pass: Pass<'_>, device: &Device) -> Vec<(Norm, Vec<f32>, Vec<f32>)>;

    /// Figures on the validation part with these weights.
    fn validate(&self, data: &Self::Data, stage: &Stage, weights: &Parameters) -> Result<Figures, TrainError>;
}

type Batches<B> = Box<dyn Iterator<Item = Result<B, DataError>>>;

/// The place of an epoch in a run.
#[derive(Debug, Clone, Copy)]
struct Place {
    stage: usize,
    epoch: usize,
    /// Number of batches that are done.
    skip: usize,
    /// Seed of everything random in the epoch.
    seed: u64,
}

/// The result of a batch.
struct Judged {
    /// The loss, then its parts by name.
    parts: Vec<(String, f32)>,
    gradients: Vec<Option<Vec<f32>>>,
    moments: Vec<(Norm, Vec<f32>, Vec<f32>)>,
}

impl Judged {
    fn new(total: &Tensor<1>, parts: Vec<(String, Tensor<1>)>, trace: &Trace) -> Self {
        let number = |tensor: Tensor<1>| tensor.into_data().try_into_vec::<f32>().map_or(f32::NAN, |v| v[0]);
        let mut numbers = vec![("loss".to_owned(), number(total.clone()))];
        numbers.extend(parts.into_iter().map(|(name, part)| (name, number(part))));
        Self { parts: numbers, gradients: trace.gradients(total), moments: trace.moments() }
    }
}

struct Run<'a> {
    recipe: &'a Recipe,
    options: &'a TrainOptions<'a>,
    folder: &'a RunFolder,
    observer: &'a mut dyn Observer,
    /// Whether the normalisations must still be calibrated.
    calibrate: bool,
}

/// Number of batches for calibrating normalisations.
const CALIBRATION: usize = 12;

impl Run<'_> {
    fn all<P: Problem>(&mut self, mut problem: P, state: &mut Checkpoint) -> Result<(), TrainError> {
        while state.position.stage < self.recipe.stages.len() {
            self.stage(&mut problem, state)?;
        }
        Ok(())
    }

    fn stage<P: Problem>(&mut self, problem: &mut P, state: &mut Checkpoint) -> Result<(), TrainError> {
        let recipe = self.recipe;
        let number = state.position.stage;
        let stage = &recipe.stages[number];
        let data = problem.open(self.folder, number, stage, &state.parameters)?;
        if std::mem::take(&mut self.calibrate) {
            let place = Place { stage: number, epoch: 0, skip: 0, seed: mix(&[recipe.seed, 2]) };
            let (batches, device) = (problem.batches(&data, stage, place).0, Device::flex());
            let mut calibration = Calibration::default();
            for batch in batches.take(CALIBRATION) {
                let pass = Pass::new(&state.parameters, &device, Mode::Measure);
                calibration.add(problem.measure(batch?, pass, &device));
            }
            calibration.apply(&mut state.parameters);
            state.average = state.parameters.clone();
        }
        let (examples, validation) = problem.counts(&data, number);
        if examples < stage.batch {
            return Err(TrainError::Recipe {
                reason: format!(
                    "stage {}: {examples} faces to train on are less than one batch of {}",
                    number + 1,
                    stage.batch
                ),
            });
        }
        if validation == 0 {
            // Every epoch would have the same score, and the weights of the first one would be kept.
            let reason =
                format!("stage {}: its data have no validation part, by which the best epoch is chosen", number + 1);
            return Err(TrainError::Recipe { reason });
        }
        self.observer.stage(number, stage, examples, validation);
        while state.position.epoch < stage.epochs {
            let loss = self.epoch(problem, stage, &data, state)?;
            let weights = if stage.average > 0.0 { &state.average } else { &state.parameters };
            let figures = problem.validate(&data, stage, weights)?;
            let score = score(&figures);
            let best = state.position.progress.note(score, &stage.schedule);
            let epoch = state.position.epoch;
            let report = EpochReport { stage: number, epoch, step: state.position.step, loss, figures, score, best };
            if best {
                self.folder.keep_best(weights, &report.figures)?;
            }
            self.folder.note_epoch(&report)?;
            self.folder.draw_curves()?;
            state.position.epoch += 1;
            state.position.batch = 0;
            state.position.loss = 0.0;
            self.observer.epoch(&report);
            let patient = stage.patience.is_none_or(|patience| state.position.progress.waited <= patience);
            if !patient {
                log::info!(
                    "stage {} ends early: no better validation for {} epochs",
                    number + 1,
                    state.position.progress.waited
                );
                break;
            }
            if state.position.epoch < stage.epochs {
                state.write(&self.folder.checkpoint_path())?;
            }
        }
        // The next stage begins with this one's best weights.
        let (parameters, _) = self.folder.best(&state.parameters)?;
        let optimiser = recipe.stages.get(number + 1).unwrap_or(stage).optimiser;
        let position = Position {
            stage: number + 1,
            step: state.position.step,
            recipe: state.position.recipe.clone(),
            progress: Progress::default(),
            ..Position::default()
        };
        *state = Checkpoint {
            position,
            average: parameters.clone(),
            optimiser: Optimiser::new(optimiser, &parameters),
            parameters,
        };
        state.write(&self.folder.checkpoint_path())
    }

    /// Trains for the rest of an epoch; returns its mean loss.
    fn epoch<P: Problem>(
        &mut self,
        problem: &P,
        stage: &Stage,
        data: &P::Data,
        state: &mut Checkpoint,
    ) -> Result<f64, TrainError> {
        let (number, epoch) = (state.position.stage, state.position.epoch);
        let seed = mix(&[self.recipe.seed, number as u64, epoch as u64, 1]);
        let place = Place { stage: number, epoch, skip: state.position.batch, seed };
        let (feed, batches) = problem.batches(data, stage, place);
        let mut line = StepLine::default();
        let mut saved = Instant::now();
        for batch in feed {
            let (batch, started) = (batch?, Instant::now());
            let done = epoch as f64 + state.position.batch as f64 / batches as f64;
            let share = stage.schedule.share(done, stage.epochs as f64, &state.position.progress);
            let rate = stage.optimiser.rate() * share;
            let count = problem.len(&batch);
            let parts =
                self.step(problem, stage, (data, batch), state, rate, mix(&[seed, state.position.batch as u64]));
            let loss = parts.first().map_or(0.0, |(_, value)| *value);
            if !loss.is_finite() {
                return Err(TrainError::Diverged { value: loss, step: state.position.step, rate });
            }
            state.position.batch += 1;
            state.position.step += 1;
            state.position.loss += f64::from(loss);
            line.add(&parts);
            if state.position.step.is_multiple_of(STEPS_PER_LINE) {
                self.folder.note_steps(
                    state.position.step,
                    number as f64 + done / stage.epochs as f64,
                    rate,
                    &mut line,
                )?;
            }
            self.observer.step(&StepReport {
                epoch,
                batch: (state.position.batch, batches),
                loss,
                rate,
                pictures_per_second: count as f64 / started.elapsed().as_secs_f64(),
            });
            let stop = self.options.stop.load(Ordering::Relaxed);
            if stop || saved.elapsed() >= self.options.checkpoint_every {
                state.write(&self.folder.checkpoint_path())?;
                saved = Instant::now();
            }
            if stop {
                return Err(TrainError::Stopped);
            }
        }
        Ok(state.position.loss / batches.max(1) as f64)
    }

    /// One step; returns the loss and its parts.
    fn step<P: Problem>(
        &self,
        problem: &P,
        stage: &Stage,
        (data, batch): (&P::Data, P::Batch),
        state: &mut Checkpoint,
        rate: f64,
        seed: u64,
    ) -> Vec<(String, f32)> {
        let device = Device::flex().autodiff();
        let pass = Pass::new(&state.parameters, &device, Mode::Train { seed }).freeze(&stage.freeze);
        let Some(Judged { parts, mut gradients, moments }) = problem.judge(data, batch, pass, &device) else {
            return Vec::new();
        };
        for (gradient, parameter) in gradients.iter_mut().zip(state.parameters.all()) {
            if stage.freeze.iter().any(|prefix| parameter.name.starts_with(prefix.as_str())) {
                *gradient = None;
            }
        }
        state.optimiser.step(&mut state.parameters, &gradients, rate);
        state.position.optimiser_steps = state.optimiser.steps();
        for (norm, mean, variance) in moments {
            if stage.freeze.iter().any(|prefix| state.parameters.get(norm.mean).name.starts_with(prefix.as_str())) {
                continue;
            }
            for (id, seen) in [(norm.mean, mean), (norm.variance, variance)] {
                for (running, seen) in state.parameters.get_mut(id).value.iter_mut().zip(seen) {
                    *running += (seen - *running) * STATISTICS;
                }
            }
        }
        if stage.average > 0.0 {
            follow(&mut state.average, &state.parameters, stage.average, state.position.average_steps);
            state.position.average_steps += 1;
        }
        parts
    }
}

/// Whether a folder contains a run that can be continued.
#[must_use]
pub fn can_resume(folder: &Path) -> bool {
    RunFolder::checkpoint_in(folder).is_file()
}

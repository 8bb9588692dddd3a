//! The training loop: stages, steps, validation, checkpoints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};
use visavis_data::Split;
use visavis_data::pack::Pack;

use crate::TrainError;
use crate::checkpoint::{Checkpoint, Position};
use crate::feed::{Batch, Feed, FeedParams, Pick, Purpose, Sampler, Targets, mix};
use crate::loss::judge;
use crate::network::{Mode, Network, Parameters, Pass, Trace, load_pretrained};
use crate::optimiser::{Optimiser, follow};
use crate::recipe::{AugmentParams, NetworkRecipe, Recipe, Stage, TeacherRecipe};
use crate::run_folder::RunFolder;
use crate::schedule::Progress;
use crate::teacher::{Answers, Lesson};
use crate::validation::{Figures, score, validate};

/// How much of a batch's mean and variance goes into the running ones (PyTorch's momentum).
const STATISTICS: f32 = 0.1;

/// Steps between two lines of the table of steps.
const STEPS_PER_LINE: usize = 20;

/// Everything about a run that is not its recipe.
pub struct TrainOptions<'a> {
    /// Where the run leaves its files.
    pub folder: PathBuf,
    /// Goes on with what is in the folder.
    pub resume: bool,
    /// Threads that prepare pictures.
    pub feeders: usize,
    /// Time between two checkpoints within an epoch.
    pub checkpoint_every: Duration,
    /// Ends the run after the current step, with a checkpoint.
    pub stop: &'a AtomicBool,
    /// Asks a teacher about all faces of a pack.
    pub teach: &'a dyn Fn(&TeacherRecipe, &Pack) -> Result<Answers, TrainError>,
}

/// What a run tells while it goes.
pub trait Observer {
    /// A stage begins or goes on.
    fn stage(&mut self, number: usize, stage: &Stage, faces: usize, validation: usize);
    /// A step is done.
    fn step(&mut self, report: &StepReport);
    /// An epoch is done.
    fn epoch(&mut self, report: &EpochReport);
}

/// A step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// Epoch of the stage, from 0.
    pub epoch: usize,
    /// Batches of the epoch done, and all of them.
    pub batch: (usize, usize),
    /// Loss.
    pub loss: f32,
    /// Learning rate.
    pub rate: f64,
    /// Pictures a second, over the last step.
    pub pictures_per_second: f64,
}

/// An epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochReport {
    /// Stage, from 0.
    pub stage: usize,
    /// Epoch of the stage, from 0.
    pub epoch: usize,
    /// Steps of the whole run.
    pub step: usize,
    /// Mean loss over the epoch.
    pub loss: f64,
    /// Figures on the validation part.
    pub figures: Figures,
    /// Their score, of which less is better.
    pub score: f64,
    /// Whether it is the stage's best so far.
    pub best: bool,
}

/// What a run ends with.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The network.
    pub network: Network,
    /// The weights of the last stage's best validation.
    pub parameters: Parameters,
    /// Its figures.
    pub figures: Figures,
}

/// Runs a recipe, or goes on with it.
///
/// # Errors
/// [`TrainError`]; [`TrainError::Stopped`] if it was asked to stop.
pub fn train(recipe: &Recipe, options: &TrainOptions, observer: &mut dyn Observer) -> Result<Trained, TrainError> {
    recipe.validate()?;
    let (network, mut parameters) = recipe.network.build(recipe.seed)?;
    let folder = RunFolder::open(&options.folder, recipe, options.resume)?;
    let resumed = match folder.checkpoint().filter(|_| options.resume) {
        Some(path) => {
            let params = |position: &Position| {
                let stage = recipe.stages.get(position.stage.min(recipe.stages.len() - 1));
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
    if let (Some(init), None) = (&recipe.init, &resumed) {
        let taken = load_pretrained(&mut parameters, init)?;
        log::info!(
            "{} tensors taken from {}, {} left as they were",
            taken.filled.len(),
            init.display(),
            taken.missing.len()
        );
    }
    let mut state = match resumed {
        Some(checkpoint) => checkpoint,
        None => Checkpoint {
            position: Position { recipe: folder.recipe_hash().to_owned(), ..Position::default() },
            average: parameters.clone(),
            optimiser: Optimiser::new(recipe.stages[0].optimiser, &parameters),
            parameters,
        },
    };
    folder.drop_after(state.position.step)?;
    let mut run = Run { recipe, network: &network, options, folder: &folder, observer, packs: BTreeMap::new() };
    while state.position.stage < recipe.stages.len() {
        run.stage(&mut state)?;
    }
    let (parameters, figures) = folder.best(&state.parameters)?;
    Ok(Trained { network, parameters, figures })
}

struct Run<'a> {
    recipe: &'a Recipe,
    network: &'a Network,
    options: &'a TrainOptions<'a>,
    folder: &'a RunFolder,
    observer: &'a mut dyn Observer,
    packs: BTreeMap<PathBuf, (Arc<Pack>, Arc<Vec<Answers>>)>,
}

/// A stage's faces.
struct StageData {
    packs: Vec<Arc<Pack>>,
    /// For each pack what each teacher says of it.
    answers: Vec<Arc<Vec<Answers>>>,
    /// Whether teachers are heard on a pack.
    teach: Vec<bool>,
    training: Sampler,
    validation: Sampler,
}

impl Run<'_> {
    fn stage(&mut self, state: &mut Checkpoint) -> Result<(), TrainError> {
        let recipe = self.recipe;
        let number = state.position.stage;
        let stage = &recipe.stages[number];
        let data = self.data(stage)?;
        let (faces, validation) = (data.training.epoch(number, 0).len(), data.validation.all().len());
        if faces < stage.batch {
            return Err(TrainError::Recipe {
                reason: format!(
                    "stage {}: {faces} faces to train on are less than one batch of {}",
                    number + 1,
                    stage.batch
                ),
            });
        }
        self.observer.stage(number, stage, faces, validation);
        while state.position.epoch < stage.epochs {
            let loss = self.epoch(stage, &data, state)?;
            let weights = if stage.average > 0.0 { &state.average } else { &state.parameters };
            let params = self.feed_params(stage, None, 0);
            let figures = validate(
                self.network,
                weights,
                &data.packs,
                data.validation.all(),
                &data.answers,
                &params,
                &Device::flex(),
            )?;
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

    /// Trains for the rest of an epoch; gives its mean loss.
    fn epoch(&mut self, stage: &Stage, data: &StageData, state: &mut Checkpoint) -> Result<f64, TrainError> {
        let (number, epoch) = (state.position.stage, state.position.epoch);
        let seed = mix(&[self.recipe.seed, number as u64, epoch as u64, 1]);
        let params = self.feed_params(stage, Some(self.recipe.augment.clone()), seed);
        let picks = data.training.epoch(number, epoch);
        let batches = picks.len() / stage.batch;
        let mut line = StepLine::default();
        let mut saved = Instant::now();
        for batch in Feed::start(&data.packs, picks, state.position.batch, &params) {
            let (batch, started) = (batch?, Instant::now());
            let done = epoch as f64 + state.position.batch as f64 / batches as f64;
            let share = stage.schedule.share(done, stage.epochs as f64, &state.position.progress);
            let rate = stage.optimiser.rate() * share;
            let count = batch.targets.len();
            let parts = self.step(stage, data, batch, state, rate, mix(&[seed, state.position.batch as u64]))?;
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

    /// One step; gives the loss and its parts.
    fn step(
        &self,
        stage: &Stage,
        data: &StageData,
        batch: Batch,
        state: &mut Checkpoint,
        rate: f64,
        seed: u64,
    ) -> Result<Vec<(String, f32)>, TrainError> {
        let device = &Device::flex().autodiff();
        let count = batch.targets.len();
        let shape = [3, count, batch.side, batch.side];
        let pictures = Tensor::<4>::from_data(TensorData::new(batch.pictures, shape), device);
        let lessons = self.lessons(data, &batch.picks, &batch.targets);
        let (parts, gradients, moments) = {
            let (outputs, trace) =
                Pass::new(&state.parameters, device, Mode::Train { seed }).run(self.network, pictures);
            let heads = &self.network.heads;
            let Some(loss) = judge(heads, &outputs, &batch.targets, &lessons, &self.recipe.loss, device) else {
                return Ok(Vec::new());
            };
            let number = |tensor: Tensor<1>| tensor.into_data().try_into_vec::<f32>().map_or(f32::NAN, |v| v[0]);
            let mut parts = vec![("loss".to_owned(), number(loss.total.clone()))];
            parts.extend(loss.parts.into_iter().map(|(name, part)| (name, number(part))));
            (parts, trace.gradients(&loss.total), Trace::moments(&trace))
        };
        let mut gradients = gradients;
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
        Ok(parts)
    }

    /// What the teachers say of a batch.
    fn lessons(&self, data: &StageData, picks: &[Pick], targets: &[Targets]) -> Vec<Lesson> {
        let mut lessons = Vec::new();
        for (number, teacher) in self.recipe.teachers.iter().enumerate() {
            for task in &teacher.tasks {
                let head = task.to_string();
                let answer = |(pick, target): (&Pick, &Targets)| {
                    let heard = data.teach[pick.pack] && (teacher.beside_labels || !target.has(&head));
                    let row = data.answers[pick.pack][number].row(&head, pick.face).filter(|_| heard)?;
                    Some(row.to_vec())
                };
                let answers = picks.iter().zip(targets).map(answer).collect();
                lessons.push(Lesson { head, answers, weight: teacher.weight });
            }
        }
        lessons
    }

    fn feed_params(&self, stage: &Stage, augment: Option<AugmentParams>, seed: u64) -> FeedParams {
        let (mean, std) = self.recipe.network.pixels();
        FeedParams {
            augment,
            purpose: match self.recipe.network {
                NetworkRecipe::Onet => Purpose::Keypoints,
                NetworkRecipe::Face { .. } => Purpose::Face,
            },
            side: self.network.side,
            batch: stage.batch,
            mean,
            std,
            age_target: self.recipe.loss.age_target,
            seed,
            threads: self.options.feeders,
        }
    }

    /// Opens the stage's packs, and asks the teacher about those that it has not seen.
    fn data(&mut self, stage: &Stage) -> Result<StageData, TrainError> {
        let (mut packs, mut answers) = (Vec::new(), Vec::new());
        for source in &stage.data {
            if !self.packs.contains_key(&source.pack) {
                let pack = Pack::open(&source.pack)?;
                self.folder.note_pack(&source.pack, &pack)?;
                let mut taught = Vec::new();
                for teacher in &self.recipe.teachers {
                    let path = self.folder.answers_path(&teacher.network, &pack);
                    if !path.is_file() {
                        (self.options.teach)(teacher, &pack)?.write(&path)?;
                    }
                    taught.push(Answers::read(&path)?);
                }
                self.packs.insert(source.pack.clone(), (Arc::new(pack), Arc::new(taught)));
            }
            let (pack, taught) = &self.packs[&source.pack];
            packs.push(pack.clone());
            answers.push(taught.clone());
        }
        let seed = self.recipe.seed;
        let training = Sampler::new(&packs, &stage.data, Split::Train, seed);
        let plain: Vec<_> = stage
            .data
            .iter()
            .map(|source| crate::recipe::Source { repeat: 1.0, balance: 0.0, ..source.clone() })
            .collect();
        let validation = Sampler::new(&packs, &plain, Split::Validation, seed);
        let teach = stage.data.iter().map(|source| source.teach).collect();
        Ok(StageData { packs, answers, teach, training, validation })
    }
}

/// Means over the steps since the last line of the table.
#[derive(Debug, Default)]
pub(crate) struct StepLine {
    sums: BTreeMap<String, (f64, usize)>,
}

impl StepLine {
    fn add(&mut self, parts: &[(String, f32)]) {
        for (name, value) in parts {
            let sum = self.sums.entry(name.clone()).or_default();
            *sum = (sum.0 + f64::from(*value), sum.1 + 1);
        }
    }

    /// The means, and begins anew.
    pub(crate) fn take(&mut self) -> BTreeMap<String, f64> {
        std::mem::take(&mut self.sums).into_iter().map(|(name, (sum, count))| (name, sum / count as f64)).collect()
    }
}

/// Whether a folder holds a run that can go on.
#[must_use]
pub fn can_resume(folder: &Path) -> bool {
    RunFolder::checkpoint_in(folder).is_file()
}

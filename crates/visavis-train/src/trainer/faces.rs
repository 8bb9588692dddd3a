//! Trains on packed faces: attributes, embeddings, keypoints.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use visavis_data::pack::Pack;
use visavis_data::{Labels, Split};
use visavis_infer::manifest::Crop;

use super::{Batches, Judged, Place, Problem, TrainOptions};
use crate::TrainError;
use crate::feed::{Batch, FeedParams, Pick, Sampler, Targets, batches};
use crate::identities::{Identities, identity_loss};
use crate::loss::judge;
use crate::network::{FaceTask, Network, Norm, Parameters, Pass};
use crate::recipe::{AugmentParams, NetworkRecipe, Recipe, Source, Stage};
use crate::run_folder::RunFolder;
use crate::teacher::{Answers, TeacherTargets, in_crop};
use crate::validation::{Figures, validate};

/// A pack, and the results of each teacher for its faces.
type TaughtPack = (Arc<Pack>, Arc<Vec<Answers>>);

/// A network that takes faces.
pub(super) struct Faces<'a> {
    recipe: &'a Recipe,
    network: &'a Network,
    options: &'a TrainOptions<'a>,
    /// By folder, and whether teachers are imitated.
    packs: BTreeMap<(PathBuf, bool), TaughtPack>,
    /// The classes of people, if they are classified.
    identities: Option<Identities>,
}

/// The faces of a stage.
pub(super) struct StageData {
    packs: Vec<Arc<Pack>>,
    /// For each pack the results of each teacher.
    answers: Vec<Arc<Vec<Answers>>>,
    /// For each pack whether teachers are imitated.
    teach: Vec<bool>,
    training: Sampler,
    validation: Sampler,
}

/// Fails if a source of any stage leaves no face of its pack.
pub(super) fn check_sources(recipe: &Recipe) -> Result<(), TrainError> {
    let sources =
        || (1..).zip(&recipe.stages).flat_map(|(number, stage)| stage.data.iter().map(move |of| (number, of)));
    let folders: BTreeSet<&Path> = sources().map(|(_, source)| source.pack.as_path()).collect();
    for folder in folders {
        let pack = Pack::open(folder)?;
        for (number, source) in sources().filter(|(_, source)| source.pack == folder) {
            if !pack.faces().iter().any(|face| source.selects(&face.file)) {
                let reason = format!(
                    "stage {number}: no face of {} is left by `only = {:?}` and `except = {:?}`",
                    folder.display(),
                    source.only,
                    source.except
                );
                return Err(TrainError::Recipe { reason });
            }
        }
    }
    Ok(())
}

impl<'a> Faces<'a> {
    pub(super) fn new(
        recipe: &'a Recipe,
        network: &'a Network,
        options: &'a TrainOptions<'a>,
        identities: Option<Identities>,
    ) -> Self {
        Self { recipe, network, options, packs: BTreeMap::new(), identities }
    }

    /// The loss of classifying the people of a batch.
    fn taken_for_others(
        &self,
        data: &StageData,
        picks: &[Pick],
        outputs: &[Option<Tensor<2>>],
        pass: &mut Pass<'_>,
        device: &Device,
    ) -> Option<Tensor<1>> {
        let (identities, params) = (self.identities.as_ref()?, self.recipe.identities.as_ref()?);
        let head = self.network.heads.iter().position(|head| head.name == FaceTask::Similarity.to_string())?;
        let class = |pick: &Pick| identities.class(&data.packs[pick.pack].faces()[pick.face]);
        let classes: Vec<Option<usize>> = picks.iter().map(class).collect();
        identity_loss(outputs[head].clone()?, pass.matrix(identities.weight), &classes, params, device)
    }

    /// Opens a pack if it is not open, and runs the teachers on it if they are imitated there and their results are not stored.
    fn load(&mut self, folder: &RunFolder, source: &Source) -> Result<(), TrainError> {
        let key = (source.pack.clone(), source.teach);
        if self.packs.contains_key(&key) {
            return Ok(());
        }
        let pack = Pack::open(&source.pack)?;
        folder.note_data(&source.pack, pack.faces().len(), pack.fingerprint())?;
        let mut taught = Vec::new();
        for teacher in &self.recipe.teachers {
            if !source.teach {
                taught.push(Answers::default());
                continue;
            }
            let path = folder.answers_path(&teacher.network, &pack);
            if !path.is_file() {
                (self.options.teach)(teacher, &pack)?.write(&path)?;
            }
            taught.push(Answers::read(&path)?);
        }
        self.packs.insert(key, (Arc::new(pack), Arc::new(taught)));
        Ok(())
    }

    /// Warns of tasks for which no training face of a stage has a label and no teacher gives results.
    fn warn_of_unlabelled(&self, packs: &[Arc<Pack>], teach: &[bool]) {
        let NetworkRecipe::Face { tasks, .. } = &self.recipe.network else { return };
        for task in tasks {
            let is_labelled = |labels: &Labels| match task {
                FaceTask::Age => labels.age.is_some(),
                FaceTask::Gender => labels.gender.is_some(),
                FaceTask::Smile => labels.smile.is_some(),
                FaceTask::Expression => labels.expression.is_some(),
                // Learnt from teachers and identities, which the recipe names.
                FaceTask::HeadPose | FaceTask::Similarity => true,
            };
            let is_taught = teach.contains(&true) && self.recipe.teachers.iter().any(|one| one.tasks.contains(task));
            let mut faces = packs.iter().flat_map(|pack| pack.faces()).filter(|face| face.split == Split::Train);
            if !is_taught && !faces.any(|face| is_labelled(&face.labels)) {
                log::warn!(
                    "no face of this stage has a label for `{task}`, and no teacher gives one: it is not learnt"
                );
            }
        }
    }

    /// The results of the teachers for a batch.
    fn imitated(&self, data: &StageData, picks: &[Pick], targets: &[Targets]) -> Vec<TeacherTargets> {
        let mut imitated = Vec::new();
        for (number, teacher) in self.recipe.teachers.iter().enumerate() {
            for task in &teacher.tasks {
                let head = task.to_string();
                let answer = |(pick, target): (&Pick, &Targets)| {
                    let heard = data.teach[pick.pack] && (teacher.beside_labels || !target.has(&head));
                    let row = data.answers[pick.pack][number].row(&head, pick.face).filter(|_| heard)?;
                    Some(in_crop(&head, row, target))
                };
                let answers = picks.iter().zip(targets).map(answer).collect();
                imitated.push(TeacherTargets { head, answers, weight: teacher.weight });
            }
        }
        imitated
    }

    fn feed_params(&self, stage: &Stage, augment: Option<AugmentParams>, seed: u64) -> FeedParams {
        let (mean, std) = self.recipe.network.pixels();
        FeedParams {
            augment,
            crop: self.recipe.network.crop().unwrap_or(Crop::Aligned),
            colour: self.recipe.network.colour(),
            side: self.network.side,
            batch: stage.batch,
            mean,
            std,
            age_target: self.recipe.loss.age_target,
            seed,
            threads: self.options.feeders,
        }
    }
}

impl Problem for Faces<'_> {
    type Data = StageData;
    type Batch = Batch;

    fn open(&mut self, folder: &RunFolder, _: usize, stage: &Stage, _: &Parameters) -> Result<StageData, TrainError> {
        let (mut packs, mut answers) = (Vec::new(), Vec::new());
        for source in &stage.data {
            self.load(folder, source)?;
            let (pack, taught) = &self.packs[&(source.pack.clone(), source.teach)];
            packs.push(pack.clone());
            answers.push(taught.clone());
        }
        let seed = self.recipe.seed;
        let training = Sampler::new(&packs, &stage.data, Split::Train, seed);
        let plain = stage.data.iter().map(|source| Source { repeat: 1.0, balance: 0.0, ..source.clone() });
        let plain: Vec<_> = plain.collect();
        let validation = Sampler::new(&packs, &plain, Split::Validation, seed);
        let teach: Vec<bool> = stage.data.iter().map(|source| source.teach).collect();
        self.warn_of_unlabelled(&packs, &teach);
        Ok(StageData { packs, answers, teach, training, validation })
    }

    fn counts(&self, data: &StageData, stage: usize) -> (usize, usize) {
        (data.training.epoch(stage, 0).len(), data.validation.all().len())
    }

    fn batches(&self, data: &StageData, stage: &Stage, place: Place) -> (Batches<Batch>, usize) {
        let params = self.feed_params(stage, Some(self.recipe.augment.clone()), place.seed);
        let picks = data.training.epoch(place.stage, place.epoch);
        let count = picks.len() / stage.batch;
        (Box::new(batches(&data.packs, picks, place.skip, &params)), count)
    }

    fn len(&self, batch: &Batch) -> usize {
        batch.targets.len()
    }

    fn judge(&self, data: &StageData, batch: Batch, mut pass: Pass<'_>, device: &Device) -> Option<Judged> {
        let shape = [3, batch.targets.len(), batch.side, batch.side];
        let pictures = Tensor::<4>::from_data(TensorData::new(batch.pictures, shape), device);
        let imitated = self.imitated(data, &batch.picks, &batch.targets);
        // Heads that are entirely frozen learn nothing and are not run.
        let heads = self.network.heads.iter();
        let learning: Vec<&str> =
            heads.filter(|head| pass.learns(self.network, head)).map(|head| head.name.as_str()).collect();
        let outputs = pass.run_some(self.network, pictures, |head| learning.contains(&head.name.as_str()));
        let loss = judge(&self.network.heads, &outputs, &batch.targets, &imitated, &self.recipe.loss, device);
        let (mut total, mut parts) = loss.map_or((None, Vec::new()), |loss| (Some(loss.total), loss.parts));
        if let Some(part) = self.taken_for_others(data, &batch.picks, &outputs, &mut pass, device) {
            let weight = self.recipe.identities.as_ref().map_or(1.0, |params| params.weight);
            parts.push(("identities".into(), part.clone()));
            total = Some(total.map_or_else(|| part.clone() * weight, |total| total + part.clone() * weight));
        }
        Some(Judged::new(&total?, parts, &pass.end()))
    }

    fn measure(&self, batch: Batch, mut pass: Pass<'_>, device: &Device) -> Vec<(Norm, Vec<f32>, Vec<f32>)> {
        let shape = [3, batch.targets.len(), batch.side, batch.side];
        pass.run(self.network, Tensor::<4>::from_data(TensorData::new(batch.pictures, shape), device));
        pass.end().moments()
    }

    fn validate(&self, data: &StageData, stage: &Stage, weights: &Parameters) -> Result<Figures, TrainError> {
        let params = self.feed_params(stage, None, 0);
        let picks = data.validation.all();
        let who = self.recipe.identities.is_some();
        validate(self.network, weights, &data.packs, picks, &data.answers, &params, who)
    }
}

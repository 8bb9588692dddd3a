//! Classification of people in training: a class for each person, which the exported network no longer has.
//!
//! Embeddings and class weights have unit length and are compared by their cosine. A margin makes the person's own class
//! harder to reach, so that people are further apart: CosFace (Wang et al., CVPR 2018) subtracts it from the cosine, ArcFace
//! (Deng et al., CVPR 2019) adds it to the angle. Without a margin the loss is the categorical cross-entropy.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use visavis_data::Split;
use visavis_data::pack::{Pack, PackedFace};

use crate::TrainError;
use crate::feed::Sampler;
use crate::network::{Parameter, ParameterId, Parameters, Role};
use crate::numbers::normal;
use crate::recipe::{CLASS_WEIGHTS, IdentityParams, Margin, Recipe};

/// The people of a run.
pub(crate) struct Identities {
    classes: HashMap<(String, String), usize>,
    /// `[classes, embedding]`.
    pub(crate) weight: ParameterId,
}

impl Identities {
    /// Makes a class for each person with enough training photos in any stage, and adds the class weights to `parameters`.
    /// `length` is that of an embedding.
    ///
    /// # Errors
    /// [`TrainError::Data`] for a pack that cannot be opened, [`TrainError::Recipe`] if there are fewer than two people.
    pub(crate) fn new(
        recipe: &Recipe,
        params: &IdentityParams,
        length: usize,
        parameters: &mut Parameters,
    ) -> Result<Self, TrainError> {
        let mut photos: BTreeMap<(String, String), usize> = BTreeMap::new();
        // A face that is used in two stages is one photo.
        let mut seen: HashSet<(PathBuf, usize)> = HashSet::new();
        for stage in &recipe.stages {
            for source in &stage.data {
                let pack = Arc::new(Pack::open(&source.pack)?);
                let source = std::slice::from_ref(source);
                let sampler = Sampler::new(std::slice::from_ref(&pack), source, Split::Train, recipe.seed);
                for pick in sampler.all() {
                    let first = seen.insert((source[0].pack.clone(), pick.face));
                    if let (Some(key), true) = (key(&pack.faces()[pick.face]), first) {
                        *photos.entry(key).or_default() += 1;
                    }
                }
            }
        }
        photos.retain(|_, count| *count >= params.least);
        if photos.len() < 2 {
            return Err(TrainError::Recipe {
                reason: format!(
                    "[identities]: {} people have {} training photos or more: two are needed to be told apart",
                    photos.len(),
                    params.least
                ),
            });
        }
        log::info!("{} people with {} photos or more have a class", photos.len(), params.least);
        let mut random = fastrand::Rng::with_seed(recipe.seed);
        let value = (0..photos.len() * length).map(|_| normal(&mut random)).collect();
        let shape = vec![photos.len(), length];
        let weight = parameters.push(Parameter { name: CLASS_WEIGHTS.into(), shape, role: Role::Weight, value });
        Ok(Self { classes: photos.into_keys().zip(0..).collect(), weight })
    }

    /// The class of a face; `None` if its person has none.
    pub(crate) fn class(&self, face: &PackedFace) -> Option<usize> {
        self.classes.get(&key(face)?).copied()
    }
}

/// Names are unique within a set only: two sets may number their people alike.
fn key(face: &PackedFace) -> Option<(String, String)> {
    Some((face.set.clone(), face.identity.clone()?))
}

/// The cross-entropy of the classes of a batch, for embeddings `[N, E]` of unit length and class weights `[C, E]`; `None` if
/// no face has a class.
pub(crate) fn identity_loss(
    embeddings: Tensor<2>,
    weights: Tensor<2>,
    classes: &[Option<usize>],
    params: &IdentityParams,
    device: &Device,
) -> Option<Tensor<1>> {
    let known: Vec<usize> = (0..classes.len()).filter(|row| classes[*row].is_some()).collect();
    if known.is_empty() {
        return None;
    }
    let [people, _] = weights.dims();
    let mut chosen = vec![0.0f32; known.len() * people];
    for (row, place) in known.iter().enumerate() {
        chosen[row * people + classes[*place]?] = 1.0;
    }
    let chosen = Tensor::<2>::from_data(TensorData::new(chosen, [known.len(), people]), device);
    let rows: Vec<i32> = known.iter().map(|row| *row as i32).collect();
    let count = rows.len();
    let rows = Tensor::<1, burn::tensor::Int>::from_data(TensorData::new(rows, [count]), device);
    let embeddings = embeddings.select(0, rows);
    let lengths = (weights.clone().powf_scalar(2.0).sum_dim(1) + 1e-12).sqrt();
    let cosines = embeddings.matmul((weights / lengths).transpose());
    let own = (cosines.clone() * chosen.clone()).sum_dim(1);
    let harder = match params.margin {
        Margin::None => own.clone(),
        Margin::Cosine { by } => own.clone() - by,
        Margin::Angle { by } => {
            let sine = (own.clone().powf_scalar(2.0).neg() + 1.0).clamp_min(1e-6).sqrt();
            own.clone() * by.cos() - sine * by.sin()
        }
    };
    let scores = (cosines + chosen.clone() * (harder - own)) * params.scale;
    let cross = (log_softmax(scores, 1) * chosen).sum_dim(1).neg();
    Some(cross.mean())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(margin: Margin, classes: &[Option<usize>]) -> Option<f32> {
        let device = Device::flex();
        let tensor =
            |values: &[f32], rows: usize| Tensor::<2>::from_data(TensorData::new(values.to_vec(), [rows, 2]), &device);
        let params = IdentityParams { margin, scale: 2.0, ..IdentityParams::default() };
        // Two faces; the first points to the first class. The length of class weights has no effect.
        let found = identity_loss(
            tensor(&[1.0, 0.0, 0.6, 0.8], 2),
            tensor(&[3.0, 0.0, 0.0, 0.5], 2),
            classes,
            &params,
            &device,
        );
        found.map(|loss| loss.into_data().try_into_vec::<f32>().unwrap()[0])
    }

    #[test]
    fn by_hand() {
        let cross = |own: f32, other: f32| -(own.exp() / (own.exp() + other.exp())).ln();
        // Cosines 1 and 0, times 2.
        let plain = loss(Margin::None, &[Some(0), None]).unwrap();
        assert!((plain - cross(2.0, 0.0)).abs() < 1e-5, "{plain}");
        // The second face: 0.8 for its own class, 0.6 for the other.
        let both = loss(Margin::None, &[Some(0), Some(1)]).unwrap();
        assert!((both - (cross(2.0, 0.0) + cross(1.6, 1.2)) / 2.0).abs() < 1e-5, "{both}");
        let cosface = loss(Margin::Cosine { by: 0.5 }, &[None, Some(1)]).unwrap();
        assert!((cosface - cross(0.6, 1.2)).abs() < 1e-5, "{cosface}");
        let arcface = loss(Margin::Angle { by: 0.5 }, &[None, Some(1)]).unwrap();
        let own = (0.8f32.acos() + 0.5).cos();
        assert!((arcface - cross(2.0 * own, 1.2)).abs() < 1e-4, "{arcface}");
        assert_eq!(loss(Margin::None, &[None, None]), None);
    }
}

//! Which faces an epoch looks at, in which order.

use std::collections::HashMap;
use std::sync::Arc;

use visavis_data::pack::{Pack, PackedFace};
use visavis_data::{Gender, Split};

use super::mix;
use crate::recipe::Source;

/// A face by pack and place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pick {
    /// Place in the list of packs.
    pub pack: usize,
    /// Place in the pack.
    pub face: usize,
}

/// The faces of a stage and how often each is looked at.
#[derive(Debug, Clone)]
pub struct Sampler {
    faces: Vec<(Pick, f32)>,
    seed: u64,
}

impl Sampler {
    /// All faces of one side of the split, weighted as their sources say. `packs` are the packs of `sources`, in order.
    #[must_use]
    pub fn new(packs: &[Arc<Pack>], sources: &[Source], split: Split, seed: u64) -> Self {
        let mut faces = Vec::new();
        for (pack, (opened, source)) in packs.iter().zip(sources).enumerate() {
            let taken: Vec<usize> = (0..opened.faces().len())
                .filter(|&face| opened.faces()[face].split == split && wanted(source, &opened.faces()[face].file))
                .collect();
            let mut counts: HashMap<String, usize> = HashMap::new();
            for &face in &taken {
                *counts.entry(class(&opened.faces()[face])).or_default() += 1;
            }
            let weight = |face: usize| (counts[&class(&opened.faces()[face])] as f32).powf(-source.balance);
            let total: f32 = taken.iter().map(|&face| weight(face)).sum();
            let scale = source.repeat * taken.len() as f32 / total.max(f32::MIN_POSITIVE);
            faces.extend(taken.iter().map(|&face| (Pick { pack, face }, weight(face) * scale)));
        }
        Self { faces, seed }
    }

    /// The faces of an epoch, shuffled. Whatever comes after the point where two calls have equal seeds and epochs is
    /// equal too, so a run that stopped goes on where it was.
    #[must_use]
    pub fn epoch(&self, stage: usize, epoch: usize) -> Vec<Pick> {
        let mut random = fastrand::Rng::with_seed(mix(&[self.seed, stage as u64, epoch as u64]));
        let mut picks = Vec::new();
        for (pick, weight) in &self.faces {
            // So many whole times, and once more with the probability of what is left.
            let times = weight.floor() as usize + usize::from(random.f32() < weight.fract());
            picks.extend(std::iter::repeat_n(*pick, times));
        }
        random.shuffle(&mut picks);
        picks
    }

    /// All faces once, in the packs' order.
    #[must_use]
    pub fn all(&self) -> Vec<Pick> {
        self.faces.iter().map(|(pick, _)| *pick).collect()
    }
}

fn wanted(source: &Source, file: &str) -> bool {
    let begins = |list: &[String]| list.iter().any(|prefix| file.starts_with(prefix.as_str()));
    (source.only.is_empty() || begins(&source.only)) && !begins(&source.except)
}

/// What balancing evens out: five-year bands, gender and smile, whichever are labelled.
fn class(face: &PackedFace) -> String {
    let labels = &face.labels;
    let gender = labels.gender.map(|gender| gender == Gender::Female);
    format!("{:?} {gender:?} {:?}", labels.age.map(|age| (age / 5.0) as u32), labels.smile)
}

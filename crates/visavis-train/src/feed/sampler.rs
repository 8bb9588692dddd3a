//! Which faces an epoch uses, and in which order.

use std::collections::HashMap;
use std::sync::Arc;

use visavis_data::pack::{Pack, PackedFace};
use visavis_data::{Gender, Split};

use super::mix;
use crate::recipe::Source;

/// A face in a list of packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pick {
    /// Index of the pack.
    pub pack: usize,
    /// Index of the face in the pack.
    pub face: usize,
}

/// The faces of a stage, and how often each is used.
#[derive(Debug, Clone)]
pub struct Sampler {
    faces: Vec<(Pick, f32)>,
    seed: u64,
}

impl Sampler {
    /// All faces on one side of the split, weighted as their sources say. `packs` are the packs of `sources`, in order.
    #[must_use]
    pub fn new(packs: &[Arc<Pack>], sources: &[Source], split: Split, seed: u64) -> Self {
        let mut faces = Vec::new();
        for (pack, (opened, source)) in packs.iter().zip(sources).enumerate() {
            let taken: Vec<usize> = (0..opened.faces().len())
                .filter(|&face| opened.faces()[face].split == split && source.selects(&opened.faces()[face].file))
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

    /// The faces of an epoch, shuffled. The order depends only on seed, stage and epoch, so a run that stopped continues with the
    /// same order.
    #[must_use]
    pub fn epoch(&self, stage: usize, epoch: usize) -> Vec<Pick> {
        let mut random = fastrand::Rng::with_seed(mix(&[self.seed, stage as u64, epoch as u64]));
        let mut picks = Vec::new();
        for (pick, weight) in &self.faces {
            // As many times as the integer part, and once more with the probability of the fraction.
            let times = weight.floor() as usize + usize::from(random.f32() < weight.fract());
            picks.extend(std::iter::repeat_n(*pick, times));
        }
        random.shuffle(&mut picks);
        picks
    }

    /// All faces once, in the order of the packs.
    #[must_use]
    pub fn all(&self) -> Vec<Pick> {
        self.faces.iter().map(|(pick, _)| *pick).collect()
    }
}

/// The class for balancing: five-year band, gender, smile and expression, as far as labelled.
fn class(face: &PackedFace) -> String {
    let labels = &face.labels;
    let gender = labels.gender.map(|gender| gender == Gender::Female);
    format!(
        "{:?} {gender:?} {:?} {:?}",
        labels.age.map(|age| (age / 5.0) as u32),
        labels.smile,
        labels.main_expression()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_data::Labels;
    use visavis_data::pack::{PackParams, PackWriter};
    use visavis_image::{Picture, Rect, codec};

    /// 40 faces: a quarter smiles, the first ten are for validation.
    fn pack(folder: &std::path::Path) -> Arc<Pack> {
        let jpeg = codec::encode_jpeg(&Picture::new(32, 32), 80).unwrap();
        let params = PackParams { side: 32, ..PackParams::default() };
        let mut writer = PackWriter::new(folder, "set", "none", params).unwrap();
        for index in 0..40 {
            let face = PackedFace {
                set: "set".into(),
                file: format!("{}/{index}.jpg", if index % 2 == 0 { "even" } else { "odd" }),
                identity: None,
                split: if index < 10 { Split::Validation } else { Split::Train },
                labels: Labels { smile: Some(index % 4 == 0), ..Labels::default() },
                scale: 1.0,
                rect: Rect::new(8.0, 8.0, 16.0, 16.0),
                landmarks: None,
                detected: None,
            };
            writer.push(&face, &jpeg).unwrap();
        }
        writer.finish().unwrap();
        Arc::new(Pack::open(folder).unwrap())
    }

    fn source() -> Source {
        Source { pack: "".into(), repeat: 1.0, balance: 0.0, teach: true, only: Vec::new(), except: Vec::new() }
    }

    #[test]
    fn sides_of_the_split_never_mix() {
        let place = tempfile::tempdir().unwrap();
        let packs = [pack(&place.path().join("pack"))];
        let faces = |split| -> Vec<usize> {
            let mut faces: Vec<usize> =
                Sampler::new(&packs, &[source()], split, 1).epoch(0, 0).iter().map(|pick| pick.face).collect();
            faces.sort_unstable();
            faces
        };
        assert_eq!(faces(Split::Train), (10..40).collect::<Vec<_>>());
        assert_eq!(faces(Split::Validation), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn epochs_repeat_by_seed_and_differ_among_themselves() {
        let place = tempfile::tempdir().unwrap();
        let packs = [pack(&place.path().join("pack"))];
        let sampler = |seed| Sampler::new(&packs, &[source()], Split::Train, seed);
        assert_eq!(sampler(1).epoch(0, 3), sampler(1).epoch(0, 3));
        assert_ne!(sampler(1).epoch(0, 3), sampler(1).epoch(0, 4));
        assert_ne!(sampler(1).epoch(0, 3), sampler(2).epoch(0, 3));
    }

    #[test]
    fn repeats_balance_and_prefixes() {
        let place = tempfile::tempdir().unwrap();
        let packs = [pack(&place.path().join("pack"))];
        let epoch = |source: Source| Sampler::new(&packs, &[source], Split::Train, 1).epoch(0, 0);
        assert_eq!(epoch(Source { repeat: 2.0, ..source() }).len(), 60);
        let half = epoch(Source { repeat: 0.5, ..source() }).len();
        assert!((8..=22).contains(&half), "{half}");
        let even = epoch(Source { only: vec!["even/".into()], ..source() });
        assert!(even.len() == 15 && even.iter().all(|pick| pick.face % 2 == 0));
        let odd = epoch(Source { except: vec!["even/".into()], ..source() });
        assert!(odd.len() == 15 && odd.iter().all(|pick| pick.face % 2 == 1));
        // With balancing, a quarter of smiles becomes a half.
        let balanced = epoch(Source { repeat: 10.0, balance: 1.0, ..source() });
        let smiles = balanced.iter().filter(|pick| pick.face % 4 == 0).count();
        let share = smiles as f32 / balanced.len() as f32;
        assert!((0.45..=0.55).contains(&share), "{share}");
    }
}

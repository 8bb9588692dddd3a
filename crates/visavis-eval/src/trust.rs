//! Figures by which an operator judges whether to trust the networks: ages by gender and age band, challenge ages, errors of
//! identification within groups of people.
//!
//! The quantities are those of NIST's evaluations of age estimation (FATE AEV, IR 8525: mean absolute error by sex and age,
//! challenge-age rates) and of demographic differences (FRVT part 3, IR 8280: false-match rates within groups at one threshold
//! for all); names as in ISO/IEC 19795-1 and -10.

use std::collections::HashMap;

use serde::Serialize;
use visavis_data::Gender;
use visavis_gallery::distance;
use visavis_infer::manifest::Metric;

use crate::attributes::AgePair;
use crate::bootstrap::{Bootstrap, Estimate};
use crate::groups::{age_band, age_band_names};
use crate::similarity::Embedded;

/// Age errors of the people of one gender in one age band.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgeCell {
    /// Labelled gender.
    pub gender: Gender,
    /// Name of the band of the labelled age.
    pub band: &'static str,
    /// Mean absolute error in years.
    pub error: Estimate,
    /// Mean of estimated minus labelled age, in years.
    pub bias: Estimate,
}

/// Age errors by gender and band, in the order of the bands; combinations without faces are left out.
#[must_use]
pub fn ages_by_gender(faces: &[(Gender, AgePair)], bootstrap: &Bootstrap) -> Vec<AgeCell> {
    let names = age_band_names();
    let cell = |band: usize, gender: Gender| {
        let of = faces.iter().filter(|(other, pair)| *other == gender && age_band(pair.labelled) == band);
        let differences: Vec<f64> = of.map(|(_, pair)| f64::from(pair.predicted - pair.labelled)).collect();
        let errors: Vec<f64> = differences.iter().map(|difference| difference.abs()).collect();
        Some(AgeCell {
            gender,
            band: names[band],
            error: bootstrap.mean(&errors)?,
            bias: bootstrap.mean(&differences)?,
        })
    };
    let bands = (0..names.len()).flat_map(|band| [(band, Gender::Female), (band, Gender::Male)]);
    bands.filter_map(|(band, gender)| cell(band, gender)).collect()
}

/// What happens if everyone whose estimated age is below a challenge age is asked for a document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChallengeAge {
    /// The challenge age in years.
    pub age: f32,
    /// False positive rate: share of people below the legal age who are not asked. `None` without such people.
    pub minors_not_asked: Option<Estimate>,
    /// The same among people in the three years before the legal age.
    pub nearly_adults_not_asked: Option<Estimate>,
    /// False negative rate: share of people of the legal age and above who are asked.
    pub adults_asked: Option<Estimate>,
}

/// Number of years before the legal age in which people are hardest to distinguish from adults.
const NEARLY: f32 = 3.0;

/// The rates for a legal age and several challenge ages, in years.
#[must_use]
pub fn challenge_ages(pairs: &[AgePair], legal: f32, ages: &[f32], bootstrap: &Bootstrap) -> Vec<ChallengeAge> {
    let share = |from: f32, to: f32, holds: &dyn Fn(f32) -> bool| {
        let of = pairs.iter().filter(|pair| (from..to).contains(&pair.labelled));
        bootstrap.share(&of.map(|pair| holds(pair.predicted)).collect::<Vec<_>>())
    };
    let rates = |&age: &f32| ChallengeAge {
        age,
        minors_not_asked: share(0.0, legal, &|estimated| estimated >= age),
        nearly_adults_not_asked: share(legal - NEARLY, legal, &|estimated| estimated >= age),
        adults_asked: share(legal, f32::INFINITY, &|estimated| estimated < age),
    };
    ages.iter().map(rates).collect()
}

/// Errors of verification within one group of people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupMatches {
    /// The group.
    pub group: String,
    /// False-match rate: share of the pairs of two people of the group whose distance is below the threshold.
    pub false_matches: Estimate,
    /// False non-match rate: share of the pairs of one person whose distance is not below the threshold. `None` if no person of
    /// the group has two photos.
    pub false_non_matches: Option<Estimate>,
}

/// Errors of verification at one threshold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Matches {
    /// The threshold, a distance, at which `rate` of all pairs of two people match.
    pub threshold: f32,
    /// That rate, 0 to 1.
    pub rate: f64,
    /// Number of pairs of two people.
    pub pairs: usize,
    /// The first group is everyone.
    pub groups: Vec<GroupMatches>,
}

/// Distances of all pairs of faces.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PairDistances {
    /// Of one person, ascending.
    pub one_person: Vec<f32>,
    /// Of two people, ascending.
    pub two_people: Vec<f32>,
}

impl PairDistances {
    /// Compares every face with every other one.
    #[must_use]
    pub fn of(metric: Metric, faces: &[Embedded]) -> Self {
        let mut pairs = Self::default();
        for (place, face) in faces.iter().enumerate() {
            for other in &faces[..place] {
                let away = distance(metric, face.vector, other.vector);
                let same = face.identity == other.identity;
                if same { &mut pairs.one_person } else { &mut pairs.two_people }.push(away);
            }
        }
        pairs.one_person.sort_unstable_by(f32::total_cmp);
        pairs.two_people.sort_unstable_by(f32::total_cmp);
        pairs
    }

    /// False-match and false non-match rate at a threshold.
    #[must_use]
    pub fn rates(&self, threshold: f32) -> [f64; 2] {
        let below = |distances: &[f32]| {
            distances.partition_point(|distance| *distance < threshold) as f64 / distances.len().max(1) as f64
        };
        [below(&self.two_people), 1.0 - below(&self.one_person)]
    }
}

/// Verification errors of everyone and within groups, at the threshold at which `rate` of all pairs of two people match.
///
/// `groups` are names with the indices of their faces. Intervals are over faces: each face contributes its own rates. `None` if
/// there are fewer than 1 / `rate` pairs of two people.
#[must_use]
pub fn matches(
    metric: Metric,
    faces: &[Embedded],
    groups: &[(String, Vec<usize>)],
    rate: f64,
    bootstrap: &Bootstrap,
) -> Option<Matches> {
    let distances = PairDistances::of(metric, faces).two_people;
    let allowed = (rate * distances.len() as f64).floor() as usize;
    if allowed == 0 {
        return None;
    }
    let threshold = *distances.get(allowed)?;
    let everyone = ("everyone".to_owned(), (0..faces.len()).collect());
    let of = |(name, places): &(String, Vec<usize>)| {
        let (mut false_matches, mut false_non_matches) = (Vec::new(), Vec::new());
        for &place in places {
            let mut counts: HashMap<(bool, bool), usize> = HashMap::new();
            for &other in places.iter().filter(|other| **other != place) {
                let matching = distance(metric, faces[place].vector, faces[other].vector) < threshold;
                *counts.entry((faces[place].identity == faces[other].identity, matching)).or_default() += 1;
            }
            let count = |key| counts.get(&key).copied().unwrap_or(0);
            let share = |same: bool, matching: bool| {
                let all = count((same, true)) + count((same, false));
                (all > 0).then(|| count((same, matching)) as f64 / all as f64)
            };
            false_matches.extend(share(false, true));
            false_non_matches.extend(share(true, false));
        }
        Some(GroupMatches {
            group: name.clone(),
            false_matches: bootstrap.mean(&false_matches)?,
            false_non_matches: bootstrap.mean(&false_non_matches),
        })
    };
    let groups = std::iter::once(&everyone).chain(groups).filter_map(of).collect();
    Some(Matches { threshold, rate, pairs: distances.len(), groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(labelled: f32, predicted: f32) -> AgePair {
        AgePair { labelled, predicted }
    }

    #[test]
    fn ages_are_split_by_gender_and_band() {
        let faces = [
            (Gender::Female, pair(25.0, 27.0)),
            (Gender::Female, pair(25.0, 22.0)),
            (Gender::Male, pair(25.0, 31.0)),
            (Gender::Male, pair(8.0, 9.0)),
        ];
        let cells = ages_by_gender(&faces, &Bootstrap::default());
        let told: Vec<_> = cells
            .iter()
            .map(|cell| (cell.gender, cell.band, cell.error.value, cell.bias.value, cell.error.n))
            .collect();
        assert_eq!(
            told,
            [
                (Gender::Male, "0–12", 1.0, 1.0, 1),
                (Gender::Female, "20–29", 2.5, -0.5, 2),
                (Gender::Male, "20–29", 6.0, 6.0, 1),
            ]
        );
    }

    #[test]
    fn a_higher_challenge_age_asks_more_people() {
        let pairs = [pair(10.0, 9.0), pair(16.0, 26.0), pair(17.0, 20.0), pair(18.0, 24.0), pair(40.0, 38.0)];
        let found = challenge_ages(&pairs, 18.0, &[18.0, 25.0, 30.0], &Bootstrap::default());
        let value = |rate: &Option<Estimate>| rate.unwrap().value;
        let told: Vec<_> = found
            .iter()
            .map(|rates| {
                (value(&rates.minors_not_asked), value(&rates.nearly_adults_not_asked), value(&rates.adults_asked))
            })
            .collect();
        assert_eq!(told, [(2.0 / 3.0, 1.0, 0.0), (1.0 / 3.0, 0.5, 0.5), (0.0, 0.0, 0.5)]);
        assert!(challenge_ages(&pairs[..1], 18.0, &[25.0], &Bootstrap::default())[0].adults_asked.is_none());
    }

    #[test]
    fn a_group_whose_faces_are_alike_has_more_false_matches() {
        // Two people of the first group look alike; those of the second do not.
        let vectors = [[1.0, 0.0], [0.995, 0.1], [0.0, 1.0], [-1.0, 0.0], [-1.0, 0.01]];
        let names = ["a", "b", "c", "d", "d"];
        let faces: Vec<Embedded> =
            vectors.iter().zip(names).map(|(vector, identity)| Embedded { file: identity, identity, vector }).collect();
        let groups = [("alike".to_owned(), vec![0, 1]), ("different".to_owned(), vec![2, 3, 4])];
        let found = matches(Metric::Cosine, &faces, &groups, 0.12, &Bootstrap::default()).unwrap();
        assert_eq!(found.pairs, 9);
        let told: Vec<_> = found
            .groups
            .iter()
            .map(|group| (&*group.group, group.false_matches.value, group.false_non_matches.map(|rate| rate.value)))
            .collect();
        assert_eq!(told[1..], [("alike", 1.0, None), ("different", 0.0, Some(0.0))]);
        assert!(matches(Metric::Cosine, &faces, &groups, 0.01, &Bootstrap::default()).is_none(), "too few pairs");
        let distances = PairDistances::of(Metric::Cosine, &faces);
        assert_eq!(distances.one_person.len(), 1);
        assert_eq!(distances.rates(found.threshold), [1.0 / 9.0, 0.0]);
    }
}

//! How well age, gender and smile are told.
//!
//! Age: mean absolute error in years, and the cumulative score CS(n), the share of faces told within n years (Geng, Zhou
//! and Smith-Miles, "Automatic age estimation based on facial aging patterns", 2007). Gender and smile: accuracy.

use serde::{Deserialize, Serialize};
use visavis_data::{Gender, Labels};
use visavis_face::Findings;

use crate::bootstrap::{Bootstrap, Estimate};
use crate::groups::{age_band, age_band_names};

/// Years of [`AgeReport::within`].
const MOST_YEARS: u32 = 15;

/// From this share of "female" on the answer is female, as the live view has it.
const FEMALE_FROM: f32 = 0.5;

/// One face: what is known of it and what a network told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttributeCase<'a> {
    /// Labelled.
    pub labels: &'a Labels,
    /// Told.
    pub findings: &'a Findings,
}

impl AttributeCase<'_> {
    /// The two ages in years, where the face is labelled with one and the network told one.
    #[must_use]
    pub fn age(&self) -> Option<AgePair> {
        let told = self.findings.age.as_ref()?;
        Some(AgePair { labelled: self.labels.age?, told: told.years })
    }

    /// Labelled and told gender.
    #[must_use]
    pub fn gender(&self) -> Option<(Gender, Gender)> {
        let told = if self.findings.female? >= FEMALE_FROM { Gender::Female } else { Gender::Male };
        Some((self.labels.gender?, told))
    }

    /// Whether it is labelled as smiling, and told to be.
    #[must_use]
    pub fn smile(&self) -> Option<(bool, bool)> {
        let told = self.findings.smile?;
        Some((self.labels.smile?, told.share >= told.threshold))
    }
}

/// A labelled and a told age, in years.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AgePair {
    /// Labelled.
    pub labelled: f32,
    /// Told.
    pub told: f32,
}

/// How often each label was told for each label. Rows: labelled; columns: told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Names of rows and columns.
    pub labels: Vec<String>,
    /// Faces by labelled, then by told label.
    pub counts: Vec<Vec<usize>>,
}

impl Confusion {
    /// Counts pairs of (labelled, told) places among `labels`; a place beyond them is left out.
    #[must_use]
    pub fn count(labels: &[&str], pairs: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut counts = vec![vec![0; labels.len()]; labels.len()];
        for (labelled, told) in pairs {
            if let Some(cell) = counts.get_mut(labelled).and_then(|row| row.get_mut(told)) {
                *cell += 1;
            }
        }
        Self { labels: labels.iter().map(|&label| label.to_owned()).collect(), counts }
    }
}

/// Share of faces told within so many years.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Within {
    /// Years.
    pub years: u32,
    /// Share, 0 to 1.
    pub share: f64,
}

/// How well ages are told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgeReport {
    /// Mean absolute error in years.
    pub mae: Estimate,
    /// Mean of told minus labelled, in years: above 0 where faces are made older.
    pub bias: Estimate,
    /// The cumulative score for 0 to 15 years.
    pub within: Vec<Within>,
    /// By age band.
    pub confusion: Confusion,
}

/// How well one of two labels is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelReport {
    /// Share of right answers, 0 to 1.
    pub accuracy: Estimate,
    /// Which for which.
    pub confusion: Confusion,
}

/// Figures over faces. `None` where the labels or the network say nothing of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AttributeReport {
    /// Age.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<AgeReport>,
    /// Gender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gender: Option<LabelReport>,
    /// Smile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smile: Option<LabelReport>,
}

/// Figures over `cases`.
#[must_use]
pub fn evaluate(cases: &[AttributeCase], bootstrap: &Bootstrap) -> AttributeReport {
    let ages: Vec<AgePair> = cases.iter().filter_map(AttributeCase::age).collect();
    let genders = cases.iter().filter_map(AttributeCase::gender);
    let place = |gender| usize::from(gender == Gender::Male);
    let genders: Vec<(usize, usize)> = genders.map(|(labelled, told)| (place(labelled), place(told))).collect();
    let smiles = cases.iter().filter_map(AttributeCase::smile);
    let smiles: Vec<(usize, usize)> = smiles.map(|(labelled, told)| (labelled.into(), told.into())).collect();
    AttributeReport {
        age: ages_report(&ages, bootstrap),
        gender: label_report(&["female", "male"], &genders, bootstrap),
        smile: label_report(&["not smiling", "smiling"], &smiles, bootstrap),
    }
}

fn ages_report(pairs: &[AgePair], bootstrap: &Bootstrap) -> Option<AgeReport> {
    let differences: Vec<f64> = pairs.iter().map(|pair| f64::from(pair.told) - f64::from(pair.labelled)).collect();
    let errors: Vec<f64> = differences.iter().map(|difference| difference.abs()).collect();
    let share =
        |years: u32| errors.iter().filter(|&&error| error <= f64::from(years)).count() as f64 / errors.len() as f64;
    Some(AgeReport {
        mae: bootstrap.mean(&errors)?,
        bias: bootstrap.mean(&differences)?,
        within: (0..=MOST_YEARS).map(|years| Within { years, share: share(years) }).collect(),
        confusion: Confusion::count(
            &age_band_names(),
            pairs.iter().map(|pair| (age_band(pair.labelled), age_band(pair.told))),
        ),
    })
}

fn label_report(labels: &[&str], pairs: &[(usize, usize)], bootstrap: &Bootstrap) -> Option<LabelReport> {
    let right: Vec<bool> = pairs.iter().map(|(labelled, told)| labelled == told).collect();
    Some(LabelReport { accuracy: bootstrap.share(&right)?, confusion: Confusion::count(labels, pairs.iter().copied()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_face::{Age, Smile};

    fn told(years: f32, female: f32, smile: f32) -> Findings {
        Findings {
            age: Some(Age { years, distribution: None }),
            female: Some(female),
            smile: Some(Smile { share: smile, threshold: 0.4 }),
            embedding: None,
        }
    }

    #[test]
    fn figures_of_four_faces_by_hand() {
        let labels = |age, gender, smile| Labels { age, gender, smile, ..Labels::default() };
        let labelled = [
            labels(Some(10.0), Some(Gender::Female), Some(true)),
            labels(Some(30.0), Some(Gender::Male), Some(false)),
            labels(Some(76.0), Some(Gender::Male), None),
            labels(None, Some(Gender::Female), None),
        ];
        let found = [told(14.0, 0.5, 0.4), told(29.0, 0.51, 0.41), told(66.0, 0.2, 0.9), told(1.0, 0.9, 0.1)];
        let cases: Vec<AttributeCase> =
            labelled.iter().zip(&found).map(|(labels, findings)| AttributeCase { labels, findings }).collect();
        let report = evaluate(&cases, &Bootstrap::default());
        let age = report.age.unwrap();
        // Differences +4, −1, −10.
        assert_eq!((age.mae.value, age.mae.n), (5.0, 3));
        assert!((age.bias.value + 7.0 / 3.0).abs() < 1e-9);
        let within: Vec<f64> = [0, 1, 4, 10].map(|years| age.within[years].share).to_vec();
        assert_eq!(within, [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]);
        let mut counts = vec![vec![0; 7]; 7];
        counts[0][1] = 1; // 10 told as 14
        counts[3][2] = 1; // 30 told as 29
        counts[6][5] = 1; // 76 told as 66
        assert_eq!(age.confusion.counts, counts);
        let gender = report.gender.unwrap();
        assert_eq!((gender.accuracy.value, gender.accuracy.n), (0.75, 4));
        assert_eq!(gender.confusion.counts, [[2, 0], [1, 1]]);
        let smile = report.smile.unwrap();
        // Exactly the threshold is a smile.
        assert_eq!((smile.accuracy.value, smile.accuracy.n), (0.5, 2));
        assert_eq!(smile.confusion.counts, [[0, 1], [0, 1]]);
    }

    #[test]
    fn what_nobody_tells_has_no_figures() {
        let (labels, findings) = (Labels { age: Some(3.0), ..Labels::default() }, Findings::default());
        let report = evaluate(&[AttributeCase { labels: &labels, findings: &findings }], &Bootstrap::default());
        assert_eq!(report, AttributeReport::default());
    }
}

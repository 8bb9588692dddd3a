//! Accuracy of age, gender, smile and expression.
//!
//! Age: mean absolute error in years, and the cumulative score CS(n), the share of faces with an error of at most n years
//! (Geng, Zhou and Smith-Miles, "Automatic age estimation based on facial aging patterns", 2007). Gender and smile: accuracy.
//! Expression: accuracy over the faces with a majority of more than half of all votes (the majority vote of FER+).

use serde::{Deserialize, Serialize};
use visavis_data::{EXPRESSIONS, Gender, Labels};
use visavis_face::Findings;

use crate::bootstrap::{Bootstrap, Estimate};
use crate::groups::{age_band, age_band_names};

/// Years of [`AgeReport::within`].
const MOST_YEARS: u32 = 15;

/// From this probability of "female" on the answer is female, as in the live view.
const FEMALE_FROM: f32 = 0.5;

/// One face: its labels and the results of a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttributeCase<'a> {
    /// The labels.
    pub labels: &'a Labels,
    /// The results.
    pub findings: &'a Findings,
}

impl AttributeCase<'_> {
    /// The two ages in years, if both are known.
    #[must_use]
    pub fn age(&self) -> Option<AgePair> {
        let predicted = self.findings.age.as_ref()?;
        Some(AgePair { labelled: self.labels.age?, predicted: predicted.years })
    }

    /// Labelled and predicted gender.
    #[must_use]
    pub fn gender(&self) -> Option<(Gender, Gender)> {
        let predicted = if self.findings.female? >= FEMALE_FROM { Gender::Female } else { Gender::Male };
        Some((self.labels.gender?, predicted))
    }

    /// Indices of the labelled and the predicted expression in [`EXPRESSIONS`].
    #[must_use]
    pub fn expression(&self) -> Option<(usize, usize)> {
        let labelled = self.labels.main_expression()?;
        let (predicted, _) = self.findings.expression.as_ref()?.likeliest()?;
        Some((labelled, EXPRESSIONS.iter().position(|name| *name == predicted)?))
    }

    /// Whether it is labelled as smiling, and predicted to be.
    #[must_use]
    pub fn smile(&self) -> Option<(bool, bool)> {
        let predicted = self.findings.smile?;
        Some((self.labels.smile?, predicted.share >= predicted.threshold))
    }
}

/// A labelled and a predicted age, in years.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AgePair {
    /// Labelled.
    pub labelled: f32,
    /// Predicted.
    pub predicted: f32,
}

/// Number of faces by labelled and predicted class. Rows: labelled; columns: predicted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Names of rows and columns.
    pub labels: Vec<String>,
    /// Faces by labelled, then by predicted class.
    pub counts: Vec<Vec<usize>>,
}

impl Confusion {
    /// Counts pairs of (labelled, predicted) indices in `labels`; an index out of range is ignored.
    #[must_use]
    pub fn count(labels: &[&str], pairs: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut counts = vec![vec![0; labels.len()]; labels.len()];
        for (labelled, predicted) in pairs {
            if let Some(cell) = counts.get_mut(labelled).and_then(|row| row.get_mut(predicted)) {
                *cell += 1;
            }
        }
        Self { labels: labels.iter().map(|&label| label.to_owned()).collect(), counts }
    }
}

/// Share of faces with an error of at most this number of years.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Within {
    /// Years.
    pub years: u32,
    /// Share, 0 to 1.
    pub share: f64,
}

/// Figures for ages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgeReport {
    /// Mean absolute error in years.
    pub mae: Estimate,
    /// Mean of predicted minus labelled age, in years.
    pub bias: Estimate,
    /// The cumulative score for 0 to 15 years.
    pub within: Vec<Within>,
    /// By age band.
    pub confusion: Confusion,
}

/// Figures for one classification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelReport {
    /// Share of right answers, 0 to 1.
    pub accuracy: Estimate,
    /// Labelled against predicted classes.
    pub confusion: Confusion,
}

/// Figures over faces. `None` if there are no labels or the network does not have the task.
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
    /// Expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<LabelReport>,
}

/// Computes the figures over `cases`.
#[must_use]
pub fn evaluate(cases: &[AttributeCase], bootstrap: &Bootstrap) -> AttributeReport {
    let ages: Vec<AgePair> = cases.iter().filter_map(AttributeCase::age).collect();
    let genders = cases.iter().filter_map(AttributeCase::gender);
    let place = |gender| usize::from(gender == Gender::Male);
    let genders: Vec<(usize, usize)> = genders.map(|(label, answer)| (place(label), place(answer))).collect();
    let smiles = cases.iter().filter_map(AttributeCase::smile);
    let smiles: Vec<(usize, usize)> = smiles.map(|(labelled, predicted)| (labelled.into(), predicted.into())).collect();
    let expressions: Vec<(usize, usize)> = cases.iter().filter_map(AttributeCase::expression).collect();
    AttributeReport {
        expression: label_report(&EXPRESSIONS, &expressions, bootstrap),
        age: ages_report(&ages, bootstrap),
        gender: label_report(&["female", "male"], &genders, bootstrap),
        smile: label_report(&["not smiling", "smiling"], &smiles, bootstrap),
    }
}

fn ages_report(pairs: &[AgePair], bootstrap: &Bootstrap) -> Option<AgeReport> {
    let differences: Vec<f64> = pairs.iter().map(|pair| f64::from(pair.predicted) - f64::from(pair.labelled)).collect();
    let errors: Vec<f64> = differences.iter().map(|difference| difference.abs()).collect();
    let share =
        |years: u32| errors.iter().filter(|&&error| error <= f64::from(years)).count() as f64 / errors.len() as f64;
    Some(AgeReport {
        mae: bootstrap.mean(&errors)?,
        bias: bootstrap.mean(&differences)?,
        within: (0..=MOST_YEARS).map(|years| Within { years, share: share(years) }).collect(),
        confusion: Confusion::count(
            &age_band_names(),
            pairs.iter().map(|pair| (age_band(pair.labelled), age_band(pair.predicted))),
        ),
    })
}

fn label_report(labels: &[&str], pairs: &[(usize, usize)], bootstrap: &Bootstrap) -> Option<LabelReport> {
    let right: Vec<bool> = pairs.iter().map(|(labelled, predicted)| labelled == predicted).collect();
    Some(LabelReport { accuracy: bootstrap.share(&right)?, confusion: Confusion::count(labels, pairs.iter().copied()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_face::{Age, Expression, Smile};

    fn answer(years: f32, female: f32, smile: f32) -> Findings {
        Findings {
            age: Some(Age { years, distribution: None }),
            female: Some(female),
            smile: Some(Smile { share: smile, threshold: 0.4 }),
            ..Findings::default()
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
        let found = [answer(14.0, 0.5, 0.4), answer(29.0, 0.51, 0.41), answer(66.0, 0.2, 0.9), answer(1.0, 0.9, 0.1)];
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
        counts[0][1] = 1; // 10 predicted as 14
        counts[3][2] = 1; // 30 predicted as 29
        counts[6][5] = 1; // 76 predicted as 66
        assert_eq!(age.confusion.counts, counts);
        let gender = report.gender.unwrap();
        assert_eq!((gender.accuracy.value, gender.accuracy.n), (0.75, 4));
        assert_eq!(gender.confusion.counts, [[2, 0], [1, 1]]);
        let smile = report.smile.unwrap();
        // A probability equal to the threshold is a smile.
        assert_eq!((smile.accuracy.value, smile.accuracy.n), (0.5, 2));
        assert_eq!(smile.confusion.counts, [[0, 1], [0, 1]]);
    }

    #[test]
    fn an_expression_counts_where_most_voters_agree() {
        let mut votes = [0.0; 8];
        votes[1] = 0.6;
        let clear = Labels { expression: Some(votes), ..Labels::default() };
        votes[1] = 0.5;
        let unclear = Labels { expression: Some(votes), ..Labels::default() };
        let answer = |name: &str| Findings {
            expression: Some(Expression {
                labels: EXPRESSIONS.map(str::to_owned).into(),
                shares: EXPRESSIONS.map(|known| f32::from(u8::from(known == name))).to_vec(),
            }),
            ..Findings::default()
        };
        let (happy, sad) = (answer("happiness"), answer("sadness"));
        let cases = [(&clear, &happy), (&clear, &sad), (&unclear, &happy)];
        let cases = cases.map(|(labels, findings)| AttributeCase { labels, findings });
        let report = evaluate(&cases, &Bootstrap::default()).expression.unwrap();
        assert_eq!((report.accuracy.value, report.accuracy.n), (0.5, 2));
        assert_eq!(report.confusion.counts[1][3], 1);
    }

    #[test]
    fn what_nobody_tells_has_no_figures() {
        let (labels, findings) = (Labels { age: Some(3.0), ..Labels::default() }, Findings::default());
        let report = evaluate(&[AttributeCase { labels: &labels, findings: &findings }], &Bootstrap::default());
        assert_eq!(report, AttributeReport::default());
    }
}

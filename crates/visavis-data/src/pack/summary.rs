//! How many faces of a pack have each label.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::PackedFace;
use crate::{EXPRESSIONS, Gender, Split};

/// Number of faces with one value of one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The label, such as `gender`.
    pub label: &'static str,
    /// Its value, such as `female`.
    pub value: String,
    /// Number of training faces.
    pub train: usize,
    /// Number of validation faces.
    pub validation: usize,
}

/// Contents of a pack.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Number of training faces.
    pub train: usize,
    /// Number of validation faces.
    pub validation: usize,
    /// Number of people, if the set gives identities.
    pub identities: usize,
    /// For each label and value; ages by decade.
    pub counts: Vec<Count>,
}

impl Summary {
    /// Counts the labels.
    #[must_use]
    pub fn of(faces: &[PackedFace]) -> Self {
        let mut counts: BTreeMap<(&'static str, String), [usize; 2]> = BTreeMap::new();
        for face in faces {
            for key in values(face) {
                counts.entry(key).or_default()[usize::from(face.split == Split::Validation)] += 1;
            }
        }
        let people: BTreeSet<_> = faces.iter().filter_map(|face| Some((&face.set, face.identity.as_ref()?))).collect();
        let validation = faces.iter().filter(|face| face.split == Split::Validation).count();
        Self {
            train: faces.len() - validation,
            validation,
            identities: people.len(),
            counts: counts
                .into_iter()
                .map(|((label, value), [train, validation])| Count { label, value, train, validation })
                .collect(),
        }
    }
}

/// The labels of a face, with their values.
fn values(face: &PackedFace) -> Vec<(&'static str, String)> {
    let labels = &face.labels;
    let yes_no = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
    let gender = |gender| if gender == Gender::Female { "female" } else { "male" }.to_owned();
    // All of the same width, so that they sort by age.
    let decade = |age: f32| {
        let from = (age.max(0.0) as u32) / 10 * 10;
        format!("{from:3} to {}", from + 9)
    };
    let known = [
        ("age", labels.age.map(decade)),
        ("gender", labels.gender.map(gender)),
        ("smile", labels.smile.map(yes_no)),
        ("race", labels.race.map(|code| code.to_string())),
        ("glasses", labels.glasses.map(yes_no)),
        ("pose", labels.pose.map(|code| code.to_string())),
        ("expression", labels.main_expression().map(|at| EXPRESSIONS[at].to_owned())),
        ("keypoints", face.landmarks.map(|_| "labelled".to_owned())),
        ("detector", Some(if face.detected.is_some() { "found" } else { "missed" }.to_owned())),
    ];
    known.into_iter().filter_map(|(label, value)| Some((label, value?))).collect()
}

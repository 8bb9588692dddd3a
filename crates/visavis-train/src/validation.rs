//! Validation: figures on faces that are not used for training.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use visavis_data::pack::Pack;
use visavis_eval::bootstrap::Bootstrap;
use visavis_eval::similarity::{Embedded, identification};
use visavis_infer::manifest::Metric;

use crate::TrainError;
use crate::feed::{FeedParams, Pick, Targets, batches};
use crate::loss::expected_age;
use crate::network::{Mode, Network, POINTS, Parameters, Pass, shares};
use crate::teacher::{Answers, in_crop};

/// Sums of one figure.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Sum {
    total: f64,
    count: usize,
}

/// Figures by name, with `.SET` appended for a single set: `age_mae` in years; `gender_error`, `smile_error`, `expression_error`
/// (of faces with a majority of more than half of the votes) as shares; `head_pose_error`, the mean difference to the teacher's
/// three angles in degrees; `similarity_distance`, 1 − cosine to the teacher; `missed_rank_1` as a share of the photos;
/// `keypoint_error` as a share of the eye distance; for detectors 1 − average precision (at an overlap of 0.5: `missed_ap50`)
/// and 1 − recall.
pub type Figures = BTreeMap<String, f64>;

/// Divisor of each figure before they are averaged to a score: improving any by one unit is about equally hard.
const UNITS: [(&str, f64); 9] = [
    ("age_mae", 5.0),
    ("gender_error", 0.07),
    ("smile_error", 0.07),
    ("expression_error", 0.2),
    ("head_pose_error", 5.0),
    ("similarity_distance", 0.3),
    ("missed_rank_1", 0.3),
    ("keypoint_error", 0.04),
    ("missed_ap50", 0.2),
];

/// One number, lower is better: the mean of the figures, each divided by its unit.
#[must_use]
pub fn score(figures: &Figures) -> f64 {
    let parts: Vec<f64> =
        UNITS.iter().filter_map(|(name, unit)| figures.get(*name).map(|value| value / unit)).collect();
    parts.iter().sum::<f64>() / parts.len().max(1) as f64
}

/// Runs the network on `picks` as it would be exported; with `who`, also measures the identification of people.
///
/// # Errors
/// [`TrainError::Data`] if a crop is damaged.
pub fn validate(
    network: &Network,
    parameters: &Parameters,
    packs: &[Arc<Pack>],
    picks: Vec<Pick>,
    answers: &[Arc<Vec<Answers>>],
    params: &FeedParams,
    who: bool,
) -> Result<Figures, TrainError> {
    let device = &Device::flex();
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    let mut people: Vec<(Pick, Vec<f32>)> = Vec::new();
    for batch in batches(packs, picks, 0, params) {
        let batch = batch?;
        let count = batch.targets.len();
        let shape = [3, count, batch.side, batch.side];
        let pictures = Tensor::<4>::from_data(TensorData::new(batch.pictures, shape), device);
        let outputs = Pass::new(parameters, device, Mode::Infer).run(network, pictures);
        for (head, output) in network.heads.iter().zip(outputs) {
            let rows = match head.name.as_str() {
                "age" => expected_age(output),
                "gender" | "smile" | "expression" => shares(output),
                _ => output,
            };
            let columns = rows.dims()[1];
            let values: Vec<f32> = rows.into_data().try_into_vec().map_err(TrainError::weights)?;
            for ((row, target), pick) in values.chunks_exact(columns).zip(&batch.targets).zip(&batch.picks) {
                if who && head.name == "similarity" && packs[pick.pack].faces()[pick.face].identity.is_some() {
                    people.push((*pick, row.to_vec()));
                }
                let taught = answers[pick.pack].iter().find_map(|answers| answers.row(&head.name, pick.face));
                let taught = taught.map(|row| in_crop(&head.name, row, target));
                if let Some((name, value)) = figure(&head.name, row, target, taught.as_deref()) {
                    let set = &packs[pick.pack].faces()[pick.face].set;
                    for key in [name.to_owned(), format!("{name}.{set}")] {
                        let sum = sums.entry(key).or_default();
                        sum.total += f64::from(value);
                        sum.count += 1;
                    }
                }
            }
        }
    }
    let mut figures: Figures = sums.into_iter().map(|(name, sum)| (name, sum.total / sum.count as f64)).collect();
    figures.extend(missed_rank_1(packs, &people).map(|missed| ("missed_rank_1".to_owned(), missed)));
    Ok(figures)
}

/// Share of the validation photos whose nearest other photo shows another person, within each set.
fn missed_rank_1(packs: &[Arc<Pack>], people: &[(Pick, Vec<f32>)]) -> Option<f64> {
    let names: Vec<String> = people
        .iter()
        .map(|(pick, _)| {
            let face = &packs[pick.pack].faces()[pick.face];
            format!("{} {}", face.set, face.identity.as_deref().unwrap_or_default())
        })
        .collect();
    let faces = people.iter().zip(&names).map(|((pick, vector), identity)| Embedded {
        file: &packs[pick.pack].faces()[pick.face].file,
        identity,
        vector,
    });
    let faces: Vec<Embedded> = faces.collect();
    Some(1.0 - identification(Metric::Cosine, &faces, &Bootstrap::default())?.rank_1.value)
}

fn figure(head: &str, row: &[f32], target: &Targets, taught: Option<&[f32]>) -> Option<(&'static str, f32)> {
    let wrong = |label: usize| f32::from(u8::from((row[1] >= 0.5) != (label == 1)));
    match head {
        "age" => target.age.as_ref().map(|(age, _)| ("age_mae", (row[0] - age).abs())),
        "gender" => target.gender.map(|label| ("gender_error", wrong(label))),
        "smile" => target.smile.map(|label| ("smile_error", wrong(label))),
        "expression" => {
            // More than half of the votes for the eight expressions.
            let voted = target.expression?.iter().position(|share| *share > 0.5)?;
            let told = (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b]))?;
            Some(("expression_error", f32::from(u8::from(told != voted))))
        }
        "head_pose" => {
            let away = taught?.iter().zip(row).map(|(a, b)| (a - b).abs());
            Some(("head_pose_error", away.sum::<f32>() / row.len() as f32))
        }
        "similarity" => {
            let cosine: f32 = taught?.iter().zip(row).map(|(a, b)| a * b).sum();
            Some(("similarity_distance", 1.0 - cosine))
        }
        POINTS => {
            let points = target.points?;
            let away = |a: usize, b: &[f32], c: usize| (points[a] - b[c]).hypot(points[a + 1] - b[c + 1]);
            let eyes = away(0, &points, 2);
            let mean = (0..5).map(|point| away(2 * point, row, 2 * point)).sum::<f32>() / 5.0;
            (eyes > 0.0).then_some(("keypoint_error", mean / eyes))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_by_hand() {
        let points = [0.3, 0.3, 0.7, 0.3, 0.5, 0.5, 0.35, 0.8, 0.65, 0.8];
        let target = Targets {
            age: Some((30.0, Vec::new())),
            gender: Some(1),
            points: Some(points),
            expression: Some([0.2, 0.6, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0]),
            ..Targets::default()
        };
        let told = [0.1, 0.7, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(figure("expression", &told, &target, None), Some(("expression_error", 0.0)));
        let pose = figure("head_pose", &[10.0, 0.0, -4.0], &target, Some(&[4.0, 0.0, -1.0]));
        assert_eq!(pose, Some(("head_pose_error", 3.0)));
        assert_eq!(figure("age", &[33.0], &target, None), Some(("age_mae", 3.0)));
        assert_eq!(figure("gender", &[0.4, 0.6], &target, None), Some(("gender_error", 0.0)));
        assert_eq!(figure("gender", &[0.6, 0.4], &target, None), Some(("gender_error", 1.0)));
        assert_eq!(figure("smile", &[0.6, 0.4], &target, None), None);
        // One of five points is off by the eye distance.
        let mut off = points;
        off[4] += 0.4;
        let (_, error) = figure(POINTS, &off, &target, None).unwrap();
        assert!((error - 0.2).abs() < 1e-6);
        let (_, distance) = figure("similarity", &[0.6, 0.8], &target, Some(&[1.0, 0.0])).unwrap();
        assert!((distance - 0.4).abs() < 1e-6);
    }

    #[test]
    fn the_score_is_a_mean_in_units() {
        let figures =
            Figures::from([("age_mae".into(), 5.0), ("smile_error".into(), 0.14), ("smile_error.x".into(), 9.0)]);
        assert!((score(&figures) - 1.5).abs() < 1e-9);
    }
}

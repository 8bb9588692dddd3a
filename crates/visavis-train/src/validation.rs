//! How good a network is by now, on faces that it was not trained on.

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
use crate::teacher::Answers;

/// Sums of one figure.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Sum {
    total: f64,
    count: usize,
}

/// Figures by name: `age_mae` in years, `gender_error`, `smile_error` as shares, `similarity_distance` as 1 − cosine to
/// the teacher, `missed_rank_1` as a share of the photos, `keypoint_error` as a share of the distance between the eyes, what a detector's average precision (at an
/// overlap of 0.5, `missed_ap50`) and recall lack of one; with `.SET` behind for one set.
pub type Figures = BTreeMap<String, f64>;

/// What each figure is divided by before they are averaged to a score: a step of one in each is about as hard to gain.
const UNITS: [(&str, f64); 7] = [
    ("age_mae", 5.0),
    ("gender_error", 0.07),
    ("smile_error", 0.07),
    ("similarity_distance", 0.3),
    ("missed_rank_1", 0.3),
    ("keypoint_error", 0.04),
    ("missed_ap50", 0.2),
];

/// One number of which less is better: the mean of the figures, each in a unit of its own.
#[must_use]
pub fn score(figures: &Figures) -> f64 {
    let parts: Vec<f64> =
        UNITS.iter().filter_map(|(name, unit)| figures.get(*name).map(|value| value / unit)).collect();
    parts.iter().sum::<f64>() / parts.len().max(1) as f64
}

/// Runs the network as it would be exported over `picks`; with `who`, also looks whether embeddings tell who is who.
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
                "gender" | "smile" => shares(output),
                _ => output,
            };
            let columns = rows.dims()[1];
            let values: Vec<f32> = rows.into_data().try_into_vec().map_err(TrainError::weights)?;
            for ((row, target), pick) in values.chunks_exact(columns).zip(&batch.targets).zip(&batch.picks) {
                if who && head.name == "similarity" && packs[pick.pack].faces()[pick.face].identity.is_some() {
                    people.push((*pick, row.to_vec()));
                }
                let taught = answers[pick.pack].iter().find_map(|answers| answers.row(&head.name, pick.face));
                if let Some((name, value)) = figure(&head.name, row, target, taught) {
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

/// Share of the validation photos whose nearest other one shows somebody else, people of each set among themselves.
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
        let target = Targets { age: Some((30.0, Vec::new())), gender: Some(1), smile: None, points: Some(points) };
        assert_eq!(figure("age", &[33.0], &target, None), Some(("age_mae", 3.0)));
        assert_eq!(figure("gender", &[0.4, 0.6], &target, None), Some(("gender_error", 0.0)));
        assert_eq!(figure("gender", &[0.6, 0.4], &target, None), Some(("gender_error", 1.0)));
        assert_eq!(figure("smile", &[0.6, 0.4], &target, None), None);
        // One of five points is off by the distance of the eyes.
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

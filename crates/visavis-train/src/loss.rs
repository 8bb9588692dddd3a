//! The loss of a face network; missing labels add no loss.

use burn::tensor::{Device, Tensor, TensorData};

use visavis_data::EXPRESSIONS;

use crate::feed::Targets;
use crate::network::{AGE_CLASSES, Head, POINTS, log_shares, shares};
use crate::recipe::LossParams;
use crate::teacher::TeacherTargets;

/// The loss of a batch and its parts.
pub(crate) struct Loss {
    /// The total, to be minimised, `[1]`.
    pub(crate) total: Tensor<1>,
    /// The parts by name, unweighted, as tensors `[1]`.
    pub(crate) parts: Vec<(String, Tensor<1>)>,
}

/// Computes the loss of the outputs of `heads` (each `[N, F]`, raw scores; `None` for a head that was not run) by the targets
/// and by the teachers' results for the same faces. `None` if no face of the batch has a label or result for any head.
#[must_use]
pub(crate) fn judge(
    heads: &[Head],
    outputs: &[Option<Tensor<2>>],
    targets: &[Targets],
    imitated: &[TeacherTargets],
    params: &LossParams,
    device: &Device,
) -> Option<Loss> {
    let mut loss = Sum { total: None, parts: Vec::new() };
    for (head, output) in heads.iter().zip(outputs) {
        let Some(output) = output else { continue };
        match head.name.as_str() {
            "age" => age(&mut loss, output, targets, params, device),
            "gender" => two_classes(
                &mut loss,
                head,
                output,
                targets.iter().map(|t| t.gender),
                params.gender,
                params.smoothing,
                device,
            ),
            "smile" => two_classes(
                &mut loss,
                head,
                output,
                targets.iter().map(|t| t.smile),
                params.smile,
                params.smoothing,
                device,
            ),
            "expression" => {
                let votes = targets.iter().map(|target| target.expression.as_ref());
                if let Some((votes, mask)) = matrix(votes, EXPRESSIONS.len(), device) {
                    let cross = (log_shares(output.clone()) * votes).sum_dim(1).neg();
                    loss.add("expression", mean(cross, mask), params.expression);
                }
            }
            POINTS => points(&mut loss, output, targets, device),
            _ => {}
        }
        for one in imitated.iter().filter(|one| one.head == head.name) {
            let rows = one.answers.iter().map(Option::as_ref);
            let Some((answers, mask)) = matrix(rows, output.dims()[1], device) else { continue };
            let name = format!("{}_taught", head.name);
            if head.name == "similarity" {
                let cosine = (output.clone() * answers).sum_dim(1);
                loss.add(&name, mean(cosine.neg() + 1.0, mask), params.similarity * one.weight);
            } else if head.name == "head_pose" {
                let away = ((output.clone() - answers).abs() / 10.0).mean_dim(1);
                loss.add(&name, mean(away, mask), params.head_pose * one.weight);
            } else {
                let cross = (log_shares(output.clone()) * answers).sum_dim(1).neg();
                loss.add(&name, mean(cross, mask), one.weight);
            }
        }
    }
    loss.total.map(|total| Loss { total, parts: loss.parts })
}

struct Sum {
    total: Option<Tensor<1>>,
    parts: Vec<(String, Tensor<1>)>,
}

impl Sum {
    fn add(&mut self, name: &str, part: Tensor<1>, weight: f32) {
        self.parts.push((name.to_owned(), part.clone()));
        if weight > 0.0 {
            let weighted = part * weight;
            self.total = Some(match self.total.take() {
                Some(total) => total + weighted,
                None => weighted,
            });
        }
    }
}

/// Cross-entropy against the age's distribution, and the absolute error of the expected age.
fn age(loss: &mut Sum, output: &Tensor<2>, targets: &[Targets], params: &LossParams, device: &Device) {
    let rows = targets.iter().map(|target| target.age.as_ref().map(|(_, classes)| classes));
    let Some((classes, mask)) = matrix(rows, AGE_CLASSES, device) else { return };
    let cross = (log_shares(output.clone()) * classes).sum_dim(1).neg();
    loss.add("age", mean(cross, mask.clone()), params.age);
    let years: Vec<f32> = targets.iter().map(|target| target.age.as_ref().map_or(0.0, |(age, _)| *age)).collect();
    let labelled = Tensor::<1>::from_data(TensorData::new(years, [targets.len()]), device).reshape([targets.len(), 1]);
    let error = (expected_age(output.clone()) - labelled).abs();
    loss.add("age_error", mean(error, mask), params.age_error);
}

/// Σ p·i over the classes, `[N, 1]`.
#[must_use]
pub(crate) fn expected_age(scores: Tensor<2>) -> Tensor<2> {
    let device = scores.device();
    let years: Vec<f32> = (0..AGE_CLASSES).map(|year| year as f32).collect();
    let years = Tensor::<1>::from_data(TensorData::new(years, [AGE_CLASSES]), &device).reshape([AGE_CLASSES, 1]);
    shares(scores).matmul(years)
}

fn two_classes(
    loss: &mut Sum,
    head: &Head,
    output: &Tensor<2>,
    labels: impl Iterator<Item = Option<usize>>,
    weight: f32,
    smoothing: f32,
    device: &Device,
) {
    let rows: Vec<Option<[f32; 2]>> = labels
        .map(|label| {
            label.map(|label| {
                let mut row = [smoothing / 2.0; 2];
                row[label] += 1.0 - smoothing;
                row
            })
        })
        .collect();
    let Some((classes, mask)) = matrix(rows.iter().map(Option::as_ref), 2, device) else { return };
    let cross = (log_shares(output.clone()) * classes).sum_dim(1).neg();
    loss.add(&head.name, mean(cross, mask), weight);
}

/// Wing loss (Feng et al., CVPR 2018) on the five points: steep near the target, where the square loss is flat.
fn points(loss: &mut Sum, output: &Tensor<2>, targets: &[Targets], device: &Device) {
    const WIDTH: f64 = 0.1;
    const CURVATURE: f64 = 0.02;
    let Some((labelled, mask)) = matrix(targets.iter().map(|target| target.points.as_ref()), 10, device) else {
        return;
    };
    let away = (output.clone() - labelled).abs();
    let near = (away.clone() / CURVATURE + 1.0).log() * WIDTH;
    let offset = WIDTH - WIDTH * (1.0 + WIDTH / CURVATURE).ln();
    let far = away.clone() - offset;
    let wing = near.mask_where(away.greater_elem(WIDTH), far);
    loss.add("points", mean(wing.mean_dim(1), mask), 10.0);
}

/// Rows `[N, columns]`, zeros for missing ones, and a mask `[N, 1]`; `None` if there are no rows.
fn matrix<'a, R: AsRef<[f32]> + 'a + ?Sized>(
    rows: impl Iterator<Item = Option<&'a R>>,
    columns: usize,
    device: &Device,
) -> Option<(Tensor<2>, Tensor<2>)> {
    let (mut values, mut mask) = (Vec::new(), Vec::new());
    for row in rows {
        match row {
            Some(row) => values.extend_from_slice(row.as_ref()),
            None => values.resize(values.len() + columns, 0.0),
        }
        mask.push(f32::from(u8::from(row.is_some())));
    }
    let count = mask.len();
    mask.contains(&1.0).then(|| {
        let values = Tensor::<1>::from_data(TensorData::new(values, [count * columns]), device);
        let mask = Tensor::<1>::from_data(TensorData::new(mask, [count]), device);
        (values.reshape([count, columns]), mask.reshape([count, 1]))
    })
}

/// The mean of `values` `[N, 1]` over the rows of the mask.
fn mean(values: Tensor<2>, mask: Tensor<2>) -> Tensor<1> {
    (values * mask.clone()).sum() / mask.sum()
}

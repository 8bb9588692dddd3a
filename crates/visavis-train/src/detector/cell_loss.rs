//! The loss of an anchor-free detector.

use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use rayon::prelude::*;

use super::LabelledBox;
use super::assign::{Cell, CellTarget, LARGEST, assign};
use crate::loss::Loss;
use crate::recipe::LossParams;

/// A cell with a face as target.
struct Taught {
    /// Its index in the batch: picture times cells plus cell.
    place: usize,
    cell: Cell,
    face: LabelledBox,
    overlap: f32,
}

/// Computes the loss of the outputs of [`Pass::detect_cells`](crate::network::Pass::detect_cells) for pictures with these boxes:
/// object scores of all cells, and for the cells with a face the class score (whose target is the overlap of the predicted
/// box), the box (EIoU, Zhang et al., Neurocomputing 2022) and the keypoints (their distance in sizes of the face).
pub(crate) fn judge_cells(
    outputs: [Tensor<3>; 4],
    cells: &[Cell],
    labels: &[Vec<LabelledBox>],
    params: &LossParams,
    device: &Device,
) -> Loss {
    let count = labels.len() * cells.len();
    let [class, object, boxes, keypoints] = outputs;
    let numbers = |tensor: &Tensor<3>| tensor.clone().into_data().try_into_vec::<f32>().unwrap_or_default();
    let present = [numbers(&class), numbers(&object), numbers(&boxes)];
    let targets: Vec<Vec<CellTarget>> =
        labels.par_iter().enumerate().map(|(picture, labels)| targets(&present, cells, picture, labels)).collect();

    let (mut wanted, mut weights, mut taught) = (Vec::with_capacity(count), Vec::with_capacity(count), Vec::new());
    for (place, target) in targets.iter().flatten().enumerate() {
        wanted.push(f32::from(u8::from(matches!(target, CellTarget::Face { .. }))));
        weights.push(f32::from(u8::from(*target != CellTarget::Ignored)));
        if let CellTarget::Face { label, overlap } = *target {
            let (picture, cell) = (place / cells.len(), cells[place % cells.len()]);
            taught.push(Taught { place, cell, face: labels[picture][label], overlap });
        }
    }
    // Otherwise pictures without a face would have the weight of all faces of a batch.
    let faces = taught.len().max(labels.len()) as f64;
    let vector = |values: Vec<f32>| {
        let length = values.len();
        Tensor::<1>::from_data(TensorData::new(values, [length]), device)
    };
    let object = cross_entropy(object.reshape([count]), vector(wanted)) * vector(weights);
    let object = object.sum() / faces;
    let mut loss = Loss { total: object.clone(), parts: vec![("object".into(), object)] };
    if taught.is_empty() {
        return loss;
    }
    let places: Vec<i64> = taught.iter().map(|taught| taught.place as i64).collect();
    let places = Tensor::<1, Int>::from_data(TensorData::new(places, [taught.len()]), device);
    let overlaps = vector(taught.iter().map(|taught| taught.overlap).collect());
    let class = cross_entropy(class.reshape([count]).select(0, places.clone()), overlaps).sum() / faces;
    let boxes = eiou(boxes.reshape([count, 4]).select(0, places.clone()), &taught, &vector).sum() / faces;
    loss.total = loss.total + class.clone() + boxes.clone() * params.boxes;
    loss.parts.extend([("class".into(), class), ("boxes".into(), boxes)]);
    let predicted = keypoints.reshape([count, 10]).select(0, places);
    if let Some(points) = keypoint_distance(predicted, &taught, &vector) {
        loss.total = loss.total + points.clone() * params.keypoints;
        loss.parts.push(("keypoints".into(), points));
    }
    loss
}

fn targets(present: &[Vec<f32>; 3], cells: &[Cell], picture: usize, labels: &[LabelledBox]) -> Vec<CellTarget> {
    let first = picture * cells.len();
    let [class, object, boxes] = present;
    let share = |score: f32| 1.0 / (1.0 + (-score).exp());
    let scores: Vec<f32> =
        (first..first + cells.len()).map(|at| (share(class[at]) * share(object[at])).sqrt()).collect();
    let predicted: Vec<_> =
        cells.iter().zip(boxes[4 * first..].chunks_exact(4)).map(|(cell, numbers)| cell.decode(numbers)).collect();
    assign(cells, &predicted, &scores, labels)
}

/// Cross-entropy of the sigmoid of scores, in a form that does not overflow.
fn cross_entropy(scores: Tensor<1>, wanted: Tensor<1>) -> Tensor<1> {
    relu(scores.clone()) - scores.clone() * wanted + (scores.abs().neg().exp() + 1.0).log()
}

/// 1 − IoU + squared differences of centres, widths and heights, in sizes of the box around both. `boxes` `[P, 4]`.
fn eiou(boxes: Tensor<2>, taught: &[Taught], vector: &impl Fn(Vec<f32>) -> Tensor<1>) -> Tensor<1> {
    let count = taught.len();
    let column = |at: usize| boxes.clone().slice([0..count, at..at + 1]).reshape([count]);
    let of = |value: &dyn Fn(&Taught) -> f32| vector(taught.iter().map(value).collect());
    let stride = of(&|taught| taught.cell.stride);
    let (x, y) = (
        column(0) * stride.clone() + of(&|taught| taught.cell.origin.x),
        column(1) * stride.clone() + of(&|taught| taught.cell.origin.y),
    );
    let size = |at: usize| column(at).clamp(-LARGEST, LARGEST).exp() * stride.clone();
    let (w, h) = (size(2), size(3));
    let (gx, gy) = (of(&|t| t.face.rect.centre().x), of(&|t| t.face.rect.centre().y));
    let (gw, gh) = (of(&|t| t.face.rect.width), of(&|t| t.face.rect.height));
    // Along one axis: length of the intersection and of the box around both.
    let along = |centre: &Tensor<1>, length: &Tensor<1>, other: &Tensor<1>, extent: &Tensor<1>| {
        let ends = |centre: &Tensor<1>, length: &Tensor<1>| {
            let half = length.clone() * 0.5;
            (centre.clone() - half.clone(), centre.clone() + half)
        };
        let ((low, high), (from, to)) = (ends(centre, length), ends(other, extent));
        let common = relu(high.clone().min_pair(to.clone()) - low.clone().max_pair(from.clone()));
        (common, high.max_pair(to) - low.min_pair(from))
    };
    let (common_x, span_x) = along(&x, &w, &gx, &gw);
    let (common_y, span_y) = along(&y, &h, &gy, &gh);
    let common = common_x * common_y;
    let union = w.clone() * h.clone() + gw.clone() * gh.clone() - common.clone();
    let square = |x: Tensor<1>| x.clone() * x;
    let (wide, high) = (square(span_x), square(span_y));
    let away = (square(x - gx) + square(y - gy)) / (wide.clone() + high.clone());
    common / union * -1.0 + 1.0 + away + square(w - gw) / wide + square(h - gh) / high
}

/// Mean distance of the labelled keypoints in sizes of their faces, smooth below a fiftieth; `None` if there are none.
fn keypoint_distance(
    predicted: Tensor<2>,
    taught: &[Taught],
    vector: &impl Fn(Vec<f32>) -> Tensor<1>,
) -> Option<Tensor<1>> {
    const SMOOTH: f64 = 0.02;
    let (mut wanted, mut scale, mut weight) = (Vec::new(), Vec::new(), Vec::new());
    for Taught { cell, face, .. } in taught {
        let size = (face.rect.width * face.rect.height).sqrt();
        let points = face.landmarks.map(|landmarks| landmarks.to_array());
        for at in 0..5 {
            let offset = points.map_or([0.0; 2], |points| {
                [(points[at].x - cell.origin.x) / cell.stride, (points[at].y - cell.origin.y) / cell.stride]
            });
            wanted.extend(offset);
            scale.extend([cell.stride / size; 2]);
            weight.extend([f32::from(u8::from(points.is_some())); 2]);
        }
    }
    let labelled = weight.iter().sum::<f32>();
    if labelled == 0.0 {
        return None;
    }
    let count = wanted.len();
    let away = (predicted.reshape([count]) - vector(wanted)).abs() * vector(scale);
    let near = away.clone().clamp(0.0, SMOOTH);
    let smooth = near.clone() * near.clone() * (0.5 / SMOOTH) + (away - near);
    Some((smooth * vector(weight)).sum() / f64::from(labelled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detector::assign::cells;
    use visavis_image::{Landmarks, Point, Rect};

    fn parts(boxes: [f32; 4], points: f32, labels: Vec<LabelledBox>) -> Vec<(String, f32)> {
        let device = Device::flex();
        let tensor = |values: Vec<f32>, columns: usize| {
            Tensor::<1>::from_data(TensorData::new(values, [columns]), &device).reshape([1, 1, columns])
        };
        // One cell of stride 32 at the corner.
        let outputs =
            [tensor(vec![0.0], 1), tensor(vec![0.0], 1), tensor(boxes.to_vec(), 4), tensor(vec![points; 10], 10)];
        let cells = cells([32].into_iter(), [32, 32]);
        let loss = judge_cells(outputs, &cells, &[labels], &LossParams::default(), &device);
        loss.parts.into_iter().map(|(name, part)| (name, part.into_data().try_into_vec::<f32>().unwrap()[0])).collect()
    }

    #[test]
    fn by_hand() {
        // A face of 32 by 32 in the middle, all five points in its middle.
        let rect = Rect::new(0.0, 0.0, 32.0, 32.0);
        let landmarks = Landmarks::from([Point::new(16.0, 16.0); 5]);
        let face = LabelledBox { rect, face: true, landmarks: Some(landmarks) };
        let exact = parts([0.5, 0.5, 0.0, 0.0], 0.5, vec![face]);
        let names: Vec<&str> = exact.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["object", "class", "boxes", "keypoints"]);
        let half = 2f32.ln();
        for ((name, value), expected) in exact.iter().zip([half, half, 0.0, 0.0]) {
            assert!((value - expected).abs() < 1e-5, "{name} {value}");
        }
        // Half as wide: IoU 1/2; the width differs by half of the common box; points are off by 0.1, beyond the smooth part.
        let off = parts([0.5, 0.5, -half, 0.0], 0.6, vec![face]);
        assert!((off[2].1 - (0.5 + 0.25)).abs() < 1e-4, "{}", off[2].1);
        assert!((off[3].1 - (0.1 - 0.01)).abs() < 1e-4, "{}", off[3].1);
        // Without a face only the object score counts; without keypoints they add no loss.
        assert_eq!(parts([0.0; 4], 0.0, Vec::new()).len(), 1);
        let bare = LabelledBox { landmarks: None, ..face };
        assert_eq!(parts([0.5, 0.5, 0.0, 0.0], 0.9, vec![bare]).len(), 3);
        // An ignored cell adds no loss.
        let ignored = LabelledBox { face: false, ..face };
        assert_eq!(parts([0.5, 0.5, 0.0, 0.0], 0.0, vec![ignored]), [("object".to_owned(), 0.0)]);
    }
}

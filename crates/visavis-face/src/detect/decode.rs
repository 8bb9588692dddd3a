//! Decodes detector outputs into boxes, in pixels of the network's input.

use visavis_image::{Landmarks, Point, Rect, Turn};
use visavis_infer::Tensor;
use visavis_infer::manifest::{Activation, DetectorDecode};

use super::Face;
use super::anchors::{self, AnchorGrid};
use crate::FaceError;

/// Decodes outputs into faces with a score of at least `threshold`, before suppression.
///
/// `outputs` come in the order of `Manifest::output_tensors`; `width` and `height` are those of the input tensor.
pub(super) fn decode(
    model: &str,
    decode: &DetectorDecode,
    outputs: &[Tensor],
    (width, height): (u32, u32),
    grid: &mut AnchorGrid,
    threshold: f32,
) -> Result<Vec<Face>, FaceError> {
    match decode {
        DetectorDecode::Yunet { strides } => yunet(model, strides, outputs, (width, height), threshold),
        DetectorDecode::Corners { scores, boxes, face_class } => {
            let (score, rect) = (rows(model, scores, outputs, 0, face_class + 1)?, rows(model, boxes, outputs, 1, 4)?);
            same_length(model, boxes, &score, &rect)?;
            let faces = score.iter().zip(rect.iter()).filter(|(score, _)| score[*face_class] >= threshold);
            Ok(faces
                .map(|(score, b)| Face {
                    rect: Rect::from_corners(b[0], b[1], b[2], b[3]).scaled(width as f32, height as f32),
                    score: score[*face_class],
                    landmarks: None,
                    turn: Turn::None,
                })
                .filter(|face| face.rect.is_proper())
                .collect())
        }
        DetectorDecode::Anchors { scores, boxes, keypoints, face_class, activation, variances, levels } => {
            let score = rows(model, scores, outputs, 0, face_class + 1)?;
            let offsets = rows(model, boxes, outputs, 1, 4)?;
            same_length(model, boxes, &score, &offsets)?;
            let points = match keypoints {
                Some(tensor) => Some(rows(model, tensor, outputs, 2, 10)?),
                None => None,
            };
            let anchors = grid.for_input(levels, width, height);
            if anchors.len() != score.count {
                return Err(FaceError::OutputShape {
                    model: model.into(),
                    tensor: scores.clone(),
                    found: vec![1, score.count, score.width],
                    expected: format!("[1, {}, classes], as many as the manifest's anchors", anchors.len()),
                });
            }
            let mut faces = Vec::new();
            for (i, anchor) in anchors.iter().enumerate() {
                let probability = class_probability(score.row(i), *face_class, *activation);
                if probability < threshold {
                    continue;
                }
                let rect = anchors::decode_box(anchor, offsets.row(i), *variances);
                let landmarks = points.as_ref().map(|p| anchors::decode_points(anchor, p.row(i), variances[0]));
                if rect.is_proper() {
                    faces.push(Face { rect, score: probability, landmarks, turn: Turn::None });
                }
            }
            Ok(faces)
        }
    }
}

fn class_probability(scores: &[f32], class: usize, activation: Activation) -> f32 {
    match activation {
        Activation::None => scores[class],
        Activation::Sigmoid => 1.0 / (1.0 + (-scores[class]).exp()),
        Activation::Softmax => {
            let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            (scores[class] - most).exp() / scores.iter().map(|s| (s - most).exp()).sum::<f32>()
        }
    }
}

/// YuNet (libfacedetection.train): score = √(cls·obj); for cell (c, r) of stride s the centre is (c + b₀, r + b₁)·s, the
/// size exp(b₂, b₃)·s, keypoint k at (c + kx, r + ky)·s.
fn yunet(
    model: &str,
    strides: &[u32],
    outputs: &[Tensor],
    (width, height): (u32, u32),
    threshold: f32,
) -> Result<Vec<Face>, FaceError> {
    let mut faces = Vec::new();
    for (level, &stride) in strides.iter().enumerate() {
        let of = |kind: &str, at: usize, columns: usize| {
            rows(model, &format!("{kind}_{stride}"), outputs, level * 4 + at, columns)
        };
        let (cls, obj, bbox, kps) = (of("cls", 0, 1)?, of("obj", 1, 1)?, of("bbox", 2, 4)?, of("kps", 3, 10)?);
        let columns = (width / stride) as usize;
        let cells = columns * (height / stride) as usize;
        for (rows, name) in [(&cls, "cls"), (&obj, "obj"), (&bbox, "bbox"), (&kps, "kps")] {
            if rows.count != cells {
                return Err(FaceError::OutputShape {
                    model: model.into(),
                    tensor: format!("{name}_{stride}"),
                    found: vec![1, rows.count, rows.width],
                    expected: format!("[1, {cells}, {}] at {width}x{height}", rows.width),
                });
            }
        }
        let s = stride as f32;
        for cell in 0..cells {
            let product = cls.row(cell)[0].clamp(0.0, 1.0) * obj.row(cell)[0].clamp(0.0, 1.0);
            // Compared before taking the root: most cells end here.
            if product < threshold * threshold {
                continue;
            }
            let (column, row) = ((cell % columns) as f32, (cell / columns) as f32);
            let (b, k) = (bbox.row(cell), kps.row(cell));
            let centre = Point::new((column + b[0]) * s, (row + b[1]) * s);
            let rect = Rect::around(centre, b[2].exp() * s, b[3].exp() * s);
            if rect.is_proper() {
                let point = |i: usize| Point::new((column + k[2 * i]) * s, (row + k[2 * i + 1]) * s);
                let landmarks = Landmarks::from(std::array::from_fn(point));
                faces.push(Face { rect, score: product.sqrt(), landmarks: Some(landmarks), turn: Turn::None });
            }
        }
    }
    Ok(faces)
}

/// An output `[1, count, width]` seen as rows.
struct Rows<'a> {
    data: &'a [f32],
    count: usize,
    width: usize,
}

impl Rows<'_> {
    fn row(&self, index: usize) -> &[f32] {
        &self.data[index * self.width..][..self.width]
    }

    fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.data.chunks_exact(self.width)
    }
}

/// Output `index` as rows of at least `columns` numbers.
fn rows<'a>(
    model: &str,
    tensor: &str,
    outputs: &'a [Tensor],
    index: usize,
    columns: usize,
) -> Result<Rows<'a>, FaceError> {
    let wrong = |found: &[usize]| FaceError::OutputShape {
        model: model.into(),
        tensor: tensor.into(),
        found: found.to_vec(),
        expected: format!("[1, n, {columns}]"),
    };
    let output = outputs.get(index).ok_or_else(|| wrong(&[]))?;
    match *output.shape {
        [1, count, width] | [count, width] if width >= columns && output.data.len() == count * width => {
            Ok(Rows { data: &output.data, count, width })
        }
        _ => Err(wrong(&output.shape)),
    }
}

fn same_length(model: &str, tensor: &str, scores: &Rows<'_>, boxes: &Rows<'_>) -> Result<(), FaceError> {
    if scores.count == boxes.count {
        return Ok(());
    }
    Err(FaceError::OutputShape {
        model: model.into(),
        tensor: tensor.into(),
        found: vec![1, boxes.count, boxes.width],
        expected: format!("as many rows as there are scores, {}", scores.count),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_infer::manifest::AnchorLevel;

    fn tensor(shape: &[usize], data: Vec<f32>) -> Tensor {
        Tensor { shape: shape.to_vec(), data }
    }

    #[test]
    fn yunet_cell_by_hand() {
        // One stride of 8 over a 24×16 input: 3 columns, 2 rows. Cell 4 is column 1, row 1.
        let mut outputs: Vec<Tensor> = [1, 1, 4, 10].iter().map(|&w| Tensor::zeros(&[1, 6, w])).collect();
        outputs[0].data[4] = 0.81;
        outputs[1].data[4] = 1.0;
        outputs[2].data[16..20].copy_from_slice(&[0.5, -0.25, 2f32.ln(), 3f32.ln()]);
        outputs[3].data[40..50].copy_from_slice(&[0.0, 0.0, 1.0, 0.0, 0.5, 0.5, 0.0, 1.0, 1.0, 1.0]);
        let spec = DetectorDecode::Yunet { strides: vec![8] };
        let faces = decode("m", &spec, &outputs, (24, 16), &mut AnchorGrid::default(), 0.6).unwrap();
        assert_eq!(faces.len(), 1);
        assert!((faces[0].score - 0.9).abs() < 1e-6);
        let r = faces[0].rect;
        assert!((r.x - 4.0).abs() < 1e-4 && (r.y - -6.0).abs() < 1e-4, "{r:?}");
        assert!((r.width - 16.0).abs() < 1e-4 && (r.height - 24.0).abs() < 1e-4, "{r:?}");
        let landmarks = faces[0].landmarks.unwrap();
        assert_eq!(landmarks.left_eye, Point::new(8.0, 8.0));
        assert_eq!(landmarks.nose, Point::new(12.0, 12.0));
        assert_eq!(landmarks.right_mouth, Point::new(16.0, 16.0));
        assert!(decode("m", &spec, &outputs, (24, 16), &mut AnchorGrid::default(), 0.91).unwrap().is_empty());
    }

    #[test]
    fn corner_boxes_by_hand() {
        let outputs = [
            tensor(&[1, 2, 2], vec![0.9, 0.1, 0.2, 0.8]),
            tensor(&[1, 2, 4], vec![0.0, 0.0, 1.0, 1.0, 0.25, 0.5, 0.75, 1.0]),
        ];
        let spec = DetectorDecode::Corners { scores: "s".into(), boxes: "b".into(), face_class: 1 };
        let faces = decode("m", &spec, &outputs, (320, 240), &mut AnchorGrid::default(), 0.5).unwrap();
        let rect = Rect::new(80.0, 120.0, 160.0, 120.0);
        assert_eq!(faces, [Face { rect, score: 0.8, landmarks: None, turn: Turn::None }]);
    }

    #[test]
    fn anchor_offsets_by_hand() {
        // A single 10×10 cell with one anchor of side 4 around (5, 5).
        let levels = vec![AnchorLevel { stride: 10, sizes: vec![4.0], ratios: vec![1.0] }];
        let spec = DetectorDecode::Anchors {
            scores: "s".into(),
            boxes: "b".into(),
            keypoints: None,
            face_class: 1,
            activation: Activation::Softmax,
            variances: [0.1, 0.2],
            levels,
        };
        let outputs =
            [tensor(&[1, 1, 2], vec![0.0, 9f32.ln()]), tensor(&[1, 1, 4], vec![5.0, -5.0, 2f32.ln() / 0.2, 0.0])];
        let faces = decode("m", &spec, &outputs, (10, 10), &mut AnchorGrid::default(), 0.5).unwrap();
        assert!((faces[0].score - 0.9).abs() < 1e-6);
        // Centre (5 + 5·0.1·4, 5 − 2) = (7, 3); size 8 × 4.
        let r = faces[0].rect;
        assert!((r.x - 3.0).abs() < 1e-4 && (r.y - 1.0).abs() < 1e-4 && (r.width - 8.0).abs() < 1e-4, "{r:?}");
    }

    #[test]
    fn wrong_shapes_name_the_tensor() {
        let spec = DetectorDecode::Yunet { strides: vec![8] };
        let outputs: Vec<Tensor> = [1, 1, 4, 10].iter().map(|&w| Tensor::zeros(&[1, 5, w])).collect();
        let error = decode("m", &spec, &outputs, (24, 16), &mut AnchorGrid::default(), 0.6).unwrap_err();
        assert!(error.to_string().contains("`cls_8` has shape [1, 5, 1]"), "{error}");
        let error = decode("m", &spec, &outputs[..2], (24, 16), &mut AnchorGrid::default(), 0.6).unwrap_err();
        assert!(error.to_string().contains("`bbox_8`"), "{error}");
    }
}

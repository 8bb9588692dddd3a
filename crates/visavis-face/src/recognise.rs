//! Age, gender, smile, expression, head pose and embedding of one or several faces, by a network with one or several heads.

use std::sync::Arc;

use visavis_image::Picture;
use visavis_infer::manifest::{Activation, Crop, Head, HeadDecode, Input};
use visavis_infer::{Manifest, Model, Placement, Task, Tensor};

use crate::face_view::FaceView;
use crate::findings::{Age, Expression, Findings, HeadPose, Smile};
use crate::{FaceError, align, input};

/// Returns the crop of a face, given its index among the faces asked about, how to crop it and the crop's size in pixels.
pub type CutFace<'a> = dyn FnMut(usize, &Crop, [u32; 2]) -> Arc<Picture> + 'a;

/// Recognises attributes or identity of faces.
pub trait Recognise: Send {
    /// The tasks that it does.
    fn tasks(&self) -> &[Task];

    /// Whether it crops faces by their keypoints.
    fn needs_landmarks(&self) -> bool;

    /// One result for each face, in order.
    ///
    /// # Errors
    /// [`FaceError`] if the network fails.
    fn recognise(&mut self, picture: &Picture, faces: &[FaceView]) -> Result<Vec<Findings>, FaceError> {
        self.recognise_cut(picture, faces, &mut |face, crop, [width, height]| {
            let mut out = Picture::new(width, height);
            align::cut(picture, crop, &faces[face], &mut out);
            Arc::new(out)
        })
    }

    /// The same, with crops from `cut`, which may reuse those made for another network.
    ///
    /// # Errors
    /// As [`Recognise::recognise`].
    fn recognise_cut(
        &mut self,
        picture: &Picture,
        faces: &[FaceView],
        cut: &mut CutFace<'_>,
    ) -> Result<Vec<Findings>, FaceError>;

    /// Where it runs.
    fn placement(&self) -> Placement;
}

/// A face network with any heads that a manifest can describe.
pub struct FaceNetwork {
    manifest: Manifest,
    model: Box<dyn Model>,
    crop: Crop,
    heads: Vec<Decoder>,
    /// The crop of the last face.
    cut: Arc<Picture>,
    tensor: Tensor,
}

/// A head, and the indices of its tensors in the outputs of a run.
struct Decoder {
    head: Head,
    places: Vec<usize>,
    /// The names of the classes, shared by all results.
    labels: Arc<[String]>,
}

impl FaceNetwork {
    /// Makes a recogniser from a manifest and the loaded network.
    ///
    /// # Errors
    /// [`FaceError::WrongTask`] if the manifest has no crop, or no head for a task of this trait.
    pub fn new(manifest: &Manifest, model: Box<dyn Model>) -> Result<Self, FaceError> {
        let tells = manifest.heads.iter().any(|head| !matches!(head.decode, HeadDecode::Points { .. }));
        let crop = manifest.crop.clone().filter(|_| tells).ok_or_else(|| FaceError::WrongTask {
            model: manifest.name.clone(),
            task: "recognition (age, gender, smile, expression, head pose or similarity)".into(),
        })?;
        let names = manifest.output_tensors();
        let heads = manifest.heads.iter().map(|head| Decoder {
            head: head.clone(),
            places: head.tensors().filter_map(|tensor| names.iter().position(|name| name == tensor)).collect(),
            labels: match &head.decode {
                HeadDecode::Classes { labels, .. } => labels.as_slice().into(),
                _ => Arc::default(),
            },
        });
        let heads = heads.collect();
        let [width, height] = manifest.input.size;
        Ok(Self {
            manifest: manifest.clone(),
            model,
            crop,
            heads,
            cut: Arc::new(Picture::new(width, height)),
            tensor: Tensor::default(),
        })
    }

    /// The crop of the last face, for inspection.
    #[must_use]
    pub fn last_crop(&self) -> &Picture {
        &self.cut
    }

    fn run(&mut self, faces: &[FaceView], answers: &mut Vec<Findings>, cut: &mut CutFace<'_>) -> Result<(), FaceError> {
        let input: &Input = &self.manifest.input;
        let [width, height] = input.size;
        self.tensor.reshape(&input::shape(input, faces.len(), width, height));
        for index in 0..faces.len() {
            self.cut = cut(answers.len() + index, &self.crop, input.size);
            input::write(input, &self.cut, &mut self.tensor, index);
        }
        let outputs = self.model.run(&self.tensor)?;
        let start = answers.len();
        answers.resize_with(start + faces.len(), Findings::default);
        for decoder in &self.heads {
            let mut columns = Vec::with_capacity(decoder.places.len());
            for &place in &decoder.places {
                columns.push(self.columns(decoder, outputs.get(place), faces.len())?);
            }
            for (index, answer) in answers[start..].iter_mut().enumerate() {
                let rows = columns.iter().map(|(data, width)| &data[index * width..][..*width]);
                decode(decoder, &rows.collect::<Vec<_>>(), answer);
            }
        }
        // The network gives the pose in the crop, which may be rotated in the picture.
        for (answer, face) in answers[start..].iter_mut().zip(faces) {
            if let Some(pose) = &mut answer.pose {
                let in_picture = align::crop_to_source(&self.crop, input.size, face);
                *pose = pose.rotated(in_picture.angle().to_degrees());
            }
        }
        Ok(())
    }

    /// The values of an output for `faces` faces, and the number of values per face.
    fn columns<'a>(
        &self,
        decoder: &Decoder,
        output: Option<&'a Tensor>,
        faces: usize,
    ) -> Result<(&'a [f32], usize), FaceError> {
        let decode = &decoder.head.decode;
        let good = output.filter(|output| {
            !output.data.is_empty()
                && output.data.len().is_multiple_of(faces)
                && fits(decode, output.data.len() / faces)
        });
        good.map(|output| (output.data.as_slice(), output.data.len() / faces)).ok_or_else(|| FaceError::OutputShape {
            model: self.manifest.name.clone(),
            tensor: decoder.head.tensor.clone(),
            found: output.map(|output| output.shape.clone()).unwrap_or_default(),
            expected: format!("[{faces}, {}]", width_of(decode)),
        })
    }
}

impl Recognise for FaceNetwork {
    fn tasks(&self) -> &[Task] {
        &self.manifest.tasks
    }

    fn needs_landmarks(&self) -> bool {
        !matches!(self.crop, Crop::Box { .. })
    }

    fn recognise_cut(
        &mut self,
        _: &Picture,
        faces: &[FaceView],
        cut: &mut CutFace<'_>,
    ) -> Result<Vec<Findings>, FaceError> {
        let mut answers = Vec::with_capacity(faces.len());
        let mut rest = faces;
        while !rest.is_empty() {
            // Engines prepare for each batch size, so there are only two.
            let batch = self.model.batch();
            let count = if self.manifest.input.batch && rest.len() >= batch { batch } else { 1 };
            let (now, later) = rest.split_at(count);
            self.run(now, &mut answers, cut)?;
            rest = later;
        }
        Ok(answers)
    }

    fn placement(&self) -> Placement {
        self.model.placement().clone()
    }
}

fn fits(decode: &HeadDecode, columns: usize) -> bool {
    match decode {
        HeadDecode::Years => columns == 1,
        HeadDecode::Distribution { .. } => columns > 1,
        HeadDecode::Label { labels, .. } | HeadDecode::Classes { labels, .. } => columns == labels.len(),
        HeadDecode::Angles { pitch, .. } => columns == if pitch.is_some() { 1 } else { 3 },
        HeadDecode::Points { .. } => columns == 10,
        HeadDecode::Embedding { .. } => true,
    }
}

fn width_of(decode: &HeadDecode) -> String {
    match decode {
        HeadDecode::Years => "1".into(),
        HeadDecode::Distribution { .. } => "classes".into(),
        HeadDecode::Label { labels, .. } | HeadDecode::Classes { labels, .. } => labels.len().to_string(),
        HeadDecode::Angles { pitch, .. } => if pitch.is_some() { "1" } else { "3" }.into(),
        HeadDecode::Points { .. } => "10".into(),
        HeadDecode::Embedding { .. } => "n".into(),
    }
}

/// Decodes the result for one face from the rows of the head's tensors.
fn decode(decoder: &Decoder, rows: &[&[f32]], answer: &mut Findings) {
    let row = rows[0];
    match &decoder.head.decode {
        HeadDecode::Years => answer.age = Some(Age { years: row[0], distribution: None }),
        HeadDecode::Distribution { activation } => {
            answer.age = Some(Age::from_distribution(activate(row, *activation).into()));
        }
        HeadDecode::Label { labels, positive, activation, threshold } => {
            let at = labels.iter().position(|label| label == positive).unwrap_or(0);
            let share = activate(row, *activation)[at];
            match decoder.head.task {
                Task::Gender if positive == "male" => answer.female = Some(1.0 - share),
                Task::Gender => answer.female = Some(share),
                _ => answer.smile = Some(Smile { share, threshold: *threshold }),
            }
        }
        HeadDecode::Classes { activation, .. } => {
            let (labels, shares) = (Arc::clone(&decoder.labels), activate(row, *activation));
            answer.expression = Some(Expression { labels, shares });
        }
        HeadDecode::Angles { signs, .. } => {
            let mut angles = rows.iter().copied().flatten().zip(signs).map(|(angle, sign)| angle * sign);
            if let (Some(yaw), Some(pitch), Some(roll)) = (angles.next(), angles.next(), angles.next()) {
                answer.pose = Some(HeadPose { yaw, pitch, roll });
            }
        }
        HeadDecode::Embedding { .. } => answer.embedding = Some(row.to_vec()),
        // Keypoint heads of a multitask network are read by `KeypointNetwork`.
        HeadDecode::Points { .. } => {}
    }
}

fn activate(row: &[f32], activation: Activation) -> Vec<f32> {
    match activation {
        Activation::None => row.to_vec(),
        Activation::Sigmoid => row.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
        Activation::Softmax => {
            let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let exp: Vec<f32> = row.iter().map(|x| (x - most).exp()).collect();
            let total: f32 = exp.iter().sum();
            exp.into_iter().map(|x| x / total).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_image::Rect;
    use visavis_infer::InferError;
    use visavis_infer::manifest::{Fit, Metric};

    /// Returns fixed rows for any input, and records the batch sizes.
    struct Fake {
        rows: Vec<Vec<f32>>,
        batches: std::sync::Arc<std::sync::Mutex<Vec<usize>>>,
        placement: Placement,
    }

    impl Model for Fake {
        fn run(&mut self, input: &Tensor) -> Result<Vec<Tensor>, InferError> {
            let count = input.shape[0];
            self.batches.lock().unwrap().push(count);
            Ok(self.rows.iter().map(|row| Tensor { shape: vec![count, row.len()], data: row.repeat(count) }).collect())
        }

        fn placement(&self) -> &Placement {
            &self.placement
        }

        fn batch(&self) -> usize {
            4
        }
    }

    fn network(heads: Vec<Head>, rows: Vec<Vec<f32>>) -> (FaceNetwork, std::sync::Arc<std::sync::Mutex<Vec<usize>>>) {
        let manifest = Manifest {
            format: 1,
            name: "fake".into(),
            title: "fake".into(),
            tasks: heads.iter().map(|head| head.task).collect(),
            file: "fake.onnx".into(),
            sha256: "0".repeat(64),
            quantised: None,
            licence: "CC0-1.0".into(),
            source: "test".into(),
            training_data: None,
            input: Input {
                tensor: "x".into(),
                layout: Default::default(),
                colour: Default::default(),
                size: [8, 8],
                multiple_of: None,
                mean: [0.0; 3],
                std: [1.0; 3],
                batch: true,
            },
            crop: Some(Crop::Box { fit: Fit::Square, expand: 1.0 }),
            detector: None,
            heads,
            figures: vec![],
        };
        let batches = std::sync::Arc::default();
        let placement = Placement { engine: "fake".into(), device: "none".into(), threads: 1 };
        let model = Fake { rows, batches: std::sync::Arc::clone(&batches), placement };
        (FaceNetwork::new(&manifest, Box::new(model)).unwrap(), batches)
    }

    fn label(task: Task, labels: &[&str], positive: &str, activation: Activation) -> Head {
        let tensor = "y".into();
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let decode = HeadDecode::Label { labels, positive: positive.into(), activation, threshold: 0.5 };
        Head { task, tensor, decode }
    }

    fn views(count: usize) -> Vec<FaceView> {
        vec![FaceView::upright(Rect::new(1.0, 1.0, 6.0, 6.0), None); count]
    }

    #[test]
    fn multitask_outputs_fill_their_fields() {
        let mut classes = vec![0.0; 101];
        classes[42] = 30.0;
        let heads = vec![
            Head {
                task: Task::Age,
                tensor: "a".into(),
                decode: HeadDecode::Distribution { activation: Activation::Softmax },
            },
            Head { tensor: "g".into(), ..label(Task::Gender, &["male", "female"], "male", Activation::None) },
            label(Task::Smile, &["no", "yes"], "yes", Activation::Softmax),
            Head {
                task: Task::Similarity,
                tensor: "e".into(),
                decode: HeadDecode::Embedding { metric: Metric::Cosine, same_person: 0.4, likeness: None },
            },
        ];
        let rows = vec![classes, vec![0.75, 0.25], vec![0.0, 3f32.ln()], vec![1.0, 2.0]];
        let (mut network, _) = network(heads, rows);
        let answer = network.recognise(&Picture::new(10, 10), &views(1)).unwrap().remove(0);
        assert!((answer.age.unwrap().years - 42.0).abs() < 1e-3);
        assert_eq!(answer.female, Some(0.25));
        assert!((answer.smile.unwrap().share - 0.75).abs() < 1e-6);
        assert_eq!(answer.embedding, Some(vec![1.0, 2.0]));
    }

    fn classes() -> Head {
        let labels = ["neutral", "happiness", "anger"].map(str::to_owned).to_vec();
        let decode = HeadDecode::Classes { labels, activation: Activation::Softmax };
        Head { task: Task::Expression, tensor: "y".into(), decode }
    }

    fn angles(pitch: Option<&str>, roll: Option<&str>) -> Head {
        let (pitch, roll) = (pitch.map(str::to_owned), roll.map(str::to_owned));
        let decode = HeadDecode::Angles { pitch, roll, signs: [1.0, -1.0, 1.0] };
        Head { task: Task::HeadPose, tensor: "pose".into(), decode }
    }

    #[test]
    fn two_heads_read_one_tensor() {
        let heads = vec![label(Task::Smile, &["a", "b", "c"], "b", Activation::Softmax), classes()];
        let (mut network, _) = network(heads, vec![vec![0.0, 3f32.ln(), 0.0]]);
        let answer = network.recognise(&Picture::new(10, 10), &views(1)).unwrap().remove(0);
        assert!((answer.smile.unwrap().share - 0.6).abs() < 1e-6);
        let expression = answer.expression.unwrap();
        assert_eq!(expression.likeliest().map(|(name, _)| name), Some("happiness"));
        assert!((expression.shares.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn angles_come_from_one_tensor_or_from_three() {
        let turned = HeadPose { yaw: 30.0, pitch: -10.0, roll: 5.0 };
        let one = vec![vec![30.0, 10.0, 5.0]];
        let three = vec![vec![30.0], vec![10.0], vec![5.0]];
        for (head, rows) in [(angles(None, None), one), (angles(Some("p"), Some("r")), three)] {
            let (mut network, _) = network(vec![head], rows);
            let answers = network.recognise(&Picture::new(10, 10), &views(4)).unwrap();
            assert!(answers.iter().all(|answer| answer.pose == Some(turned)), "{answers:?}");
        }
    }

    /// An aligned crop removes the roll; it is restored from the crop's rotation in the picture.
    #[test]
    fn the_roll_of_an_aligned_crop_is_that_of_the_picture() {
        let (mut network, _) = network(vec![angles(None, None)], vec![vec![0.0, 0.0, 2.0]]);
        network.crop = Crop::Aligned;
        for degrees in [-60f32, 0.0, 25.0] {
            let (sin, cos) = degrees.to_radians().sin_cos();
            let turn = visavis_image::Similarity { a: cos, b: sin, tx: 40.0, ty: 40.0 };
            let landmarks = visavis_image::face_template(60).map(|point| turn.apply(point));
            let view = FaceView::upright(Rect::new(0.0, 0.0, 60.0, 60.0), Some(landmarks));
            let answer = network.recognise(&Picture::new(120, 120), &[view]).unwrap().remove(0);
            let roll = answer.pose.unwrap().roll;
            assert!((roll - degrees - 2.0).abs() < 0.1, "rotated by {degrees}: {roll}");
        }
    }

    #[test]
    fn faces_go_in_batches_of_two_sizes_only() {
        let (mut network, batches) =
            network(vec![Head { task: Task::Age, tensor: "a".into(), decode: HeadDecode::Years }], vec![vec![7.0]]);
        let answers = network.recognise(&Picture::new(10, 10), &views(10)).unwrap();
        assert_eq!(answers.len(), 10);
        assert!(answers.iter().all(|answer| answer.age.as_ref().unwrap().years == 7.0));
        assert_eq!(*batches.lock().unwrap(), [4, 4, 1, 1]);
    }

    #[test]
    fn each_face_gets_its_own_crop() {
        let (mut network, _) =
            network(vec![Head { task: Task::Age, tensor: "a".into(), decode: HeadDecode::Years }], vec![vec![7.0]]);
        let mut asked = Vec::new();
        let answers = network.recognise_cut(&Picture::new(10, 10), &views(6), &mut |face, crop, size| {
            asked.push((face, crop.clone(), size));
            Arc::new(Picture::filled(8, 8, [face as u8; 3]))
        });
        assert_eq!(answers.unwrap().len(), 6);
        let crop = Crop::Box { fit: Fit::Square, expand: 1.0 };
        let expected: Vec<_> = (0..6).map(|face| (face, crop.clone(), [8, 8])).collect();
        assert_eq!(asked, expected);
        assert_eq!(network.last_crop().pixel(0, 0), [5; 3]);
    }

    #[test]
    fn output_of_the_wrong_width_is_named() {
        let (mut network, _) =
            network(vec![label(Task::Smile, &["no", "yes"], "yes", Activation::None)], vec![vec![0.1, 0.2, 0.7]]);
        let error = network.recognise(&Picture::new(10, 10), &views(1)).unwrap_err();
        assert_eq!(error.to_string(), "fake: output `y` has shape [1, 3], its decoder needs [1, 2]");
    }
}

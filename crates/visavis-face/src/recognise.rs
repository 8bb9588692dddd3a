//! Age, gender, smile and embedding: one network, one or several answers, one or several faces at a time.

use visavis_image::{Landmarks, Picture, Rect};
use visavis_infer::manifest::{Activation, Crop, HeadDecode, Input};
use visavis_infer::{Manifest, Model, Placement, Task, Tensor};

use crate::findings::{Age, Findings, Smile};
use crate::{FaceError, align, input};

/// Where a face is in a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceView {
    /// The detector's box.
    pub rect: Rect,
    /// Keypoints, where they are known.
    pub landmarks: Option<Landmarks>,
}

/// Tells something of faces.
pub trait Recognise: Send {
    /// What it tells.
    fn tasks(&self) -> &[Task];

    /// Whether its crop is cut by keypoints.
    fn needs_landmarks(&self) -> bool;

    /// One answer for each face, in order.
    ///
    /// # Errors
    /// [`FaceError`] if the network fails.
    fn recognise(&mut self, picture: &Picture, faces: &[FaceView]) -> Result<Vec<Findings>, FaceError>;

    /// Where it runs.
    fn placement(&self) -> Placement;
}

/// Faces given to a network at once. Engines prepare for each batch size, so there are only two: this one and 1.
const BATCH: usize = 4;

/// A face network that the manifest describes: single-task, multitask or embedding.
pub struct FaceNetwork {
    manifest: Manifest,
    model: Box<dyn Model>,
    crop: Crop,
    cut: Picture,
    tensor: Tensor,
}

impl FaceNetwork {
    /// A recogniser from its manifest and its loaded network.
    ///
    /// # Errors
    /// [`FaceError::WrongTask`] if the manifest has no crop or no head that tells something of a face.
    pub fn new(manifest: &Manifest, model: Box<dyn Model>) -> Result<Self, FaceError> {
        let tells = manifest.heads.iter().any(|head| !matches!(head.decode, HeadDecode::Points { .. }));
        let crop = manifest.crop.clone().filter(|_| tells).ok_or_else(|| FaceError::WrongTask {
            model: manifest.name.clone(),
            task: "recognition (age, gender, smile or similarity)".into(),
        })?;
        let [width, height] = manifest.input.size;
        Ok(Self {
            manifest: manifest.clone(),
            model,
            crop,
            cut: Picture::new(width, height),
            tensor: Tensor::default(),
        })
    }

    /// The crop of the last face, for looking at.
    #[must_use]
    pub fn last_crop(&self) -> &Picture {
        &self.cut
    }

    fn run(&mut self, picture: &Picture, faces: &[FaceView], answers: &mut Vec<Findings>) -> Result<(), FaceError> {
        let input: &Input = &self.manifest.input;
        let [width, height] = input.size;
        self.tensor.reshape(&input::shape(input, faces.len(), width, height));
        for (index, face) in faces.iter().enumerate() {
            align::cut(picture, &self.crop, &face.rect, face.landmarks.as_ref(), &mut self.cut);
            input::write(input, &self.cut, &mut self.tensor, index);
        }
        let outputs = self.model.run(&self.tensor)?;
        let start = answers.len();
        answers.resize_with(start + faces.len(), Findings::default);
        for (at, head) in self.manifest.heads.iter().enumerate() {
            let output = outputs.get(at).filter(|output| {
                !output.data.is_empty()
                    && output.data.len().is_multiple_of(faces.len())
                    && fits(&head.decode, output.data.len() / faces.len())
            });
            let Some(output) = output else {
                return Err(FaceError::OutputShape {
                    model: self.manifest.name.clone(),
                    tensor: head.tensor.clone(),
                    found: outputs.get(at).map(|output| output.shape.clone()).unwrap_or_default(),
                    expected: format!("[{}, {}]", faces.len(), width_of(&head.decode)),
                });
            };
            let columns = output.data.len() / faces.len();
            for (answer, row) in answers[start..].iter_mut().zip(output.data.chunks_exact(columns)) {
                decode(head.task, &head.decode, row, answer);
            }
        }
        Ok(())
    }
}

impl Recognise for FaceNetwork {
    fn tasks(&self) -> &[Task] {
        &self.manifest.tasks
    }

    fn needs_landmarks(&self) -> bool {
        !matches!(self.crop, Crop::Box { .. })
    }

    fn recognise(&mut self, picture: &Picture, faces: &[FaceView]) -> Result<Vec<Findings>, FaceError> {
        let mut answers = Vec::with_capacity(faces.len());
        let mut rest = faces;
        while !rest.is_empty() {
            let count = if self.manifest.input.batch && rest.len() >= BATCH { BATCH } else { 1 };
            let (now, later) = rest.split_at(count);
            self.run(picture, now, &mut answers)?;
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
        HeadDecode::Expectation { .. } => columns > 1,
        HeadDecode::Label { labels, .. } => columns == labels.len(),
        HeadDecode::Points { .. } => columns == 10,
        HeadDecode::Embedding { .. } => true,
    }
}

fn width_of(decode: &HeadDecode) -> String {
    match decode {
        HeadDecode::Years => "1".into(),
        HeadDecode::Expectation { .. } => "classes".into(),
        HeadDecode::Label { labels, .. } => labels.len().to_string(),
        HeadDecode::Points { .. } => "10".into(),
        HeadDecode::Embedding { .. } => "n".into(),
    }
}

fn decode(task: Task, decode: &HeadDecode, row: &[f32], answer: &mut Findings) {
    match decode {
        HeadDecode::Years => answer.age = Some(Age { years: row[0], distribution: None }),
        HeadDecode::Expectation { activation } => {
            answer.age = Some(Age::from_distribution(activate(row, *activation).into()));
        }
        HeadDecode::Label { labels, positive, activation, threshold } => {
            let at = labels.iter().position(|label| label == positive).unwrap_or(0);
            let share = activate(row, *activation)[at];
            match task {
                Task::Gender if positive == "male" => answer.female = Some(1.0 - share),
                Task::Gender => answer.female = Some(share),
                _ => answer.smile = Some(Smile { share, threshold: *threshold }),
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
    use visavis_infer::InferError;
    use visavis_infer::manifest::{Fit, Head, Metric};

    /// Answers with fixed rows, whatever it sees, and notes the batch sizes.
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
    }

    fn network(heads: Vec<Head>, rows: Vec<Vec<f32>>) -> (FaceNetwork, std::sync::Arc<std::sync::Mutex<Vec<usize>>>) {
        let manifest = Manifest {
            format: 1,
            name: "fake".into(),
            title: "fake".into(),
            tasks: heads.iter().map(|head| head.task).collect(),
            file: "fake.onnx".into(),
            sha256: "0".repeat(64),
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
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        Head {
            task,
            tensor: "y".into(),
            decode: HeadDecode::Label { labels, positive: positive.into(), activation, threshold: 0.5 },
        }
    }

    fn views(count: usize) -> Vec<FaceView> {
        vec![FaceView { rect: Rect::new(1.0, 1.0, 6.0, 6.0), landmarks: None }; count]
    }

    #[test]
    fn multitask_outputs_fill_their_fields() {
        let mut classes = vec![0.0; 101];
        classes[42] = 30.0;
        let heads = vec![
            Head {
                task: Task::Age,
                tensor: "a".into(),
                decode: HeadDecode::Expectation { activation: Activation::Softmax },
            },
            label(Task::Gender, &["male", "female"], "male", Activation::None),
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
    fn output_of_the_wrong_width_is_named() {
        let (mut network, _) =
            network(vec![label(Task::Smile, &["no", "yes"], "yes", Activation::None)], vec![vec![0.1, 0.2, 0.7]]);
        let error = network.recognise(&Picture::new(10, 10), &views(1)).unwrap_err();
        assert_eq!(error.to_string(), "fake: output `y` has shape [1, 3], its decoder needs [1, 2]");
    }
}

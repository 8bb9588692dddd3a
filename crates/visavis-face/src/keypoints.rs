//! The five keypoints of a face: the trait of everything that locates them, and keypoint networks such as O-Net.

use visavis_image::{Landmarks, Picture, Point, Rect, Turn};
use visavis_infer::manifest::{Crop, Head, HeadDecode, Input, PointOrder};
use visavis_infer::{Manifest, Model, Placement, Task, Tensor};

use crate::{FaceError, FaceView, align, input};

/// Locates the keypoints of a face whose box is known.
pub trait Locate: Send {
    /// The landmarks, in pixels of `picture`, of the face in `rect`, which is rotated by `turn` in the picture. Left and
    /// right are as seen when the face is upright.
    ///
    /// # Errors
    /// [`FaceError`] if the network fails.
    fn locate(&mut self, picture: &Picture, rect: &Rect, turn: Turn) -> Result<Landmarks, FaceError>;

    /// Where it runs.
    fn placement(&self) -> Placement;
}

/// A keypoint network that the manifest describes.
pub struct KeypointNetwork {
    name: String,
    model: Box<dyn Model>,
    input: Input,
    crop: Crop,
    head: Head,
    order: PointOrder,
    position: usize,
    cut: Picture,
    tensor: Tensor,
}

impl KeypointNetwork {
    /// Makes a locator from a manifest and the loaded network.
    ///
    /// # Errors
    /// [`FaceError::WrongTask`] if the manifest describes no keypoint head or no crop.
    pub fn new(manifest: &Manifest, model: Box<dyn Model>) -> Result<Self, FaceError> {
        let wrong = || FaceError::WrongTask { model: manifest.name.clone(), task: "keypoints".into() };
        let (head, order) = manifest
            .heads
            .iter()
            .find_map(|head| match head.decode {
                HeadDecode::Points { order } if head.task == Task::Keypoints => Some((head.clone(), order)),
                _ => None,
            })
            .ok_or_else(wrong)?;
        let position = manifest.output_tensors().iter().position(|tensor| *tensor == head.tensor).ok_or_else(wrong)?;
        let [width, height] = manifest.input.size;
        Ok(Self {
            name: manifest.name.clone(),
            model,
            input: manifest.input.clone(),
            crop: manifest.crop.clone().ok_or_else(wrong)?,
            head,
            order,
            position,
            cut: Picture::new(width, height),
            tensor: Tensor::zeros(&input::shape(&manifest.input, 1, width, height)),
        })
    }
}

impl Locate for KeypointNetwork {
    fn locate(&mut self, picture: &Picture, rect: &Rect, turn: Turn) -> Result<Landmarks, FaceError> {
        let face = FaceView { rect: *rect, landmarks: None, turn };
        align::cut(picture, &self.crop, &face, &mut self.cut);
        input::write(&self.input, &self.cut, &mut self.tensor, 0);
        let outputs = self.model.run(&self.tensor)?;
        let numbers = match outputs.get(self.position) {
            Some(output) if output.data.len() == 10 => &output.data,
            other => {
                return Err(FaceError::OutputShape {
                    model: self.name.clone(),
                    tensor: self.head.tensor.clone(),
                    found: other.map(|output| output.shape.clone()).unwrap_or_default(),
                    expected: "[1, 10]".into(),
                });
            }
        };
        let (width, height) = (self.cut.width() as f32, self.cut.height() as f32);
        let to_source = align::crop_to_source(&self.crop, self.input.size, &face);
        let point = |i: usize| {
            let (x, y) = match self.order {
                PointOrder::Pairs => (numbers[2 * i], numbers[2 * i + 1]),
                PointOrder::Planes => (numbers[i], numbers[i + 5]),
            };
            to_source.apply(Point::new(x * width, y * height))
        };
        Ok(Landmarks::from(std::array::from_fn(point)))
    }

    fn placement(&self) -> Placement {
        self.model.placement().clone()
    }
}

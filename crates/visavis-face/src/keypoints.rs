//! The five keypoints of a face: what locates them, and networks that do nothing else (O-Net and its like).

use visavis_image::{Landmarks, Picture, Point, Rect};
use visavis_infer::manifest::{Crop, FileKind, Head, HeadDecode, Input, PointOrder};
use visavis_infer::{EngineOptions, Entry, Manifest, Model, Placement, Runtime, Task, Tensor};

use crate::forest::{Forest, ForestLocator};
use crate::{FaceError, align, input};

/// Finds the keypoints of a face whose box is known.
pub trait Locate: Send {
    /// The landmarks in source pixels.
    ///
    /// # Errors
    /// [`FaceError`] if the network fails.
    fn locate(&mut self, picture: &Picture, rect: &Rect) -> Result<Landmarks, FaceError>;

    /// Where it runs.
    fn placement(&self) -> Placement;
}

/// Loads what locates keypoints: a network, or a regression forest, which needs neither `runtime` nor `options`.
///
/// # Errors
/// [`FaceError::Infer`] if the weights are not those of the manifest or do not load; [`FaceError::WrongTask`] if the
/// entry locates no keypoints; [`FaceError::Forest`] for a forest's file that makes no sense.
pub fn load_locator(entry: &Entry, runtime: &Runtime, options: &EngineOptions) -> Result<Box<dyn Locate>, FaceError> {
    Ok(match entry.manifest.file_kind() {
        FileKind::Onnx => Box::new(KeypointNetwork::new(&entry.manifest, entry.load(runtime, options)?)?),
        FileKind::Forest => {
            let wrong = |error| FaceError::Forest { model: entry.manifest.name.clone(), error };
            Box::new(ForestLocator::new(Forest::read(&entry.read()?).map_err(wrong)?))
        }
    })
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
    /// A locator from its manifest and its loaded network.
    ///
    /// # Errors
    /// [`FaceError::WrongTask`] if the manifest describes no keypoint head or no crop.
    pub fn new(manifest: &Manifest, model: Box<dyn Model>) -> Result<Self, FaceError> {
        let wrong = || FaceError::WrongTask { model: manifest.name.clone(), task: "keypoints".into() };
        let (position, head, order) = manifest
            .heads
            .iter()
            .enumerate()
            .find_map(|(at, head)| match head.decode {
                HeadDecode::Points { order } if head.task == Task::Keypoints => Some((at, head.clone(), order)),
                _ => None,
            })
            .ok_or_else(wrong)?;
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
    fn locate(&mut self, picture: &Picture, rect: &Rect) -> Result<Landmarks, FaceError> {
        align::cut(picture, &self.crop, rect, None, &mut self.cut);
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
        let to_source = align::crop_to_source(&self.crop, self.input.size, rect, None);
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

//! Face detection.

mod anchors;
mod decode;
mod nms;
mod photo;
mod pointed;

pub use anchors::{AnchorGrid, decode_box, encode_box};
pub use nms::non_maximum_suppression;
pub use photo::{PhotoDetector, PhotoParams};
pub use pointed::PointedDetector;

use visavis_image::{Landmarks, Picture, Rect, Resizer, Turn};
use visavis_infer::manifest::{Detector, Input};
use visavis_infer::{Manifest, Model, Placement, Task, Tensor};

use crate::{FaceError, FaceView, input};

/// A detected face, in source pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Face {
    /// Around the face; may extend beyond the edge of the picture.
    pub rect: Rect,
    /// 0 to 1.
    pub score: f32,
    /// If the detector gives them; left and right are as seen when the face is upright.
    pub landmarks: Option<Landmarks>,
    /// How the face is rotated in the picture. Only [`PhotoDetector`] finds faces that are not upright.
    pub turn: Turn,
}

impl Face {
    /// The face's place, for recognition.
    #[must_use]
    pub fn view(&self) -> FaceView {
        FaceView { rect: self.rect, landmarks: self.landmarks, turn: self.turn }
    }
}

/// The input sizes of a detector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputSizes {
    /// This width and height only.
    Fixed([u32; 2]),
    /// Every width and height that is a multiple of this number.
    MultiplesOf(u32),
}

/// Finds the faces of a picture.
pub trait Detect: Send {
    /// All faces, strongest first, in source pixels.
    ///
    /// # Errors
    /// [`FaceError`] if the network fails.
    fn detect(&mut self, picture: &Picture) -> Result<Vec<Face>, FaceError>;

    /// Where it runs.
    fn placement(&self) -> Placement;

    /// The input sizes that [`Detect::set_input_size`] accepts; `None` if the input size cannot be set, for instance because
    /// the user has fixed it.
    fn input_sizes(&self) -> Option<InputSizes> {
        None
    }

    /// Current width and height of the input; `None` if it differs from picture to picture.
    fn input_size(&self) -> Option<[u32; 2]> {
        None
    }

    /// Sets width and height of the input from the next picture on. Does nothing if the size cannot be set.
    ///
    /// # Errors
    /// [`FaceError::InputSize`] for a size that the network does not accept.
    fn set_input_size(&mut self, _size: [u32; 2]) -> Result<(), FaceError> {
        Ok(())
    }
}

/// The settings of a detector; `None` keeps the manifest's value.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DetectorParams {
    /// Input width and height. Every picture is fitted into it with its aspect ratio kept. If given, it is never changed.
    pub size: Option<[u32; 2]>,
    /// Use the size of each picture (rounded up to the network's multiple) instead.
    pub native_size: bool,
    /// Least score, 0 to 1.
    pub score: Option<f32>,
    /// Faces narrower than this many source pixels are left out. The paper's demo used 60 for a camera of 640×480.
    pub smallest: f32,
}

/// A detector network, with any decoding that a manifest can describe.
pub struct FaceDetector {
    name: String,
    model: Box<dyn Model>,
    input: Input,
    spec: Detector,
    params: DetectorParams,
    grid: anchors::AnchorGrid,
    resizer: Resizer,
    fitted: Picture,
    tensor: Tensor,
}

impl FaceDetector {
    /// Makes a detector from a manifest and the loaded network.
    ///
    /// # Errors
    /// [`FaceError::WrongTask`] if the manifest describes no detector, [`FaceError::InputSize`] for a size that the
    /// network does not accept.
    pub fn new(manifest: &Manifest, model: Box<dyn Model>, params: DetectorParams) -> Result<Self, FaceError> {
        let spec = manifest
            .detector
            .clone()
            .filter(|_| manifest.tasks.contains(&Task::Detection))
            .ok_or_else(|| FaceError::WrongTask { model: manifest.name.clone(), task: "detection".into() })?;
        let size @ [width, height] = params.size.unwrap_or(manifest.input.size);
        check_size(&manifest.name, &manifest.input, size)?;
        if params.native_size && manifest.input.multiple_of.is_none() {
            return Err(wrong_size(&manifest.name, &manifest.input, size));
        }
        Ok(Self {
            name: manifest.name.clone(),
            model,
            input: manifest.input.clone(),
            spec,
            params,
            grid: anchors::AnchorGrid::default(),
            resizer: Resizer::new(),
            fitted: Picture::new(width, height),
            tensor: Tensor::default(),
        })
    }

    /// The input size for the last picture, at native size.
    fn fitted_size(&self) -> [u32; 2] {
        [self.fitted.width(), self.fitted.height()]
    }
}

impl Detect for FaceDetector {
    fn detect(&mut self, picture: &Picture) -> Result<Vec<Face>, FaceError> {
        // A small picture is enlarged to a fixed size, which helps with small faces, but never at native size.
        let mut most = f32::INFINITY;
        if let (true, Some(multiple)) = (self.params.native_size, self.input.multiple_of) {
            let up = |side: u32| side.max(1).next_multiple_of(multiple);
            let (width, height) = (up(picture.width()), up(picture.height()));
            if (self.fitted.width(), self.fitted.height()) != (width, height) {
                self.fitted.reshape(width, height);
            }
            most = 1.0;
        }
        let fitted = self.resizer.fit(picture, &mut self.fitted, most);
        let (width, height) = (self.fitted.width(), self.fitted.height());
        self.tensor.reshape(&input::shape(&self.input, 1, width, height));
        input::write(&self.input, &self.fitted, &mut self.tensor, 0);
        let outputs = self.model.run(&self.tensor)?;
        let threshold = self.params.score.unwrap_or(self.spec.score);
        let found =
            decode::decode(&self.name, &self.spec.decode, &outputs, (width, height), &mut self.grid, threshold)?;
        let mut faces = non_maximum_suppression(found, self.spec.nms_iou);
        for face in &mut faces {
            face.rect = fitted.to_source(face.rect);
            face.landmarks = face.landmarks.map(|points| points.map(|p| fitted.point_to_source(p)));
        }
        faces.retain(|face| face.rect.width >= self.params.smallest);
        Ok(faces)
    }

    fn placement(&self) -> Placement {
        self.model.placement().clone()
    }

    fn input_sizes(&self) -> Option<InputSizes> {
        if self.params.size.is_some() || self.params.native_size {
            return None;
        }
        Some(self.input.multiple_of.map_or(InputSizes::Fixed(self.input.size), InputSizes::MultiplesOf))
    }

    fn input_size(&self) -> Option<[u32; 2]> {
        (!self.params.native_size).then(|| self.fitted_size())
    }

    fn set_input_size(&mut self, size: [u32; 2]) -> Result<(), FaceError> {
        if self.input_sizes().is_some() && size != self.fitted_size() {
            check_size(&self.name, &self.input, size)?;
            self.fitted.reshape(size[0], size[1]);
        }
        Ok(())
    }
}

fn check_size(model: &str, input: &Input, size: [u32; 2]) -> Result<(), FaceError> {
    let taken = match input.multiple_of {
        Some(multiple) => size.iter().all(|side| *side > 0 && side % multiple == 0),
        None => size == input.size,
    };
    if taken { Ok(()) } else { Err(wrong_size(model, input, size)) }
}

fn wrong_size(model: &str, input: &Input, [width, height]: [u32; 2]) -> FaceError {
    let allowed = match input.multiple_of {
        Some(multiple) => format!("any width and height that are multiples of {multiple}"),
        None => format!("{}x{} only", input.size[0], input.size[1]),
    };
    FaceError::InputSize { model: model.to_owned(), allowed, width, height }
}

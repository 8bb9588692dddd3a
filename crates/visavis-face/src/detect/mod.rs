//! Finding faces.

mod anchors;
mod decode;
mod nms;
mod pointed;

pub use anchors::{AnchorGrid, decode_box, encode_box};
pub use nms::non_maximum_suppression;
pub use pointed::PointedDetector;

use visavis_image::{Landmarks, Picture, Rect, Resizer};
use visavis_infer::manifest::Detector;
use visavis_infer::{Manifest, Model, Placement, Task, Tensor};

use crate::{FaceError, input};

/// A face as a detector sees it, in source pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Face {
    /// Around the face; may reach over the edge of the picture.
    pub rect: Rect,
    /// 0 to 1.
    pub score: f32,
    /// Where the detector gives them.
    pub landmarks: Option<Landmarks>,
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
}

/// What the user may set about a detector; `None` leaves what the manifest says.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DetectorParams {
    /// Input width and height. Every picture is fitted into it, aspect kept.
    pub size: Option<[u32; 2]>,
    /// Run at the size of each picture (rounded up to the network's multiple) instead.
    pub native_size: bool,
    /// Least score, 0 to 1.
    pub score: Option<f32>,
    /// Faces narrower than this many source pixels are left out. The paper's demo had 60 for a camera of 640×480.
    pub smallest: f32,
}

/// A detector network of any kind that the manifest can describe.
pub struct FaceDetector {
    name: String,
    model: Box<dyn Model>,
    input: visavis_infer::manifest::Input,
    spec: Detector,
    params: DetectorParams,
    grid: anchors::AnchorGrid,
    resizer: Resizer,
    fitted: Picture,
    tensor: Tensor,
}

impl FaceDetector {
    /// A detector from its manifest and its loaded network.
    ///
    /// # Errors
    /// [`FaceError::WrongTask`] if the manifest describes no detector, [`FaceError::InputSize`] for a size that the
    /// network does not take.
    pub fn new(manifest: &Manifest, model: Box<dyn Model>, params: DetectorParams) -> Result<Self, FaceError> {
        let spec = manifest
            .detector
            .clone()
            .filter(|_| manifest.tasks.contains(&Task::Detection))
            .ok_or_else(|| FaceError::WrongTask { model: manifest.name.clone(), task: "detection".into() })?;
        let [width, height] = params.size.unwrap_or(manifest.input.size);
        let allowed = match manifest.input.multiple_of {
            Some(multiple) if width % multiple == 0 && height % multiple == 0 && width > 0 && height > 0 => None,
            Some(multiple) => Some(format!("any width and height that are multiples of {multiple}")),
            None if params.native_size => Some(format!("{}x{} only", manifest.input.size[0], manifest.input.size[1])),
            None if [width, height] == manifest.input.size => None,
            None => Some(format!("{}x{} only", manifest.input.size[0], manifest.input.size[1])),
        };
        if let Some(allowed) = allowed {
            return Err(FaceError::InputSize { model: manifest.name.clone(), allowed, width, height });
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

    /// Input width and height in use (of the last picture, at native size).
    #[must_use]
    pub fn input_size(&self) -> [u32; 2] {
        [self.fitted.width(), self.fitted.height()]
    }
}

impl Detect for FaceDetector {
    fn detect(&mut self, picture: &Picture) -> Result<Vec<Face>, FaceError> {
        // A small picture is enlarged into a given size (small faces gain), never at native size.
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
}

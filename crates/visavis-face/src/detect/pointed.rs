//! A detector without keypoints, combined with a keypoint locator.

use visavis_image::Picture;
use visavis_infer::Placement;

use super::{Detect, Face};
use crate::{FaceError, Locate};

/// A detector and a locator, which adds the keypoints to faces for which the detector gives none.
pub struct PointedDetector {
    detector: Box<dyn Detect>,
    locator: Box<dyn Locate>,
}

impl PointedDetector {
    /// Combines the two.
    #[must_use]
    pub fn new(detector: Box<dyn Detect>, locator: Box<dyn Locate>) -> Self {
        Self { detector, locator }
    }
}

impl Detect for PointedDetector {
    fn detect(&mut self, picture: &Picture) -> Result<Vec<Face>, FaceError> {
        let mut faces = self.detector.detect(picture)?;
        for face in faces.iter_mut().filter(|face| face.landmarks.is_none()) {
            face.landmarks = Some(self.locator.locate(picture, &face.rect, face.turn)?);
        }
        Ok(faces)
    }

    fn placement(&self) -> Placement {
        self.detector.placement()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_image::{Landmarks, Point, Rect, Turn};

    struct Fixed(Vec<Face>);

    impl Detect for Fixed {
        fn detect(&mut self, _: &Picture) -> Result<Vec<Face>, FaceError> {
            Ok(self.0.clone())
        }
        fn placement(&self) -> Placement {
            Placement { engine: "none".into(), device: "CPU".into(), threads: 1 }
        }
    }

    /// All points in the middle of the box.
    struct Middle;

    impl Locate for Middle {
        fn locate(&mut self, _: &Picture, rect: &Rect, _: Turn) -> Result<Landmarks, FaceError> {
            Ok(Landmarks::from([rect.centre(); 5]))
        }
        fn placement(&self) -> Placement {
            Placement { engine: "none".into(), device: "CPU".into(), threads: 1 }
        }
    }

    #[test]
    fn only_faces_without_keypoints_get_some() {
        let own = Landmarks::from([Point::new(1.0, 2.0); 5]);
        let face = |landmarks| Face { rect: Rect::new(10.0, 20.0, 4.0, 6.0), score: 0.9, landmarks, turn: Turn::None };
        let mut detector = PointedDetector::new(Box::new(Fixed(vec![face(None), face(Some(own))])), Box::new(Middle));
        let faces = detector.detect(&Picture::new(8, 8)).unwrap();
        assert_eq!(faces[0].landmarks, Some(Landmarks::from([Point::new(12.0, 23.0); 5])));
        assert_eq!(faces[1].landmarks, Some(own));
    }
}

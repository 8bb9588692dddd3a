//! Detectors at input sizes that their networks do not accept.

use visavis_face::{Detect, Face, FaceError};
use visavis_image::{Picture, Resizer, fit_factor};
use visavis_infer::Placement;
use visavis_infer::manifest::Input;

/// A detector that scales every picture as for the requested size and pads it with black to the next size that its network
/// accepts: accuracy at equal picture sizes, though with a larger input.
pub struct Padded {
    detector: Box<dyn Detect>,
    size: [u32; 2],
    canvas: Picture,
    resizer: Resizer,
}

impl Padded {
    /// Pictures are fitted into `size`; `detector` runs at `input`, which is at least as large.
    #[must_use]
    pub fn new(detector: Box<dyn Detect>, size: [u32; 2], input: [u32; 2]) -> Self {
        let canvas = Picture::new(input[0].max(size[0]), input[1].max(size[1]));
        Self { detector, size, canvas, resizer: Resizer::new() }
    }
}

impl Detect for Padded {
    fn detect(&mut self, picture: &Picture) -> Result<Vec<Face>, FaceError> {
        let most = fit_factor([picture.width(), picture.height()], self.size);
        let fitted = self.resizer.fit(picture, &mut self.canvas, most);
        let mut faces = self.detector.detect(&self.canvas)?;
        for face in &mut faces {
            face.rect = fitted.to_source(face.rect);
            face.landmarks = face.landmarks.map(|points| points.map(|point| fitted.point_to_source(point)));
        }
        Ok(faces)
    }

    fn placement(&self) -> Placement {
        self.detector.placement()
    }
}

/// The smallest accepted size into which `size` fits; `None` if there is none.
#[must_use]
pub fn input_for(input: &Input, size: [u32; 2]) -> Option<[u32; 2]> {
    match input.multiple_of {
        Some(multiple) => Some(size.map(|side| side.max(1).next_multiple_of(multiple))),
        None => (input.size == size).then_some(size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_image::{Rect, Turn};

    /// Detects one face: the area that is not black.
    struct Bright(Vec<(u32, u32)>);

    impl Detect for Bright {
        fn detect(&mut self, picture: &Picture) -> Result<Vec<Face>, FaceError> {
            self.0.push((picture.width(), picture.height()));
            let bright = |x, y| picture.pixel(x, y)[0] > 100;
            let width = (0..picture.width()).filter(|&x| bright(x, 0)).count() as f32;
            let height = (0..picture.height()).filter(|&y| bright(0, y)).count() as f32;
            Ok(vec![Face { rect: Rect::new(0.0, 0.0, width, height), score: 1.0, landmarks: None, turn: Turn::None }])
        }

        fn placement(&self) -> Placement {
            Placement { engine: "by hand".into(), device: "CPU".into(), threads: 1 }
        }
    }

    #[test]
    fn the_picture_is_as_large_as_asked_and_boxes_come_back() {
        for (picture, size, input) in [((600, 400), [300, 300], [320, 320]), ((30, 60), [200, 200], [224, 224])] {
            let mut padded = Padded::new(Box::new(Bright(Vec::new())), size, input);
            let faces = padded.detect(&Picture::filled(picture.0, picture.1, [200; 3])).unwrap();
            let rect = faces[0].rect;
            assert!((rect.width - picture.0 as f32).abs() < 0.5 && (rect.height - picture.1 as f32).abs() < 0.5);
            let factor = fit_factor([picture.0, picture.1], size);
            let seen = (0..padded.canvas.width()).filter(|&x| padded.canvas.pixel(x, 0)[0] > 100).count();
            assert_eq!(seen, (picture.0 as f32 * factor).round() as usize, "not enlarged into the padding");
            assert_eq!([padded.canvas.width(), padded.canvas.height()], input);
        }
    }

    #[test]
    fn sizes_that_networks_take() {
        let of = |json: &str| serde_json::from_str::<Input>(json).unwrap();
        let free = of(r#"{"tensor": "x", "size": [320, 192], "multiple_of": 32}"#);
        assert_eq!(input_for(&free, [300, 300]), Some([320, 320]));
        assert_eq!(input_for(&free, [64, 192]), Some([64, 192]));
        let fixed = of(r#"{"tensor": "x", "size": [320, 240]}"#);
        assert_eq!(input_for(&fixed, [320, 240]), Some([320, 240]));
        assert_eq!(input_for(&fixed, [300, 300]), None);
    }
}

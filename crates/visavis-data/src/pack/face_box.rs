//! A face box estimated from keypoints, for sets that give only those.

use visavis_face::align::MOST_DISTORTION;
use visavis_image::{Landmarks, Point, Rect, Similarity, distortion, face_template};

use super::PackedFace;

/// The usual box of a detector relative to an aligned face, in sides of the face template: centre x, centre y, width,
/// height.
///
/// Medians of YuNet's boxes for the 10,000 faces of MTFL, with the face assumed to be symmetric; `visavis-lab data show`
/// prints them for any pack with labelled keypoints.
pub(super) const USUAL_BOX: [f32; 4] = [0.5, 0.419, 0.704, 0.944];

/// The upright box that a detector would usually give for a face with these keypoints.
///
/// A similarity maps the template to the keypoints. The centre of the box rotates with the head, but the box is upright, as
/// detectors give it. `None` if all keypoints are in one place.
#[must_use]
pub fn usual_box(landmarks: &Landmarks) -> Option<Rect> {
    let to_picture = Similarity::least_squares(&face_template(1).to_array(), &landmarks.to_array())?;
    let [x, y, width, height] = USUAL_BOX;
    let scale = to_picture.scale();
    Some(Rect::around(to_picture.apply(Point::new(x, y)), width * scale, height * scale))
}

/// The detector's boxes relative to labelled keypoints.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct BoxFit {
    /// Median centre and size in sides of the face template: x, y, width, height.
    pub usual: [f32; 4],
    /// Median intersection over union of [`usual_box`] and the detector's box.
    pub iou: f32,
    /// Number of faces: those with labelled keypoints, not in full profile, that the detector found.
    pub faces: usize,
}

impl BoxFit {
    /// Measures the boxes; `None` if no face has both.
    #[must_use]
    pub fn measure<'a>(faces: impl IntoIterator<Item = &'a PackedFace>) -> Option<Self> {
        let template = face_template(1).to_array();
        let mut values: [Vec<f32>; 5] = Default::default();
        for face in faces {
            let (Some(landmarks), Some(found)) = (face.landmarks, face.detected) else { continue };
            let points = landmarks.to_array();
            let Some(to_crop) = Similarity::least_squares(&template, &points) else { continue };
            let Some(usual) = usual_box(&landmarks) else { continue };
            if distortion(&template, &points).is_none_or(|ratio| ratio > MOST_DISTORTION) {
                continue;
            }
            let centre = to_crop.inverse().apply(found.rect.centre());
            let size = [found.rect.width / to_crop.scale(), found.rect.height / to_crop.scale()];
            let measured = [centre.x, centre.y, size[0], size[1], usual.iou(&found.rect)];
            for (all, value) in values.iter_mut().zip(measured) {
                all.push(value);
            }
        }
        let faces = values[0].len();
        (faces > 0).then(|| {
            let [x, y, width, height, iou] = values.map(median);
            Self { usual: [x, y, width, height], iou, faces }
        })
    }
}

/// The median; of two middle values the upper one.
fn median(mut values: Vec<f32>) -> f32 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_box_grows_and_moves_with_the_face() {
        let upright = usual_box(&face_template(100)).unwrap();
        let moved = usual_box(&face_template(200).map(|p| Point::new(p.x + 30.0, p.y + 7.0))).unwrap();
        assert!((moved.width - 2.0 * upright.width).abs() < 1e-2 && (moved.height - 2.0 * upright.height).abs() < 1e-2);
        let centre = upright.centre();
        assert!(moved.centre().distance(Point::new(centre.x * 2.0 + 30.0, centre.y * 2.0 + 7.0)) < 1e-2);
        assert!(face_template(100).to_array().iter().all(|&p| upright.contains(p)));
    }

    #[test]
    fn keypoints_in_one_place_have_no_box() {
        assert_eq!(usual_box(&Landmarks::default()), None);
    }
}

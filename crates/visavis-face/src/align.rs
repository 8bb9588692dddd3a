//! From a face in a picture to the upright crop that a network was trained on (paper, section III-B).

use visavis_image::{Landmarks, Picture, Point, Rect, Similarity, distortion, face_template, warp_into};
use visavis_infer::manifest::{Crop, Fit};

/// From this distortion on, keypoints are not believed and the plain box is cut instead.
///
/// The distortion is the ratio of the singular values of the best affine map onto the template. Frontal faces stay
/// below 1.5; beyond 3 the face is in full profile or a keypoint has gone astray, and a rotation fitted to it would turn
/// the crop at random.
pub const MOST_DISTORTION: f32 = 3.0;

/// How much larger than the detector's box the plain crop is where a network expects an aligned face: templates leave
/// margins around the face (paper: 20 %), boxes do not.
const PLAIN_EXPANSION: f32 = 1.45;

/// The transform from crop pixels to source pixels for a crop of `size` (width, height).
///
/// Crops by keypoints fall back to a square around the box when there are no landmarks, when they span no area or when
/// they are distorted beyond [`MOST_DISTORTION`].
#[must_use]
pub fn crop_to_source(crop: &Crop, size: [u32; 2], rect: &Rect, landmarks: Option<&Landmarks>) -> Similarity {
    let by_points = |from: &[Point], to: &[Point]| {
        let trusted = distortion(from, to).is_some_and(|ratio| ratio <= MOST_DISTORTION) || from.len() == 2;
        Similarity::least_squares(to, from).filter(|_| trusted)
    };
    let aligned = match (crop, landmarks) {
        (Crop::Box { fit, expand }, _) => return box_to_source(&rect.expanded(*expand), *fit, size),
        (_, None) => None,
        (Crop::Points { points }, Some(landmarks)) => {
            let five = landmarks.to_array();
            let from: Vec<Point> = points.iter().map(|anchor| weighted_mean(&five, &anchor.landmarks)).collect();
            let scale = |at: [f32; 2]| Point::new(at[0] * size[0] as f32, at[1] * size[1] as f32);
            let to: Vec<Point> = points.iter().map(|anchor| scale(anchor.at)).collect();
            by_points(&from, &to)
        }
        (Crop::Aligned, Some(landmarks)) => {
            let side = size[0].min(size[1]);
            by_points(&landmarks.to_array(), &face_template(side).to_array())
        }
    };
    aligned.unwrap_or_else(|| box_to_source(&rect.expanded(PLAIN_EXPANSION), Fit::Square, size))
}

/// Cuts the crop out of `picture` into `out`, whose size is the crop's.
pub fn cut(picture: &Picture, crop: &Crop, rect: &Rect, landmarks: Option<&Landmarks>, out: &mut Picture) {
    let to_source = crop_to_source(crop, [out.width(), out.height()], rect, landmarks);
    warp_into(picture, &to_source, out);
    if let Crop::Box { fit: Fit::Pad, expand } = crop {
        blacken_outside(&rect.expanded(*expand), &to_source, out);
    }
}

fn weighted_mean(five: &[Point; 5], weights: &[f32; 5]) -> Point {
    let sum = |pick: fn(&Point) -> f32| five.iter().zip(weights).map(|(p, w)| pick(p) * w).sum();
    Point::new(sum(|p| p.x), sum(|p| p.y))
}

/// The longer side of the box fills the crop (for [`Fit::Pad`] the rest is blackened afterwards).
fn box_to_source(rect: &Rect, fit: Fit, size: [u32; 2]) -> Similarity {
    let (width, height) = (size[0].max(1) as f32, size[1].max(1) as f32);
    let scale = match fit {
        Fit::Pad => (rect.width / width).max(rect.height / height),
        Fit::Square => rect.width.max(rect.height) / width.min(height),
    };
    let centre = rect.centre();
    Similarity::scale_then_shift(scale, centre.x - scale * width / 2.0, centre.y - scale * height / 2.0)
}

fn blacken_outside(rect: &Rect, to_source: &Similarity, out: &mut Picture) {
    let from_source = to_source.inverse();
    let (low, high) =
        (from_source.apply(Point::new(rect.x, rect.y)), from_source.apply(Point::new(rect.right(), rect.bottom())));
    let within = |low: f32, high: f32, side: u32| {
        // Of a pixel on the edge, the side that holds its centre decides.
        let clip = |value: f32| value.round().clamp(0.0, side as f32) as usize;
        clip(low)..clip(high)
    };
    let (columns, rows) = (within(low.x, high.x, out.width()), within(low.y, high.y, out.height()));
    let stride = out.width() as usize * 3;
    for (y, row) in out.pixels_mut().chunks_exact_mut(stride.max(1)).enumerate() {
        if rows.contains(&y) {
            row[..columns.start * 3].fill(0);
            row[columns.end * 3..].fill(0);
        } else {
            row.fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_infer::manifest::Anchor;

    fn landmarks_of(template: Landmarks, truth: &Similarity) -> Landmarks {
        template.map(|p| truth.apply(p))
    }

    #[test]
    fn aligned_crop_puts_landmarks_on_the_template() {
        let truth = Similarity { a: 0.6, b: 0.3, tx: 40.0, ty: 25.0 };
        let landmarks = landmarks_of(face_template(112), &truth);
        let found = crop_to_source(&Crop::Aligned, [112, 112], &Rect::default(), Some(&landmarks));
        for (p, q) in face_template(112).to_array().iter().zip(landmarks.to_array()) {
            assert!(found.apply(*p).distance(q) < 1e-2);
        }
    }

    #[test]
    fn anchors_may_be_means_of_landmarks() {
        let landmarks = Landmarks::from(
            [(10.0, 10.0), (30.0, 10.0), (20.0, 20.0), (12.0, 30.0), (28.0, 30.0)].map(|(x, y)| Point::new(x, y)),
        );
        let crop = Crop::Points {
            points: vec![
                Anchor { landmarks: [0.5, 0.5, 0.0, 0.0, 0.0], at: [0.5, 0.25] },
                Anchor { landmarks: [0.0, 0.0, 0.0, 0.5, 0.5], at: [0.5, 0.75] },
            ],
        };
        let found = crop_to_source(&crop, [40, 40], &Rect::default(), Some(&landmarks));
        assert!(found.apply(Point::new(20.0, 10.0)).distance(Point::new(20.0, 10.0)) < 1e-4);
        assert!(found.apply(Point::new(20.0, 30.0)).distance(Point::new(20.0, 30.0)) < 1e-4);
    }

    #[test]
    fn distorted_or_missing_landmarks_fall_back_to_the_box() {
        let rect = Rect::new(100.0, 50.0, 60.0, 80.0);
        let plain = crop_to_source(&Crop::Aligned, [112, 112], &rect, None);
        assert!(plain.apply(Point::new(56.0, 56.0)).distance(rect.centre()) < 1e-3);
        assert_eq!(plain.b, 0.0);
        // A profile: all points nearly on one vertical line.
        let squeezed = face_template(112).map(|p| Point::new(100.0 + p.x * 0.1, 50.0 + p.y));
        assert_eq!(crop_to_source(&Crop::Aligned, [112, 112], &rect, Some(&squeezed)), plain);
        // All points in one place.
        let heap = face_template(112).map(|_| Point::new(9.0, 9.0));
        assert_eq!(crop_to_source(&Crop::Aligned, [112, 112], &rect, Some(&heap)), plain);
        // Half a turn of the head is still believed.
        let turned = face_template(112).map(|p| Point::new(p.x * 0.6, p.y));
        assert_ne!(crop_to_source(&Crop::Aligned, [112, 112], &rect, Some(&turned)), plain);
    }

    #[test]
    fn padded_box_is_black_outside_the_box_only() {
        let picture = Picture::filled(100, 100, [200, 200, 200]);
        let mut out = Picture::new(20, 20);
        cut(&picture, &Crop::Box { fit: Fit::Pad, expand: 1.0 }, &Rect::new(30.0, 20.0, 20.0, 40.0), None, &mut out);
        assert_eq!(out.pixel(4, 10), [0; 3]);
        assert_eq!(out.pixel(5, 0), [200; 3]);
        assert_eq!(out.pixel(14, 19), [200; 3]);
        assert_eq!(out.pixel(15, 10), [0; 3]);
    }

    #[test]
    fn square_box_grows_its_shorter_side() {
        let mut picture = Picture::new(100, 100);
        picture.set_pixel(20, 40, [255; 3]);
        let mut out = Picture::new(40, 40);
        cut(&picture, &Crop::Box { fit: Fit::Square, expand: 1.0 }, &Rect::new(30.0, 20.0, 20.0, 40.0), None, &mut out);
        assert_eq!(out.pixel(0, 20), [255; 3], "the square is (20, 20) to (60, 60)");
    }
}

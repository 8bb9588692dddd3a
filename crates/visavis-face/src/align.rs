//! Crops a face upright, as the network was trained on (paper, section III-B).

use visavis_image::{Picture, Point, Rect, Similarity, Turn, distortion, face_template, warp_into};
use visavis_infer::manifest::{Crop, Fit};

use crate::face_view::FaceView;

/// Keypoints with a higher distortion are ignored, and the plain box is cropped instead.
///
/// The distortion is the ratio of the singular values of the best affine map onto the template. For frontal faces it is
/// below 1.5; above 3 the face is in full profile or a keypoint is wrong, and a rotation fitted to the points would be
/// arbitrary.
pub const MOST_DISTORTION: f32 = 3.0;

/// How much larger than the detector's box the plain crop is for a network that expects an aligned face: templates have
/// margins around the face (paper: 20 %), boxes do not.
const PLAIN_EXPANSION: f32 = 1.45;

/// The transform from crop pixels to source pixels for a crop of `size` (width, height). The crop is upright, whatever the
/// rotation of the face in the picture.
///
/// A crop by keypoints falls back to a square around the box if there are no landmarks, if they span no area or if
/// their distortion is above [`MOST_DISTORTION`].
#[must_use]
pub fn crop_to_source(crop: &Crop, size: [u32; 2], face: &FaceView) -> Similarity {
    let FaceView { rect, landmarks, turn } = face;
    let by_points = |from: &[Point], to: &[Point]| {
        let trusted = distortion(from, to).is_some_and(|ratio| ratio <= MOST_DISTORTION) || from.len() == 2;
        Similarity::least_squares(to, from).filter(|_| trusted)
    };
    let aligned = match (crop, landmarks) {
        (Crop::Box { fit, expand }, _) => return box_to_source(&rect.expanded(*expand), *fit, size, *turn),
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
    aligned.unwrap_or_else(|| box_to_source(&rect.expanded(PLAIN_EXPANSION), Fit::Square, size, *turn))
}

/// Crops `picture` into `out`, whose size is that of the crop.
pub fn cut(picture: &Picture, crop: &Crop, face: &FaceView, out: &mut Picture) {
    let to_source = crop_to_source(crop, [out.width(), out.height()], face);
    warp_into(picture, &to_source, out);
    if let Crop::Box { fit: Fit::Pad, expand } = crop {
        blacken_outside(&face.rect.expanded(*expand), &to_source, out);
    }
}

fn weighted_mean(five: &[Point; 5], weights: &[f32; 5]) -> Point {
    let sum = |pick: fn(&Point) -> f32| five.iter().zip(weights).map(|(p, w)| pick(p) * w).sum();
    Point::new(sum(|p| p.x), sum(|p| p.y))
}

/// The longer side of the box fills the crop (for [`Fit::Pad`] the rest is set to black afterwards).
fn box_to_source(rect: &Rect, fit: Fit, size: [u32; 2], turn: Turn) -> Similarity {
    let upright = size.map(|side| side.max(1) as f32);
    // The size of the crop in the orientation of the picture.
    let [width, height] = turn.size(upright);
    let scale = match fit {
        Fit::Pad => (rect.width / width).max(rect.height / height),
        Fit::Square => rect.width.max(rect.height) / width.min(height),
    };
    let centre = rect.centre();
    Similarity::scale_then_shift(scale, centre.x - scale * width / 2.0, centre.y - scale * height / 2.0)
        .after(&turn.transform(upright))
}

fn blacken_outside(rect: &Rect, to_source: &Similarity, out: &mut Picture) {
    let from_source = to_source.inverse();
    let (p, q) =
        (from_source.apply(Point::new(rect.x, rect.y)), from_source.apply(Point::new(rect.right(), rect.bottom())));
    let within = |p: f32, q: f32, side: u32| {
        // A pixel on the edge belongs to the side on which its centre lies.
        let clip = |value: f32| value.round().clamp(0.0, side as f32) as usize;
        clip(p.min(q))..clip(p.max(q))
    };
    let (columns, rows) = (within(p.x, q.x, out.width()), within(p.y, q.y, out.height()));
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
    use visavis_image::Landmarks;
    use visavis_infer::manifest::Anchor;

    fn landmarks_of(template: Landmarks, truth: &Similarity) -> Landmarks {
        template.map(|p| truth.apply(p))
    }

    #[test]
    fn aligned_crop_puts_landmarks_on_the_template() {
        let truth = Similarity { a: 0.6, b: 0.3, tx: 40.0, ty: 25.0 };
        let landmarks = landmarks_of(face_template(112), &truth);
        let found = crop_to_source(&Crop::Aligned, [112, 112], &FaceView::upright(Rect::default(), Some(landmarks)));
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
        let found = crop_to_source(&crop, [40, 40], &FaceView::upright(Rect::default(), Some(landmarks)));
        assert!(found.apply(Point::new(20.0, 10.0)).distance(Point::new(20.0, 10.0)) < 1e-4);
        assert!(found.apply(Point::new(20.0, 30.0)).distance(Point::new(20.0, 30.0)) < 1e-4);
    }

    #[test]
    fn distorted_or_missing_landmarks_fall_back_to_the_box() {
        let rect = Rect::new(100.0, 50.0, 60.0, 80.0);
        let cut = |landmarks| crop_to_source(&Crop::Aligned, [112, 112], &FaceView::upright(rect, landmarks));
        let plain = cut(None);
        assert!(plain.apply(Point::new(56.0, 56.0)).distance(rect.centre()) < 1e-3);
        assert_eq!(plain.b, 0.0);
        // A profile: all points nearly on one vertical line.
        let squeezed = face_template(112).map(|p| Point::new(100.0 + p.x * 0.1, 50.0 + p.y));
        assert_eq!(cut(Some(squeezed)), plain);
        // All points in one place.
        let heap = face_template(112).map(|_| Point::new(9.0, 9.0));
        assert_eq!(cut(Some(heap)), plain);
        // A half-turned head is below the limit.
        let turned = face_template(112).map(|p| Point::new(p.x * 0.6, p.y));
        assert_ne!(cut(Some(turned)), plain);
    }

    #[test]
    fn a_face_that_lies_on_its_side_gives_the_crop_of_the_upright_one() {
        let pixels =
            (0..90 * 70u32).flat_map(|i| [(i % 90 * 2) as u8, (i / 90 * 3) as u8, (i % 13 * 9) as u8]).collect();
        let picture = Picture::from_rgb(90, 70, pixels).unwrap();
        let rect = Rect::new(28.0, 20.0, 24.0, 32.0);
        let landmarks = face_template(24).map(|p| Point::new(p.x + 28.0, p.y + 22.0));
        let crops = [
            (Crop::Aligned, Some(landmarks)),
            (Crop::Aligned, None),
            (Crop::Box { fit: Fit::Square, expand: 1.2 }, None),
            (Crop::Box { fit: Fit::Pad, expand: 1.0 }, None),
        ];
        for (crop, landmarks) in crops {
            let mut upright = Picture::new(36, 28);
            cut(&picture, &crop, &FaceView::upright(rect, landmarks), &mut upright);
            for turn in Turn::ALL {
                let size = [90.0, 70.0];
                let to_turned = turn.transform(size);
                let landmarks = landmarks.map(|points| points.map(|p| to_turned.apply(p)));
                let face = FaceView { rect: turn.rect(&rect, size), landmarks, turn };
                let mut out = Picture::new(36, 28);
                cut(&picture.turned(turn), &crop, &face, &mut out);
                let worst = out.pixels().iter().zip(upright.pixels()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                assert!(worst <= 2, "{crop:?} {turn:?}: {worst}");
            }
        }
    }

    #[test]
    fn padded_box_is_black_outside_the_box_only() {
        let picture = Picture::filled(100, 100, [200, 200, 200]);
        let mut out = Picture::new(20, 20);
        let face = FaceView::upright(Rect::new(30.0, 20.0, 20.0, 40.0), None);
        cut(&picture, &Crop::Box { fit: Fit::Pad, expand: 1.0 }, &face, &mut out);
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
        let face = FaceView::upright(Rect::new(30.0, 20.0, 20.0, 40.0), None);
        cut(&picture, &Crop::Box { fit: Fit::Square, expand: 1.0 }, &face, &mut out);
        assert_eq!(out.pixel(0, 20), [255; 3], "the square is (20, 20) to (60, 60)");
    }
}

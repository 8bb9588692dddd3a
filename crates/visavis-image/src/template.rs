//! The symmetric keypoint template to which faces are aligned (paper, section III-B).

use crate::{Landmarks, Point};

/// Margin below the keypoints, as a share of the template's side.
pub const BOTTOM_MARGIN: f32 = 0.10;
/// Margin above and beside them.
pub const OTHER_MARGIN: f32 = 0.20;

/// Makes a set of keypoints symmetric and fits it into a square of `side` pixels.
///
/// The two points of every pair of `mirror_pairs` get the mean of their heights and of their distances from the
/// vertical centre line; points in no pair move onto it. The line is midway between the pairs. The set is then
/// scaled (both axes alike) and shifted to be as large as the margins allow: [`BOTTOM_MARGIN`] below, [`OTHER_MARGIN`]
/// elsewhere, at the bottom margin and centred horizontally.
///
/// `None` if the points span no area or a pair has an index out of range.
#[must_use]
pub fn symmetric_template(points: &[Point], mirror_pairs: &[(usize, usize)], side: f32) -> Option<Vec<Point>> {
    if mirror_pairs.is_empty() || mirror_pairs.iter().any(|&(l, r)| l >= points.len() || r >= points.len()) {
        return None;
    }
    let centre =
        mirror_pairs.iter().map(|&(l, r)| (points[l].x + points[r].x) / 2.0).sum::<f32>() / mirror_pairs.len() as f32;
    let mut symmetric: Vec<Point> = points.iter().map(|p| Point::new(centre, p.y)).collect();
    for &(left, right) in mirror_pairs {
        let (l, r) = (points[left], points[right]);
        let half = ((centre - l.x) + (r.x - centre)) / 2.0;
        let height = (l.y + r.y) / 2.0;
        symmetric[left] = Point::new(centre - half, height);
        symmetric[right] = Point::new(centre + half, height);
    }
    let bounds = |pick: fn(&Point) -> f32| {
        let values = symmetric.iter().map(pick);
        values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
    };
    let ((left, right), (top, bottom)) = (bounds(|p| p.x), bounds(|p| p.y));
    let (room_across, room_down) = (1.0 - 2.0 * OTHER_MARGIN, 1.0 - OTHER_MARGIN - BOTTOM_MARGIN);
    let scale = side * (room_across / (right - left)).min(room_down / (bottom - top));
    if !scale.is_finite() || scale <= 0.0 {
        return None;
    }
    let floor = side * (1.0 - BOTTOM_MARGIN);
    Some(
        symmetric
            .iter()
            .map(|p| Point::new(side / 2.0 + (p.x - centre) * scale, floor - (bottom - p.y) * scale))
            .collect(),
    )
}

/// A frontal face as eight keypoints: left and right eye, nose tip, left and right mouth corner, then the outer ends of
/// the left and right brow and the chin.
///
/// Unit: the distance between the eyes; origin midway between them. The first five are the mean over the 7,445 frontal
/// faces of MTFL, each rotated and scaled so that its eyes are at (±½, 0). Brows and chin, which MTFL does not label, have
/// the usual proportions of an adult face; they only determine how much of the head the template shows.
const FACE: [Point; 8] = [
    Point::new(-0.5, 0.0),
    Point::new(0.5, 0.0),
    Point::new(-0.0104, 0.5880),
    Point::new(-0.4350, 1.0565),
    Point::new(0.4320, 1.0598),
    Point::new(-0.95, -0.39),
    Point::new(0.95, -0.39),
    Point::new(0.0, 1.85),
];

/// Pairs of points of [`FACE`] that mirror each other.
const FACE_PAIRS: [(usize, usize); 3] = [(0, 1), (3, 4), (5, 6)];

/// Where the five landmarks of an aligned face lie in a square picture of `side` pixels (224 in the paper).
#[must_use]
pub fn face_template(side: u32) -> Landmarks {
    let points =
        symmetric_template(&FACE, &FACE_PAIRS, side as f32).expect("FACE spans an area and its pairs lie within it");
    Landmarks::from([points[0], points[1], points[2], points[3], points[4]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_are_as_the_paper_says() {
        // A square set of points: the width (60 %) is the limit, not the height (70 %).
        let square = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)].map(|(x, y)| Point::new(x, y));
        let template = symmetric_template(&square, &[(0, 1), (2, 3)], 100.0).unwrap();
        let expected = [(20.0, 30.0), (80.0, 30.0), (20.0, 90.0), (80.0, 90.0)];
        for (point, (x, y)) in template.iter().zip(expected) {
            assert!(point.distance(Point::new(x, y)) < 1e-4, "{point:?}");
        }
        // A tall set: the height is the limit and both vertical margins are reached.
        let tall = [(0.0, 0.0), (1.0, 0.0), (0.5, 7.0)].map(|(x, y)| Point::new(x, y));
        let template = symmetric_template(&tall, &[(0, 1)], 100.0).unwrap();
        assert!((template[0].y - 20.0).abs() < 1e-4 && (template[2].y - 90.0).abs() < 1e-4, "{template:?}");
    }

    #[test]
    fn pairs_are_averaged_and_the_rest_is_centred() {
        let points = [(1.0, 2.0), (5.0, 4.0), (2.5, 9.0)].map(|(x, y)| Point::new(x, y));
        let template = symmetric_template(&points, &[(0, 1)], 224.0).unwrap();
        assert_eq!(template[0].y, template[1].y);
        assert!((template[0].x + template[1].x - 224.0).abs() < 1e-3);
        assert_eq!(template[2].x, 112.0);
    }

    #[test]
    fn face_template_is_symmetric_and_scales_with_the_side() {
        let (small, large) = (face_template(112), face_template(224));
        for (s, l) in small.to_array().iter().zip(large.to_array()) {
            assert!(Point::new(s.x * 2.0, s.y * 2.0).distance(l) < 1e-3);
        }
        assert!((large.left_eye.x + large.right_eye.x - 224.0).abs() < 1e-3);
        assert_eq!(large.left_mouth.y, large.right_mouth.y);
        assert_eq!(large.nose.x, 112.0);
        assert!(large.left_eye.y > 0.2 * 224.0 && large.left_mouth.y < 0.9 * 224.0);
    }

    #[test]
    fn points_without_extent_have_no_template() {
        assert_eq!(symmetric_template(&[Point::default(); 3], &[(0, 1)], 224.0), None);
        assert_eq!(symmetric_template(&[Point::default()], &[(0, 7)], 224.0), None);
    }
}

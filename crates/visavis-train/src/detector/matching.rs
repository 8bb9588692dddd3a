//! Assigns faces to anchors, as training targets.

use visavis_face::detect::encode_box;
use visavis_image::{Landmarks, Rect};

use super::VARIANCES;

/// A box of a training picture, in pixels of the network's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelledBox {
    /// The box.
    pub rect: Rect,
    /// Whether it is a face that must be found; otherwise it is ignored.
    pub face: bool,
    /// Its keypoints, if labelled.
    pub landmarks: Option<Landmarks>,
}

/// The training target of one anchor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AnchorTarget {
    /// No face.
    Nothing,
    /// Ignored: its overlap with a face is too large for "no face" and too small for "face", or it lies in an ignored box.
    Ignored,
    /// This face, as an offset from the anchor.
    Face([f32; 4]),
}

/// Thresholds for assigning faces to anchors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Matching {
    /// With at least this overlap (intersection over union) the anchor's target is the face.
    pub face: f32,
    /// Below this overlap the target is no face.
    pub nothing: f32,
    /// Anchors of which at least this share lies in an ignored box are ignored.
    pub ignored: f32,
}

impl Default for Matching {
    /// Lower than SSD's 0.5, because small faces between two places overlap no anchor by that much.
    fn default() -> Self {
        Self { face: 0.45, nothing: 0.35, ignored: 0.5 }
    }
}

/// The target of each anchor. Every face gets at least the anchor with the largest overlap.
#[must_use]
pub fn match_anchors(anchors: &[Rect], boxes: &[LabelledBox], rule: &Matching) -> Vec<AnchorTarget> {
    let mut targets = vec![AnchorTarget::Nothing; anchors.len()];
    let mut overlaps = vec![0.0f32; anchors.len()];
    for ignored in boxes.iter().filter(|labelled| !labelled.face) {
        for (anchor, target) in anchors.iter().zip(&mut targets) {
            let inside = anchor.intersection(&ignored.rect).map_or(0.0, |rect| rect.area() / anchor.area());
            // The overlap alone would miss an anchor much larger than the box.
            if inside >= rule.ignored || anchor.iou(&ignored.rect) >= rule.nothing {
                *target = AnchorTarget::Ignored;
            }
        }
    }
    let faces = || boxes.iter().filter(|labelled| labelled.face).map(|labelled| labelled.rect);
    let mut best = Vec::new();
    for face in faces() {
        let (mut most, mut place) = (0.0, None);
        for (at, anchor) in anchors.iter().enumerate() {
            let overlap = anchor.iou(&face);
            if overlap > most {
                (most, place) = (overlap, Some(at));
            }
            if overlap > overlaps[at] {
                overlaps[at] = overlap;
                if overlap >= rule.face {
                    targets[at] = AnchorTarget::Face(encode_box(anchor, &face, VARIANCES));
                } else if overlap >= rule.nothing && targets[at] == AnchorTarget::Nothing {
                    targets[at] = AnchorTarget::Ignored;
                }
            }
        }
        best.extend(place.map(|at| (at, face)));
    }
    for (at, face) in best {
        // Unless another face fits better.
        if overlaps[at] <= anchors[at].iou(&face) {
            targets[at] = AnchorTarget::Face(encode_box(&anchors[at], &face, VARIANCES));
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_image::Point;

    fn square(x: f32, side: f32) -> Rect {
        Rect::around(Point::new(x, 50.0), side, side)
    }

    #[test]
    fn faces_take_what_overlaps_and_at_least_the_best() {
        // Far away; slightly beside the face; on the face.
        let anchors = [square(200.0, 20.0), square(58.0, 20.0), square(51.0, 20.0)];
        let face = |x: f32, side: f32| LabelledBox { rect: square(x, side), face: true, landmarks: None };
        let targets = match_anchors(&anchors, &[face(50.0, 20.0)], &Matching::default());
        assert_eq!(targets[0], AnchorTarget::Nothing);
        // 12 of 28 pixels in a row are shared: 0.43.
        assert_eq!(targets[1], AnchorTarget::Ignored);
        let AnchorTarget::Face(offset) = targets[2] else { panic!("{targets:?}") };
        assert!((offset[0] + 0.5).abs() < 1e-5 && offset[2].abs() < 1e-6, "{offset:?}");
        // Too small for all anchors: it still gets the best one.
        let targets = match_anchors(&anchors, &[face(45.0, 4.0)], &Matching::default());
        assert!(matches!(targets[2], AnchorTarget::Face(_)));
        assert_eq!(targets[..2], [AnchorTarget::Nothing; 2]);
    }

    #[test]
    fn what_does_not_count_is_left_alone_unless_a_face_is_there() {
        let anchors = [square(50.0, 20.0), square(200.0, 20.0)];
        let region = LabelledBox { rect: square(50.0, 200.0), face: false, landmarks: None };
        assert_eq!(
            match_anchors(&anchors, &[region], &Matching::default()),
            [AnchorTarget::Ignored, AnchorTarget::Nothing]
        );
        let face = LabelledBox { rect: square(50.0, 20.0), face: true, landmarks: None };
        assert!(matches!(match_anchors(&anchors, &[region, face], &Matching::default())[0], AnchorTarget::Face(_)));
    }
}

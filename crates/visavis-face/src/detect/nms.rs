//! Non-maximum suppression: one box per face.

use super::Face;

/// Goes through the faces from the highest score down and keeps each one whose overlap (IoU) with every kept face is at most
/// `iou`. The result is sorted by falling score; faces with equal scores keep their order, so that runs are reproducible.
#[must_use]
pub fn non_maximum_suppression(mut faces: Vec<Face>, iou: f32) -> Vec<Face> {
    faces.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Face> = Vec::new();
    for face in faces {
        if kept.iter().all(|strong| strong.rect.iou(&face.rect) <= iou) {
            kept.push(face);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use visavis_image::{Rect, Turn};

    fn face(x: f32, score: f32) -> Face {
        Face { rect: Rect::new(x, 0.0, 10.0, 10.0), score, landmarks: None, turn: Turn::None }
    }

    #[test]
    fn keeps_the_strongest_of_each_heap() {
        let kept = non_maximum_suppression(vec![face(0.0, 0.5), face(1.0, 0.9), face(30.0, 0.4), face(2.0, 0.8)], 0.4);
        assert_eq!(kept, vec![face(1.0, 0.9), face(30.0, 0.4)]);
    }

    proptest! {
        #[test]
        fn kept_are_apart_and_every_dropped_one_has_a_reason(
            boxes in prop::collection::vec((0f32..100.0, 0f32..100.0, 1f32..60.0, 1f32..60.0, 0f32..1.0), 0..40),
            iou in 0.1f32..0.9,
        ) {
            let faces: Vec<Face> = boxes.iter().map(|&(x, y, w, h, score)| Face { rect: Rect::new(x, y, w, h), score, landmarks: None, turn: Turn::None }).collect();
            let kept = non_maximum_suppression(faces.clone(), iou);
            for (i, a) in kept.iter().enumerate() {
                for b in &kept[i + 1..] {
                    prop_assert!(a.rect.iou(&b.rect) <= iou && a.score >= b.score);
                }
            }
            for face in &faces {
                prop_assert!(kept.contains(face) || kept.iter().any(|k| k.score >= face.score && k.rect.iou(&face.rect) > iou));
            }
        }
    }
}

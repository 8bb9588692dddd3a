//! Anchor boxes of the SSD family (Liu et al. 2016): a box is coded as an offset from one of many fixed boxes.

use visavis_image::{Landmarks, Point, Rect};
use visavis_infer::manifest::AnchorLevel;

/// The anchors for one input size, made once and kept.
#[derive(Debug, Default)]
pub struct AnchorGrid {
    size: (u32, u32),
    anchors: Vec<Rect>,
}

impl AnchorGrid {
    /// All anchors in input pixels: level by level, row by row, column by column, size by size, ratio by ratio.
    ///
    /// A level of stride s over W × H has ⌈W/s⌉ × ⌈H/s⌉ cells, as a convolution with "same" padding produces.
    pub fn for_input(&mut self, levels: &[AnchorLevel], width: u32, height: u32) -> &[Rect] {
        if self.size != (width, height) {
            self.size = (width, height);
            self.anchors.clear();
            for level in levels {
                let stride = level.stride.max(1);
                for row in 0..height.div_ceil(stride) {
                    for column in 0..width.div_ceil(stride) {
                        let centre =
                            Point::new((column as f32 + 0.5) * stride as f32, (row as f32 + 0.5) * stride as f32);
                        for &size in &level.sizes {
                            self.anchors.extend(
                                level.ratios.iter().map(|r| Rect::around(centre, size * r.sqrt(), size / r.sqrt())),
                            );
                        }
                    }
                }
            }
        }
        &self.anchors
    }
}

/// Centre-size coding: centre = anchor centre + t·v₀·anchor size, size = anchor size · exp(t·v₁).
#[must_use]
pub fn decode_box(anchor: &Rect, offset: &[f32], [centre_variance, size_variance]: [f32; 2]) -> Rect {
    let centre = shifted(anchor, offset[0], offset[1], centre_variance);
    let (width, height) =
        (anchor.width * (offset[2] * size_variance).exp(), anchor.height * (offset[3] * size_variance).exp());
    Rect::around(centre, width, height)
}

/// The inverse of [`decode_box`]: the training target of an anchor for a face.
#[must_use]
pub fn encode_box(anchor: &Rect, face: &Rect, [centre_variance, size_variance]: [f32; 2]) -> [f32; 4] {
    let (from, to) = (anchor.centre(), face.centre());
    [
        (to.x - from.x) / (anchor.width * centre_variance),
        (to.y - from.y) / (anchor.height * centre_variance),
        (face.width / anchor.width).ln() / size_variance,
        (face.height / anchor.height).ln() / size_variance,
    ]
}

/// Five points, each coded as the centre of a box is.
pub(super) fn decode_points(anchor: &Rect, offset: &[f32], variance: f32) -> Landmarks {
    Landmarks::from(std::array::from_fn(|i| shifted(anchor, offset[2 * i], offset[2 * i + 1], variance)))
}

fn shifted(anchor: &Rect, x: f32, y: f32, variance: f32) -> Point {
    let centre = anchor.centre();
    Point::new(centre.x + x * variance * anchor.width, centre.y + y * variance * anchor.height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coding_goes_both_ways() {
        let (anchor, face) = (Rect::new(10.0, 20.0, 30.0, 40.0), Rect::new(13.0, 9.0, 25.0, 61.0));
        let back = decode_box(&anchor, &encode_box(&anchor, &face, [0.1, 0.2]), [0.1, 0.2]);
        assert!(back.iou(&face) > 0.9999, "{back:?}");
        assert_eq!(encode_box(&anchor, &anchor, [0.1, 0.2]), [0.0; 4]);
    }

    #[test]
    fn count_and_order() {
        let levels = [
            AnchorLevel { stride: 8, sizes: vec![16.0, 24.0], ratios: vec![1.0] },
            AnchorLevel { stride: 16, sizes: vec![32.0], ratios: vec![1.0, 0.25] },
        ];
        let mut grid = AnchorGrid::default();
        let anchors = grid.for_input(&levels, 20, 16);
        // Level 8: 3 × 2 cells × 2; level 16: 2 × 1 cells × 2.
        assert_eq!(anchors.len(), 12 + 4);
        assert_eq!(anchors[0], Rect::around(Point::new(4.0, 4.0), 16.0, 16.0));
        assert_eq!(anchors[1], Rect::around(Point::new(4.0, 4.0), 24.0, 24.0));
        assert_eq!(anchors[2].centre(), Point::new(12.0, 4.0));
        assert_eq!(anchors[13], Rect::around(Point::new(8.0, 8.0), 16.0, 64.0));
        assert_eq!(grid.for_input(&levels, 8, 8).len(), 2 + 2, "another size makes another grid");
    }
}

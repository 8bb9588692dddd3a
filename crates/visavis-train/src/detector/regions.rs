//! Between the stages of a two-stage detector: choosing the proposals, and reading the planes in their boxes.
//!
//! `export::regions` does the same with operators of an ONNX graph.

use visavis_face::detect::decode_box;
use visavis_image::{Point, Rect};
use visavis_infer::manifest::AnchorLevel;

use super::{AnchorTarget, LabelledBox, Matching, VARIANCES, match_anchors};

/// Offsets are clamped to this: a factor of e² in size, a whole side in place. An untrained network may predict more.
pub(crate) const MOST_OFFSET: f32 = 10.0;

/// Penalty on a score per unit by which a neighbour of the same size is better, for boxes that are large against the stride.
pub(crate) const THINNING: f32 = 1000.0;

/// Boxes of at least this many strides overlap their neighbours so much that one of them is enough.
const THINNED_FROM: f32 = 3.0;

/// [`THINNING`] for each anchor of a place: zero if two neighbours may be two faces.
pub(crate) fn thinning(level: &AnchorLevel) -> Vec<f32> {
    let factor = |size: &f32| if *size >= THINNED_FROM * level.stride as f32 { THINNING } else { 0.0 };
    level.sizes.iter().flat_map(|size| level.ratios.iter().map(move |_| factor(size))).collect()
}

/// The indices of the `count` anchors that are proposed for one picture, best first, by its scores; `across` and `down` are the
/// size of the plane. An anchor that is large against the stride is proposed only if no neighbour of its size is better.
pub(crate) fn choose(scores: &[f32], level: &AnchorLevel, [across, down]: [usize; 2], count: usize) -> Vec<usize> {
    let factors = thinning(level);
    let each = factors.len();
    let around = |at: usize, length: usize| at.saturating_sub(1)..=(at + 1).min(length - 1);
    let mut thinned: Vec<f32> = scores.to_vec();
    for (index, score) in thinned.iter_mut().enumerate() {
        let (place, anchor) = (index / each, index % each);
        let (row, column) = (place / across, place % across);
        let neighbours = around(row, down).flat_map(|row| around(column, across).map(move |c| row * across + c));
        let best = neighbours.map(|place| scores[place * each + anchor]).fold(f32::NEG_INFINITY, f32::max);
        *score -= factors[anchor] * (best - *score);
    }
    let mut order: Vec<usize> = (0..thinned.len()).collect();
    // Equal ones keep their order, as with `TopK`.
    order.sort_by(|a, b| thinned[*b].total_cmp(&thinned[*a]));
    order.truncate(count);
    order
}

/// Applies an offset to the box `from`.
pub(crate) fn decode(from: &Rect, offset: &[f32]) -> Rect {
    let limited: [f32; 4] = std::array::from_fn(|at| offset[at].clamp(-MOST_OFFSET, MOST_OFFSET));
    decode_box(from, &limited, VARIANCES)
}

/// The boxes for training the second stage, at most `count`, and their targets: faces of the picture, moved slightly, and
/// proposals. At most half of them are faces, the rest are the best proposals that are none.
pub(crate) fn sample(
    mut proposals: Vec<Rect>,
    labelled: &[LabelledBox],
    count: usize,
    random: &mut fastrand::Rng,
) -> (Vec<Rect>, Vec<AnchorTarget>) {
    for face in labelled.iter().filter(|labelled| labelled.face) {
        let mut moved = || 1.0 + 0.3 * (random.f32() - 0.5);
        let (rect, centre) = (face.rect, face.rect.centre());
        let to = Point::new(centre.x + rect.width * (moved() - 1.0), centre.y + rect.height * (moved() - 1.0));
        proposals.push(Rect::around(to, rect.width * moved(), rect.height * moved()));
    }
    let rule = Matching { face: 0.5, nothing: 0.4, ignored: 0.5 };
    let targets = match_anchors(&proposals, labelled, &rule);
    let (mut faces, mut others) = (Vec::new(), Vec::new());
    for (rect, target) in proposals.into_iter().zip(targets) {
        match target {
            AnchorTarget::Face(_) => faces.push((rect, target)),
            AnchorTarget::Nothing => others.push((rect, target)),
            AnchorTarget::Ignored => {}
        }
    }
    random.shuffle(&mut faces);
    faces.truncate(count / 2);
    others.truncate(count - faces.len());
    faces.into_iter().chain(others).unzip()
}

/// Weights of linear interpolation: each span `[from, length]` in pixels is read at `side` evenly spaced points, from `length`
/// values with a distance of `stride` pixels. Row-major `[spans · side, length]`; outside, the value at the edge counts.
pub(crate) fn reading(spans: impl Iterator<Item = [f32; 2]>, side: usize, stride: u32, length: usize) -> Vec<f32> {
    let mut weights = Vec::new();
    for [from, extent] in spans {
        for point in 0..side {
            let pixel = from + extent * (point as f32 + 0.5) / side as f32;
            let at = (pixel / stride as f32 - 0.5).clamp(0.0, (length - 1) as f32);
            weights.extend((0..length).map(|place| (1.0 - (at - place as f32).abs()).max(0.0)));
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_heap_of_large_boxes_is_proposed_and_all_small_ones() {
        // Two sizes at each of 3×1 places: the first small, the second large.
        let level = AnchorLevel { stride: 16, sizes: vec![20.0, 64.0], ratios: vec![1.0] };
        let scores = [1.0, 5.0, 2.0, 6.0, 3.0, 4.0];
        // The large one in the middle is better than its neighbours; then the small ones by their scores.
        assert_eq!(choose(&scores, &level, [3, 1], 4), [3, 4, 2, 0]);
        assert_eq!(choose(&scores, &level, [3, 1], 9).len(), 6, "there are no more");
    }

    #[test]
    fn planes_are_read_between_their_places() {
        // Values at pixels 8, 24, 40. A span from 8 to 40 is read at 16 and 32, half way between.
        let weights = reading([[8.0, 32.0]].into_iter(), 2, 16, 3);
        assert_eq!(weights, [0.5, 0.5, 0.0, 0.0, 0.5, 0.5]);
        // Far outside: the edge.
        assert_eq!(reading([[-90.0, 10.0]].into_iter(), 1, 16, 3), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn the_second_stage_is_taught_faces_and_the_best_of_what_is_none() {
        let rect = Rect::new(50.0, 50.0, 20.0, 20.0);
        let labelled = [
            LabelledBox { rect, face: true, landmarks: None },
            LabelledBox { rect: Rect::new(200.0, 0.0, 50.0, 50.0), face: false, landmarks: None },
        ];
        let far = |x: f32| Rect::new(x, 120.0, 20.0, 20.0);
        // One on the face, one in an ignored box, three elsewhere.
        let proposals =
            vec![Rect::new(51.0, 50.0, 20.0, 20.0), Rect::new(210.0, 10.0, 20.0, 20.0), far(0.0), far(30.0), far(60.0)];
        let (rects, targets) = sample(proposals, &labelled, 4, &mut fastrand::Rng::with_seed(1));
        let faces = targets.iter().filter(|target| matches!(target, AnchorTarget::Face(_))).count();
        assert_eq!((rects.len(), faces), (4, 2), "the proposal and the face itself, moved");
        assert_eq!(rects[2..], [far(0.0), far(30.0)]);
        let AnchorTarget::Face(offset) = targets[0] else { panic!("faces come first") };
        assert!(decode(&rects[0], &offset).iou(&rect) > 0.99);
    }
}

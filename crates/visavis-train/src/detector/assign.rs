//! Assigns faces to the cells of an anchor-free detector, as training targets: SimOTA (Ge et al., YOLOX, 2021).
//!
//! Each face is assigned to the few cells that predict it best; their number is the sum of the overlaps of the best predicted
//! boxes. So the assignment changes while the network learns.

use visavis_image::{Point, Rect};

use super::LabelledBox;

/// A cell of the pyramid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    /// The point to which boxes and keypoints are relative, in pixels.
    pub(crate) origin: Point,
    /// Distance of two cells in pixels.
    pub(crate) stride: f32,
}

impl Cell {
    fn centre(&self) -> Point {
        Point::new(self.origin.x + 0.5 * self.stride, self.origin.y + 0.5 * self.stride)
    }

    /// Decodes the four numbers of a box.
    pub(crate) fn decode(&self, numbers: &[f32]) -> Rect {
        let centre = Point::new(self.origin.x + numbers[0] * self.stride, self.origin.y + numbers[1] * self.stride);
        let side = |number: f32| number.clamp(-LARGEST, LARGEST).exp() * self.stride;
        Rect::around(centre, side(numbers[2]), side(numbers[3]))
    }
}

/// Largest logarithm of a size in strides; only an untrained network predicts more.
pub(crate) const LARGEST: f32 = 5.0;

/// All cells of a picture: level by level, row by row.
pub(crate) fn cells(strides: impl Iterator<Item = u32>, [width, height]: [u32; 2]) -> Vec<Cell> {
    strides
        .flat_map(|stride| {
            let at = move |index: u32| (index * stride) as f32;
            let cell = move |column, row| Cell { origin: Point::new(at(column), at(row)), stride: stride as f32 };
            (0..height / stride).flat_map(move |row| (0..width / stride).map(move |column| cell(column, row)))
        })
        .collect()
}

/// The training target of one cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum CellTarget {
    /// No face.
    Nothing,
    /// Ignored: a face here may be found or missed.
    Ignored,
    /// The face with this index in the picture's list, and its overlap with the cell's current box.
    Face { label: usize, overlap: f32 },
}

/// Cells within this distance from a face's centre, in strides, can be assigned to it.
const RADIUS: f32 = 2.5;
/// Number of best cells whose overlaps are summed to get the number of cells for a face.
const CANDIDATES: usize = 10;
/// Weight of the overlap in the cost of a cell; the score has 1.
const OVERLAP_WEIGHT: f32 = 3.0;
/// Added to the cost of a cell outside the face or too far from its centre.
const OUTSIDE: f32 = 1e5;
/// A cell whose current box overlaps an ignored one by this much is ignored.
const IGNORED_OVERLAP: f32 = 0.4;

/// The target of each cell of a picture, by the current boxes and scores (0 to 1) of the network.
pub(crate) fn assign(cells: &[Cell], predicted: &[Rect], scores: &[f32], labels: &[LabelledBox]) -> Vec<CellTarget> {
    let mut targets = vec![CellTarget::Nothing; cells.len()];
    let mut costs = vec![f32::INFINITY; cells.len()];
    for ignored in labels.iter().filter(|label| !label.face) {
        for (at, cell) in cells.iter().enumerate() {
            let centre = cell.centre();
            // The centres of cells may all lie outside a box smaller than a cell.
            let near = Rect::around(
                ignored.rect.centre(),
                ignored.rect.width.max(1.5 * cell.stride),
                ignored.rect.height.max(1.5 * cell.stride),
            );
            if contains(&near, centre) || predicted[at].iou(&ignored.rect) >= IGNORED_OVERLAP {
                targets[at] = CellTarget::Ignored;
            }
        }
    }
    for (label, face) in labels.iter().enumerate().filter(|(_, label)| label.face) {
        let mut candidates: Vec<(f32, usize, f32)> = Vec::new();
        for (at, cell) in cells.iter().enumerate() {
            let (centre, middle) = (cell.centre(), face.rect.centre());
            let reach = RADIUS * cell.stride;
            let inside = contains(&face.rect, centre);
            let near = (centre.x - middle.x).abs() < reach && (centre.y - middle.y).abs() < reach;
            if !inside && !near {
                continue;
            }
            let overlap = predicted[at].iou(&face.rect);
            let cost = -scores[at].max(1e-6).ln() - OVERLAP_WEIGHT * (overlap + 1e-7).ln();
            candidates.push((cost + if inside && near { 0.0 } else { OUTSIDE }, at, overlap));
        }
        let mut overlaps: Vec<f32> = candidates.iter().map(|candidate| candidate.2).collect();
        overlaps.sort_by(|a, b| b.total_cmp(a));
        let count = (overlaps.iter().take(CANDIDATES).sum::<f32>() as usize).max(1);
        candidates.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (cost, at, overlap) in candidates.into_iter().take(count) {
            // A cell assigned to two faces goes to the one with the lower cost.
            if cost < costs[at] {
                costs[at] = cost;
                targets[at] = CellTarget::Face { label, overlap };
            }
        }
    }
    targets
}

fn contains(rect: &Rect, point: Point) -> bool {
    point.x > rect.x && point.x < rect.right() && point.y > rect.y && point.y < rect.bottom()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(rect: Rect, face: bool) -> LabelledBox {
        LabelledBox { rect, face, landmarks: None }
    }

    #[test]
    fn cells_lie_level_by_level() {
        let cells = cells([8, 16].into_iter(), [32, 16]);
        assert_eq!(cells.len(), 4 * 2 + 2);
        assert_eq!((cells[5].origin, cells[5].stride), (Point::new(8.0, 8.0), 8.0));
        assert_eq!(cells[9].origin, Point::new(16.0, 0.0));
        // Half a stride to the right and one down; as wide as a stride, e times as high.
        let rect = cells[5].decode(&[0.5, 1.0, 0.0, 1.0]);
        assert!((rect.centre().x - 12.0).abs() < 1e-5 && (rect.centre().y - 16.0).abs() < 1e-5);
        assert!((rect.width - 8.0).abs() < 1e-5 && (rect.height - 8.0 * std::f32::consts::E).abs() < 1e-4);
    }

    #[test]
    fn a_face_takes_the_cells_that_predict_it_best() {
        let cells = cells([8].into_iter(), [64, 64]);
        let face = Rect::new(16.0, 16.0, 24.0, 24.0);
        // Every cell predicts a box of the right size around itself; the middle one fits best.
        let predicted: Vec<Rect> = cells.iter().map(|cell| Rect::around(cell.centre(), 24.0, 24.0)).collect();
        let scores = vec![0.5; cells.len()];
        let targets = assign(&cells, &predicted, &scores, &[labelled(face, true)]);
        let taken: Vec<usize> = (0..cells.len()).filter(|at| matches!(targets[*at], CellTarget::Face { .. })).collect();
        let best = 3 * 8 + 3;
        assert!(matches!(targets[best], CellTarget::Face { label: 0, overlap } if overlap > 0.99));
        // The sum of the ten best overlaps: 1 + 4·0.5 + 4·0.29 + 0.2.
        assert_eq!(taken.len(), 4, "{taken:?}");
        // With equally good boxes, a better score decides.
        let mut scores = scores;
        scores[best + 1] = 0.9;
        scores[best - 1] = 0.01;
        let targets = assign(&cells, &predicted, &scores, &[labelled(face, true)]);
        assert!(matches!(targets[best + 1], CellTarget::Face { .. }));
        assert_eq!(targets[best - 1], CellTarget::Nothing);
    }

    #[test]
    fn a_tiny_face_is_taught_and_ignored_places_are_left_alone() {
        let cells = cells([8].into_iter(), [64, 64]);
        let predicted: Vec<Rect> = cells.iter().map(|cell| Rect::around(cell.centre(), 6.0, 6.0)).collect();
        let scores = vec![0.5; cells.len()];
        // Between four centres.
        let tiny = Rect::around(Point::new(32.0, 32.0), 3.0, 3.0);
        let targets = assign(&cells, &predicted, &scores, &[labelled(tiny, true)]);
        assert_eq!(targets.iter().filter(|target| matches!(target, CellTarget::Face { .. })).count(), 1);
        let targets = assign(&cells, &predicted, &scores, &[labelled(tiny, false)]);
        assert!(targets.contains(&CellTarget::Ignored));
        assert!(!targets.iter().any(|target| matches!(target, CellTarget::Face { .. })));
        let region = Rect::new(0.0, 0.0, 32.0, 64.0);
        let targets = assign(&cells, &predicted, &scores, &[labelled(region, false), labelled(tiny, true)]);
        assert!(targets.iter().any(|target| matches!(target, CellTarget::Face { .. })));
        assert_eq!((targets[0], targets[7]), (CellTarget::Ignored, CellTarget::Nothing));
    }
}

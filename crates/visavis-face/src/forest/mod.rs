//! Keypoints by regression trees: a cascade of gradient-boosted trees on differences of pixels (V. Kazemi and
//! J. Sullivan, "One millisecond face alignment with an ensemble of regression trees", CVPR 2014).
//!
//! The search starts with the mean face in the detector's box. Each level of the cascade reads some hundred pixels, whose
//! places depend on the shape found so far. Each of its trees compares pairs of pixels and moves the five points a little.
//! `visavis-train` grows the trees; both read pixels through [`Level::read_pixels`].

mod file;
mod frame;
mod grey;
mod locate;

pub use file::ForestError;
pub use frame::BoxFrame;
pub use grey::{GreyImage, GreyPicture, Mirrored, Sampler};
pub use locate::ForestLocator;

use visavis_image::{Landmarks, Point, Rect, Similarity, Turn};

/// Keypoints per face.
pub const POINTS: usize = 5;
/// Coordinates per face.
pub const COORDINATES: usize = 2 * POINTS;

/// The five keypoints in the coordinates of a [`BoxFrame`], in the order of [`Landmarks::to_array`].
pub type Shape = [Point; POINTS];

/// A pixel that a level reads; it moves with the nearest keypoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PixelSample {
    /// Index of the keypoint with which it moves, below [`POINTS`].
    pub anchor: u8,
    /// Its offset from that keypoint while the shape is the mean shape, in sides of the box.
    pub offset: Point,
}

/// A split of a tree: is pixel `a` brighter than pixel `b` by more than `threshold`?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Split {
    /// Index of a pixel sample of the level.
    pub a: u16,
    /// Index of another one.
    pub b: u16,
    /// In grey levels, −255 to 255.
    pub threshold: i16,
}

impl Split {
    /// Whether pixel `a` is brighter by more than the threshold.
    #[must_use]
    pub fn passes(self, a: i16, b: i16) -> bool {
        a - b > self.threshold
    }
}

/// What a leaf adds to the coordinates x y x y …, in steps of its tree.
pub type Leaf = [i8; COORDINATES];

/// One regression tree. Nodes are numbered row by row: the children of node n are 2n + 1 (the split passes) and 2n + 2.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// 2^depth − 1 of them.
    pub splits: Vec<Split>,
    /// 2^depth of them, from left to right.
    pub leaves: Vec<Leaf>,
    /// One step of the leaves, in sides of the box.
    pub step: f32,
}

/// One level of the cascade: its pixels and its trees, in flat arrays.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    depth: u8,
    pixels: Vec<PixelSample>,
    splits: Vec<Split>,
    leaves: Vec<Leaf>,
    steps: Vec<f32>,
}

impl Level {
    /// A level without trees.
    #[must_use]
    pub fn new(depth: u8, pixels: Vec<PixelSample>) -> Self {
        Self { depth, pixels, splits: Vec::new(), leaves: Vec::new(), steps: Vec::new() }
    }

    /// Adds a tree.
    ///
    /// # Panics
    /// If the number of splits or leaves does not match the depth.
    pub fn push(&mut self, tree: Tree) {
        assert_eq!((tree.splits.len(), tree.leaves.len()), (split_count(self.depth), leaf_count(self.depth)));
        self.splits.extend(tree.splits);
        self.leaves.extend(tree.leaves);
        self.steps.push(tree.step);
    }

    /// Number of trees so far.
    #[must_use]
    pub fn trees(&self) -> usize {
        self.steps.len()
    }

    /// The pixels that it reads.
    #[must_use]
    pub fn pixels(&self) -> &[PixelSample] {
        &self.pixels
    }

    /// Calls `put` with the grey value of each of `pixels`, in order.
    ///
    /// `turn` is the result of [`orientation`] for the shape: offsets rotate and scale with the face.
    pub fn read_pixels(
        pixels: &[PixelSample],
        sampler: &Sampler<'_, impl GreyImage>,
        shape: &Shape,
        turn: &Similarity,
        mut put: impl FnMut(usize, u8),
    ) {
        for (index, pixel) in pixels.iter().enumerate() {
            let (anchor, offset) = (shape[usize::from(pixel.anchor)], turn.apply(pixel.offset));
            put(index, sampler.at(Point::new(anchor.x + offset.x, anchor.y + offset.y)));
        }
    }

    /// The sum of the leaves that these pixel values reach: moves of the coordinates x y x y …, in the orientation of
    /// the mean shape.
    fn moves(&self, values: &[i16]) -> [f32; COORDINATES] {
        let mut sum = [0.0; COORDINATES];
        let splits = self.splits.chunks_exact(split_count(self.depth));
        for ((splits, leaves), step) in splits.zip(self.leaves.chunks_exact(leaf_count(self.depth))).zip(&self.steps) {
            for (sum, steps) in sum.iter_mut().zip(leaves[leaf_of(splits, values)]) {
                *sum += step * f32::from(steps);
            }
        }
        sum
    }
}

/// Number of splits in a tree of this depth.
#[must_use]
pub const fn split_count(depth: u8) -> usize {
    (1 << depth) - 1
}

/// Number of leaves in a tree of this depth.
#[must_use]
pub const fn leaf_count(depth: u8) -> usize {
    1 << depth
}

/// The leaf that these pixel values reach.
fn leaf_of(splits: &[Split], values: &[i16]) -> usize {
    let mut node = 0;
    while let Some(split) = splits.get(node) {
        let passes = split.passes(values[usize::from(split.a)], values[usize::from(split.b)]);
        node = 2 * node + 2 - usize::from(passes);
    }
    node - splits.len()
}

/// Rotation and scale of `shape` against the mean shape: a similarity without its shift.
#[must_use]
pub fn orientation(mean: &Shape, shape: &Shape) -> Similarity {
    let fitted = Similarity::least_squares(mean, shape).unwrap_or(Similarity::IDENTITY);
    Similarity { tx: 0.0, ty: 0.0, ..fitted }
}

/// Adds moves x y x y …, given in the orientation of the mean shape, to a shape rotated and scaled by `turn` (X. Cao et
/// al., "Face alignment by explicit shape regression", CVPR 2012: shape residuals are learnt in normalised
/// coordinates, so that a rotated face moves as an upright one does).
pub fn advance(shape: &mut Shape, turn: &Similarity, moves: &[f32; COORDINATES]) {
    for (point, by) in shape.iter_mut().zip(moves.chunks_exact(2)) {
        let by = turn.apply(Point::new(by[0], by[1]));
        *point = Point::new(point.x + by.x, point.y + by.y);
    }
}

/// A cascade of regression trees.
#[derive(Debug, Clone, PartialEq)]
pub struct Forest {
    mean: Shape,
    resolution: u16,
    levels: Vec<Level>,
}

impl Forest {
    /// Makes a forest from its parts. `resolution`: see [`Sampler`].
    ///
    /// # Errors
    /// [`ForestError::Part`] if a part does not match the others or the file format. So every forest that exists can be
    /// written.
    pub fn new(mean: Shape, resolution: u16, levels: Vec<Level>) -> Result<Self, ForestError> {
        let forest = Self { mean, resolution, levels };
        forest.check().map(|()| forest)
    }

    /// The mean shape, from which the search starts.
    #[must_use]
    pub fn mean(&self) -> &Shape {
        &self.mean
    }

    /// The levels, first to last.
    #[must_use]
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// The landmarks of the face in `rect`, in pixels of `image`. `values` is scratch memory.
    #[must_use]
    pub fn locate(&self, image: &impl GreyImage, rect: &Rect, values: &mut Vec<i16>) -> Landmarks {
        self.locate_turned(image, rect, Turn::None, values)
    }

    /// As [`Forest::locate`], for a face that is turned by `turn` in the picture.
    #[must_use]
    pub fn locate_turned(&self, image: &impl GreyImage, rect: &Rect, turn: Turn, values: &mut Vec<i16>) -> Landmarks {
        let frame = BoxFrame { turn, ..BoxFrame::of(rect) };
        let sampler = Sampler::new(image, frame, self.resolution);
        let mut shape = self.mean;
        for level in &self.levels {
            let turn = orientation(&self.mean, &shape);
            values.clear();
            Level::read_pixels(&level.pixels, &sampler, &shape, &turn, |_, grey| values.push(grey.into()));
            advance(&mut shape, &turn, &level.moves(values));
        }
        frame.landmarks(&shape)
    }
}

#[cfg(test)]
mod tests;

//! The file format of a forest.
//!
//! Little-endian throughout; version 1:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `VVFOREST` |
//! | 2 | version, 1 |
//! | 1, 1 | keypoints, 5; depth of the trees D, 1 to 8 |
//! | 2, 2, 2 | levels, pixels of a level, trees of a level |
//! | 2 | resolution, see [`Sampler`](super::Sampler) |
//! | 40 | mean shape: x y of five points, `f32` |
//! | for each level | |
//! | 9 each | pixels: anchor `u8`, offset x y `f32` |
//! | for each tree | |
//! | 6 each | 2^D − 1 splits: pixel a `u16`, pixel b `u16`, threshold `i16` |
//! | 4 | step of the leaves, `f32` |
//! | 10 each | 2^D leaves: steps of x y x y …, `i8` |
//!
//! The length of the file follows from the header, so that a file with wrong sizes is rejected before memory is
//! allocated.

use visavis_image::Point;

use super::{COORDINATES, Forest, Level, POINTS, PixelSample, Split, Tree, leaf_count, split_count};

const MAGIC: [u8; 8] = *b"VVFOREST";
const VERSION: u16 = 1;
const HEADER: usize = 60;
const PIXEL: usize = 9;
const SPLIT: usize = 6;
const LARGEST_DEPTH: u8 = 8;
/// Coordinates and steps beyond this many sides of the box are invalid.
const FARTHEST: f32 = 16.0;

/// An invalid forest or forest file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForestError {
    /// Not a forest file.
    #[error("not a regression forest: it does not begin with VVFOREST")]
    Magic,
    /// The file was written by a newer program.
    #[error("version {found} of the forest's file is unknown; this program reads version {VERSION}")]
    Version {
        /// The file's version.
        found: u16,
    },
    /// The file is cut off, or longer than its header says.
    #[error("the forest's file has {found} bytes, its header says {expected}")]
    Length {
        /// The length by its header; the header's own length if the file is shorter than that.
        expected: usize,
        /// Its length.
        found: usize,
    },
    /// A part is invalid.
    #[error("forest: {part}: {reason}")]
    Part {
        /// Such as `level 3, pixel 17`.
        part: String,
        /// What is wrong with it.
        reason: String,
    },
}

fn refuse<T>(part: impl Into<String>, reason: impl Into<String>) -> Result<T, ForestError> {
    Err(ForestError::Part { part: part.into(), reason: reason.into() })
}

impl Forest {
    /// Reads a forest's file.
    ///
    /// # Errors
    /// [`ForestError`] for bytes that are not a valid forest.
    pub fn read(bytes: &[u8]) -> Result<Self, ForestError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(ForestError::Magic);
        }
        if bytes.len() < HEADER {
            return Err(ForestError::Length { expected: HEADER, found: bytes.len() });
        }
        let mut reader = Reader(&bytes[MAGIC.len()..]);
        let version = reader.u16();
        if version != VERSION {
            return Err(ForestError::Version { found: version });
        }
        let [points, depth] = reader.take();
        if usize::from(points) != POINTS {
            return refuse("keypoints", format!("{points}; there must be {POINTS}"));
        }
        if !(1..=LARGEST_DEPTH).contains(&depth) {
            return refuse("depth", format!("{depth} is not between 1 and {LARGEST_DEPTH}"));
        }
        let [levels, pixels, trees] = [reader.u16(), reader.u16(), reader.u16()].map(usize::from);
        let expected = HEADER.saturating_add(levels.saturating_mul(level_size(depth, pixels, trees)));
        if bytes.len() != expected {
            return Err(ForestError::Length { expected, found: bytes.len() });
        }
        let resolution = reader.u16();
        let mean = std::array::from_fn(|_| reader.point());
        let levels = (0..levels).map(|_| reader.level(depth, pixels, trees)).collect();
        Self::new(mean, resolution, levels)
    }

    /// The bytes of the forest's file.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let (depth, pixels, trees) = self.sizes();
        let mut out = Vec::with_capacity(HEADER + self.levels.len() * level_size(depth, pixels, trees));
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend([POINTS as u8, depth]);
        for size in [self.levels.len(), pixels, trees] {
            out.extend((size as u16).to_le_bytes());
        }
        out.extend(self.resolution.to_le_bytes());
        self.mean.iter().for_each(|point| put_point(&mut out, *point));
        for level in &self.levels {
            for pixel in &level.pixels {
                out.push(pixel.anchor);
                put_point(&mut out, pixel.offset);
            }
            let splits = level.splits.chunks_exact(split_count(depth));
            for ((splits, leaves), step) in splits.zip(level.leaves.chunks_exact(leaf_count(depth))).zip(&level.steps) {
                for split in splits {
                    out.extend(split.a.to_le_bytes());
                    out.extend(split.b.to_le_bytes());
                    out.extend(split.threshold.to_le_bytes());
                }
                out.extend(step.to_le_bytes());
                out.extend(leaves.iter().flatten().map(|steps| *steps as u8));
            }
        }
        out
    }

    /// Depth, number of pixels and number of trees, the same in each level; zeros without levels.
    fn sizes(&self) -> (u8, usize, usize) {
        self.levels.first().map_or((0, 0, 0), |level| (level.depth, level.pixels.len(), level.trees()))
    }

    /// Checks that every index refers to something, every value is finite, and the file format can hold the forest.
    pub(super) fn check(&self) -> Result<(), ForestError> {
        let (depth, pixels, trees) = self.sizes();
        if self.resolution == 0 {
            return refuse("resolution", "is 0");
        }
        if !self.mean.iter().all(near) {
            return refuse("mean shape", "lies far outside the box");
        }
        let sizes = [("levels", self.levels.len()), ("pixels", pixels), ("trees", trees)];
        if let Some((name, size)) = sizes.into_iter().find(|(_, size)| !(1..=usize::from(u16::MAX)).contains(size)) {
            return refuse(name, format!("{size} is not between 1 and {}", u16::MAX));
        }
        if !(1..=LARGEST_DEPTH).contains(&depth) {
            return refuse("depth", format!("{depth} is not between 1 and {LARGEST_DEPTH}"));
        }
        for (number, level) in self.levels.iter().enumerate() {
            if (level.depth, level.pixels.len(), level.trees()) != (depth, pixels, trees) {
                return refuse(format!("level {number}"), "has another size than the first level");
            }
            let good = |pixel: &PixelSample| usize::from(pixel.anchor) < POINTS && near(&pixel.offset);
            if let Some(bad) = level.pixels.iter().position(|pixel| !good(pixel)) {
                return refuse(format!("level {number}, pixel {bad}"), format!("{:?}", level.pixels[bad]));
            }
            let good = |split: &Split| [split.a, split.b].iter().all(|pixel| usize::from(*pixel) < pixels);
            if let Some(bad) = level.splits.iter().position(|split| !good(split)) {
                return refuse(format!("level {number}, split {bad}"), format!("{:?}", level.splits[bad]));
            }
            if let Some(bad) = level.steps.iter().position(|step| !(step.is_finite() && step.abs() <= FARTHEST)) {
                return refuse(format!("level {number}, tree {bad}"), format!("a step of {}", level.steps[bad]));
            }
        }
        Ok(())
    }
}

fn near(point: &Point) -> bool {
    point.x.abs() <= FARTHEST && point.y.abs() <= FARTHEST
}

/// Bytes of a level.
fn level_size(depth: u8, pixels: usize, trees: usize) -> usize {
    pixels * PIXEL + trees * (split_count(depth) * SPLIT + 4 + leaf_count(depth) * COORDINATES)
}

fn put_point(out: &mut Vec<u8>, point: Point) {
    out.extend(point.x.to_le_bytes());
    out.extend(point.y.to_le_bytes());
}

/// Reads from bytes; the caller has checked that there are enough.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// The next bytes; zeros beyond the end, which is never reached.
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.0.split_first_chunk::<N>().map_or(([0; N], &[][..]), |(taken, rest)| (*taken, rest));
        self.0 = rest;
        taken
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn f32(&mut self) -> f32 {
        f32::from_le_bytes(self.take())
    }

    fn point(&mut self) -> Point {
        Point::new(self.f32(), self.f32())
    }

    fn level(&mut self, depth: u8, pixels: usize, trees: usize) -> Level {
        let pixels = (0..pixels)
            .map(|_| {
                let [anchor] = self.take();
                PixelSample { anchor, offset: self.point() }
            })
            .collect();
        let mut level = Level::new(depth, pixels);
        for _ in 0..trees {
            let splits = (0..split_count(depth))
                .map(|_| Split { a: self.u16(), b: self.u16(), threshold: i16::from_le_bytes(self.take()) })
                .collect();
            let step = self.f32();
            let leaves = (0..leaf_count(depth)).map(|_| self.take().map(|byte: u8| byte as i8)).collect();
            level.push(Tree { splits, leaves, step });
        }
        level
    }
}

//! Trains the cascade, level by level, tree by tree.

use fastrand::Rng;
use visavis_face::forest::{COORDINATES, Forest, Level, POINTS, Shape, Tree, advance, orientation};
use visavis_image::Point;

use super::pixels::PixelPool;
use super::samples::{LabelledFace, Sample, mean_shape, searches, starts};
use super::tree::{Columns, Grower, Residual, leaf_of};
use super::{TrainForestError, TrainForestParams};

/// With fewer faces the mean shape is meaningless.
const FEWEST_FACES: usize = 8;

/// Distance of the shapes from the labels, mean over samples and points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Errors {
    /// As a share of the box's side.
    pub by_box: f32,
    /// As a share of the eye distance; faces in full profile have a large weight here.
    pub interocular: f32,
}

/// Progress of the training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Level of the last tree, from 1.
    pub level: usize,
    /// Number of the last tree in the level, from 1.
    pub tree: usize,
    /// Number of trees so far.
    pub done: usize,
    /// Number of trees in total.
    pub total: usize,
    /// Errors on the training starts.
    pub training: Errors,
    /// Errors on the faces that are not used for training, with one search each; `None` if there are none.
    pub validation: Option<Errors>,
}

/// Trains a forest on `faces`; `validation` is only used for measuring. `progress` is called after every tree.
///
/// # Errors
/// [`TrainForestError::Parameter`] for invalid parameters, [`TrainForestError::TooFewFaces`].
pub fn train(
    faces: &[LabelledFace],
    validation: &[LabelledFace],
    params: &TrainForestParams,
    mut progress: impl FnMut(&Progress),
) -> Result<Forest, TrainForestError> {
    params.validate()?;
    if faces.len() < FEWEST_FACES {
        return Err(TrainForestError::TooFewFaces { faces: faces.len(), needed: FEWEST_FACES });
    }
    let mut rng = Rng::with_seed(params.seed);
    let mean = mean_shape(faces);
    let mut learning = Searches::new(starts(faces, &mean, params, &mut rng));
    let mut measuring = Searches::new(searches(validation, &mean));
    let mut levels = Vec::with_capacity(params.levels);
    for number in 1..=params.levels {
        let pool = PixelPool::draw(&mean, params, &mut rng);
        let columns = learning.begin(&mean, &pool, params);
        let measured = measuring.begin(&mean, &pool, params);
        let mut level = Level::new(params.depth, pool.pixels.clone());
        for tree_number in 1..=params.trees {
            let grower = Grower { columns: &columns, residuals: &learning.residuals, pool: &pool, params };
            let tree = grower.grow(&mut rng);
            learning.take(&tree, &columns);
            measuring.take(&tree, &measured);
            level.push(tree);
            progress(&Progress {
                level: number,
                tree: tree_number,
                done: (number - 1) * params.trees + tree_number,
                total: params.all_trees(),
                training: learning.errors().unwrap_or(Errors { by_box: 0.0, interocular: 0.0 }),
                validation: measuring.errors(),
            });
        }
        learning.finish();
        measuring.finish();
        levels.push(level);
    }
    Ok(Forest::new(mean, params.resolution, levels)?)
}

/// Searches in progress, all at the same level.
struct Searches<'a> {
    samples: Vec<Sample<'a>>,
    /// The residual of each, in the orientation of the mean shape.
    residuals: Vec<Residual>,
    /// The sum of the level's trees for each so far.
    moves: Vec<[f32; COORDINATES]>,
}

impl<'a> Searches<'a> {
    fn new(samples: Vec<Sample<'a>>) -> Self {
        let count = samples.len();
        Self { samples, residuals: vec![[0.0; 12]; count], moves: vec![[0.0; COORDINATES]; count] }
    }

    /// Begins a level: aligns the shapes, computes the residuals, reads the pixels.
    fn begin(&mut self, mean: &Shape, pool: &PixelPool, params: &TrainForestParams) -> Columns {
        let mut columns = Columns::new(self.samples.len(), pool.pixels.len());
        for (index, sample) in self.samples.iter_mut().enumerate() {
            sample.turn = orientation(mean, &sample.shape);
            let back = sample.turn.inverse();
            for (point, (truth, shape)) in sample.truth.iter().zip(&sample.shape).enumerate() {
                let missing = back.apply(Point::new(truth.x - shape.x, truth.y - shape.y));
                self.residuals[index][2 * point..][..2].copy_from_slice(&[missing.x, missing.y]);
            }
            sample.read_pixels(&pool.pixels, params.resolution, |pixel, grey| columns.set(index, pixel, grey));
        }
        self.moves.fill([0.0; COORDINATES]);
        columns
    }

    /// Applies a tree to every sample, with the same arithmetic as [`Forest::locate`].
    fn take(&mut self, tree: &Tree, columns: &Columns) {
        for (index, (residual, moves)) in self.residuals.iter_mut().zip(&mut self.moves).enumerate() {
            let leaf = tree.leaves[leaf_of(tree, columns, index)];
            for ((residual, by), steps) in residual.iter_mut().zip(moves).zip(leaf) {
                let said = tree.step * f32::from(steps);
                *residual -= said;
                *by += said;
            }
        }
    }

    fn finish(&mut self) {
        for (sample, moves) in self.samples.iter_mut().zip(&self.moves) {
            advance(&mut sample.shape, &sample.turn, moves);
        }
    }

    /// `None` without samples.
    fn errors(&self) -> Option<Errors> {
        let (mut by_box, mut interocular) = (0.0f64, 0.0);
        for (sample, residual) in self.samples.iter().zip(&self.residuals) {
            let missing: f32 = residual[..COORDINATES].chunks_exact(2).map(|by| by[0].hypot(by[1])).sum();
            let missing = f64::from(missing * sample.turn.scale() / POINTS as f32);
            by_box += missing;
            interocular += missing / f64::from(sample.interocular().max(1e-3));
        }
        let count = self.samples.len() as f64;
        (count > 0.0).then(|| Errors { by_box: (by_box / count) as f32, interocular: (interocular / count) as f32 })
    }
}

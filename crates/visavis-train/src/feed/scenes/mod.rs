//! Batches for detectors from pictures with face boxes.

mod compose;
mod set;

pub use compose::{Composer, View};
pub use set::{Scene, SceneSet};

use std::sync::Arc;

use visavis_data::{DataError, Split};
use visavis_face::detect::AnchorGrid;
use visavis_infer::manifest::{AnchorLevel, Colour};

use super::batch::write_picture;
use super::loader::BatchLoader;
use super::mix;
use crate::detector::{AnchorTarget, LabelledBox, Matching, match_anchors};
use crate::recipe::{AugmentParams, SceneParams};

/// Parameters for making batches.
#[derive(Debug, Clone)]
pub struct SceneFeedParams {
    /// Augmentation of colours.
    pub augment: AugmentParams,
    /// Composition of scenes.
    pub scenes: SceneParams,
    /// The detector's anchors.
    pub levels: Vec<AnchorLevel>,
    /// Pictures per batch.
    pub batch: usize,
    /// Subtracted from pixels, per channel.
    pub mean: [f32; 3],
    /// Divisor, per channel.
    pub std: [f32; 3],
    /// Seed of all variation, together with the index in the epoch.
    pub seed: u64,
    /// Number of threads.
    pub threads: usize,
}

/// The pictures of one step, all of one size.
#[derive(Debug, Clone, PartialEq)]
pub struct SceneBatch {
    /// `[3, N, height, width]`: `(value − mean) / std`.
    pub pictures: Vec<f32>,
    /// Number of pictures.
    pub count: usize,
    /// Width and height.
    pub size: [u32; 2],
    /// The target of each anchor of each picture; empty for a detector without anchors.
    pub targets: Vec<AnchorTarget>,
    /// The boxes of each picture, from which the targets were made.
    pub boxes: Vec<Vec<LabelledBox>>,
}

/// The scenes of an epoch, shuffled, each as often as its source says.
#[must_use]
pub fn scene_epoch(sets: &[(Arc<SceneSet>, f32)], seed: u64) -> Vec<(usize, usize)> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut picks = Vec::new();
    for (set, (scenes, repeat)) in sets.iter().enumerate() {
        for scene in scenes.of(Split::Train) {
            let repeat = repeat * scenes.scenes[scene].repeat;
            let times = repeat.floor() as usize + usize::from(random.f32() < repeat.fract());
            picks.extend(std::iter::repeat_n((set, scene), times));
        }
    }
    random.shuffle(&mut picks);
    picks
}

/// The batches of an epoch from `skip` on, in order, made in advance by threads.
#[must_use]
pub fn scene_batches(
    sets: &[(Arc<SceneSet>, f32)],
    picks: Vec<(usize, usize)>,
    skip: usize,
    params: &SceneFeedParams,
) -> BatchLoader<SceneBatch> {
    let (sets, picks, params) = (Arc::new(sets.to_vec()), Arc::new(picks), Arc::new(params.clone()));
    let count = picks.len() / params.batch;
    BatchLoader::start(params.threads, skip..count, move || {
        let (sets, picks, params) = (sets.clone(), picks.clone(), params.clone());
        let mut composer = Composer::new(params.scenes.clone(), params.augment.clone());
        let mut grid = AnchorGrid::default();
        move |index| {
            let start = index * params.batch;
            let chosen = &picks[start..start + params.batch];
            make(&sets, chosen, start, &params, (&mut composer, &mut grid))
        }
    })
}

fn make(
    sets: &[(Arc<SceneSet>, f32)],
    picks: &[(usize, usize)],
    start: usize,
    params: &SceneFeedParams,
    (composer, grid): (&mut Composer, &mut AnchorGrid),
) -> Result<SceneBatch, DataError> {
    // All pictures of a batch have one size, since it is one tensor.
    let sizes = &params.scenes.sizes;
    let size = sizes[(mix(&[params.seed, start as u64, 3]) % sizes.len() as u64) as usize];
    let plane = (size[0] * size[1]) as usize;
    let mut pictures = vec![0.0; 3 * picks.len() * plane];
    let anchors = grid.for_input(&params.levels, size[0], size[1]);
    let (mut targets, rule) = (Vec::with_capacity(picks.len() * anchors.len()), Matching::default());
    let mut boxes = Vec::with_capacity(picks.len());
    for (index, &(set, scene)) in picks.iter().enumerate() {
        let mut random = fastrand::Rng::with_seed(mix(&[params.seed, (start + index) as u64]));
        let view = composer.compose(sets, (set, scene), size, &mut random);
        write_picture(&mut pictures, [index, picks.len()], &view.picture, Colour::Rgb, &params.mean, &params.std);
        if !anchors.is_empty() {
            targets.extend(match_anchors(anchors, &view.boxes, &rule));
        }
        boxes.push(view.boxes);
    }
    Ok(SceneBatch { pictures, count: picks.len(), size, targets, boxes })
}

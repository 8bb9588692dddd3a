//! Trains one tree.

use std::ops::Range;
use std::panic::resume_unwind;
use std::thread;

use fastrand::Rng;
use visavis_face::forest::{COORDINATES, Leaf, Split, Tree, split_count};

use super::TrainForestParams;
use super::pixels::PixelPool;

/// The residual, x y x y …; two zeros at the end fill whole SIMD lanes.
pub(super) type Residual = [f32; 12];

/// Number of samples that are summed in single precision before they are added to a sum in double precision. Their residuals
/// stay in the first-level cache while all candidates are tried on them.
const BLOCK: usize = 256;

/// Grey values of all samples, a column per pixel of the level.
pub(super) struct Columns {
    values: Vec<u8>,
    samples: usize,
}

impl Columns {
    pub(super) fn new(samples: usize, pixels: usize) -> Self {
        Self { values: vec![0; samples * pixels], samples }
    }

    pub(super) fn set(&mut self, sample: usize, pixel: usize, value: u8) {
        self.values[pixel * self.samples + sample] = value;
    }

    fn column(&self, pixel: u16) -> &[u8] {
        &self.values[usize::from(pixel) * self.samples..][..self.samples]
    }

    fn passes(&self, split: Split, sample: usize) -> bool {
        split.passes(self.column(split.a)[sample].into(), self.column(split.b)[sample].into())
    }
}

/// Sum and number of the residuals on one side of a split.
#[derive(Clone, Copy, Default)]
struct Side {
    sum: [f64; 12],
    count: f64,
}

impl Side {
    fn less(&self, other: &Self) -> Self {
        let mut rest = *self;
        rest.sum.iter_mut().zip(other.sum).for_each(|(rest, other)| *rest -= other);
        rest.count -= other.count;
        rest
    }

    /// The reduction of the square loss if the residuals of this side move by their mean, up to a term that is the same for all
    /// splits of a node.
    fn gain(&self) -> f64 {
        if self.count == 0.0 { 0.0 } else { self.sum.iter().map(|sum| sum * sum).sum::<f64>() / self.count }
    }

    fn of(order: &[u32], residuals: &[Residual]) -> Self {
        let mut side = Self::default();
        for block in order.chunks(BLOCK) {
            let mut sum = [0.0f32; 12];
            for sample in block {
                sum.iter_mut().zip(residuals[*sample as usize]).for_each(|(sum, value)| *sum += value);
            }
            side.add(&sum, block.len() as f32);
        }
        side
    }

    fn add(&mut self, sum: &[f32; 12], count: f32) {
        self.sum.iter_mut().zip(sum).for_each(|(all, sum)| *all += f64::from(*sum));
        self.count += f64::from(count);
    }
}

/// A node and its samples: a range of the order.
#[derive(Clone, Copy)]
struct Node {
    start: usize,
    end: usize,
}

impl Node {
    fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// The input for training one tree.
pub(super) struct Grower<'a> {
    pub(super) columns: &'a Columns,
    /// The target of each sample.
    pub(super) residuals: &'a [Residual],
    pub(super) pool: &'a PixelPool,
    pub(super) params: &'a TrainForestParams,
}

impl Grower<'_> {
    /// Trains a tree.
    pub(super) fn grow(&self, rng: &mut Rng) -> Tree {
        let mut order: Vec<u32> = (0..self.residuals.len() as u32).collect();
        let mut spare = Vec::with_capacity(order.len());
        let mut row = vec![Node { start: 0, end: order.len() }];
        let mut splits = Vec::with_capacity(split_count(self.params.depth));
        for _ in 0..self.params.depth {
            let best = self.best_splits(&order, &row, rng);
            let mut next = Vec::with_capacity(2 * row.len());
            for (node, split) in row.iter().zip(&best) {
                let passes = |sample| self.columns.passes(*split, sample as usize);
                let middle = node.start + partition(&mut order[node.range()], &mut spare, passes);
                next.extend([Node { start: node.start, end: middle }, Node { start: middle, end: node.end }]);
            }
            splits.extend(best);
            row = next;
        }
        let means: Vec<[f32; COORDINATES]> = row
            .iter()
            .map(|node| {
                let side = Side::of(&order[node.range()], self.residuals);
                std::array::from_fn(|i| (side.sum[i] / side.count.max(1.0)) as f32 * self.params.shrinkage)
            })
            .collect();
        let (step, leaves) = rounded(&means);
        Tree { splits, leaves, step }
    }

    /// The best of some random splits for each node of a row.
    fn best_splits(&self, order: &[u32], row: &[Node], rng: &mut Rng) -> Vec<Split> {
        let tries = self.params.candidates;
        let candidates: Vec<Vec<Split>> =
            row.iter().map(|node| (0..tries).map(|_| self.candidate(&order[node.range()], rng)).collect()).collect();
        // Threads share the candidates, not the samples: each sum has the same order, whatever the number of threads.
        let share = tries.div_ceil(self.params.threads);
        let part = |from: usize| -> Vec<Vec<Side>> {
            let mine = from.min(tries)..(from + share).min(tries);
            let nodes = row.iter().zip(&candidates);
            nodes.map(|(node, splits)| self.passing(&order[node.range()], &splits[mine.clone()])).collect()
        };
        let parts: Vec<Vec<Vec<Side>>> = thread::scope(|scope| {
            let part = &part;
            let others: Vec<_> =
                (1..self.params.threads).map(|thread| scope.spawn(move || part(thread * share))).collect();
            let mut parts = vec![part(0)];
            parts.extend(others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic))));
            parts
        });
        let best = |(index, node): (usize, &Node)| {
            let whole = Side::of(&order[node.range()], self.residuals);
            let sides = parts.iter().flat_map(|part| &part[index]);
            let gains = sides.map(|side| side.gain() + whole.less(side).gain());
            let mut best = (f64::NEG_INFINITY, Split::default());
            for (gain, split) in gains.zip(&candidates[index]) {
                if gain > best.0 {
                    best = (gain, *split);
                }
            }
            best.1
        };
        row.iter().enumerate().map(best).collect()
    }

    /// A random split. Its threshold is the difference of its pixels in a sample of the node, so that it separates the samples.
    fn candidate(&self, here: &[u32], rng: &mut Rng) -> Split {
        let (a, b) = self.pool.pair(rng);
        let threshold = rng.choice(here).map_or(0, |sample| {
            let sample = *sample as usize;
            i16::from(self.columns.column(a)[sample]) - i16::from(self.columns.column(b)[sample])
        });
        Split { a, b, threshold }
    }

    /// For each split, the samples that pass it.
    fn passing(&self, order: &[u32], splits: &[Split]) -> Vec<Side> {
        let mut sides = vec![Side::default(); splits.len()];
        for block in order.chunks(BLOCK) {
            for (side, split) in sides.iter_mut().zip(splits) {
                let (a, b) = (self.columns.column(split.a), self.columns.column(split.b));
                let (mut sum, mut count) = ([0.0f32; 12], 0.0f32);
                for sample in block {
                    let sample = *sample as usize;
                    // Multiplied instead of branching, since the answers are unpredictable.
                    let passes = f32::from(u8::from(split.passes(a[sample].into(), b[sample].into())));
                    let residual = &self.residuals[sample];
                    for lane in 0..12 {
                        sum[lane] += passes * residual[lane];
                    }
                    count += passes;
                }
                side.add(&sum, count);
            }
        }
        sides
    }
}

/// Moves the samples that pass before those that do not, keeping their order; returns the number that pass.
fn partition(order: &mut [u32], spare: &mut Vec<u32>, passes: impl Fn(u32) -> bool) -> usize {
    spare.clear();
    let mut kept = 0;
    for index in 0..order.len() {
        let sample = order[index];
        if passes(sample) {
            order[kept] = sample;
            kept += 1;
        } else {
            spare.push(sample);
        }
    }
    order[kept..].copy_from_slice(spare);
    kept
}

/// Leaves in steps of a 127th of their largest number.
fn rounded(means: &[[f32; COORDINATES]]) -> (f32, Vec<Leaf>) {
    let largest = means.iter().flatten().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let step = largest / 127.0;
    let steps = |value: f32| if step > 0.0 { (value / step).round() as i8 } else { 0 };
    (step, means.iter().map(|mean| mean.map(steps)).collect())
}

/// The leaf that a sample reaches.
pub(super) fn leaf_of(tree: &Tree, columns: &Columns, sample: usize) -> usize {
    let mut node = 0;
    while let Some(split) = tree.splits.get(node) {
        node = 2 * node + 2 - usize::from(columns.passes(*split, sample));
    }
    node - tree.splits.len()
}

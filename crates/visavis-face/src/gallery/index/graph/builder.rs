//! The graph built, by usearch, which puts rows in from several threads at once.

use std::fmt;

use usearch::{Index, IndexOptions, MetricKind, ScalarKind};
use visavis_infer::manifest::Metric;

use super::super::codes::{Codes, cosine_of_nodes, node_bytes, squared_distance_of_nodes};
use super::{Coarse, Graph, saved};

/// Neighbours of a row, twice as many on the lowest level (M). More find more, and take more memory: 32 are 270 bytes a row.
const CONNECTIVITY: usize = 32;

/// Candidates kept while a row is put in (ef construction).
const EXPANSION: usize = 128;

/// A graph that rows are put into. usearch has its own copies of their codes.
pub(in super::super) struct GraphBuilder {
    index: Index,
    metric: Metric,
    vector: usize,
    rows: usize,
    /// From the row of one turn to that of the next.
    stride: u64,
}

impl fmt::Debug for GraphBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphBuilder").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl GraphBuilder {
    /// A graph that `rows` rows of `length` numbers are put into by [`GraphBuilder::add`], by up to `threads` threads at once.
    pub(in super::super) fn new(metric: Metric, length: usize, rows: usize, threads: usize) -> Result<Self, String> {
        if u32::try_from(rows).is_err() {
            return Err(format!("{rows} photos are more than a graph takes"));
        }
        let vector = node_bytes(length);
        let mut index = Index::new(&IndexOptions {
            dimensions: vector,
            // Replaced at once; there has to be one.
            metric: MetricKind::Cos,
            quantization: ScalarKind::I8,
            connectivity: CONNECTIVITY,
            expansion_add: EXPANSION,
            expansion_search: EXPANSION,
            multi: false,
        })
        .map_err(said)?;
        index.reserve_capacity_and_threads(rows, threads.max(1)).map_err(said)?;
        let compare = match metric {
            Metric::Cosine => cosine_of_nodes,
            Metric::Euclidean => squared_distance_of_nodes,
        };
        index.change_metric::<i8>(Box::new(move |a, b| {
            // SAFETY: usearch hands over two of its vectors, each of as many bytes as it was made for.
            let (a, b) = unsafe { (std::slice::from_raw_parts(a, vector), std::slice::from_raw_parts(b, vector)) };
            compare(a, b)
        }));
        Ok(Self { index, metric, vector, rows, stride: stride(rows as u64) })
    }

    /// Puts the `turn`th row in; `node` is memory to work in.
    pub(in super::super) fn add(&self, codes: &Codes, turn: usize, node: &mut Vec<i8>) -> Result<(), String> {
        let row = (turn as u64 * self.stride % (self.rows as u64).max(1)) as usize;
        codes.node(row, node);
        self.index.add(row as u64, node.as_slice()).map_err(said)
    }

    /// The graph, once all rows are in it. How many candidates it takes is to be measured yet.
    pub(in super::super) fn finish(self, coarse: Coarse) -> Result<Graph, String> {
        let mut bytes = vec![0; self.index.serialized_length()];
        self.index.save_to_buffer(&mut bytes).map_err(said)?;
        drop(self.index);
        let (links, shape) = saved::read(&bytes, self.vector, self.rows)?;
        Ok(Graph::new(self.metric, links, coarse, shape, EXPANSION)?)
    }
}

/// A stride that comes by every row once, in no order that a gallery has: with the photos of a person put in one after the
/// other, they would know each other and hardly anybody else.
fn stride(rows: u64) -> u64 {
    let shares_divisor = |mut a: u64, mut b: u64| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a > 1
    };
    let golden = (rows as f64 * 0.618_034) as u64;
    (golden.max(1)..).find(|stride| !shares_divisor(*stride, rows)).unwrap_or(1)
}

fn said(error: impl fmt::Display) -> String {
    error.to_string()
}

//! Builds the graph with usearch, which adds rows from several threads at once.

use std::fmt;

use usearch::{Index, IndexOptions, MetricKind, ScalarKind};
use visavis_infer::manifest::Metric;

use super::super::codes::{Codes, cosine_of_nodes, node_bytes, squared_distance_of_nodes};
use super::{Coarse, Graph, saved};

/// Neighbours of a row (M); twice as many on the lowest level. More neighbours find more and take more memory: 32 take 270
/// bytes per row.
const CONNECTIVITY: usize = 32;

/// Candidates while a row is added (ef construction).
const EXPANSION: usize = 128;

/// A graph under construction. usearch has its own copies of the codes.
pub(in super::super) struct GraphBuilder {
    index: Index,
    metric: Metric,
    vector: usize,
    rows: usize,
    /// Distance between rows that are added one after the other.
    stride: u64,
}

impl fmt::Debug for GraphBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphBuilder").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl GraphBuilder {
    /// A graph to which `rows` rows of `length` numbers are added by [`GraphBuilder::add`], from up to `threads` threads at
    /// once.
    pub(in super::super) fn new(metric: Metric, length: usize, rows: usize, threads: usize) -> Result<Self, String> {
        if u32::try_from(rows).is_err() {
            return Err(format!("{rows} photos are too many for a graph"));
        }
        let vector = node_bytes(length);
        let mut index = Index::new(&IndexOptions {
            dimensions: vector,
            // A placeholder that is replaced below; usearch needs one.
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
            // SAFETY: usearch passes two of its vectors, each of as many bytes as it was created for.
            let (a, b) = unsafe { (std::slice::from_raw_parts(a, vector), std::slice::from_raw_parts(b, vector)) };
            compare(a, b)
        }));
        Ok(Self { index, metric, vector, rows, stride: stride(rows as u64) })
    }

    /// Adds the `turn`th row. `node` is scratch memory.
    pub(in super::super) fn add(&self, codes: &Codes, turn: usize, node: &mut Vec<i8>) -> Result<(), String> {
        let row = (turn as u64 * self.stride % (self.rows as u64).max(1)) as usize;
        codes.node(row, node);
        self.index.add(row as u64, node.as_slice()).map_err(said)
    }

    /// The graph, after all rows were added. The number of candidates is not measured yet.
    pub(in super::super) fn finish(self, coarse: Coarse) -> Result<Graph, String> {
        let mut bytes = vec![0; self.index.serialized_length()];
        self.index.save_to_buffer(&mut bytes).map_err(said)?;
        drop(self.index);
        let (links, shape) = saved::read(&bytes, self.vector, self.rows)?;
        Ok(Graph::new(self.metric, links, coarse, shape, EXPANSION)?)
    }
}

/// A stride that visits every row once, in an order that is unrelated to that of the gallery. If the photos of a person were
/// added one after the other, they would be linked to each other and to hardly any other photo.
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

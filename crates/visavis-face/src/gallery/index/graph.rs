//! A graph of near neighbours (HNSW: Malkov and Yashunin, 2016) over the codes of a snapshot, by usearch. A search walks from
//! node to node towards the query and looks at some thousands of rows, however many there are.
//!
//! Nodes are the codes of [`super::codes`], compared by our own arithmetic: whoever the graph names is compared once more by
//! the exact rows, so a code's rounding costs nothing.

mod check;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use memmap2::Mmap;
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};
use visavis_infer::manifest::Metric;

use super::codes::{Codes, cosine_of_nodes, node_bytes, squared_distance_of_nodes};

/// Neighbours of a node, twice as many on the lowest level (M). More find more, and take more memory: 16 are 150 bytes a row.
const CONNECTIVITY: usize = 16;

/// Candidates kept while a node is put in (ef construction).
const EXPANSION_ADD: usize = 128;

/// Candidates kept while a query is answered (ef), before it was measured how many it takes.
pub(super) const EXPANSION_SEARCH: usize = 128;

/// Searches that may go on at the same time; further ones are answered exactly.
const SEARCHES: usize = 64;

/// The graph of a snapshot: the key of a node is its row.
pub(super) struct Graph {
    // Dropped before the map that it looks into.
    index: Index,
    /// The file that a mapped graph lies in.
    _map: Option<Arc<Mmap>>,
    rows: usize,
    /// Candidates kept while a query is answered (ef), at least.
    pub(super) expansion: usize,
    /// From the row of one turn to that of the next.
    stride: u64,
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Graph {
    /// A graph that `rows` rows of `length` numbers are put into by [`Graph::add`], by up to `threads` threads at once.
    pub(super) fn new(metric: Metric, length: usize, rows: usize, threads: usize) -> Result<Self, String> {
        if u32::try_from(rows).is_err() {
            return Err(format!("{rows} photos are more than a graph takes"));
        }
        let mut index = empty(length, rows, threads)?;
        compare_by_codes(&mut index, metric, length);
        Ok(Self { index, _map: None, rows, expansion: EXPANSION_SEARCH, stride: stride(rows as u64) })
    }

    /// Puts the `turn`th row in; `node` is memory to work in.
    pub(super) fn add(&self, codes: &Codes, turn: usize, node: &mut Vec<i8>) -> Result<(), String> {
        let row = (turn as u64 * self.stride % (self.rows as u64).max(1)) as usize;
        codes.node(row, node);
        self.index.add(row as u64, node.as_slice()).map_err(said)
    }

    /// As in a file.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; self.index.serialized_length()];
        self.index.save_to_buffer(&mut bytes).map_err(said)?;
        Ok(bytes)
    }

    /// The graph of `rows` rows that lies at `bytes` of a file, to be searched with `expansion` candidates.
    ///
    /// Every number that usearch follows is checked, so a hostile file finds wrong people at worst. What remains is trust that
    /// nobody writes into the file while it is mapped; visavis only ever replaces it.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn mapped(
        map: &Arc<Mmap>,
        bytes: Range<usize>,
        metric: Metric,
        length: usize,
        rows: usize,
        expansion: usize,
    ) -> Result<Self, String> {
        let bytes = map.get(bytes).ok_or("its graph is outside of it")?;
        check::check(bytes, node_bytes(length), rows)?;
        let mut index = empty(length, rows, SEARCHES)?;
        // SAFETY: `bytes` lives as long as the map, which is dropped after the index; nothing is written through it, since
        // nothing is added to a mapped graph. Every offset in it was checked.
        unsafe { index.view_from_buffer(bytes) }.map_err(said)?;
        if index.dimensions() != node_bytes(length) || index.scalar_kind() != ScalarKind::I8 || index.size() != rows {
            return Err("its graph compares other vectors".into());
        }
        // Viewing put usearch's own metric back.
        compare_by_codes(&mut index, metric, length);
        Ok(Self { index, _map: Some(Arc::clone(map)), rows, expansion, stride: 1 })
    }

    /// Up to `wanted` rows near a node, in no particular order. None where too many searches go on.
    pub(super) fn near(&self, node: &[i8], wanted: usize) -> Option<Vec<usize>> {
        let found = self.index.search(node, wanted).ok()?;
        Some(
            found.keys.into_iter().filter_map(|row| usize::try_from(row).ok().filter(|row| *row < self.rows)).collect(),
        )
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

fn empty(length: usize, rows: usize, threads: usize) -> Result<Index, String> {
    let index = Index::new(&IndexOptions {
        dimensions: node_bytes(length),
        // Replaced at once; there has to be one.
        metric: MetricKind::Cos,
        quantization: ScalarKind::I8,
        connectivity: CONNECTIVITY,
        expansion_add: EXPANSION_ADD,
        expansion_search: EXPANSION_SEARCH,
        multi: false,
    })
    .map_err(said)?;
    index.reserve_capacity_and_threads(rows, threads.max(SEARCHES)).map_err(said)?;
    Ok(index)
}

fn compare_by_codes(index: &mut Index, metric: Metric, length: usize) {
    let bytes = node_bytes(length);
    let compare = match metric {
        Metric::Cosine => cosine_of_nodes,
        Metric::Euclidean => squared_distance_of_nodes,
    };
    index.change_metric::<i8>(Box::new(move |a, b| {
        // SAFETY: usearch hands over two of its vectors or a query, each of as many bytes as it was made for.
        let (a, b) = unsafe { (std::slice::from_raw_parts(a, bytes), std::slice::from_raw_parts(b, bytes)) };
        compare(a, b)
    }));
}

//! Measures how many candidates a search of a graph needs, compared with the exact search.

use super::approximate::MOST_CANDIDATES;
use super::graph::Graph;
use super::{PhotoId, Snapshot, length};

/// Number of queries.
const QUERIES: usize = 1_000;

/// Share of queries whose answer must be that of the exact search.
const WANTED: f64 = 0.99;

/// Number of candidates of the first attempt. Each further attempt has a quarter more.
const FEWEST: usize = 32;

/// Maximum number of candidates. Beyond it, comparing all rows in order is as fast.
const MOST: usize = MOST_CANDIDATES / 2;

/// The number of candidates that a graph needs, and the share that it reaches with them.
pub(super) struct Measured {
    pub(super) expansion: usize,
    pub(super) recall: f64,
}

/// Sets the smallest number of candidates with which, for a share of [`WANTED`] of all queries, the graph finds the same
/// nearest person as the exact search. Only a sample of queries is measured, so the measured share must exceed it by the
/// standard error.
///
/// A query is a photo of the gallery, moved in a direction in which photos differ, by the typical distance of two photos of
/// one person: half the threshold.
pub(super) fn measure(mut snapshot: Snapshot, graph: Graph) -> (Snapshot, Measured) {
    let queries = queries(&snapshot);
    let exact: Vec<Option<PhotoId>> = queries.iter().map(|query| snapshot.first(query, true)).collect();
    (snapshot.graph, snapshot.approximate_from) = (Some(graph), 0);
    let mut expansion = FEWEST;
    loop {
        if let Some(graph) = &mut snapshot.graph {
            graph.expansion = expansion;
        }
        let same = queries.iter().zip(&exact).filter(|(query, exact)| snapshot.first(query, false) == **exact).count();
        let recall = if queries.is_empty() { 1.0 } else { same as f64 / queries.len() as f64 };
        let error = (recall * (1.0 - recall) / queries.len().max(1) as f64).sqrt();
        if recall - error >= WANTED || expansion >= MOST {
            return (snapshot, Measured { expansion, recall });
        }
        expansion = (expansion + expansion / 4).min(MOST);
    }
}

fn queries(snapshot: &Snapshot) -> Vec<Vec<f32>> {
    let photos = snapshot.photos();
    let wanted = QUERIES.min(photos);
    let by = snapshot.embedding.step(snapshot.embedding.same_person / 2.0);
    let numbers = |row: usize| -> Vec<f32> { snapshot.row(row).iter().flat_map(|piece| piece.0).collect() };
    // From the whole gallery, in no particular order.
    let mut turn = 0u64;
    let mut any = || {
        turn = turn.wrapping_add(0x9E37_79B9_7F4A_7C15);
        ((u128::from(turn) * photos as u128) >> 64) as usize
    };
    let mut made = Vec::with_capacity(wanted);
    for number in 0..wanted {
        let mut query = numbers(number * photos / wanted);
        let (one, other) = (numbers(any()), numbers(any()));
        let towards: Vec<f32> = one.iter().zip(&other).map(|(one, other)| one - other).collect();
        let step = by / length(&towards).max(f32::MIN_POSITIVE);
        query.iter_mut().zip(&towards).for_each(|(value, towards)| *value += step * towards);
        query.truncate(snapshot.embedding.length);
        made.push(query);
    }
    made
}

impl Snapshot {
    /// The photo that a search returns first.
    fn first(&self, query: &[f32], exact: bool) -> Option<PhotoId> {
        Some(self.search_among(query, 1, exact, |_| true).ok()?.first()?.photo)
    }
}

//! A graph of near neighbours (HNSW: Malkov and Yashunin, 2016) over the codes of a snapshot. usearch builds it. A search
//! walks from row to row towards the query and reads some thousands of rows, however many there are.
//!
//! Rows are compared in four bits per number ([`coarse`]), all neighbours of a row at once: their memory is prefetched
//! before it is read. The photos that the graph selects are compared again by the full vectors.

mod builder;
mod coarse;
mod saved;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use visavis_infer::manifest::Metric;

use super::section::{Section, fetch};

pub(super) use builder::GraphBuilder;
pub(super) use coarse::{Coarse, CoarseQuery};

/// The graph of a snapshot.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) links: Links,
    pub(super) coarse: Coarse,
    pub(super) shape: Shape,
    /// Number of candidates of a search (ef), at least.
    pub(super) expansion: usize,
}

/// The links between rows, as in memory and in an index file.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// `[rows, room]`: the neighbours of every row on the lowest level, padded with the row itself.
    pub(super) near: Section<u32>,
    /// `[rows + 1]`: index of the first list of a row in `above`. A row has one list for each level above the lowest on
    /// which it is.
    pub(super) first: Section<u32>,
    /// `[lists, room_above]`: the neighbours there, padded likewise.
    pub(super) above: Section<u32>,
}

/// The parameters of [`Links`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shape {
    pub(super) room: usize,
    pub(super) room_above: usize,
    /// The row where a search begins.
    pub(super) entry: usize,
}

impl Graph {
    /// Checks that every number of the graph is valid.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn new(
        metric: Metric,
        links: Links,
        coarse: Coarse,
        shape: Shape,
        expansion: usize,
    ) -> Result<Self, &'static str> {
        let Shape { room, room_above, entry } = shape;
        let rows = links.first.len().checked_sub(1).ok_or("its graph has wrong sizes")?;
        let lists = links.first.last().map_or(0, |last| *last as usize);
        let fits = coarse.fits(metric, rows)
            && links.first.is_sorted()
            && rows.checked_mul(room) == Some(links.near.len())
            && lists.checked_mul(room_above) == Some(links.above.len());
        let leads = |row: &u32| (*row as usize) < rows;
        if !fits || (entry >= rows && rows > 0) {
            return Err("its graph has wrong sizes");
        }
        if !links.near.iter().all(leads) || !links.above.iter().all(leads) {
            return Err("a row of its graph has an invalid neighbour");
        }
        Ok(Self { links, coarse, shape, expansion })
    }

    /// Size in bytes.
    pub(super) fn bytes(&self) -> usize {
        let Links { near, first, above } = &self.links;
        [near, first, above].map(|numbers| numbers.bytes().len()).iter().sum::<usize>() + self.coarse.bytes()
    }

    /// The neighbours of a row on a level above the lowest; none if the row is not on it.
    fn above(&self, row: u32, level: usize) -> &[u32] {
        let lists = self.links.first.get(row as usize..row as usize + 2);
        let list = lists.and_then(|lists| {
            let list = lists[0] as usize + level - 1;
            (list < lists[1] as usize).then_some(list)
        });
        list.map_or(&[], |list| &self.links.above[list * self.shape.room_above..(list + 1) * self.shape.room_above])
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.links.first.len() - 1
    }

    /// Up to `wanted` rows near a query, approximately nearest first.
    pub(super) fn near(&self, query: &CoarseQuery, wanted: usize) -> Vec<u32> {
        let (near, room): (&[u32], usize) = (&self.links.near, self.shape.room);
        let rows = self.rows();
        if rows == 0 || wanted == 0 {
            return Vec::new();
        }
        let neighbours = |row: u32| &near[row as usize * room..(row as usize + 1) * room];
        let mut compared = Compared { coarse: &self.coarse, query, products: Vec::new(), found: Vec::new() };
        let mut at = compared.with(&[self.shape.entry as u32])[0];
        let levels = self.links.first[self.shape.entry + 1] - self.links.first[self.shape.entry];
        for level in (1..=levels as usize).rev() {
            while let Some(nearer) =
                compared.with(self.above(row_of(at), level)).iter().min().filter(|found| **found < at)
            {
                at = *nearer;
            }
        }
        let mut seen = vec![0u64; rows.div_ceil(64)];
        seen[row_of(at) as usize / 64] |= 1 << (row_of(at) % 64);
        // The rows whose neighbours are still to be visited, nearest first; and the best rows so far, worst first.
        let (mut open, mut best) = (BinaryHeap::from([Reverse(at)]), BinaryHeap::from([at]));
        let mut unseen = Vec::with_capacity(room);
        while let Some(Reverse(next)) = open.pop() {
            if best.len() >= wanted && best.peek().is_some_and(|worst| next > *worst) {
                break;
            }
            if let Some(Reverse(after)) = open.peek() {
                fetch(neighbours(row_of(*after)));
            }
            let own = row_of(next);
            unseen.clear();
            for row in neighbours(own).iter().take_while(|row| **row != own) {
                let (word, bit) = (&mut seen[*row as usize / 64], 1 << (row % 64));
                if *word & bit == 0 {
                    *word |= bit;
                    unseen.push(*row);
                }
            }
            for found in compared.with(&unseen) {
                if best.len() < wanted || best.peek().is_some_and(|worst| found < worst) {
                    open.push(Reverse(*found));
                    best.push(*found);
                    if best.len() > wanted {
                        best.pop();
                    }
                }
            }
        }
        best.into_sorted_vec().into_iter().map(row_of).collect()
    }
}

/// A query that is compared with rows.
struct Compared<'a> {
    coarse: &'a Coarse,
    query: &'a CoarseQuery,
    products: Vec<i32>,
    found: Vec<u64>,
}

impl Compared<'_> {
    /// The distance and number of each row, in a form that can be sorted.
    fn with(&mut self, rows: &[u32]) -> &[u64] {
        let Self { coarse, query, products, found } = self;
        found.clear();
        coarse.far(query, rows, products, |row, far| found.push(u64::from(sortable(far)) << 32 | u64::from(row)));
        found
    }
}

fn row_of(found: u64) -> u32 {
    found as u32
}

/// The bits of a number as an integer with the same order. NaN comes last.
fn sortable(number: f32) -> u32 {
    if number.is_nan() {
        return u32::MAX;
    }
    let bits = number.to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_order() {
        let numbers = [f32::NEG_INFINITY, -2.5, -1e-30, 0.0, 1e-30, 0.5, 7.0, f32::INFINITY, f32::NAN];
        assert!(numbers.map(sortable).is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn numbers_that_lead_nowhere_are_refused() {
        let section = |numbers: &[u32]| Section::Owned(numbers.to_vec());
        let links = |near: &[u32], first: &[u32], above: &[u32]| Links {
            near: section(near),
            first: section(first),
            above: section(above),
        };
        let shape = Shape { room: 2, room_above: 1, entry: 1 };
        let coarse = |rows: usize| Coarse::new(Metric::Cosine, 2, &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0][..2 * rows], 2);
        let made = |links: Links, shape: Shape| Graph::new(Metric::Cosine, links, coarse(3), shape, 8).is_ok();
        let near = [1, 2, 0, 1, 0, 2];
        assert!(made(links(&near, &[0, 0, 1, 1], &[1]), shape));
        assert!(!made(links(&near[..5], &[0, 0, 1, 1], &[1]), shape));
        assert!(!made(links(&[1, 2, 0, 1, 0, 3], &[0, 0, 1, 1], &[1]), shape));
        assert!(!made(links(&near, &[0, 0, 1], &[1]), shape));
        assert!(!made(links(&near, &[0, 1, 0, 1], &[1]), shape));
        assert!(!made(links(&near, &[0, 0, 1, 1], &[3]), shape));
        assert!(!made(links(&near, &[0, 0, 1, 1], &[1, 1]), shape));
        assert!(!made(links(&near, &[0, 0, 1, 1], &[1]), Shape { entry: 3, ..shape }));
        let graph = |metric, links, rows, shape| Graph::new(metric, links, coarse(rows), shape, 8).is_ok();
        assert!(!graph(Metric::Cosine, links(&near, &[0, 0, 1, 1], &[1]), 2, shape));
        assert!(!graph(Metric::Euclidean, links(&near, &[0, 0, 1, 1], &[1]), 3, shape));
        assert!(!graph(Metric::Cosine, Links::default(), 0, Shape::default()));
        assert!(graph(Metric::Cosine, links(&[], &[0], &[]), 0, Shape::default()));
    }
}

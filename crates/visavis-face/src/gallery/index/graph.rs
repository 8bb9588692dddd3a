//! A graph of near neighbours (HNSW: Malkov and Yashunin, 2016) over the codes of a snapshot: usearch builds it, a search walks in
//! it from row to row towards the query and looks at some thousands of rows, however many there are.
//!
//! Rows are compared by the codes of [`super::codes`], all neighbours of a row at once, so that the processor waits for
//! the memory of several of them at the same time. Whoever the graph names is compared once more by the exact rows, so a code's
//! rounding costs nothing.

mod builder;
mod saved;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use visavis_infer::manifest::Metric;

use super::codes::{CodedQuery, Codes};
use super::section::Section;

pub(super) use builder::GraphBuilder;

/// The graph of a snapshot.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) links: Links,
    pub(super) shape: Shape,
    /// Candidates kept while a query is answered (ef), at least.
    pub(super) expansion: usize,
}

/// Who is near whom, as in memory and in an index file.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// `[rows, room]`: the neighbours of every row, on the lowest level; filled up with the row itself.
    pub(super) near: Section<u32>,
    /// `[rows + 1]`: the first list of a row in `above`. It has one for each level above the lowest that it is on.
    pub(super) first: Section<u32>,
    /// `[lists, room_above]`: the neighbours there, filled up alike.
    pub(super) above: Section<u32>,
}

/// The numbers that go with [`Links`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shape {
    pub(super) room: usize,
    pub(super) room_above: usize,
    /// The row where a search begins.
    pub(super) entry: usize,
}

impl Graph {
    /// A graph of `rows` rows whose every number leads somewhere.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn new(links: Links, shape: Shape, expansion: usize, rows: usize) -> Result<Self, &'static str> {
        let Shape { room, room_above, entry } = shape;
        let lists = links.first.last().map_or(0, |last| *last as usize);
        let fits = links.first.len() == rows + 1
            && links.first.is_sorted()
            && rows.checked_mul(room) == Some(links.near.len())
            && lists.checked_mul(room_above) == Some(links.above.len());
        let leads = |row: &u32| (*row as usize) < rows;
        if !fits || (entry >= rows && rows > 0) {
            return Err("its graph has other sizes");
        }
        if !links.near.iter().all(leads) || !links.above.iter().all(leads) {
            return Err("a row of its graph has a neighbour that is not there");
        }
        Ok(Self { links, shape, expansion })
    }

    /// Bytes of it.
    pub(super) fn bytes(&self) -> usize {
        let Links { near, first, above } = &self.links;
        [near, first, above].map(|numbers| numbers.bytes().len()).iter().sum()
    }

    /// The neighbours of a row on a level above the lowest; none where it is not on it.
    fn above(&self, row: u32, level: usize) -> &[u32] {
        let lists = self.links.first.get(row as usize..row as usize + 2);
        let list = lists.and_then(|lists| {
            let list = lists[0] as usize + level - 1;
            (list < lists[1] as usize).then_some(list)
        });
        list.map_or(&[], |list| &self.links.above[list * self.shape.room_above..(list + 1) * self.shape.room_above])
    }

    /// Up to `wanted` rows near a query, the nearest by their codes first.
    pub(super) fn near(&self, codes: &Codes, query: &CodedQuery, metric: Metric, wanted: usize) -> Vec<usize> {
        let (near, room) = (&*self.links.near, self.shape.room);
        let rows = codes.notes().len();
        if rows == 0 || wanted == 0 {
            return Vec::new();
        }
        let mut compared = Compared { codes, query, metric, products: Vec::new(), found: Vec::new() };
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
        // Whose neighbours are to be looked at, the nearest first; and the best, the worst of them first.
        let (mut open, mut best) = (BinaryHeap::from([Reverse(at)]), BinaryHeap::from([at]));
        let mut unseen = Vec::with_capacity(room);
        while let Some(Reverse(next)) = open.pop() {
            if best.len() >= wanted && best.peek().is_some_and(|worst| next > *worst) {
                break;
            }
            let own = row_of(next);
            unseen.clear();
            let neighbours = near[own as usize * room..(own as usize + 1) * room].iter();
            for row in neighbours.take_while(|row| **row != own) {
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
        best.into_sorted_vec().into_iter().map(|found| row_of(found) as usize).collect()
    }
}

/// A query that is compared with rows.
struct Compared<'a> {
    codes: &'a Codes,
    query: &'a CodedQuery,
    metric: Metric,
    products: Vec<i32>,
    found: Vec<u64>,
}

impl Compared<'_> {
    /// How far rows are, each with its number, so that they can be sorted.
    fn with(&mut self, rows: &[u32]) -> &[u64] {
        self.products.resize(rows.len(), 0);
        self.codes.products_of(self.query, rows, &mut self.products);
        let notes = self.codes.notes();
        self.found.clear();
        self.found.extend(rows.iter().zip(&self.products).map(|(row, product)| {
            let far = self.query.about(self.metric, &notes[*row as usize], *product);
            u64::from(sortable(far)) << 32 | u64::from(*row)
        }));
        &self.found
    }
}

fn row_of(found: u64) -> u32 {
    found as u32
}

/// The bits of a number, in the order of numbers; what is none is furthest.
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
        let made = |links: Links, shape: Shape| Graph::new(links, shape, 8, 3).is_ok();
        let near = [1, 2, 0, 1, 0, 2];
        assert!(made(links(&near, &[0, 0, 1, 1], &[1]), shape));
        assert!(!made(links(&near[..5], &[0, 0, 1, 1], &[1]), shape));
        assert!(!made(links(&[1, 2, 0, 1, 0, 3], &[0, 0, 1, 1], &[1]), shape));
        assert!(!made(links(&near, &[0, 0, 1], &[1]), shape));
        assert!(!made(links(&near, &[0, 1, 0, 1], &[1]), shape));
        assert!(!made(links(&near, &[0, 0, 1, 1], &[3]), shape));
        assert!(!made(links(&near, &[0, 0, 1, 1], &[1, 1]), shape));
        assert!(!made(links(&near, &[0, 0, 1, 1], &[1]), Shape { entry: 3, ..shape }));
        assert!(Graph::new(links(&[], &[0], &[]), Shape::default(), 8, 0).is_ok());
    }
}

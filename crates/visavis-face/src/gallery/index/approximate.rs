//! The search of large galleries: the graph names candidates, the exact rows decide.

use super::codes::CodedQuery;
use super::graph::Graph;
use super::{Best, Match, PhotoId, Piece, Snapshot};

/// Times as many candidates where too few people were among them.
const WIDER: usize = 4;

/// More candidates than this are not asked for: going through all rows in order is as fast then.
pub(super) const MOST_CANDIDATES: usize = 8_192;

impl Snapshot {
    /// As [`Snapshot::nearest`], of the rows that the graph names. None where it did not name enough people: many photos
    /// each, many people asked for, or many who are not to be kept.
    pub(super) fn nearest_by_graph(
        &self,
        graph: &Graph,
        k: usize,
        coded: &CodedQuery,
        keep: &impl Fn(PhotoId) -> bool,
        far: &impl Fn(&[Piece]) -> f32,
        distance: &impl Fn(f32) -> f32,
    ) -> Option<Vec<Match>> {
        let mut best = Best::new(k.min(self.people()));
        if best.k == 0 {
            return Some(best.matches);
        }
        let node = coded.node();
        let mut wanted = graph.expansion.max(2 * best.k);
        while wanted <= MOST_CANDIDATES.min(self.photos()) {
            let mut rows = graph.near(&node, wanted)?;
            // In order, as an exact search goes: the photos of a person one after the other.
            rows.sort_unstable();
            let mut rows = rows.into_iter().filter(|row| keep(self.photos[*row])).peekable();
            while let Some(first) = rows.peek() {
                let person = self.people.of_row(*first)?;
                let mut nearest = (f32::INFINITY, 0);
                while let Some(row) = rows.next_if(|row| *row < person.end()) {
                    let far = far(self.row(row));
                    if far < nearest.0 {
                        nearest = (far, row);
                    }
                }
                if nearest.0 < f32::INFINITY {
                    best.offer(nearest.0, distance(nearest.0), |distance| self.matched(person, nearest.1, distance));
                }
            }
            if best.matches.len() == best.k {
                return Some(best.matches);
            }
            best = Best::new(best.k);
            wanted *= WIDER;
        }
        None
    }
}

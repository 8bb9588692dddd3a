//! The search of large galleries: the graph names candidates, the exact rows decide.

use super::codes::{CodedQuery, Note};
use super::graph::{CoarseQuery, Graph};
use super::{Best, Match, PhotoId, Piece, Snapshot};

/// Times as many candidates where too few people were among them.
const WIDER: usize = 4;

/// Times as many candidates where more people than one are asked for.
const MORE: usize = 2;

/// More candidates than this are not asked for: going through all rows in order is as fast then.
pub(super) const MOST_CANDIDATES: usize = 8_192;

/// Candidates whose codes are asked for at once.
const AT_ONCE: usize = 64;

/// What rows are judged by, as in [`Snapshot::nearest`].
pub(super) struct By<K, L, F> {
    pub(super) keep: K,
    pub(super) least: L,
    pub(super) far: F,
}

/// Somebody's nearest photo among the candidates.
struct Nearest {
    far: f32,
    row: usize,
    /// The row after the last of theirs, which tells people apart.
    end: usize,
}

impl Snapshot {
    /// As [`Snapshot::nearest`], of the rows that the graph names. None where it did not name enough people: many photos
    /// each, many people asked for, or many who are not to be kept.
    pub(super) fn nearest_by_graph<K, L, F>(
        &self,
        (graph, coarse): &(&Graph, CoarseQuery),
        k: usize,
        coded: &CodedQuery,
        by: &By<K, L, F>,
        distance: &impl Fn(f32) -> f32,
    ) -> Option<Vec<Match>>
    where
        K: Fn(PhotoId) -> bool,
        L: Fn(&Note, i32) -> f32,
        F: Fn(&[Piece]) -> f32,
    {
        let k = k.min(self.people());
        if k == 0 {
            return Some(Vec::new());
        }
        // How many are needed was measured for the first; those behind are closer together.
        let mut wanted = if k == 1 { graph.expansion } else { (MORE * graph.expansion).max(2 * k) };
        while wanted <= MOST_CANDIDATES.min(self.photos()) {
            let rows = graph.near(coarse, wanted);
            let mut nearest = self.nearest_people(&rows, k, coded, by)?;
            if nearest.len() == k {
                // By rising id, as they are offered.
                nearest.sort_unstable_by_key(|person| person.row);
                let mut best = Best::new(k);
                for Nearest { far, row, .. } in nearest {
                    let person = self.people.of_row(row)?;
                    best.offer(far, distance(far), |distance| self.matched(person, row, distance));
                }
                return Some(best.matches);
            }
            wanted *= WIDER;
        }
        None
    }

    /// The `k` people nearest to the query of those whose photos are in `rows`, about the nearest first: most of the others are
    /// then ruled out by their codes, or not looked at.
    fn nearest_people<K, L, F>(
        &self,
        rows: &[u32],
        k: usize,
        coded: &CodedQuery,
        by: &By<K, L, F>,
    ) -> Option<Vec<Nearest>>
    where
        K: Fn(PhotoId) -> bool,
        L: Fn(&Note, i32) -> f32,
        F: Fn(&[Piece]) -> f32,
    {
        let mut people: Vec<Nearest> = Vec::new();
        let mut products = [0; AT_ONCE];
        for rows in rows.chunks(AT_ONCE) {
            let mut nearer = people.len() < k;
            self.codes.products_of(coded, rows, &mut products[..rows.len()]);
            for (row, product) in rows.iter().map(|row| *row as usize).zip(products) {
                let bar = if people.len() == k { people[k - 1].far } else { f32::INFINITY };
                if !(by.keep)(self.photos[row]) || (by.least)(&self.codes.notes()[row], product) > bar {
                    continue;
                }
                let found = Nearest { far: (by.far)(self.row(row)), row, end: self.people.of_row(row)?.end() };
                let before =
                    |person: &Nearest| person.far.total_cmp(&found.far).then(person.row.cmp(&found.row)).is_lt();
                match people.iter().position(|person| person.end == found.end) {
                    Some(known) if before(&people[known]) => continue,
                    Some(known) => drop(people.remove(known)),
                    None => people.truncate(k - usize::from(people.len() == k && found.far < bar)),
                }
                if people.len() < k {
                    people.insert(people.partition_point(before), found);
                    nearer = true;
                }
            }
            // Those that follow are about as far, or further.
            if !nearer {
                break;
            }
        }
        Some(people)
    }
}

//! Approximate search of large galleries: the graph selects candidates, which are compared by their full vectors.

use super::codes::{CodedQuery, Note};
use super::graph::{CoarseQuery, Graph};
use super::{Best, Match, PhotoId, Piece, Snapshot};

/// Factor for the number of candidates if they contained too few people.
const WIDER: usize = 4;

/// Factor for the number of candidates if more than one person is requested.
const MORE: usize = 2;

/// Maximum number of candidates. Beyond it, comparing all rows in order is as fast.
pub(super) const MOST_CANDIDATES: usize = 8_192;

/// Number of candidates whose codes are prefetched at once.
const AT_ONCE: usize = 64;

/// How rows are compared, as in [`Snapshot::nearest`].
pub(super) struct By<K, L, F> {
    pub(super) keep: K,
    pub(super) least: L,
    pub(super) far: F,
}

/// A person's nearest photo among the candidates.
struct Nearest {
    far: f32,
    row: usize,
    /// The end of the rows of the person, which identifies the person.
    end: usize,
}

impl Snapshot {
    /// As [`Snapshot::nearest`], but only over the rows that the graph selects. `None` if these contain too few people:
    /// people have many photos, many people are requested, or many photos are ignored.
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
        // The number of candidates was measured for the nearest person. Those behind are closer together and need more.
        let mut wanted = if k == 1 { graph.expansion } else { (MORE * graph.expansion).max(2 * k) };
        while wanted <= MOST_CANDIDATES.min(self.photos()) {
            let rows = graph.near(coarse, wanted);
            let mut nearest = self.nearest_people(&rows, k, coded, by)?;
            if nearest.len() == k {
                // People are offered by increasing id.
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

    /// The `k` people nearest to the query among those with a photo in `rows`. `rows` come approximately nearest first, so
    /// most of the later ones are ruled out by their codes, or not read at all.
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
            // The following candidates are about as far or farther.
            if !nearer {
                break;
            }
        }
        Some(people)
    }
}

//! All vectors of a gallery in memory, and the search for the people nearest to one.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use visavis_infer::manifest::Metric;

use super::{EmbeddingId, GalleryError, PersonId, PhotoId, VectorFault, check_vector};

/// Numbers that are multiplied side by side: one AVX-512 register, two of AVX, four of SSE or NEON.
const LANES: usize = 16;

/// A piece of a vector that starts on a cache line. The last piece of a row is filled up with zeros.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Piece([f32; LANES]);

const NOTHING: Piece = Piece([0.0; LANES]);

/// A gallery as it was at one moment: immutable, to be shared by `Arc` and searched without a lock.
#[derive(Debug)]
pub struct Snapshot {
    embedding: EmbeddingId,
    /// `[photos, pieces]`, row-major: the vectors, for cosine of length one; rows of one person follow each other.
    rows: Vec<Piece>,
    /// Pieces in a row.
    pieces: usize,
    /// `[photos]`.
    photos: Vec<PhotoId>,
    /// By rising id.
    people: Vec<Person>,
}

#[derive(Debug)]
struct Person {
    id: PersonId,
    name: Arc<str>,
    rows: Range<usize>,
}

/// A person of the gallery, compared with a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// Who.
    pub person: PersonId,
    /// The name.
    pub name: Arc<str>,
    /// The nearest of the person's photos.
    pub photo: PhotoId,
    /// How far that photo is: the euclidean distance, or 1 − cosine (0 to 2).
    pub distance: f32,
    /// The distance read as a likeness, 1 to 0: see [`Snapshot::similarity`].
    pub similarity: f32,
    /// Whether the distance is at or below the network's threshold for one person.
    pub same_person: bool,
}

impl Snapshot {
    /// A gallery without people.
    ///
    /// # Errors
    /// [`GalleryError::Embedding`] where no gallery can hold the vectors of this network.
    pub fn empty(embedding: EmbeddingId) -> Result<Self, GalleryError> {
        if let Some(reason) = embedding.fault() {
            return Err(GalleryError::Embedding { network: embedding.name, reason });
        }
        let pieces = embedding.length.div_ceil(LANES);
        Ok(Self { embedding, rows: Vec::new(), pieces, photos: Vec::new(), people: Vec::new() })
    }

    /// Appends a photo. People come by rising id, and all photos of a person one after the other by rising id.
    pub(super) fn push(
        &mut self,
        person: PersonId,
        name: &str,
        photo: PhotoId,
        vector: &[f32],
    ) -> Result<(), VectorFault> {
        check_vector(vector, &self.embedding)?;
        let scale = match self.embedding.metric {
            Metric::Euclidean => 1.0,
            Metric::Cosine => 1.0 / length(vector),
        };
        for part in vector.chunks(LANES) {
            let mut piece = NOTHING;
            for (to, from) in piece.0.iter_mut().zip(part) {
                *to = from * scale;
            }
            self.rows.push(piece);
        }
        let row = self.photos.len();
        self.photos.push(photo);
        match self.people.last_mut() {
            Some(last) if last.id == person => last.rows.end = row + 1,
            last => {
                debug_assert!(last.is_none_or(|last| last.id < person), "people come by rising id");
                self.people.push(Person { id: person, name: name.into(), rows: row..row + 1 });
            }
        }
        Ok(())
    }

    /// The network whose vectors these are.
    pub fn embedding(&self) -> &EmbeddingId {
        &self.embedding
    }

    /// Number of people.
    pub fn people(&self) -> usize {
        self.people.len()
    }

    /// Number of photos.
    pub fn photos(&self) -> usize {
        self.photos.len()
    }

    /// The name of a person, if the person was there at this snapshot's moment.
    pub fn name(&self, person: PersonId) -> Option<&Arc<str>> {
        let found = self.people.binary_search_by_key(&person, |p| p.id).ok()?;
        Some(&self.people[found].name)
    }

    /// The `k` people nearest to `query` (`[length]`), each at the nearest of their photos; nearest first, and of
    /// equally near people the lower id first. Exact: every photo is compared. Fewer than `k` where there are fewer
    /// people.
    ///
    /// Allocates nothing but the answer.
    ///
    /// # Errors
    /// [`GalleryError::Query`] where the query has another length than the gallery's vectors, holds a number that is
    /// not finite, or has no direction (all zeros) and the metric is cosine.
    pub fn search(&self, query: &[f32], k: usize) -> Result<Vec<Match>, GalleryError> {
        check_vector(query, &self.embedding)
            .map_err(|fault| GalleryError::Query { network: self.embedding.name.clone(), fault })?;
        let length = length(query);
        let (whole, rest) = query.as_chunks::<LANES>();
        let mut last = NOTHING;
        last.0[..rest.len()].copy_from_slice(rest);
        let query = Query { whole, last: (!rest.is_empty()).then_some(&last) };
        Ok(match self.embedding.metric {
            Metric::Euclidean => self.nearest(k, |row| query.squared_distance(row), f32::sqrt),
            Metric::Cosine => {
                // The rows have length one; dividing by the query's length does the rest. Rounding may leave the
                // cosine a little outside -1..1.
                let scale = 1.0 / length;
                self.nearest(k, |row| -query.dot(row), |minus_dot| (1.0 + minus_dot * scale).clamp(0.0, 2.0))
            }
        })
    }

    /// `far(row)` is less for a nearer row; `distance` turns it, without changing the order, into the distance.
    fn nearest(&self, k: usize, far: impl Fn(&[Piece]) -> f32, distance: impl Fn(f32) -> f32) -> Vec<Match> {
        let k = k.min(self.people.len());
        let mut best: Vec<Match> = Vec::with_capacity(k);
        if k == 0 {
            return best;
        }
        for person in &self.people {
            let rows = &self.rows[person.rows.start * self.pieces..person.rows.end * self.pieces];
            let mut nearest = (f32::INFINITY, person.rows.start);
            for (row, number) in rows.chunks_exact(self.pieces).zip(person.rows.clone()) {
                let far = far(row);
                if far < nearest.0 {
                    nearest = (far, number);
                }
            }
            let distance = distance(nearest.0);
            if best.len() == k {
                if distance.total_cmp(&best[k - 1].distance) != Ordering::Less {
                    continue;
                }
                best.pop();
            }
            // People come by rising id, so an equally near one goes behind those already there.
            let place = best.partition_point(|m| m.distance <= distance);
            best.insert(
                place,
                Match {
                    person: person.id,
                    name: Arc::clone(&person.name),
                    photo: self.photos[nearest.1],
                    distance,
                    similarity: self.similarity(distance),
                    same_person: distance <= self.embedding.same_person,
                },
            );
        }
        best
    }

    /// A distance as a likeness from 1 to 0, straight between three points: distance 0 is 1, the same-person threshold
    /// is 0.5, twice the threshold and more is 0.
    ///
    /// An aid for reading, so that networks with different thresholds show alike. It is not a probability: nothing
    /// about it was fitted to how often two pictures at that distance show one person.
    pub fn similarity(&self, distance: f32) -> f32 {
        (1.0 - 0.5 * distance / self.embedding.same_person).clamp(0.0, 1.0)
    }
}

/// A vector to compare with rows: whole pieces as they lie in the caller's slice, the last one filled up with zeros.
struct Query<'a> {
    whole: &'a [[f32; LANES]],
    last: Option<&'a Piece>,
}

impl Query<'_> {
    fn dot(&self, row: &[Piece]) -> f32 {
        self.sum(row, |a, b| a * b)
    }

    fn squared_distance(&self, row: &[Piece]) -> f32 {
        self.sum(row, |a, b| (a - b) * (a - b))
    }

    /// Σ term(row, query) in `LANES` sums that run side by side: a single sum would have to be added in order, which
    /// keeps the compiler from using vector registers.
    #[inline(always)]
    fn sum(&self, row: &[Piece], term: impl Fn(f32, f32) -> f32) -> f32 {
        let mut sums = [0.0f32; LANES];
        let mut add = |a: &[f32; LANES], b: &[f32; LANES]| {
            for lane in 0..LANES {
                sums[lane] += term(a[lane], b[lane]);
            }
        };
        for (a, b) in row.iter().zip(self.whole) {
            add(&a.0, b);
        }
        if let (Some(last), Some(row)) = (self.last, row.last()) {
            add(&row.0, &last.0);
        }
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                sums[lane] += sums[lane + width];
            }
            width /= 2;
        }
        sums[0]
    }
}

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|x| x * x).sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests;

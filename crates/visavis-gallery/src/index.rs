//! All vectors of a gallery in memory, and the search for the people nearest to a vector.

mod approximate;
mod build;
mod codes;
mod file;
mod graph;
mod measure;
mod person;
mod section;

use std::cmp::Ordering;
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};
use visavis_infer::manifest::Metric;

use approximate::By;
use codes::{BLOCK, CodedQuery, Codes, Note};
use graph::Graph;
use person::{People, Person};
use section::Section;

pub use build::{IndexBuilder, IndexReport};
pub use file::index_path;
pub(crate) use file::{indexed, read_file, remove_index, seal};

use super::{EmbeddingId, GalleryError, PersonId, PhotoId, VectorFault, check_vector, identify, rules};

/// Numbers that are processed at once: one AVX-512 register, two AVX registers, four SSE or NEON registers.
const LANES: usize = 16;

/// A piece of a vector, aligned to a cache line. The last piece of a row is padded with zeros.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Piece([f32; LANES]);

/// Photos whose pairwise distances are measured to learn the distances of strangers: two million pairs, some milliseconds.
const COMPARED: usize = 2_000;

/// Minimum number of pairs for an estimate of a small share.
const LEAST_WITHIN: usize = 5;

const NOTHING: Piece = Piece([0.0; LANES]);

/// Number of photos from which on a gallery with an index is searched through its graph. Below it, comparing all codes takes
/// a few milliseconds and misses no person.
pub const APPROXIMATE_FROM: usize = 200_000;

/// A gallery at one moment. It is immutable: shared by `Arc` and searched without a lock. Its data are in memory or mapped
/// from an index file.
#[derive(Debug)]
pub struct Snapshot {
    embedding: EmbeddingId,
    /// `[photos, pieces]`, row-major: the vectors, normalised to length one for cosine. The rows of a person are contiguous.
    rows: Section<Piece>,
    /// Number of pieces in a row.
    pieces: usize,
    /// The rows as eight-bit codes, which a search compares first.
    codes: Codes,
    /// `[photos]`.
    photos: Section<PhotoId>,
    last_photo: Option<PhotoId>,
    people: People,
    /// The graph over all rows; `None` if no index was built.
    graph: Option<Graph>,
    /// Number of photos from which on the graph is used.
    approximate_from: usize,
}

/// A person of the gallery, compared with a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// The person.
    pub person: PersonId,
    /// The name.
    pub name: Arc<str>,
    /// The nearest of the person's photos.
    pub photo: PhotoId,
    /// Distance of that photo: the Euclidean distance, or 1 − cosine (0 to 2).
    pub distance: f32,
    /// Similarity on a scale from 0 to 1: see [`EmbeddingId::likeness`]. Not a probability.
    pub likeness: f32,
    /// The probability that the face is this person, given the number of photos it was compared with, 0 to 1: see
    /// [`identify`](super::identify). `None` if the distances of the network were not measured.
    pub identified: Option<f32>,
    /// Whether the face is identified as this person: the share of strangers who are this near to some photo of the gallery
    /// is at most [`IdentityParams::false_matches`](super::IdentityParams::false_matches). For a network whose distances
    /// were not measured: whether the distance is at or below its threshold.
    pub same_person: bool,
    /// Whether the person is on the watch list.
    pub watched: bool,
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
        let codes = Codes::new(embedding.length);
        Ok(Self {
            embedding,
            rows: Section::default(),
            pieces,
            codes,
            photos: Section::default(),
            last_photo: None,
            people: People::default(),
            graph: None,
            approximate_from: APPROXIMATE_FROM,
        })
    }

    /// Appends a photo. People must come by increasing id, and the photos of a person contiguously by increasing id.
    pub(crate) fn push(
        &mut self,
        person: PersonId,
        name: &str,
        watched: bool,
        photo: PhotoId,
        vector: &[f32],
    ) -> Result<(), VectorFault> {
        check_vector(vector, &self.embedding)?;
        let scale = match self.embedding.metric {
            Metric::Euclidean => 1.0,
            Metric::Cosine => 1.0 / length(vector),
        };
        let vector: Vec<f32> = vector.iter().map(|value| value * scale).collect();
        for part in vector.chunks(LANES) {
            let mut piece = NOTHING;
            piece.0[..part.len()].copy_from_slice(part);
            self.rows.owned().push(piece);
        }
        self.codes.push(&vector);
        self.photos.owned().push(photo);
        self.last_photo = self.last_photo.max(Some(photo));
        self.people.push(person, name, watched);
        Ok(())
    }

    /// The network of the vectors.
    pub fn embedding(&self) -> &EmbeddingId {
        &self.embedding
    }

    /// Number of people.
    pub fn people(&self) -> usize {
        self.people.all.len()
    }

    /// Number of photos.
    pub fn photos(&self) -> usize {
        self.photos.len()
    }

    /// The highest number of a photo.
    pub(crate) fn last_photo(&self) -> Option<PhotoId> {
        self.last_photo
    }

    /// The name of a person; `None` if the person is not in this snapshot.
    pub fn name(&self, person: PersonId) -> Option<&str> {
        self.people.find(person).map(|person| self.people.name(person))
    }

    /// The same snapshot, whose graph is used from `photos` photos on.
    pub(crate) fn approximate_from(mut self, photos: usize) -> Self {
        self.approximate_from = photos;
        self
    }

    /// Whether a search uses the graph of an index, and may therefore miss a person.
    pub fn is_approximate(&self) -> bool {
        self.graph.is_some() && self.photos() >= self.approximate_from
    }

    /// The `k` people nearest to `query` (`[length]`), nearest first; of equally near people the lower id first. The
    /// distance of a person is that of their nearest photo. Returns fewer than `k` if the gallery has fewer people.
    ///
    /// With an index and [`APPROXIMATE_FROM`] photos or more, the search is approximate: the graph selects candidates, which
    /// are compared by their full vectors. The number of candidates was chosen when the index was built, so that 99 of 100
    /// queries made from photos of the gallery give the result of [`Snapshot::search_exact`]. Otherwise the search is exact.
    ///
    /// # Errors
    /// [`GalleryError::Query`] where the query has another length than the gallery's vectors, holds a number that is
    /// not finite, or has no direction (all zeros) and the metric is cosine.
    pub fn search(&self, query: &[f32], k: usize) -> Result<Vec<Match>, GalleryError> {
        let mut found = self.search_among(query, k, false, |_| true)?;
        identify(&self.embedding, self.photos(), &mut found);
        Ok(found)
    }

    /// The same as [`Snapshot::search`], but always exact: every photo is compared by its eight-bit code, and by its full
    /// vector if the code does not rule it out.
    ///
    /// Allocates only the result and the code of the query.
    ///
    /// # Errors
    /// As [`Snapshot::search`].
    pub fn search_exact(&self, query: &[f32], k: usize) -> Result<Vec<Match>, GalleryError> {
        let mut found = self.search_among(query, k, true, |_| true)?;
        identify(&self.embedding, self.photos(), &mut found);
        Ok(found)
    }

    /// The exact or the approximate search. Photos for which `keep` is false are ignored. The results are not yet
    /// identified.
    pub(crate) fn search_among(
        &self,
        query: &[f32],
        k: usize,
        exact: bool,
        keep: impl Fn(PhotoId) -> bool,
    ) -> Result<Vec<Match>, GalleryError> {
        let graph = self.graph.as_ref().filter(|_| !exact && self.is_approximate());
        check_vector(query, &self.embedding)
            .map_err(|fault| GalleryError::Query { network: self.embedding.name.clone(), fault })?;
        let graph = graph.map(|graph| (graph, graph.coarse.query(self.embedding.metric, query)));
        let (length, coded) = (length(query), CodedQuery::new(query));
        let (whole, rest) = query.as_chunks::<LANES>();
        let mut last = NOTHING;
        last.0[..rest.len()].copy_from_slice(rest);
        let query = Query { whole, last: (!rest.is_empty()).then_some(&last) };
        Ok(match self.embedding.metric {
            Metric::Euclidean => {
                let least = |note: &Note, product| coded.least_squared_distance(note, product);
                let far = |row: &[Piece]| query.squared_distance(row);
                graph
                    .as_ref()
                    .and_then(|graph| {
                        self.nearest_by_graph(
                            graph,
                            k,
                            &coded,
                            &By { keep: &keep, least: &least, far: &far },
                            &f32::sqrt,
                        )
                    })
                    .unwrap_or_else(|| self.nearest(k, &coded, &keep, least, far, f32::sqrt))
            }
            Metric::Cosine => {
                // The rows have length one, so only the length of the query is divided out. Rounding may put the cosine
                // slightly outside of -1..1.
                let scale = 1.0 / length;
                let least = |note: &Note, product| -coded.most(note, product);
                let far = |row: &[Piece]| -query.dot(row);
                let distance = |minus_dot: f32| (1.0 + minus_dot * scale).clamp(0.0, 2.0);
                graph
                    .as_ref()
                    .and_then(|graph| {
                        self.nearest_by_graph(
                            graph,
                            k,
                            &coded,
                            &By { keep: &keep, least: &least, far: &far },
                            &distance,
                        )
                    })
                    .unwrap_or_else(|| self.nearest(k, &coded, &keep, least, far, distance))
            }
        })
    }

    fn row(&self, row: usize) -> &[Piece] {
        &self.rows[row * self.pieces..(row + 1) * self.pieces]
    }

    /// `far(row)` decreases with the nearness of a row, and is never below `least(note, product)` of its code. `distance`
    /// converts it to the distance, which has the same order.
    fn nearest(
        &self,
        k: usize,
        coded: &CodedQuery,
        keep: impl Fn(PhotoId) -> bool,
        least: impl Fn(&Note, i32) -> f32,
        far: impl Fn(&[Piece]) -> f32,
        distance: impl Fn(f32) -> f32,
    ) -> Vec<Match> {
        let mut best = Best::new(k.min(self.people()));
        if best.k == 0 {
            return best.matches;
        }
        let (rows, photos): (&[Piece], &[PhotoId]) = (&self.rows, &self.photos);
        let mut people = self.people.all.iter();
        let mut person = people.next();
        let mut nearest = (f32::INFINITY, 0);
        let mut products = [0; BLOCK];
        for (block, notes) in self.codes.notes().chunks(BLOCK).enumerate() {
            let first = block * BLOCK;
            let products = &mut products[..notes.len()];
            self.codes.products(coded, first, products);
            for (row, (note, product)) in (first..).zip(notes.iter().zip(products)) {
                // A bound of NaN rules nothing out.
                let ruled_out = least(note, *product) > best.bar();
                if !ruled_out && keep(photos[row]) {
                    let far = far(&rows[row * self.pieces..(row + 1) * self.pieces]);
                    if far < nearest.0 {
                        nearest = (far, row);
                    }
                }
                if person.is_some_and(|person| person.end() == row + 1) {
                    if let (Some(person), true) = (person, nearest.0 < f32::INFINITY) {
                        best.offer(nearest.0, distance(nearest.0), |distance| {
                            self.matched(person, nearest.1, distance)
                        });
                    }
                    (person, nearest) = (people.next(), (f32::INFINITY, 0));
                }
            }
        }
        best.matches
    }

    fn matched(&self, person: &Person, row: usize, distance: f32) -> Match {
        let name = self.people.name(person).into();
        rules::matched(&self.embedding, person.id(), name, self.photos[row], distance, person.watched())
    }

    /// As [`strangers_within`], measured on up to [`COMPARED`] photos spread over the gallery.
    pub(crate) fn strangers_within(&self, share: f64) -> Option<f32> {
        let every = self.photos.len().div_ceil(COMPARED).max(1);
        let numbers = |row: usize| self.row(row).iter().flat_map(|piece| piece.0).collect();
        let sample: Vec<(Option<PersonId>, Vec<f32>)> = (0..self.photos.len())
            .step_by(every)
            .map(|row| (self.people.of_row(row).map(Person::id), numbers(row)))
            .collect();
        strangers_within(self.embedding.metric, &sample, share)
    }
}

/// The distance below which a `share` of all pairs of photos of two different people lie; `None` if fewer than five pairs
/// would be below it. Compares all pairs of `photos`: two thousand photos take some milliseconds.
#[must_use]
pub fn strangers_within<P: PartialEq>(metric: Metric, photos: &[(P, Vec<f32>)], share: f64) -> Option<f32> {
    let mut distances = Vec::new();
    for (at, (person, vector)) in photos.iter().enumerate() {
        let others = photos[..at].iter().filter(|(other, _)| other != person);
        distances.extend(others.map(|(_, other)| distance(metric, vector, other)));
    }
    let within = (share * distances.len() as f64) as usize;
    if within < LEAST_WITHIN || within >= distances.len() {
        return None;
    }
    Some(*distances.select_nth_unstable_by(within, f32::total_cmp).1)
}

/// The nearest people found so far.
struct Best {
    /// Maximum number of people.
    k: usize,
    /// Nearest first.
    matches: Vec<Match>,
    /// The value of `far` for each of them.
    fars: Vec<f32>,
}

impl Best {
    fn new(k: usize) -> Self {
        Self { k, matches: Vec::new(), fars: Vec::new() }
    }

    /// The value above which a person is not among the nearest.
    fn bar(&self) -> f32 {
        if self.fars.len() == self.k { self.fars[self.k - 1] } else { f32::INFINITY }
    }

    /// Offers a person. People come by increasing id; of equally near people, the earlier one comes first.
    fn offer(&mut self, far: f32, distance: f32, matched: impl FnOnce(f32) -> Match) {
        if self.matches.len() == self.k {
            if distance.total_cmp(&self.matches[self.k - 1].distance) != Ordering::Less {
                return;
            }
            self.matches.pop();
            self.fars.pop();
        }
        let place = self.matches.partition_point(|m| m.distance <= distance);
        self.matches.insert(place, matched(distance));
        self.fars.insert(place, far);
    }
}

/// A query: the whole pieces as they lie in the slice of the caller, and the last piece padded with zeros.
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

    /// Σ term(row, query), in `LANES` independent sums: with a single sum the additions have a fixed order, so the compiler
    /// could not use vector registers.
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

/// The distance of two vectors: the Euclidean distance, or 1 − cosine.
#[must_use]
pub fn distance(metric: Metric, a: &[f32], b: &[f32]) -> f32 {
    let pairs = || a.iter().zip(b);
    match metric {
        Metric::Euclidean => pairs().map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt(),
        Metric::Cosine => {
            let dot: f32 = pairs().map(|(a, b)| a * b).sum();
            (1.0 - dot / (length(a) * length(b)).max(f32::MIN_POSITIVE)).clamp(0.0, 2.0)
        }
    }
}

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|x| x * x).sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests;

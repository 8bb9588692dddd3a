//! All vectors of a gallery in memory, and the search for the people nearest to one.

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
pub(super) use file::{indexed, remove_index};

use super::{EmbeddingId, GalleryError, PersonId, PhotoId, VectorFault, check_vector};

/// Numbers that are multiplied side by side: one AVX-512 register, two of AVX, four of SSE or NEON.
const LANES: usize = 16;

/// A piece of a vector that starts on a cache line. The last piece of a row is filled up with zeros.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Piece([f32; LANES]);

/// Photos that are compared with one another to learn how near strangers come: two million pairs, some milliseconds.
const COMPARED: usize = 2_000;

/// Pairs that tell how rare something is.
const LEAST_WITHIN: usize = 5;

const NOTHING: Piece = Piece([0.0; LANES]);

/// Photos from which on a gallery with an index is searched by its graph of neighbours. Below, going through all codes takes
/// a few milliseconds and misses nobody.
pub const APPROXIMATE_FROM: usize = 200_000;

/// A gallery as it was at one moment: immutable, to be shared by `Arc` and searched without a lock. In memory, or mapped from
/// an index file.
#[derive(Debug)]
pub struct Snapshot {
    embedding: EmbeddingId,
    /// `[photos, pieces]`, row-major: the vectors, for cosine of length one; rows of one person follow each other.
    rows: Section<Piece>,
    /// Pieces in a row.
    pieces: usize,
    /// The same rows, coarser: a search goes through these first.
    codes: Codes,
    /// `[photos]`.
    photos: Section<PhotoId>,
    last_photo: Option<PhotoId>,
    people: People,
    /// Of all rows; none where it was never built.
    graph: Option<Graph>,
    /// Photos from which on the graph is used.
    approximate_from: usize,
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
    /// Whether an alarm is to ring when they are seen.
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

    /// Appends a photo. People come by rising id, and all photos of a person one after the other by rising id.
    pub(super) fn push(
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

    /// The network whose vectors these are.
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

    /// The highest number of a photo here.
    pub(super) fn last_photo(&self) -> Option<PhotoId> {
        self.last_photo
    }

    /// The name of a person, if the person was there at this snapshot's moment.
    pub fn name(&self, person: PersonId) -> Option<&str> {
        self.people.find(person).map(|person| self.people.name(person))
    }

    /// The same, its graph used from `photos` photos on.
    pub(super) fn approximate_from(mut self, photos: usize) -> Self {
        self.approximate_from = photos;
        self
    }

    /// Whether a search goes by the graph of an index, and may miss somebody.
    pub fn is_approximate(&self) -> bool {
        self.graph.is_some() && self.photos() >= self.approximate_from
    }

    /// The `k` people nearest to `query` (`[length]`), each at the nearest of their photos; nearest first, and of
    /// equally near people the lower id first. Fewer than `k` where there are fewer people.
    ///
    /// As [`Snapshot::search_exact`], but where an index was built and there are [`APPROXIMATE_FROM`] photos or more: a graph
    /// of neighbours then names some photos, which are compared by their full numbers: as many as it took, when the index was
    /// built, for 99 of 100 queries made of the gallery's own photos to get the answer of the exact search.
    ///
    /// # Errors
    /// [`GalleryError::Query`] where the query has another length than the gallery's vectors, holds a number that is
    /// not finite, or has no direction (all zeros) and the metric is cosine.
    pub fn search(&self, query: &[f32], k: usize) -> Result<Vec<Match>, GalleryError> {
        self.search_among(query, k, false, |_| true)
    }

    /// The same, with every photo compared: by its code of eight bits a number, and by its full numbers where the code does
    /// not rule it out.
    ///
    /// Allocates nothing but the answer and the query's code.
    ///
    /// # Errors
    /// As [`Snapshot::search`].
    pub fn search_exact(&self, query: &[f32], k: usize) -> Result<Vec<Match>, GalleryError> {
        self.search_among(query, k, true, |_| true)
    }

    /// One or the other, as though photos that are not to be kept were not there.
    pub(super) fn search_among(
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
                // The rows have length one; dividing by the query's length does the rest. Rounding may leave the
                // cosine a little outside -1..1.
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

    /// `far(row)` is less for a nearer row, and never below `least(note, product)` of its code; `distance` turns it, without
    /// changing the order, into the distance.
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
                // A bound that is no number rules nothing out.
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
        Match {
            person: person.id(),
            name: self.people.name(person).into(),
            photo: self.photos[row],
            distance,
            similarity: self.similarity(distance),
            same_person: distance <= self.embedding.same_person,
            watched: person.watched(),
        }
    }

    /// As [`strangers_within`], over up to [`COMPARED`] photos from all over the gallery.
    pub(super) fn strangers_within(&self, share: f64) -> Option<f32> {
        let every = self.photos.len().div_ceil(COMPARED).max(1);
        let numbers = |row: usize| self.row(row).iter().flat_map(|piece| piece.0).collect();
        let sample: Vec<(Option<PersonId>, Vec<f32>)> = (0..self.photos.len())
            .step_by(every)
            .map(|row| (self.people.of_row(row).map(Person::id), numbers(row)))
            .collect();
        strangers_within(self.embedding.metric, &sample, share)
    }

    /// See [`EmbeddingId::similarity`].
    pub fn similarity(&self, distance: f32) -> f32 {
        self.embedding.similarity(distance)
    }
}

/// The distance that vectors of two different people are within in a `share` of all pairs of `photos`; `None` where fewer than
/// five pairs would be within. Compares all pairs: two thousand photos take some milliseconds.
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

/// The nearest people so far.
struct Best {
    /// At most so many.
    k: usize,
    /// Nearest first.
    matches: Vec<Match>,
    /// How far each of them is, before it became a distance.
    fars: Vec<f32>,
}

impl Best {
    fn new(k: usize) -> Self {
        Self { k, matches: Vec::new(), fars: Vec::new() }
    }

    /// Who is further than this is not among them.
    fn bar(&self) -> f32 {
        if self.fars.len() == self.k { self.fars[self.k - 1] } else { f32::INFINITY }
    }

    /// A person, by rising id: an equally near one goes behind those already there.
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

/// How far two vectors are from one another: the euclidean distance, or 1 − cosine.
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

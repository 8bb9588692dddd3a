//! Builds the index of a gallery.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::file::{self, Origin};
use super::graph::{Coarse, Graph, GraphBuilder};
use super::measure::measure;
use super::{EmbeddingId, LANES, Snapshot};
use crate::store::Transactions;
use crate::{Gallery, GalleryError, rows};

/// Number of rows that a thread takes at once.
const ROWS: usize = 64;

/// Builds the index of a gallery: [`IndexBuilder::new`] reads the vectors, [`IndexBuilder::work`] adds them to the graph and
/// is called from several threads, [`IndexBuilder::finish`] writes the file.
///
/// ```no_run
/// # use visavis_gallery::{Gallery, GalleryError, IndexBuilder};
/// # fn main() -> Result<(), GalleryError> {
/// let gallery = Gallery::open("people.gallery", None)?;
/// let builder = IndexBuilder::new(&gallery, 4)?;
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| builder.work(|_| {}));
///     }
/// });
/// builder.finish(&gallery)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct IndexBuilder {
    path: PathBuf,
    origin: Origin,
    snapshot: Snapshot,
    graph: GraphBuilder,
    /// The first row that no thread has taken yet.
    next: AtomicUsize,
    /// Number of rows in the graph.
    done: AtomicUsize,
    failure: Mutex<Option<String>>,
}

/// The result of building an index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IndexReport {
    /// Number of people in the gallery.
    pub people: usize,
    /// Number of photos.
    pub photos: usize,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Size of the graph in the file in bytes.
    pub graph_bytes: u64,
    /// Number of candidates of a search: the smallest number that reaches the required share of correct answers, or the
    /// useful maximum.
    pub candidates: usize,
    /// Share of queries, made from the gallery's own photos, whose answer is that of the exact search.
    pub recall: f64,
}

impl IndexBuilder {
    /// Reads all vectors of a gallery. `threads` is the number of threads that will call [`IndexBuilder::work`], 1 or more.
    ///
    /// # Errors
    /// As [`Gallery::snapshot`]; [`GalleryError::Index`] if there is not enough memory.
    pub fn new(gallery: &Gallery, threads: usize) -> Result<Self, GalleryError> {
        let path = gallery.index.clone().ok_or_else(|| GalleryError::Index {
            path: gallery.place().to_path_buf(),
            reason: match gallery.key() {
                Some(_) => "it would contain the vectors of an encrypted gallery in the clear",
                None => "there is no folder for it",
            }
            .into(),
        })?;
        let failed = |reason| GalleryError::Index { path: path.clone(), reason };
        if cfg!(target_endian = "big") {
            return Err(failed("big-endian machines are not supported".into()));
        }
        // Read before the vectors, so that a change in between is read once more on opening, and not missed.
        let origin = gallery.origin()?;
        let snapshot = gallery.snapshot()?;
        let embedding = snapshot.embedding();
        let graph =
            GraphBuilder::new(embedding.metric, embedding.length, snapshot.photos(), threads).map_err(failed)?;
        let (next, done, failure) = Default::default();
        Ok(Self { path, origin, snapshot, graph, next, done, failure })
    }

    /// Number of photos to add to the graph.
    pub fn photos(&self) -> usize {
        self.snapshot.photos()
    }

    /// Adds photos to the graph until all are in it. Calls `progress` with the number of photos added since the last call.
    /// May run in as many threads at once as were given to [`IndexBuilder::new`].
    pub fn work(&self, mut progress: impl FnMut(usize)) {
        let mut node = Vec::new();
        loop {
            let first = self.next.fetch_add(ROWS, Ordering::Relaxed);
            let rows = first..(first + ROWS).min(self.photos());
            if rows.is_empty() {
                return;
            }
            for turn in rows.clone() {
                if let Err(reason) = self.graph.add(&self.snapshot.codes, turn, &mut node) {
                    *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
                    // The other threads stop too.
                    self.next.store(self.photos(), Ordering::Relaxed);
                    return;
                }
            }
            self.done.fetch_add(rows.len(), Ordering::Release);
            progress(rows.len());
        }
    }

    /// Measures how many candidates a search needs, and writes the index beside the gallery in one step.
    ///
    /// # Errors
    /// [`GalleryError::Index`] if photos are missing in the graph, or if people were removed meanwhile, whose vectors must
    /// not be stored; and the failures of the file system.
    pub fn finish(self, gallery: &Gallery) -> Result<IndexReport, GalleryError> {
        let Self { path, origin, snapshot, graph, done, failure, .. } = self;
        let failed = |reason: String| GalleryError::Index { path: path.clone(), reason };
        if let Some(reason) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(failed(reason));
        }
        let done = done.into_inner();
        if done < snapshot.photos() {
            return Err(failed(format!("{} photos are missing in the graph", snapshot.photos() - done)));
        }
        let graph = graph.finish(snapshot.coarse()).map_err(failed)?;
        let (snapshot, measured) = measure(snapshot, graph);
        let bytes = file::write(&path, &snapshot, origin)?;
        // A removal deletes the index before and after it. An index that was written in between is deleted here.
        let removed =
            gallery.store.reading("looking for removed photos", |tx| rows::removals_since(tx, origin.changes))?;
        if !removed.is_empty() {
            gallery.remove_index()?;
            return Err(failed("a person or a photo was removed meanwhile: build it again".into()));
        }
        Ok(IndexReport {
            people: snapshot.people(),
            photos: snapshot.photos(),
            bytes,
            graph_bytes: snapshot.graph.as_ref().map_or(0, Graph::bytes) as u64,
            candidates: measured.expansion,
            recall: measured.recall,
        })
    }
}

impl Snapshot {
    fn coarse(&self) -> Coarse {
        let EmbeddingId { metric, length, .. } = self.embedding;
        Coarse::new(metric, length, bytemuck::cast_slice(&self.rows), self.pieces * LANES)
    }
}

#[cfg(test)]
impl Snapshot {
    /// The snapshot with a graph, which is used from `from` photos on.
    pub(in super::super) fn with_graph(mut self, from: usize) -> Self {
        let graph = GraphBuilder::new(self.embedding.metric, self.embedding.length, self.photos(), 1).unwrap();
        let mut node = Vec::new();
        for turn in 0..self.photos() {
            graph.add(&self.codes, turn, &mut node).unwrap();
        }
        (self.graph, self.approximate_from) = (Some(graph.finish(self.coarse()).unwrap()), from);
        self
    }
}

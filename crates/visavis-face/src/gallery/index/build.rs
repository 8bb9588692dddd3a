//! The index of a gallery made.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::super::{GalleryError, GalleryFile};
use super::file::{self, Origin, index_path};
use super::graph::{Coarse, Graph, GraphBuilder};
use super::measure::measure;
use super::{EmbeddingId, LANES, Snapshot, remove_index};

/// Rows that a thread takes at a time.
const ROWS: usize = 64;

/// Builds the index of a gallery: [`IndexBuilder::new`] reads the vectors, [`IndexBuilder::work`] puts them into the graph, by
/// as many threads as the caller calls it from, [`IndexBuilder::finish`] writes the file.
///
/// ```no_run
/// # use visavis_face::gallery::{GalleryError, GalleryFile, IndexBuilder};
/// # fn main() -> Result<(), GalleryError> {
/// let file = GalleryFile::open("people.gallery", None)?;
/// let builder = IndexBuilder::new(&file, 4)?;
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| builder.work(|_| {}));
///     }
/// });
/// builder.finish(&file)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct IndexBuilder {
    path: PathBuf,
    origin: Origin,
    snapshot: Snapshot,
    graph: GraphBuilder,
    /// First row that nobody has taken yet.
    next: AtomicUsize,
    /// Rows that are in the graph.
    done: AtomicUsize,
    failure: Mutex<Option<String>>,
}

/// What was built.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IndexReport {
    /// People in the gallery.
    pub people: usize,
    /// Their photos.
    pub photos: usize,
    /// Size of the file.
    pub bytes: u64,
    /// Size of the graph in it.
    pub graph_bytes: u64,
    /// Candidates that a search keeps: as few as find whom the exact search finds, or as many as are of use.
    pub candidates: usize,
    /// Share of the queries, made of the gallery's own photos, that were answered as by the exact search.
    pub recall: f64,
}

impl IndexBuilder {
    /// Reads all vectors of a gallery. `threads` is from how many threads [`IndexBuilder::work`] will be called, 1 or more.
    ///
    /// # Errors
    /// As [`GalleryFile::snapshot`]; [`GalleryError::Index`] where memory does not suffice.
    pub fn new(file: &GalleryFile, threads: usize) -> Result<Self, GalleryError> {
        let path = file.path().to_path_buf();
        let failed = |reason| GalleryError::Index { path: index_path(&path), reason };
        if cfg!(target_endian = "big") {
            return Err(failed("this machine writes numbers the other way round".into()));
        }
        // Read before the vectors: a change between the two is then read once more on opening, not missed.
        let origin = file.origin()?;
        let snapshot = file.snapshot()?;
        let embedding = snapshot.embedding();
        let graph =
            GraphBuilder::new(embedding.metric, embedding.length, snapshot.photos(), threads).map_err(failed)?;
        let (next, done, failure) = Default::default();
        Ok(Self { path, origin, snapshot, graph, next, done, failure })
    }

    /// Photos that there are to put into the graph.
    pub fn photos(&self) -> usize {
        self.snapshot.photos()
    }

    /// Puts photos into the graph until all are in it; `progress` is told of as many as went in since the last time. From as
    /// many threads at once as [`IndexBuilder::new`] was told.
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
                    // The others stop too.
                    self.next.store(self.photos(), Ordering::Relaxed);
                    return;
                }
            }
            self.done.fetch_add(rows.len(), Ordering::Release);
            progress(rows.len());
        }
    }

    /// Measures how many candidates a search has to keep, and writes the index beside the gallery that it was read from, in one
    /// move.
    ///
    /// # Errors
    /// [`GalleryError::Index`] where photos are left to put in, or people were removed meanwhile, of whom nothing may stay; and
    /// the failures of the file system.
    pub fn finish(self, file: &GalleryFile) -> Result<IndexReport, GalleryError> {
        let Self { path, origin, snapshot, graph, done, failure, .. } = self;
        let failed = |reason: String| GalleryError::Index { path: index_path(&path), reason };
        if let Some(reason) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(failed(reason));
        }
        let done = done.into_inner();
        if done < snapshot.photos() {
            return Err(failed(format!("{} photos are not in it yet", snapshot.photos() - done)));
        }
        let graph = graph.finish(snapshot.coarse()).map_err(failed)?;
        let (snapshot, measured) = measure(snapshot, graph);
        let bytes = file::write(&path, &snapshot, origin)?;
        // Whoever removes people deletes the index before and after. One that was put there in between is for us to delete.
        if !file.removals_since(origin.changes)?.is_empty() {
            remove_index(&path)?;
            return Err(failed("somebody was removed meanwhile, build it again".into()));
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
    /// The same with a graph, used from `from` photos on.
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

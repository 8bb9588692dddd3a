//! Builds the index of a gallery, with a progress bar.

use std::thread;
use std::time::Instant;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use visavis_gallery::{Gallery, IndexBuilder, IndexReport};

/// The result of building an index.
#[derive(Debug, Serialize)]
pub struct Indexed {
    /// Path of the index.
    pub file: String,
    /// Number of people.
    pub people: usize,
    /// Number of photos.
    pub photos: usize,
    /// Size of the index in bytes.
    pub bytes: u64,
    /// Size of the graph within it in bytes.
    pub graph_bytes: u64,
    /// Number of photos that a search compares.
    pub candidates: usize,
    /// Share of searches that find the same photo as the exact search.
    pub recall: f64,
    /// Time that it took, in seconds.
    pub seconds: f64,
}

/// Builds the index of a gallery.
pub fn index(gallery: &Gallery, threads: usize) -> Result<Indexed> {
    let (started, threads) = (Instant::now(), threads.max(1));
    let builder = IndexBuilder::new(gallery, threads)?;
    let bar = photos_bar(builder.photos());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| builder.work(|photos| bar.inc(photos as u64)));
        }
    });
    bar.finish_and_clear();
    let IndexReport { people, photos, bytes, graph_bytes, candidates, recall } = builder.finish(gallery)?;
    let file = gallery.index_path().map(|path| path.display().to_string()).unwrap_or_default();
    let seconds = started.elapsed().as_secs_f64();
    Ok(Indexed { file, people, photos, bytes, graph_bytes, candidates, recall, seconds })
}

/// A progress bar over photos.
#[must_use]
pub fn photos_bar(photos: usize) -> ProgressBar {
    ProgressBar::new(photos as u64).with_style(
        ProgressStyle::with_template("{bar:32} {pos}/{len} photos, {per_sec}, {eta} left  {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}

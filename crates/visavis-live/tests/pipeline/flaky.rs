//! A store of a gallery that can be made to fail.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use visavis_gallery::{EmbeddingId, GalleryError, Row, SqliteStore, Store, Work};
use visavis_infer::manifest::Metric;

/// The faults of a [`Flaky`] store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fault {
    /// Every access fails.
    pub(crate) down: Arc<AtomicBool>,
    /// Every change is refused.
    pub(crate) frozen: Arc<AtomicBool>,
}

pub(crate) struct Flaky {
    pub(crate) inner: SqliteStore,
    pub(crate) fault: Fault,
}

impl Flaky {
    fn ask(&self) -> Result<&SqliteStore, GalleryError> {
        if self.fault.down.load(Ordering::SeqCst) {
            return Err(GalleryError::Unreachable { place: "fake".into(), reason: "it was pulled out".into() });
        }
        Ok(&self.inner)
    }
}

impl Store for Flaky {
    fn place(&self) -> &Path {
        self.inner.place()
    }

    fn read(&self, doing: &'static str, work: Work<'_>) -> Result<(), GalleryError> {
        self.ask()?.read(doing, work)
    }

    fn write(&self, doing: &'static str, work: Work<'_>) -> Result<(), GalleryError> {
        if self.fault.frozen.load(Ordering::SeqCst) {
            return Err(GalleryError::ReadOnly { path: "fake".into(), doing });
        }
        self.ask()?.write(doing, work)
    }

    fn erase_remains(&self) -> Result<bool, GalleryError> {
        self.ask()?.erase_remains()
    }

    fn may_have_news(&self) -> Result<bool, GalleryError> {
        self.ask()?.may_have_news()
    }

    fn index(&self) -> Option<PathBuf> {
        None
    }

    fn check_network(&self, embedding: &EmbeddingId) -> Result<(), GalleryError> {
        self.inner.check_network(embedding)
    }

    fn nearest(&self, metric: Metric, query: &[f32], photos: usize) -> Result<Option<Vec<Row>>, GalleryError> {
        self.ask()?.nearest(metric, query, photos)
    }
}

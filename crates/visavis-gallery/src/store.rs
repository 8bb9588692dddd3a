//! What a gallery needs from the store of its rows.

use std::path::{Path, PathBuf};

use visavis_infer::manifest::Metric;

use crate::value::{Row, Value};
use crate::{EmbeddingId, GalleryError};

/// The work that is done within a transaction. If it returns an error, the transaction is rolled back.
pub type Work<'a> = &'a mut dyn FnMut(&mut dyn Transaction) -> Result<(), GalleryError>;

/// The store of the rows of a gallery: the tables `meta`, `person`, `photo`, `denial`, `removal`, `alarm` and
/// `sighting`.
///
/// All rules about these rows are above this trait, written once for all stores. A store runs statements in transactions,
/// and reports whether other programs changed something. It may be used from any thread.
pub trait Store: Send + Sync {
    /// The file, or the address of the database without its password, for messages.
    fn place(&self) -> &Path;

    /// Runs `work`, which only reads, on one consistent state of the rows. `doing` names the operation in error messages.
    ///
    /// # Errors
    /// The errors of `work` and of the store.
    fn read(&self, doing: &'static str, work: Work<'_>) -> Result<(), GalleryError>;

    /// Runs `work` in a transaction, which is durable once this has returned `Ok`. Changes of all programs are serialised,
    /// provided that each begins by writing to `meta`.
    ///
    /// # Errors
    /// The errors of `work` and of the store. Then nothing is changed.
    fn write(&self, doing: &'static str, work: Work<'_>) -> Result<(), GalleryError>;

    /// Copies finished changes from the store's log into its file, so that a copy of the file alone contains them, as far as this
    /// is possible without waiting for another program. Called after each change of people and photos. Does nothing if there
    /// is no such log.
    fn settle(&self) {}

    /// Removes traces of deleted rows, as far as the store can. Returns true if none remain.
    ///
    /// # Errors
    /// The failures of the store.
    fn erase_remains(&self) -> Result<bool, GalleryError>;

    /// Whether other programs may have changed something since the last call. False means that certainly nothing was
    /// changed.
    ///
    /// # Errors
    /// [`GalleryError::Unreachable`] if a database cannot be reached.
    fn may_have_news(&self) -> Result<bool, GalleryError>;

    /// The path of the index of this gallery; `None` if there is no place for one.
    fn index(&self) -> Option<PathBuf>;

    /// Fails if vectors of this network cannot be stored.
    ///
    /// # Errors
    /// [`GalleryError::Embedding`].
    fn check_network(&self, embedding: &EmbeddingId) -> Result<(), GalleryError>;

    /// The `photos` photos nearest to `query`, nearest first, as rows of `photo.id, person.id, person.name, person.watched,
    /// distance, denied`. `denied` is true if the query is nearer to a denied face of this person. `None` if the store
    /// cannot search.
    ///
    /// # Errors
    /// The failures of the store.
    fn nearest(&self, metric: Metric, query: &[f32], photos: usize) -> Result<Option<Vec<Row>>, GalleryError>;
}

/// An open transaction.
pub trait Transaction {
    /// As [`Store::place`].
    fn place(&self) -> &Path;

    /// Runs a statement and returns the number of rows that it changed. Parameters are written `$1`, `$2` and so on.
    ///
    /// # Errors
    /// The failures of the store.
    fn execute(&mut self, sql: &str, params: &[Value<'_>]) -> Result<usize, GalleryError>;

    /// Runs a statement that returns rows.
    ///
    /// # Errors
    /// The failures of the store.
    fn query(&mut self, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>, GalleryError>;

    /// Changes the columns of all vectors. Their contents are undefined until they are written; where a vector may be missing, it
    /// is missing.
    ///
    /// # Errors
    /// The failures of the store.
    fn set_vector_columns(&mut self, columns: VectorColumns) -> Result<(), GalleryError>;
}

/// What the columns of vectors contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VectorColumns {
    /// Vectors of this length.
    Numbers(usize),
    /// Encrypted vectors, as bytes.
    Encrypted,
}

/// Transactions with a result.
pub(crate) trait Transactions: Store {
    /// [`Store::read`] with a result.
    fn reading<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut dyn Transaction) -> Result<T, GalleryError>,
    ) -> Result<T, GalleryError> {
        once(doing, self.place(), work, |work| self.read(doing, work))
    }

    /// [`Store::write`] with a result.
    fn writing<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut dyn Transaction) -> Result<T, GalleryError>,
    ) -> Result<T, GalleryError> {
        once(doing, self.place(), work, |work| self.write(doing, work))
    }
}

impl<S: Store + ?Sized> Transactions for S {}

fn once<T>(
    doing: &'static str,
    place: &Path,
    work: impl FnOnce(&mut dyn Transaction) -> Result<T, GalleryError>,
    run: impl FnOnce(Work<'_>) -> Result<(), GalleryError>,
) -> Result<T, GalleryError> {
    let (mut work, mut done) = (Some(work), None);
    run(&mut |transaction| {
        if let Some(work) = work.take() {
            done = Some(work(transaction)?);
        }
        Ok(())
    })?;
    done.ok_or_else(|| GalleryError::failed(place, doing, "the store ran nothing"))
}

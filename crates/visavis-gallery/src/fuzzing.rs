//! Entry points for the fuzz targets in `visavis-fuzz`.
//!
//! Not part of the API.

use std::path::Path;

use crate::{EmbeddingId, Match, index};

/// Writes the hash into the header of an index file that its other fields have. Shorter bytes are left as they are.
pub fn seal_index(bytes: &mut [u8]) {
    index::seal(bytes);
}

/// Opens the index file at `path`, as a gallery of this network does, and searches it through its graph.
///
/// # Errors
/// The reason why the file is not used.
pub fn search_index(path: &Path, embedding: &EmbeddingId, query: &[f32]) -> Result<Vec<Match>, String> {
    let snapshot = index::read_file(path, embedding)?.approximate_from(0);
    snapshot.search(query, 5).map_err(|error| error.to_string())
}

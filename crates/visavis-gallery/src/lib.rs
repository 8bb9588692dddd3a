//! The gallery: people with their photos, visitors, denied faces, alarms and sightings.
//!
//! Programs open, search and change a [`Gallery`]. Its rules are written once, over the rows of a [`Store`]: an SQLite file
//! ([`SqliteStore`]), or PostgreSQL ([`PostgresStore`], with the feature `postgres`). [`GalleryBuilder`] builds a complete file
//! under a temporary name and renames it at the end. [`Snapshot`] is an immutable gallery at one moment, with all vectors in
//! memory. [`IndexBuilder`] writes a snapshot and a graph of neighbours to a file, with which a gallery of a million photos opens
//! and is searched within moments. [`photos_in`] finds the person of each photo in a folder.
//!
//! Vectors of different networks cannot be compared. So a gallery belongs to one network, its [`EmbeddingId`], until
//! [`Gallery::convert`] converts it to another. This crate does not compute vectors from faces.

mod alarms;
mod builder;
mod check;
mod convert;
mod encryption;
mod error;
mod export;
#[doc(hidden)]
pub mod fuzzing;
mod gallery;
mod identification;
mod index;
mod merge;
mod name;
mod people;
mod photo_source;
#[cfg(feature = "postgres")]
mod postgres;
mod remote;
mod resemblance;
mod rows;
mod rules;
mod sightings;
mod sqlite;
mod state;
mod store;
mod value;
mod visitors;

pub use alarms::{AlarmEntry, AlarmId, Answer, NewAlarm};
pub use builder::GalleryBuilder;
pub use check::{CheckParams, Finding};
pub use convert::Converted;
pub use encryption::GalleryKey;
pub use error::{GalleryError, VectorFault};
pub use gallery::{Gallery, GalleryParams};
pub use identification::{IdentityParams, chances, distance_at, false_match_rate, identify};
pub use index::{APPROXIMATE_FROM, IndexBuilder, IndexReport, Match, Snapshot, distance, index_path, strangers_within};
pub use merge::Merge;
pub use people::{Added, NewPhoto, PersonRecord, Removed, RemovedPhoto};
pub use photo_source::{FoundPhotos, PhotoSource, photos_in};
#[cfg(feature = "postgres")]
pub use postgres::{Address, PostgresStore};
pub use resemblance::{Comparisons, Resemblance, tell_apart};
pub use sightings::{NewSighting, SightingEntry, SightingFilter, SightingId, SightingMatch};
pub use sqlite::SqliteStore;
pub use store::{Store, Transaction, VectorColumns, Work};
pub use value::{Row, Value};

use bytemuck::{Pod, Zeroable};
use visavis_infer::manifest::{Likeness, Metric};

/// A person's number in one gallery. Never reused, even after a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonId(pub i64);

/// A photo's number in one gallery. Never reused, even after a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
#[repr(transparent)]
pub struct PhotoId(pub i64);

/// The network that computes the vectors of a gallery, and how they are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingId {
    /// The network's name, as in its manifest and on the command line.
    pub name: String,
    /// What the network computes: 16 hexadecimal digits, which differ for another version of the network.
    pub fingerprint: String,
    /// Length of a vector, 1 to [`EmbeddingId::MAX_LENGTH`].
    pub length: usize,
    /// How two vectors are compared.
    pub metric: Metric,
    /// Two vectors at most this far apart are of the same person; above 0. When a gallery is opened for a network, the threshold of
    /// that network replaces the stored one.
    pub same_person: f32,
    /// The measured distributions of distances, if there are any. Taken from the network like the threshold; not stored.
    pub likeness: Option<Likeness>,
    /// When a face is identified as a person of the gallery. Not stored.
    pub identity: IdentityParams,
}

/// Which people to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Only people whose name contains this text; case is ignored.
    pub name: String,
    /// Only people on the watch list.
    pub watched: bool,
    /// Only people with a name, not visitors, who were added automatically.
    pub named: bool,
    /// Number of people to skip.
    pub offset: usize,
    /// Maximum number of people to list.
    pub limit: usize,
}

/// A person of the gallery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonSummary {
    /// The number.
    pub id: PersonId,
    /// The name.
    pub name: String,
    /// Number of photos.
    pub photos: usize,
    /// Whether the person is on the watch list: an alarm is raised when they are seen.
    pub watched: bool,
    /// Whether the person is ignored: a face on a poster or a screen. No sightings of it are recorded.
    pub ignored: bool,
    /// Whether the person is a visitor: added automatically without a name, and deleted after a time.
    pub met: bool,
    /// Number of visits.
    pub seen: usize,
    /// Time of the last visit, Unix time in seconds.
    pub last_seen: Option<i64>,
}

impl EmbeddingId {
    /// Maximum length of a vector. Known face networks compute 128 to 2,048 numbers.
    pub const MAX_LENGTH: usize = 65_536;

    /// Whether vectors of `other` can be compared with vectors of this network.
    #[must_use]
    pub fn compares_with(&self, other: &Self) -> bool {
        self.name == other.name
            && self.fingerprint == other.fingerprint
            && self.length == other.length
            && self.metric == other.metric
    }

    /// Length of a step from a vector to one at `distance`: for cosine, from a vector of length one at a right angle to it.
    #[must_use]
    pub fn step(&self, distance: f32) -> f32 {
        match self.metric {
            Metric::Euclidean => distance,
            Metric::Cosine => ((1.0 - distance.min(0.9)).powi(-2) - 1.0).sqrt(),
        }
    }

    /// Network name with the first digits of its fingerprint, for messages.
    fn short(&self) -> String {
        let digits: String = self.fingerprint.chars().take(8).collect();
        let more = if self.fingerprint.len() > digits.len() { "…" } else { "" };
        format!("{} ({digits}{more})", self.name)
    }

    /// A distance as a likeness, a scale from 0 to 1 that says how alike two faces are and nothing about whether they are one
    /// person's: see [`Likeness::scale`].
    ///
    /// For a network whose distances were not measured it is straight between three points: distance 0 is 1, the same-person
    /// threshold is 0.5, twice the threshold and more is 0.
    #[must_use]
    pub fn likeness(&self, distance: f32) -> f32 {
        match self.likeness {
            Some(likeness) => likeness.scale(f64::from(distance)) as f32,
            None => (1.0 - 0.5 * distance / self.same_person).clamp(0.0, 1.0),
        }
    }

    /// The reason why this cannot be the network of a gallery; `None` if it can.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        if self.name.is_empty() {
            Some("the network has no name".into())
        } else if !(1..=Self::MAX_LENGTH).contains(&self.length) {
            Some(format!("its vectors have {} numbers, but 1 to {} are possible", self.length, Self::MAX_LENGTH))
        } else if !(self.same_person.is_finite() && self.same_person > 0.0) {
            Some(format!("its same-person distance is {}, but must be above 0", self.same_person))
        } else if !(self.identity.false_matches > 0.0 && self.identity.false_matches < 1.0) {
            Some(format!("the share of false matches is {}, but must be between 0 and 1", self.identity.false_matches))
        } else if !(self.identity.known > 0.0 && self.identity.known < 1.0) {
            Some(format!("the share of known people is {}, but must be between 0 and 1", self.identity.known))
        } else {
            None
        }
    }
}

/// Fails if `vector` cannot be compared with vectors of `embedding`.
fn check_vector(vector: &[f32], embedding: &EmbeddingId) -> Result<(), VectorFault> {
    if vector.len() != embedding.length {
        return Err(VectorFault::Length { found: vector.len(), expected: embedding.length });
    }
    if let Some(position) = vector.iter().position(|x| !x.is_finite()) {
        return Err(VectorFault::NotFinite { position });
    }
    // Within these limits no distance of two vectors overflows or loses precision by underflow.
    let squares: f32 = vector.iter().map(|x| x * x).sum();
    if squares > f32::MAX / 8.0 {
        return Err(VectorFault::TooLarge);
    }
    if embedding.metric == Metric::Cosine && squares < 1e-30 {
        return Err(VectorFault::NoDirection);
    }
    Ok(())
}

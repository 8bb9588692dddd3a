//! The gallery: people, each with one or more photos, in one SQLite file, and the snapshot that recognition searches.
//!
//! [`GalleryFile`] is the file: every change is one transaction. [`GalleryBuilder`] makes a whole file aside and puts it
//! in place at the end. [`Snapshot`] is a gallery at one moment: all vectors in memory, immutable, shared by `Arc`, so a
//! search never waits for the disk. [`Gallery`] is what live asks and changes; [`FileGallery`] is one over a file. [`rules`] are
//! what every gallery keeps to, wherever it lies.
//! [`IndexBuilder`] puts a snapshot and a graph of neighbours into a file beside the gallery, so that a gallery of a million
//! photos opens and is searched at once.
//! [`photos_in`] finds out who is on which photo of a folder.
//!
//! Vectors of different networks do not compare, so a gallery belongs to one network, its [`EmbeddingId`], until
//! [`GalleryFile::convert`] gives it to another.

mod alarms;
mod builder;
mod convert;
mod edit;
mod error;
mod index;
mod joint;
mod live;
mod name;
mod people;
mod person_record;
pub mod rules;
mod schema;
mod store;

pub use alarms::{AlarmEntry, AlarmId, Answer, NewAlarm};
pub use builder::GalleryBuilder;
pub use convert::Converted;
pub use error::{GalleryError, VectorFault};
pub use index::{APPROXIMATE_FROM, IndexBuilder, IndexReport, Match, Snapshot, distance, index_path, strangers_within};
pub use joint::{Brought, Joint, Remaining};
pub use live::FileGallery;
pub use people::{PhotoSource, photos_in};
pub use person_record::{PersonRecord, RemovedPhoto};
pub use store::{Added, GalleryFile, NewPhoto, PersonSummary, Removed};

use bytemuck::{Pod, Zeroable};
use visavis_infer::manifest::{Likeness, Metric};

/// A person's number in one gallery. Never given to another person, even after a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonId(pub i64);

/// A photo's number in one gallery. Never given to another photo, even after a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
#[repr(transparent)]
pub struct PhotoId(pub i64);

/// The network that makes the vectors of a gallery, and how they compare.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingId {
    /// The network's name, as in its manifest and on the command line.
    pub name: String,
    /// What tells two versions of the network apart: the SHA-256 of its weights, in hexadecimal.
    pub fingerprint: String,
    /// Numbers in a vector, 1 to [`EmbeddingId::MAX_LENGTH`].
    pub length: usize,
    /// How two vectors compare.
    pub metric: Metric,
    /// Same person at or nearer than this distance; above 0. A reading of the vectors, not part of them: a gallery
    /// opened for a network takes that network's threshold in place of the stored one.
    pub same_person: f32,
    /// How likely two vectors are of one person, where that was fitted; a reading like the threshold, not stored.
    pub likeness: Option<Likeness>,
}

/// Which people are to be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Only those with this in their names, whatever the case.
    pub name: String,
    /// Only those on the watch list.
    pub watched: bool,
    /// How many to pass over.
    pub offset: usize,
    /// How many to list at most.
    pub limit: usize,
}

impl Wanted {
    /// Those of all people.
    fn of(&self, people: Vec<PersonSummary>) -> (usize, Vec<PersonSummary>) {
        let name = self.name.trim().to_lowercase();
        let fits =
            |person: &PersonSummary| (person.watched || !self.watched) && person.name.to_lowercase().contains(&name);
        let people: Vec<PersonSummary> = people.into_iter().filter(fits).collect();
        (people.len(), people.into_iter().skip(self.offset).take(self.limit).collect())
    }
}

/// A gallery that is searched while it changes, wherever it lies: one machine's file, or a database that several share.
///
/// Everything may be called from any thread. A change that was answered with `Ok` lasts. Searches see it at once in this
/// process, and elsewhere after a [`Gallery::refresh`] there.
pub trait Gallery: Send + Sync {
    /// The network whose vectors these are.
    fn embedding(&self) -> &EmbeddingId;

    /// The `k` people nearest to `query`, each at the nearest of their photos; nearest first. Nobody of whom it was denied
    /// that they look like this. A large gallery with an index may miss somebody, see [`Snapshot::search`].
    ///
    /// # Errors
    /// [`GalleryError::Query`] for a query that cannot be compared; a database also fails, at once, while it is not reached:
    /// [`GalleryError::Unreachable`].
    fn search(&self, query: &[f32], k: usize) -> Result<Vec<Match>, GalleryError>;

    /// Everybody, by name.
    ///
    /// # Errors
    /// The failures of the store.
    fn people(&self) -> Result<Vec<PersonSummary>, GalleryError>;

    /// Those of the people who fit, by name: how many there are in all, and a part of them.
    ///
    /// # Errors
    /// The failures of the store.
    fn people_like(&self, wanted: &Wanted) -> Result<(usize, Vec<PersonSummary>), GalleryError> {
        Ok(wanted.of(self.people()?))
    }

    /// About how many people there are, as last heard of; the store is not asked where that can be helped.
    fn size(&self) -> usize {
        self.people().map_or(0, |people| people.len())
    }

    /// Somebody by number; `None` where they are not there.
    ///
    /// # Errors
    /// The failures of the store.
    fn person(&self, id: PersonId) -> Result<Option<PersonSummary>, GalleryError>;

    /// See [`GalleryFile::find_person`].
    ///
    /// # Errors
    /// As [`GalleryFile::find_person`].
    fn find_person(&self, name: &str) -> Result<PersonSummary, GalleryError>;

    /// See [`GalleryFile::portrait`].
    ///
    /// # Errors
    /// The failures of the store.
    fn portrait(&self, person: PersonId) -> Result<Option<Vec<u8>>, GalleryError>;

    /// See [`GalleryFile::add`].
    ///
    /// # Errors
    /// As [`GalleryFile::add`].
    fn add(&self, person: &str, photos: &[NewPhoto]) -> Result<Added, GalleryError>;

    /// See [`GalleryFile::remove_person`].
    ///
    /// # Errors
    /// As [`GalleryFile::remove_person`].
    fn remove_person(&self, name: &str) -> Result<Removed, GalleryError>;

    /// See [`GalleryFile::watch`].
    ///
    /// # Errors
    /// As [`GalleryFile::watch`].
    fn watch(&self, name: &str, watched: bool) -> Result<PersonId, GalleryError>;

    /// See [`GalleryFile::rename`].
    ///
    /// # Errors
    /// As [`GalleryFile::rename`].
    fn rename(&self, name: &str, to: &str) -> Result<PersonId, GalleryError>;

    /// See [`GalleryFile::deny`].
    ///
    /// # Errors
    /// As [`GalleryFile::deny`].
    fn deny(&self, person: PersonId, vector: &[f32]) -> Result<(), GalleryError>;

    /// See [`GalleryFile::merge`].
    ///
    /// # Errors
    /// The failures of the store.
    fn merge(&self, from: PersonId, into: PersonId) -> Result<(), GalleryError>;

    /// See [`GalleryFile::meet`].
    ///
    /// # Errors
    /// As [`GalleryFile::meet`].
    fn meet(&self, photo: &NewPhoto, at: i64) -> Result<PersonId, GalleryError>;

    /// See [`GalleryFile::add_to`].
    ///
    /// # Errors
    /// As [`GalleryFile::add_to`].
    fn add_to(&self, person: PersonId, photo: &NewPhoto) -> Result<bool, GalleryError>;

    /// See [`GalleryFile::seen`].
    ///
    /// # Errors
    /// The failures of the store.
    fn seen(&self, person: PersonId, at: i64, new: bool) -> Result<(), GalleryError>;

    /// As [`Gallery::add_to`], for somebody who was merely met; photos of others were chosen by hand.
    ///
    /// # Errors
    /// As [`Gallery::add_to`].
    fn add_photo_if_met(&self, person: PersonId, photo: &NewPhoto) -> Result<bool, GalleryError> {
        if self.is_met(person)? { self.add_to(person, photo) } else { Ok(false) }
    }

    /// As [`Gallery::merge`], if `from` was merely met; whether they are one now.
    ///
    /// # Errors
    /// The failures of the store.
    fn merge_if_met(&self, from: PersonId, into: PersonId) -> Result<bool, GalleryError> {
        let met = self.is_met(from)?;
        if met {
            self.merge(from, into)?;
        }
        Ok(met)
    }

    /// Whether a person was merely met; false for who is not there.
    ///
    /// # Errors
    /// The failures of the store.
    fn is_met(&self, person: PersonId) -> Result<bool, GalleryError> {
        Ok(self.person(person)?.is_some_and(|person| person.met))
    }

    /// See [`GalleryFile::photos`].
    ///
    /// # Errors
    /// The failures of the store.
    fn photos(&self, person: PersonId) -> Result<Vec<PhotoId>, GalleryError>;

    /// See [`GalleryFile::thumbnail`].
    ///
    /// # Errors
    /// The failures of the store.
    fn thumbnail(&self, photo: PhotoId) -> Result<Option<Vec<u8>>, GalleryError>;

    /// See [`GalleryFile::person_record`].
    ///
    /// # Errors
    /// As [`GalleryFile::person_record`].
    fn person_record(&self, person: PersonId) -> Result<Option<PersonRecord>, GalleryError>;

    /// See [`GalleryFile::restore`].
    ///
    /// # Errors
    /// As [`GalleryFile::restore`].
    fn restore(&self, record: &PersonRecord) -> Result<PersonId, GalleryError>;

    /// See [`GalleryFile::remove_photo`].
    ///
    /// # Errors
    /// As [`GalleryFile::remove_photo`].
    fn remove_photo(&self, photo: PhotoId) -> Result<Option<RemovedPhoto>, GalleryError>;

    /// See [`GalleryFile::restore_photo`].
    ///
    /// # Errors
    /// As [`GalleryFile::restore_photo`].
    fn restore_photo(&self, removed: &RemovedPhoto) -> Result<bool, GalleryError>;

    /// See [`GalleryFile::join`].
    ///
    /// # Errors
    /// The failures of the store.
    fn join(&self, from: PersonId, into: PersonId) -> Result<Option<Joint>, GalleryError>;

    /// See [`GalleryFile::part`].
    ///
    /// # Errors
    /// As [`GalleryFile::part`].
    fn part(&self, joint: &Joint) -> Result<Option<PersonId>, GalleryError>;

    /// See [`GalleryFile::record_alarm`].
    ///
    /// # Errors
    /// As [`GalleryFile::record_alarm`].
    fn record_alarm(&self, alarm: &NewAlarm<'_>) -> Result<Option<AlarmId>, GalleryError>;

    /// See [`GalleryFile::alarms`].
    ///
    /// # Errors
    /// The failures of the store.
    fn alarms(&self, before: Option<AlarmId>, most: usize) -> Result<Vec<AlarmEntry>, GalleryError>;

    /// See [`GalleryFile::alarm_crop`].
    ///
    /// # Errors
    /// The failures of the store.
    fn alarm_crop(&self, alarm: AlarmId) -> Result<Option<Vec<u8>>, GalleryError>;

    /// See [`GalleryFile::answer_alarm`].
    ///
    /// # Errors
    /// The failures of the store.
    fn answer_alarm(&self, alarm: AlarmId, answer: Answer) -> Result<bool, GalleryError>;

    /// The distance that photos of two different people are within in a `share` of all pairs; `None` where the gallery has
    /// too few photos to tell, or does not tell at all.
    ///
    /// # Errors
    /// The failures of the store.
    fn strangers_within(&self, share: f64) -> Result<Option<f32>, GalleryError> {
        let _ = share;
        Ok(None)
    }

    /// See [`GalleryFile::forget_met_before`].
    ///
    /// # Errors
    /// The failures of the store.
    fn forget_met_before(&self, before: i64) -> Result<usize, GalleryError>;

    /// Looks for what others have changed; whether there was anything.
    ///
    /// # Errors
    /// The failures of the store.
    fn refresh(&self) -> Result<bool, GalleryError>;
}

impl EmbeddingId {
    /// The longest vector accepted. Known face networks make 128 to 2,048 numbers.
    pub const MAX_LENGTH: usize = 65_536;

    /// Whether vectors made by `other` compare with ours.
    #[must_use]
    pub fn compares_with(&self, other: &Self) -> bool {
        self.name == other.name
            && self.fingerprint == other.fingerprint
            && self.length == other.length
            && self.metric == other.metric
    }

    /// How long a step leads from a vector to one that is `distance` away: for cosine from one of length one, at a right angle.
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

    /// A distance as a likeness from 1 to 0: how likely the two are of one person, were every second pair of one person,
    /// where that was fitted for the network.
    ///
    /// Otherwise straight between three points, for reading only: distance 0 is 1, the same-person threshold is 0.5, twice
    /// the threshold and more is 0.
    #[must_use]
    pub fn similarity(&self, distance: f32) -> f32 {
        match self.likeness {
            Some(curve) => curve.of(distance),
            None => (1.0 - 0.5 * distance / self.same_person).clamp(0.0, 1.0),
        }
    }

    /// Why this cannot be the network of a gallery, if it cannot.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        if self.name.is_empty() {
            Some("the network has no name".into())
        } else if !(1..=Self::MAX_LENGTH).contains(&self.length) {
            Some(format!("vectors of {} numbers: 1 to {} are possible", self.length, Self::MAX_LENGTH))
        } else if !(self.same_person.is_finite() && self.same_person > 0.0) {
            Some(format!("a same-person distance of {}: it must be above 0", self.same_person))
        } else {
            None
        }
    }
}

/// Fails where `vector` cannot be compared under `embedding`.
fn check_vector(vector: &[f32], embedding: &EmbeddingId) -> Result<(), VectorFault> {
    if vector.len() != embedding.length {
        return Err(VectorFault::Length { found: vector.len(), expected: embedding.length });
    }
    if let Some(position) = vector.iter().position(|x| !x.is_finite()) {
        return Err(VectorFault::NotFinite { position });
    }
    // So that no distance between two vectors overflows, and none loses its digits to underflow.
    let squares: f32 = vector.iter().map(|x| x * x).sum();
    if squares > f32::MAX / 8.0 {
        return Err(VectorFault::TooLarge);
    }
    if embedding.metric == Metric::Cosine && squares < 1e-30 {
        return Err(VectorFault::NoDirection);
    }
    Ok(())
}

#[cfg(test)]
mod tests;

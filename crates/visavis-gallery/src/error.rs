//! The errors of a gallery.

use std::io;
use std::path::{Path, PathBuf};

use crate::{AlarmId, EmbeddingId, PersonId};

/// The errors of a gallery. For a gallery in a database, `path` is the address of the database without its password.
#[derive(Debug, thiserror::Error)]
pub enum GalleryError {
    /// There is no file to open.
    #[error("there is no gallery {}: build it, or correct the path", path.display())]
    Missing {
        /// The missing file.
        path: PathBuf,
    },
    /// A new gallery would overwrite a file.
    #[error("{} exists already: remove it or choose another name for the new gallery", path.display())]
    Exists {
        /// The existing file.
        path: PathBuf,
    },
    /// The file is not a gallery.
    #[error("{} is not a gallery: {reason}", path.display())]
    NotAGallery {
        /// The file.
        path: PathBuf,
        /// How this was recognised.
        reason: String,
    },
    /// The gallery is truncated or damaged.
    #[error("the gallery {} is damaged ({reason}): restore it from a backup, or build it again from the photos", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is damaged.
        reason: String,
    },
    /// A newer version of the program wrote it.
    #[error(
        "the gallery {} has format {found}, but this program reads formats up to {known} only: use a newer visavis",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that this program reads.
        known: i64,
    },
    /// The key of a gallery is unusable. The error does not repeat it.
    #[error("the key of the gallery cannot be used: {reason}")]
    Key {
        /// What is wrong with it.
        reason: String,
    },
    /// The gallery is encrypted, and no key was given.
    #[error("the gallery {} is encrypted, and its key is missing", path.display())]
    Encrypted {
        /// The file, or the database's address.
        path: PathBuf,
    },
    /// The gallery is encrypted by another key.
    #[error("the gallery {} is encrypted by another key than the given one", path.display())]
    WrongKey {
        /// The file, or the database's address.
        path: PathBuf,
    },
    /// A key was given for a gallery that is not encrypted.
    #[error("the gallery {} is not encrypted, but a key was given: encrypt it, or give no key", path.display())]
    NotEncrypted {
        /// The file, or the database's address.
        path: PathBuf,
    },
    /// Another program encrypted the gallery, decrypted it or changed its key since it was opened.
    #[error("the key of the gallery {} was changed by another program: start again with the new key", path.display())]
    KeyChanged {
        /// The file, or the database's address.
        path: PathBuf,
    },
    /// The vectors were made by another network.
    #[error(
        "the gallery {} was made with the network {made_with}, not with {wanted}: convert the gallery, or use the network that made it",
        path.display()
    )]
    OtherNetwork {
        /// The file.
        path: PathBuf,
        /// Name and fingerprint of the network that made it.
        made_with: String,
        /// Name and fingerprint of the requested network.
        wanted: String,
        /// Name of the requested network.
        network: String,
    },
    /// The gallery cannot be converted, because photos have no thumbnail.
    #[error(
        "the gallery {} cannot be converted, since {photos} of its photos have no picture: build it again from the photos",
        path.display()
    )]
    NoThumbnail {
        /// The file.
        path: PathBuf,
        /// Number of photos without a thumbnail.
        photos: usize,
    },
    /// A gallery cannot store the vectors of this network.
    #[error("a gallery cannot store the embeddings of the network {network:?}: {reason}")]
    Embedding {
        /// The network's name.
        network: String,
        /// Why.
        reason: String,
    },
    /// Another program has locked the file.
    #[error("the gallery {} is in use by another program ({doing}): close that program or try again", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
        /// The operation that failed.
        doing: &'static str,
    },
    /// There is no permission to write the file or its folder.
    #[error("the gallery {} cannot be written ({doing}): allow writing to the file and its folder, or work on a copy", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// The operation that failed.
        doing: &'static str,
    },
    /// The disk is full.
    #[error("the gallery {} cannot be written ({doing}): the disk is full; free some space and try again", path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// The operation that failed.
        doing: &'static str,
    },
    /// There is no permission to read the file or its folder.
    #[error("the gallery {} cannot be read: permit this user to read the file and its folder", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
    },
    /// A new gallery cannot be at this path.
    #[error("a new gallery cannot be at \"{}\": {reason}", path.display())]
    Target {
        /// The path.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// Any other failure of the store.
    #[error("the gallery {}: {doing}: {error}", path.display())]
    Store {
        /// The file, or the database's address.
        path: PathBuf,
        /// The operation that failed.
        doing: &'static str,
        /// The error of SQLite or PostgreSQL. It is part of the message, so it is no source of this error: it would be printed twice.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The address of a database is invalid. The error does not repeat the address, since it may contain a password.
    #[error("the address of the gallery's database is invalid: {reason}")]
    Address {
        /// What is wrong with it.
        reason: String,
    },
    /// The limit for the memory of a gallery in a database is invalid.
    #[error("the limit for the memory of the gallery is invalid: {reason}")]
    Memory {
        /// What is wrong with it.
        reason: String,
    },
    /// The database cannot be reached or does not answer. Connecting is retried in the background.
    #[error("the gallery {place} cannot be reached: {reason}")]
    Unreachable {
        /// The database's address, without its password.
        place: String,
        /// The last failure.
        reason: String,
    },
    /// The file system failed.
    #[error("{}: {doing}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The operation that failed.
        doing: &'static str,
        /// The error of the system.
        source: io::Error,
    },
    /// The index could not be built. The gallery is unchanged.
    #[error("the index {} was not built: {reason}", path.display())]
    Index {
        /// Path of the index.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The photo cannot be added.
    #[error("the photo {photo:?} of \"{person}\" cannot be added: {reason}")]
    Photo {
        /// The person of the photo.
        person: String,
        /// The file name of the photo.
        photo: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A person was added without a photo.
    #[error("no photo of \"{person}\" was given: give one or more")]
    NoPhoto {
        /// The person.
        person: String,
    },
    /// The vector of a query cannot be compared with the gallery.
    #[error("a vector cannot be compared with this gallery of the network {network}: {fault}")]
    Query {
        /// The gallery's network.
        network: String,
        /// What is wrong with the vector.
        fault: VectorFault,
    },
    /// The name is invalid.
    #[error("{name:?} cannot be the name of a person: {reason}")]
    Name {
        /// The name.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// Another person has this name.
    #[error("the gallery {} already has a person named \"{name}\": choose another name, or merge the two", path.display())]
    NameTaken {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// The last photo of a person cannot be removed: each person has at least one.
    #[error("the gallery {} has no other photo of {name}: remove the person instead", path.display())]
    OnlyPhoto {
        /// The file.
        path: PathBuf,
        /// Name of the person.
        name: String,
    },
    /// The person with this number does not exist, or was removed.
    #[error("the gallery {} has no person with the number {}", path.display(), person.0)]
    NoSuchPerson {
        /// The file, or the database's address.
        path: PathBuf,
        /// The number.
        person: PersonId,
    },
    /// There is no person with this name.
    #[error("the gallery {} has no person named \"{name}\"{}", path.display(), did_you_mean(near))]
    UnknownPerson {
        /// The file.
        path: PathBuf,
        /// The requested name.
        name: String,
        /// Similar names, nearest first.
        near: Vec<String>,
    },
    /// The alarm was acknowledged, which deleted the embedding of its face, so a denial would teach the gallery nothing.
    #[error(
        "the alarm {} was acknowledged, which deleted its face, so it cannot be denied any more: deny the next alarm of this face",
        alarm.0
    )]
    AlarmAcknowledged {
        /// The alarm.
        alarm: AlarmId,
    },
    /// A table of people is invalid.
    #[error("{}, line {line}: {reason}", path.display())]
    Table {
        /// The CSV file.
        path: PathBuf,
        /// Line of the error, from 1.
        line: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A folder or file contains no photos of people.
    #[error("{} contains no photos of people: {reason}", path.display())]
    NoPhotos {
        /// The folder or file.
        path: PathBuf,
        /// What is needed.
        reason: String,
    },
}

/// Why a vector cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VectorFault {
    /// The vector probably comes from another network.
    #[error("it has {found} numbers, not {expected}")]
    Length {
        /// Length of the vector.
        found: usize,
        /// Length of the vectors of this gallery.
        expected: usize,
    },
    /// The output of the network is not finite.
    #[error("its number {position} (from 0) is not finite")]
    NotFinite {
        /// Index of the number, from 0.
        position: usize,
    },
    /// The distance would overflow.
    #[error("its numbers are too large: their squares overflow")]
    TooLarge,
    /// All numbers are (almost) zero, which the cosine metric cannot compare.
    #[error("it is zero, so it has no direction")]
    NoDirection,
}

impl GalleryError {
    /// A failure of the store that has no variant of its own.
    pub(crate) fn failed(
        path: &Path,
        doing: &'static str,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Store { path: path.to_path_buf(), doing, error: error.into() }
    }

    /// Converts an I/O error, adding the file and the operation.
    pub(crate) fn io(path: &Path, doing: &'static str) -> impl Fn(io::Error) -> GalleryError {
        move |source| GalleryError::Io { path: path.to_path_buf(), doing, source }
    }

    pub(crate) fn other_network(path: &Path, made_with: &EmbeddingId, wanted: &EmbeddingId) -> GalleryError {
        GalleryError::OtherNetwork {
            path: path.to_path_buf(),
            made_with: made_with.short(),
            wanted: wanted.short(),
            network: wanted.name.clone(),
        }
    }
}

fn did_you_mean(near: &[String]) -> String {
    match near {
        [] => String::new(),
        [one] => format!(": did you mean \"{one}\"?"),
        many => {
            let many: Vec<_> = many.iter().map(|name| format!("\"{name}\"")).collect();
            format!(": did you mean one of {}?", many.join(", "))
        }
    }
}

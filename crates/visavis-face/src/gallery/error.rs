//! What can go wrong with a gallery.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::EmbeddingId;

/// What can go wrong with a gallery. The path of one in a database is the database's address, without its password.
#[derive(Debug, thiserror::Error)]
pub enum GalleryError {
    /// There is no file to open.
    #[error("there is no gallery {}: build one with 'visavis gallery build PHOTOS --out {}'", path.display(), path.display())]
    Missing {
        /// The file that is not there.
        path: PathBuf,
    },
    /// A new gallery would overwrite a file.
    #[error("{} exists already: remove it or choose another name for the new gallery", path.display())]
    Exists {
        /// The file in the way.
        path: PathBuf,
    },
    /// Some other kind of file.
    #[error("{} is not a gallery of visavis: {reason}", path.display())]
    NotAGallery {
        /// The file.
        path: PathBuf,
        /// What shows it.
        reason: String,
    },
    /// A gallery that was cut short or damaged.
    #[error(
        "the gallery {} is damaged ({reason}): restore it from a copy, or rebuild it with 'visavis gallery build PHOTOS --out {}'",
        path.display(), path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        reason: String,
    },
    /// Written by a later program.
    #[error(
        "the gallery {} has format {found}, and this program knows formats up to {known}: use a newer visavis, or rebuild it with 'visavis gallery build PHOTOS --out {}'",
        path.display(), path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that this program reads.
        known: i64,
    },
    /// The vectors were made by another network.
    #[error(
        "{} was made with the network {made_with}, not with {wanted}: 'visavis gallery convert {} --similarity {}' has its photos looked at anew",
        path.display(), path.display(), network
    )]
    OtherNetwork {
        /// The file.
        path: PathBuf,
        /// Name and fingerprint of the network that made it.
        made_with: String,
        /// Name and fingerprint of the network asked for.
        wanted: String,
        /// Name of the network asked for.
        network: String,
    },
    /// Photos that cannot be looked at again.
    #[error(
        "{}: {photos} of its photos were kept without a picture, so another network cannot look at them: build the gallery anew from the photos",
        path.display()
    )]
    NoThumbnail {
        /// The file.
        path: PathBuf,
        /// How many.
        photos: usize,
    },
    /// A network that no gallery can hold.
    #[error("the network {network:?} cannot have a gallery: {reason}")]
    Embedding {
        /// The network's name.
        network: String,
        /// Why.
        reason: String,
    },
    /// Another program holds the file.
    #[error("the gallery {} is in use by another program ({doing}): close that program or try again", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
        /// What was under way.
        doing: &'static str,
    },
    /// The file or its folder may not be written.
    #[error("the gallery {} may only be read ({doing}): allow writing to the file and its folder, or work on a copy", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// What was under way.
        doing: &'static str,
    },
    /// SQLite failed in another way.
    #[error("the gallery {}: {doing}: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What was under way.
        doing: &'static str,
        /// SQLite's own words.
        source: rusqlite::Error,
    },
    /// The address of a database that cannot be used. It is not repeated here: a password may be in it.
    #[error("the address of the gallery's database cannot be used: {reason}")]
    Address {
        /// What is wrong with it.
        reason: String,
    },
    /// The database of a gallery is not reached, or does not answer. Tried again all the time: it may come back.
    #[error("the gallery {place} is not reached: {reason}")]
    Unreachable {
        /// The database's address, without its password.
        place: String,
        /// What happened last.
        reason: String,
    },
    /// The database of a gallery refused.
    #[error("the gallery {place}: {doing}: {reason}")]
    Database {
        /// The database's address, without its password.
        place: String,
        /// What was under way.
        doing: &'static str,
        /// The database's own words.
        reason: String,
    },
    /// The file system failed.
    #[error("{}: {doing}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What was under way.
        doing: &'static str,
        /// The system's own words.
        source: io::Error,
    },
    /// An index that was not built. The gallery is as it was.
    #[error("the index {} was not built: {reason}", path.display())]
    Index {
        /// Where it would be.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A photo that the gallery cannot take.
    #[error("the photo {photo:?} of {person:?}: {reason}")]
    Photo {
        /// Whose photo.
        person: String,
        /// The photo's file name.
        photo: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A person without a face.
    #[error("no photo of {person:?} was given: everybody in a gallery needs one or more")]
    NoPhoto {
        /// Who.
        person: String,
    },
    /// A vector to search with that cannot be compared.
    #[error("a vector to search for cannot be compared with the gallery of the network {network}: {fault}")]
    Query {
        /// The gallery's network.
        network: String,
        /// What is wrong with the vector.
        fault: VectorFault,
    },
    /// A name that is no name.
    #[error("{name:?} cannot be the name of a person: {reason}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// Somebody else has this name.
    #[error("the gallery {} has a {name:?} already: take another name, or join the two", path.display())]
    NameTaken {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// The last photo of a person: whoever is in a gallery has one.
    #[error("the gallery {} has no other photo of {name}: remove the person instead", path.display())]
    OnlyPhoto {
        /// The file.
        path: PathBuf,
        /// Whose photo.
        name: String,
    },
    /// Nobody has this name.
    #[error("nobody in the gallery {} is named {name:?}{}", path.display(), did_you_mean(path, near))]
    UnknownPerson {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        name: String,
        /// Names like it, nearest first.
        near: Vec<String>,
    },
    /// A table of people that cannot be understood.
    #[error("{}, line {line}: {reason}", path.display())]
    Table {
        /// The CSV file.
        path: PathBuf,
        /// Line in it, from 1.
        line: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A folder or file without photos of people.
    #[error("no photos of people in {}: {reason}", path.display())]
    NoPhotos {
        /// The folder or file.
        path: PathBuf,
        /// What was looked for.
        reason: String,
    },
}

/// Why a vector cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VectorFault {
    /// Made by another network, most likely.
    #[error("it has {found} numbers, not {expected}")]
    Length {
        /// Numbers given.
        found: usize,
        /// Numbers in a vector of this gallery.
        expected: usize,
    },
    /// The network failed on the picture.
    #[error("its number {position} (from 0) is not finite")]
    NotFinite {
        /// Where, from 0.
        position: usize,
    },
    /// The distance would overflow.
    #[error("its numbers are too large: their squares overflow")]
    TooLarge,
    /// All (nearly) zero, which cosine cannot compare.
    #[error("it is zero, which has no direction to compare")]
    NoDirection,
}

impl GalleryError {
    /// Turns SQLite's failures on `path` into ours.
    pub(super) fn sqlite(path: &Path, doing: &'static str) -> impl Fn(rusqlite::Error) -> GalleryError + use<> {
        // Its own, so that the file may be changed while it is at hand.
        let path = path.to_path_buf();
        move |source| {
            let path = path.clone();
            match source.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt) => GalleryError::Damaged { path, reason: source.to_string() },
                Some(ErrorCode::NotADatabase) => GalleryError::NotAGallery {
                    path,
                    reason: "it is not an SQLite file, or its beginning is damaged".into(),
                },
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => GalleryError::InUse { path, doing },
                Some(ErrorCode::ReadOnly) => GalleryError::ReadOnly { path, doing },
                _ => GalleryError::Sqlite { path, doing, source },
            }
        }
    }

    /// Names the file and what was under way.
    pub(super) fn io(path: &Path, doing: &'static str) -> impl Fn(io::Error) -> GalleryError {
        move |source| GalleryError::Io { path: path.to_path_buf(), doing, source }
    }

    pub(super) fn other_network(path: &Path, made_with: &EmbeddingId, wanted: &EmbeddingId) -> GalleryError {
        GalleryError::OtherNetwork {
            path: path.to_path_buf(),
            made_with: made_with.short(),
            wanted: wanted.short(),
            network: wanted.name.clone(),
        }
    }
}

fn did_you_mean(path: &Path, near: &[String]) -> String {
    match near {
        [] => format!(": 'visavis gallery list {}' shows everybody", path.display()),
        [one] => format!(": do you mean {one:?}?"),
        many => {
            let many: Vec<_> = many.iter().map(|name| format!("{name:?}")).collect();
            format!(": do you mean one of {}?", many.join(", "))
        }
    }
}

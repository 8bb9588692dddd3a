//! What every gallery keeps to, wherever it lies: which names, photos and vectors it takes, and how it reads a distance.

use std::path::Path;
use std::sync::Arc;

use super::{EmbeddingId, GalleryError, Match, NewPhoto, PersonId, PhotoId, name};

/// Names of people whom nobody has named: this and their number.
pub const NAMELESS: &str = "Visitor";

/// Alarms kept; of more, the oldest are forgotten.
pub const MOST_ALARMS: i64 = 10_000;

/// The name without white space around it.
///
/// # Errors
/// [`GalleryError::Name`] where nothing is left, the name is longer than 200 bytes, or it holds control characters.
pub fn person_name(name: &str) -> Result<&str, GalleryError> {
    name::checked(name)
}

/// The photos may be added to `person`: there are some, and all are usable.
///
/// # Errors
/// [`GalleryError::NoPhoto`] and [`GalleryError::Photo`].
pub fn photos(person: &str, photos: &[NewPhoto], embedding: &EmbeddingId) -> Result<(), GalleryError> {
    if photos.is_empty() {
        return Err(GalleryError::NoPhoto { person: person.to_owned() });
    }
    photos.iter().try_for_each(|photo| {
        photo.check(embedding).map_err(|reason| GalleryError::Photo {
            person: person.to_owned(),
            photo: photo.source.clone(),
            reason,
        })
    })
}

/// The vector can be compared with those of a gallery.
///
/// # Errors
/// [`GalleryError::Query`].
pub fn query(vector: &[f32], embedding: &EmbeddingId) -> Result<(), GalleryError> {
    super::check_vector(vector, embedding)
        .map_err(|fault| GalleryError::Query { network: embedding.name.clone(), fault })
}

/// The network can have a gallery.
///
/// # Errors
/// [`GalleryError::Embedding`].
pub fn network(embedding: &EmbeddingId) -> Result<(), GalleryError> {
    match embedding.fault() {
        Some(reason) => Err(GalleryError::Embedding { network: embedding.name.clone(), reason }),
        None => Ok(()),
    }
}

/// The network of an opened gallery: the one that made it, read as `expected` reads it.
///
/// # Errors
/// [`GalleryError::OtherNetwork`], [`GalleryError::Embedding`].
pub fn opened(
    place: &Path,
    made_with: EmbeddingId,
    expected: Option<&EmbeddingId>,
) -> Result<EmbeddingId, GalleryError> {
    let Some(expected) = expected else { return Ok(made_with) };
    made_by(place, &made_with, expected)?;
    network(expected)?;
    Ok(EmbeddingId { same_person: expected.same_person, likeness: expected.likeness, ..made_with })
}

/// The vectors of `other` compare with those of the gallery, which `embedding` made.
///
/// # Errors
/// [`GalleryError::OtherNetwork`].
pub fn made_by(place: &Path, embedding: &EmbeddingId, other: &EmbeddingId) -> Result<(), GalleryError> {
    if embedding.compares_with(other) { Ok(()) } else { Err(GalleryError::other_network(place, embedding, other)) }
}

/// A person at a distance, with what the network's manifest says of it.
#[must_use]
pub fn matched(
    embedding: &EmbeddingId,
    person: PersonId,
    name: Arc<str>,
    photo: PhotoId,
    distance: f32,
    watched: bool,
) -> Match {
    let (similarity, same_person) = (embedding.similarity(distance), distance <= embedding.same_person);
    Match { person, name, photo, distance, similarity, same_person, watched }
}

/// Nobody is named so: with the names that are like it.
#[must_use]
pub fn unknown_person<'a>(place: &Path, name: &str, names: impl Iterator<Item = &'a str>) -> GalleryError {
    GalleryError::UnknownPerson { path: place.to_path_buf(), name: name.to_owned(), near: name::near(name, names) }
}

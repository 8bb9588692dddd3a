//! Rules of all galleries: which names, photos and vectors are valid, and how a distance is rated.

use std::path::Path;
use std::sync::Arc;

use visavis_infer::manifest::Metric;

use super::{EmbeddingId, GalleryError, Match, NewPhoto, PersonId, PhotoId, name};

/// A visitor gets this name followed by their number.
pub(crate) const NAMELESS: &str = "Visitor";

/// Trims a name, brings it into Unicode's form NFC, and checks it.
///
/// # Errors
/// [`GalleryError::Name`] if nothing is left, the name is longer than 200 bytes, or it contains control characters or
/// invisible ones.
pub(crate) fn person_name(name: &str) -> Result<String, GalleryError> {
    name::checked(name)
}

/// Checks that there are photos for `person`, and that all are usable.
///
/// # Errors
/// [`GalleryError::NoPhoto`] and [`GalleryError::Photo`].
pub(crate) fn photos(person: &str, photos: &[NewPhoto], embedding: &EmbeddingId) -> Result<(), GalleryError> {
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

/// Checks that the vector can be compared with those of a gallery.
///
/// # Errors
/// [`GalleryError::Query`].
pub(crate) fn query(vector: &[f32], embedding: &EmbeddingId) -> Result<(), GalleryError> {
    super::check_vector(vector, embedding)
        .map_err(|fault| GalleryError::Query { network: embedding.name.clone(), fault })
}

/// Checks that a gallery can belong to the network.
///
/// # Errors
/// [`GalleryError::Embedding`].
pub(crate) fn network(embedding: &EmbeddingId) -> Result<(), GalleryError> {
    match embedding.fault() {
        Some(reason) => Err(GalleryError::Embedding { network: embedding.name.clone(), reason }),
        None => Ok(()),
    }
}

/// The network of an opened gallery: the one that made it, with the thresholds of `expected`.
///
/// # Errors
/// [`GalleryError::OtherNetwork`], [`GalleryError::Embedding`].
pub(crate) fn opened(
    place: &Path,
    made_with: EmbeddingId,
    expected: Option<&EmbeddingId>,
) -> Result<EmbeddingId, GalleryError> {
    let Some(expected) = expected else { return Ok(made_with) };
    made_by(place, &made_with, expected)?;
    network(expected)?;
    let EmbeddingId { same_person, likeness, identity, .. } = *expected;
    Ok(EmbeddingId { same_person, likeness, identity, ..made_with })
}

/// Checks that vectors of `other` can be compared with those of the gallery, whose network is `embedding`.
///
/// # Errors
/// [`GalleryError::OtherNetwork`].
pub(crate) fn made_by(place: &Path, embedding: &EmbeddingId, other: &EmbeddingId) -> Result<(), GalleryError> {
    if embedding.compares_with(other) { Ok(()) } else { Err(GalleryError::other_network(place, embedding, other)) }
}

/// A match with a person at a distance, not yet [identified](super::identify).
pub(crate) fn matched(
    embedding: &EmbeddingId,
    person: PersonId,
    name: Arc<str>,
    photo: PhotoId,
    distance: f32,
    watched: bool,
) -> Match {
    let (likeness, same_person) = (embedding.likeness(distance), distance <= embedding.same_person);
    Match { person, name, photo, distance, likeness, identified: None, same_person, watched }
}

/// The error for an unknown name, with the names that are similar to it.
pub(crate) fn unknown_person<'a>(place: &Path, name: &str, names: impl Iterator<Item = &'a str>) -> GalleryError {
    GalleryError::UnknownPerson { path: place.to_path_buf(), name: name.to_owned(), near: name::near(name, names) }
}

/// The name of a metric in a store.
pub(crate) fn metric_name(metric: Metric) -> &'static str {
    match metric {
        Metric::Euclidean => "euclidean",
        Metric::Cosine => "cosine",
    }
}

/// The metric with this name.
pub(crate) fn metric_named(name: &str) -> Option<Metric> {
    match name {
        "euclidean" => Some(Metric::Euclidean),
        "cosine" => Some(Metric::Cosine),
        _ => None,
    }
}

//! Finds photos that are probably of another person, people who are probably one, and photos that add nothing.
//!
//! All findings come from distances between the vectors of the gallery; no picture is looked at. For one photo, "the distance to
//! a person" is the median of the distances to that person's other photos: one wrong photo of either person does not change it
//! much.

use std::collections::{BTreeMap, HashMap};

use crate::index::distance;
use crate::store::Transactions;
use crate::{EmbeddingId, Gallery, GalleryError, PersonId, PhotoId, distance_at, rows};

/// When something is reported.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CheckParams {
    /// A photo is unlike its person if its distance to them is at least this many times likelier between two people than between
    /// photos of one. Used only if the network's manifest has measured distances; otherwise the network's same-person distance
    /// decides.
    pub unlike: f64,
    /// A photo adds nothing if another one of the person is nearer than this share of the same-person distance.
    pub redundant: f32,
    /// People listed per photo when candidates for the right person are searched.
    pub candidates: usize,
}

impl Default for CheckParams {
    fn default() -> Self {
        Self { unlike: 3.0, redundant: 0.05, candidates: 8 }
    }
}

/// Something in a gallery that a person should look at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Finding {
    /// A photo is nearer to another person than to its own: probably a wrong name.
    OtherPerson {
        /// The photo.
        photo: PhotoId,
        /// Its person.
        person: PersonId,
        /// The person that it resembles.
        other: PersonId,
        /// Distances to its person, if they have other photos, and to the other one.
        distances: (Option<f32>, f32),
    },
    /// A photo resembles neither the other photos of its person nor another person.
    Unlike {
        /// The photo.
        photo: PhotoId,
        /// Its person.
        person: PersonId,
        /// Its distance to the person's other photos.
        distance: f32,
    },
    /// Two people are probably one.
    SamePerson {
        /// The person with fewer photos.
        person: PersonId,
        /// The other one.
        other: PersonId,
        /// The median distance between their photos.
        distance: f32,
    },
    /// A photo is almost the same as another one of the person.
    Redundant {
        /// The photo that may be removed, the later one.
        photo: PhotoId,
        /// Its person.
        person: PersonId,
        /// The photo that it repeats.
        of: PhotoId,
    },
}

impl Finding {
    /// What was found, as scripts read it: `other_person`, `unlike`, `same_person` or `redundant`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::OtherPerson { .. } => "other_person",
            Self::Unlike { .. } => "unlike",
            Self::SamePerson { .. } => "same_person",
            Self::Redundant { .. } => "redundant",
        }
    }

    /// The person that it is about.
    #[must_use]
    pub fn person(&self) -> PersonId {
        match *self {
            Self::OtherPerson { person, .. }
            | Self::Unlike { person, .. }
            | Self::SamePerson { person, .. }
            | Self::Redundant { person, .. } => person,
        }
    }

    /// The photo that it is about, if it is about one photo.
    #[must_use]
    pub fn photo(&self) -> Option<PhotoId> {
        match *self {
            Self::OtherPerson { photo, .. } | Self::Unlike { photo, .. } | Self::Redundant { photo, .. } => Some(photo),
            Self::SamePerson { .. } => None,
        }
    }

    /// The other person, if it is about two people.
    #[must_use]
    pub fn other(&self) -> Option<PersonId> {
        match *self {
            Self::OtherPerson { other, .. } | Self::SamePerson { other, .. } => Some(other),
            Self::Unlike { .. } | Self::Redundant { .. } => None,
        }
    }
}

/// The photos of one person with their vectors, in the order in which they were added.
type Photos = Vec<(PhotoId, Vec<f32>)>;

impl Gallery {
    /// Checks all photos. Takes one search per photo, and the memory of all vectors once more. `checked` is called after every
    /// photo with the number done and the number of all.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn check(
        &self,
        params: &CheckParams,
        mut checked: impl FnMut(usize, usize),
    ) -> Result<Vec<Finding>, GalleryError> {
        let mut people: BTreeMap<PersonId, Photos> = BTreeMap::new();
        let mut all = 0;
        self.store.reading("checking photos", |tx| {
            rows::each_photo(tx, &self.embedding, |row| {
                people.entry(row.get(0)?).or_default().push((row.get(3)?, row.get(4)?));
                all += 1;
                Ok(())
            })
        })?;
        let limits = Limits::of(&self.embedding, params, all);
        let mut findings = Vec::new();
        // Pairs of people, the one with fewer photos first: how many of the first one's photos are near the second.
        let mut near: HashMap<(PersonId, PersonId), Vec<f32>> = HashMap::new();
        let mut done = 0;
        for (&person, photos) in &people {
            for (at, (photo, vector)) in photos.iter().enumerate() {
                let to = |vector: &[f32], photos: &Photos| median_distance(&self.embedding, vector, photos, *photo);
                let own = to(vector, photos);
                let found = self.search(vector, params.candidates)?;
                let others = found.iter().map(|found| found.person).filter(|other| *other != person);
                let nearest = others
                    .filter_map(|other| Some((other, to(vector, people.get(&other)?)?)))
                    .min_by(|a, b| a.1.total_cmp(&b.1));
                match (own, nearest) {
                    (own, Some((other, far))) if far <= limits.same && own.is_none_or(|own| far < own) => {
                        findings.push(Finding::OtherPerson { photo: *photo, person, other, distances: (own, far) });
                        near.entry((person, other)).or_default().push(far);
                    }
                    (Some(own), _) if own >= limits.unlike => {
                        findings.push(Finding::Unlike { photo: *photo, person, distance: own });
                    }
                    (_, Some((other, far))) if far <= limits.same => {
                        near.entry((person, other)).or_default().push(far);
                    }
                    _ => {}
                }
                let earlier = photos[..at].iter();
                let same = earlier
                    .map(|(earlier, known)| (*earlier, distance(self.embedding.metric, vector, known)))
                    .find(|(_, far)| *far <= limits.redundant);
                if let Some((of, _)) = same {
                    findings.push(Finding::Redundant { photo: *photo, person, of });
                }
                done += 1;
                checked(done, all);
            }
        }
        Ok(joined(findings, near, &people))
    }
}

/// If at least half of a person's photos are near another person, reports the two as one person, in place of the single photos.
fn joined(
    mut findings: Vec<Finding>,
    near: HashMap<(PersonId, PersonId), Vec<f32>>,
    people: &BTreeMap<PersonId, Photos>,
) -> Vec<Finding> {
    let count = |person: &PersonId| people.get(person).map_or(0, Vec::len);
    let mut pairs: Vec<_> = near.into_iter().filter(|((person, _), far)| 2 * far.len() >= count(person)).collect();
    pairs.sort_by_key(|((person, other), _)| (count(person), *person, *other));
    let mut same: Vec<(PersonId, PersonId, f32)> = Vec::new();
    for ((person, other), far) in pairs {
        if !same.iter().any(|(a, b, _)| (*a, *b) == (other, person)) {
            same.push((person, other, median(far).unwrap_or_default()));
        }
    }
    findings.retain(|finding| match finding {
        Finding::OtherPerson { person, other, .. } => {
            !same.iter().any(|(a, b, _)| (a, b) == (person, other) || (a, b) == (other, person))
        }
        _ => true,
    });
    let same = same.into_iter().map(|(person, other, distance)| Finding::SamePerson { person, other, distance });
    findings.extend(same);
    findings
}

/// The distances that decide.
struct Limits {
    /// At or below: the same person.
    same: f32,
    /// At or above: another person.
    unlike: f32,
    /// At or below: the same picture, or nearly.
    redundant: f32,
}

impl Limits {
    fn of(embedding: &EmbeddingId, params: &CheckParams, photos: usize) -> Self {
        let redundant = params.redundant * embedding.same_person;
        let Some(likeness) = &embedding.likeness else {
            return Self { same: embedding.same_person, unlike: embedding.same_person * 1.2, redundant };
        };
        let same = distance_at(likeness, embedding.identity.false_matches, photos) as f32;
        // The ratio falls with the distance; a thousandth of the range is fine enough.
        let far = 2.0 * f64::from(embedding.same_person).max(likeness.median);
        let steps = (0..=1_000).map(|step| far * f64::from(step) / 1_000.0);
        let unlike = steps.into_iter().find(|at| likeness.ratio(*at) * params.unlike <= 1.0).unwrap_or(far) as f32;
        Self { same, unlike: unlike.max(same), redundant }
    }
}

/// The median distance from `vector` to the photos other than `except`; `None` if there are none.
fn median_distance(embedding: &EmbeddingId, vector: &[f32], photos: &Photos, except: PhotoId) -> Option<f32> {
    let others = photos.iter().filter(|(photo, _)| *photo != except);
    median(others.map(|(_, known)| distance(embedding.metric, vector, known)).collect())
}

/// The median; of an even number of values, the lower one of the middle two.
fn median(mut values: Vec<f32>) -> Option<f32> {
    let middle = values.len().checked_sub(1)? / 2;
    Some(*values.select_nth_unstable_by(middle, f32::total_cmp).1)
}

#[cfg(test)]
#[path = "check/tests.rs"]
mod tests;

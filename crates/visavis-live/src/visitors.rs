//! A gallery that grows: each person seen is added once.
//!
//! This module only decides, from recognition results of tracked faces. The caller changes the [`Gallery`] accordingly and
//! reports the outcome.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use visavis_face::{Quality, QualityParams, TrackId};
use visavis_gallery::{EmbeddingId, Gallery, Match, PersonId, false_match_rate};
use visavis_infer::manifest::Likeness;

/// How a gallery grows by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct GrowthParams {
    /// Which visitors are added.
    pub visitors: VisitorParams,
    /// Visitors who were not seen for this time are removed. Default: 30 days.
    pub keep: Duration,
}

impl Default for GrowthParams {
    fn default() -> Self {
        Self { visitors: VisitorParams::default(), keep: Duration::from_secs(30 * 24 * 3600) }
    }
}

/// Which visitors are added to the gallery.
#[derive(Debug, Clone, PartialEq)]
pub struct VisitorParams {
    /// The least quality of a result that may add a photo. Stricter than for photos that a person has chosen.
    pub quality: QualityParams,
    /// Number of good results before a person is added, since a single one may be wrong.
    pub results: usize,
    /// Number of last comparisons that vote on the identity of a face.
    pub votes: usize,
    /// Photos kept per visitor.
    pub photos: usize,
    /// A photo is added if its distance from those already kept is larger than this, in same-person distances.
    pub new_view: f32,
    /// After an absence of this time, the next result begins another visit.
    pub away: Duration,
    /// The largest false match rate: share of new visitors that may match a person of the gallery, 0 to 1. Low, because the photos
    /// of two people taken for one cannot be separated again, while one person taken for two can be merged.
    pub false_match_rate: f32,
}

impl Default for VisitorParams {
    fn default() -> Self {
        Self {
            quality: QualityParams { smallest: 56.0, sharpness: 12.0, most_turn: 0.45, most_yaw: 35.0 },
            results: 3,
            votes: 5,
            photos: 5,
            new_view: 0.7,
            away: Duration::from_secs(120),
            false_match_rate: 0.02,
        }
    }
}

/// How distances are interpreted in a gallery.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    /// Two faces at or below this distance are the same person, for a single comparison.
    pub(crate) same_person: f32,
    /// Measured distribution of distances, if there is one.
    pub(crate) likeness: Option<Likeness>,
    /// Number of photos in the gallery. The more photos, the smaller the distance of a stranger to the nearest.
    pub(crate) photos: usize,
}

impl Scale {
    /// The present scale of a gallery.
    pub(crate) fn of(gallery: &Gallery) -> Self {
        let EmbeddingId { same_person, likeness, .. } = *gallery.embedding();
        Self { same_person, likeness, photos: gallery.size() }
    }

    /// Whether a face at this distance from a person's photo is that person, at a false match rate of at most `max_rate` over the
    /// whole gallery.
    fn accepts(&self, distance: f32, max_rate: f32) -> bool {
        let rate = self.likeness.map(|likeness| false_match_rate(&likeness, f64::from(distance), self.photos));
        distance <= self.same_person && rate.is_none_or(|rate| rate <= f64::from(max_rate))
    }
}

/// One recognition result of a tracked face.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VisitorObservation<'a> {
    /// The track.
    pub(crate) track: TrackId,
    /// When, on any monotonic clock.
    pub(crate) at: Duration,
    /// The tracks of all faces in the same picture, this one included.
    pub(crate) in_view: &'a [TrackId],
    /// How well the face is visible.
    pub(crate) quality: Quality,
    /// Its embedding.
    pub(crate) vector: &'a [f32],
    /// How distances are interpreted.
    pub(crate) scale: Scale,
    /// The nearest people of the gallery, nearest first.
    pub(crate) nearest: &'a [Match],
}

/// An action for the caller.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum VisitorAction {
    /// Add a new person with this vector, and pass the person to [`Visitors::settled`]. First search for the vector and check
    /// [`Visitors::known`]: a mean vector is more reliable than a single result.
    Add {
        /// The track.
        track: TrackId,
        /// The mean of the good results.
        vector: Vec<f32>,
    },
    /// Record that a person is present.
    Seen {
        /// The person.
        person: PersonId,
        /// Whether a new visit begins.
        new: bool,
    },
    /// Add this result as a photo, if the person is a visitor: it differs from all photos of the person.
    AddPhoto {
        /// The person.
        person: PersonId,
    },
    /// Merge two people who are the same person, if `from` is a visitor.
    Merge {
        /// The person that is removed.
        from: PersonId,
        /// The person that remains.
        into: PersonId,
    },
}

#[derive(Debug, Default)]
struct Candidate {
    /// The people found by the last comparisons.
    votes: VecDeque<Option<PersonId>>,
    /// Vectors of the good results.
    good: Vec<Vec<f32>>,
    person: Option<PersonId>,
    last: Duration,
}

/// How often the presence of a person is recorded.
const RECORD_INTERVAL: Duration = Duration::from_secs(10);
/// A track has ended after this time without a result.
const TRACK_TIMEOUT: Duration = Duration::from_secs(30);

/// Decides from recognition results of tracked faces who is new, who has come again, and who is the same person.
#[derive(Debug, Default)]
pub(crate) struct Visitors {
    params: VisitorParams,
    tracks: HashMap<TrackId, Candidate>,
    /// When the presence of each person was last recorded.
    recorded: HashMap<PersonId, Duration>,
    /// Number of photos added for each person, besides the first.
    photos: HashMap<PersonId, usize>,
    /// Pairs of people that were in view together, so they are two people.
    apart: HashSet<(PersonId, PersonId)>,
}

impl Visitors {
    /// With these parameters.
    pub(crate) fn new(params: VisitorParams) -> Self {
        Self { params, ..Self::default() }
    }

    /// Takes a result and returns the actions that follow from it.
    pub(crate) fn observe(&mut self, seen: &VisitorObservation<'_>) -> Vec<VisitorAction> {
        self.tracks.retain(|_, track| track.last + TRACK_TIMEOUT > seen.at);
        let good = seen.quality.suffices(&self.params.quality);
        let known = self.known(seen.track, seen.in_view, seen.nearest, seen.scale);
        let track = self.tracks.entry(seen.track).or_default();
        track.last = seen.at;
        track.votes.push_back(known);
        while track.votes.len() > self.params.votes.max(1) {
            track.votes.pop_front();
        }
        if good && track.good.len() < self.params.results {
            track.good.push(seen.vector.to_vec());
        }
        let elected = elected(&track.votes);
        match track.person {
            None => match elected {
                Some(person) => self.settled(seen.track, person, seen.at, seen.in_view),
                None if track.good.len() >= self.params.results.max(1) && track.votes.iter().all(Option::is_none) => {
                    vec![VisitorAction::Add { track: seen.track, vector: mean(&track.good) }]
                }
                None => Vec::new(),
            },
            Some(person) => {
                let mut actions = self.record(person, seen.at, seen.in_view);
                actions.extend(self.new_photo(person, good, seen));
                actions.extend(elected.and_then(|other| self.merge(seen.track, person, other)));
                actions
            }
        }
    }

    /// The person of the gallery whose photo is the most similar to the face of `track`, and similar enough for an identification.
    ///
    /// `in_view` has the tracks of all faces in the picture. A person who is already assigned to another of these tracks is skipped,
    /// because one person cannot have two faces in one picture. A person whose earlier track has ended is not skipped.
    pub(crate) fn known(
        &self,
        track: TrackId,
        in_view: &[TrackId],
        nearest: &[Match],
        scale: Scale,
    ) -> Option<PersonId> {
        let is_other_track = |person: PersonId| {
            let others = in_view.iter().filter(|other| **other != track);
            others.filter_map(|other| self.tracks.get(other)).any(|other| other.person == Some(person))
        };
        let mut near = nearest.iter().filter(|found| scale.accepts(found.distance, self.params.false_match_rate));
        near.find(|found| !is_other_track(found.person)).map(|found| found.person)
    }

    /// Sets the person of a track: one that was just added, or one that was found in the gallery. `in_view` are the tracks of all
    /// faces in the picture.
    pub(crate) fn settled(
        &mut self,
        track: TrackId,
        person: PersonId,
        at: Duration,
        in_view: &[TrackId],
    ) -> Vec<VisitorAction> {
        let candidate = self.tracks.entry(track).or_default();
        (candidate.person, candidate.last) = (Some(person), at);
        candidate.good.clear();
        self.record(person, at, in_view)
    }

    /// Records that two people were not merged, so they are two people.
    pub(crate) fn are_two(&mut self, a: PersonId, b: PersonId) {
        self.apart.insert(pair(a, b));
    }

    /// Discards the vectors of the old network, which cannot be averaged with those of the new one.
    pub(crate) fn change_network(&mut self) {
        self.tracks.values_mut().for_each(|track| track.good.clear());
    }

    /// Whether there was a result for this track in the last 30 seconds, and it is not decided who it is.
    pub(crate) fn is_undecided(&self, track: TrackId) -> bool {
        self.tracks.get(&track).is_some_and(|track| track.person.is_none())
    }

    /// Forgets a person who was removed from the gallery.
    pub(crate) fn forget(&mut self, person: PersonId) {
        self.tracks.values_mut().filter(|track| track.person == Some(person)).for_each(|track| {
            *track = Candidate { last: track.last, ..Candidate::default() };
        });
        self.recorded.remove(&person);
        self.photos.remove(&person);
        self.apart.retain(|(a, b)| *a != person && *b != person);
    }

    fn record(&mut self, person: PersonId, at: Duration, in_view: &[TrackId]) -> Vec<VisitorAction> {
        let before = self.recorded.get(&person).copied();
        if before.is_some_and(|before| at < before + RECORD_INTERVAL) {
            return Vec::new();
        }
        self.recorded.insert(person, at);
        let others = in_view.iter().filter_map(|track| self.tracks.get(track)?.person);
        let pairs: Vec<_> = others.filter(|other| *other != person).map(|other| pair(person, other)).collect();
        self.apart.extend(pairs);
        vec![VisitorAction::Seen { person, new: before.is_none_or(|before| at > before + self.params.away) }]
    }

    fn new_photo(&mut self, person: PersonId, good: bool, seen: &VisitorObservation<'_>) -> Option<VisitorAction> {
        let nearest = seen.nearest.first().filter(|nearest| good && nearest.person == person && nearest.same_person)?;
        let far = nearest.distance >= self.params.new_view * seen.scale.same_person;
        let added = self.photos.entry(person).or_default();
        (far && *added + 1 < self.params.photos).then(|| {
            *added += 1;
            VisitorAction::AddPhoto { person }
        })
    }

    /// The action when a track that was taken for `person` is found to be `other`.
    fn merge(&mut self, track: TrackId, person: PersonId, other: PersonId) -> Option<VisitorAction> {
        if person == other || self.apart.contains(&pair(person, other)) {
            return None;
        }
        if let Some(candidate) = self.tracks.get_mut(&track) {
            candidate.person = Some(person.min(other));
        }
        Some(VisitorAction::Merge { from: person.max(other), into: person.min(other) })
    }
}

fn pair(a: PersonId, b: PersonId) -> (PersonId, PersonId) {
    (a.min(b), a.max(b))
}

/// The person with more than half of the votes, and at least two.
fn elected(votes: &VecDeque<Option<PersonId>>) -> Option<PersonId> {
    let of = |person: PersonId| votes.iter().filter(|vote| **vote == Some(person)).count();
    votes.iter().flatten().copied().find(|&person| of(person) >= 2 && 2 * of(person) > votes.len())
}

/// The mean of the vectors scaled to unit length, scaled to their average length.
fn mean(vectors: &[Vec<f32>]) -> Vec<f32> {
    let length = |vector: &[f32]| vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    let mut sum = vec![0.0; vectors.first().map_or(0, Vec::len)];
    for vector in vectors {
        let scale = 1.0 / length(vector);
        sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += x * scale);
    }
    let usual = vectors.iter().map(|vector| length(vector)).sum::<f32>() / vectors.len().max(1) as f32;
    let scale = usual / length(&sum);
    sum.iter_mut().for_each(|x| *x *= scale);
    sum
}

#[cfg(test)]
mod tests;

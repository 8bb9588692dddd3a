//! A gallery that grows: everyone seen is added once.
//!
//! Only the decisions are made here, from looks at tracked faces; whoever calls carries them out on a
//! [`Gallery`] and tells what came of it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use visavis_image::{Landmarks, Picture, Rect};
use visavis_infer::manifest::Likeness;

use crate::TrackId;
use crate::align;
use crate::gallery::{EmbeddingId, Gallery, Match, PersonId};

/// When somebody is added, and when not.
#[derive(Debug, Clone, PartialEq)]
pub struct VisitorParams {
    /// Least shorter side of a face in pixels: below it, embeddings of one person scatter.
    pub smallest: f32,
    /// Least sharpness, see [`Quality::sharpness`].
    pub sharpness: f32,
    /// Most that the nose may be beside the middle of the eyes, in distances of the eyes: turned further, a face hides half
    /// of itself.
    pub most_turn: f32,
    /// Good looks before somebody is added: one of them may show the person badly.
    pub looks: usize,
    /// Votes of the last looks that settle who a face is.
    pub votes: usize,
    /// Photos kept of a visitor.
    pub photos: usize,
    /// A photo is added where it is further than this from those that are there, in same-person distances.
    pub new_view: f32,
    /// Away for so long, the next look begins another visit.
    pub away: Duration,
    /// Share of newcomers who may be taken for somebody of the gallery. Two who were taken for one stay so, and one who was
    /// taken for two can be joined: the fewer, the better.
    pub mistaken: f32,
}

impl Default for VisitorParams {
    fn default() -> Self {
        Self {
            smallest: 56.0,
            sharpness: 12.0,
            most_turn: 0.45,
            looks: 3,
            votes: 5,
            photos: 5,
            new_view: 0.7,
            away: Duration::from_secs(120),
            mistaken: 0.02,
        }
    }
}

/// How well a face is to be seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// Shorter side of its box in pixels.
    pub size: f32,
    /// Root of the mean square of the Laplacian over the aligned face at 64 pixels, 0 to 255 grey: about 5 for a face out
    /// of focus, 20 and more for a sharp one.
    pub sharpness: f32,
    /// How far the nose is beside the middle of the eyes, in distances of the eyes; 0 without keypoints.
    pub turn: f32,
}

/// Side of the crop that sharpness is measured on.
const SHARPNESS_SIDE: u32 = 64;

impl Quality {
    /// Measures a face.
    #[must_use]
    pub fn measure(picture: &Picture, rect: &Rect, landmarks: Option<&Landmarks>) -> Self {
        let size = rect.width.min(rect.height);
        let mut crop = Picture::new(SHARPNESS_SIDE, SHARPNESS_SIDE);
        align::cut(picture, &visavis_infer::manifest::Crop::Aligned, rect, landmarks, &mut crop);
        let turn = landmarks.map_or(0.0, |five| {
            let (middle, eyes) = (five.left_eye.lerp(five.right_eye, 0.5), five.interocular());
            // Along the line of the eyes, so that a head that is tilted is not taken for one that is turned.
            let along = |x: f32, y: f32| {
                ((five.right_eye.x - five.left_eye.x) * x + (five.right_eye.y - five.left_eye.y) * y) / eyes.max(1e-3)
            };
            (along(five.nose.x - middle.x, five.nose.y - middle.y) / eyes.max(1e-3)).abs()
        });
        Self { size, sharpness: sharpness(&crop), turn }
    }

    /// Whether a face seen like this may be added.
    #[must_use]
    pub fn suffices(&self, params: &VisitorParams) -> bool {
        self.size >= params.smallest && self.sharpness >= params.sharpness && self.turn <= params.most_turn
    }

    /// The better, the higher: of two looks that suffice, this one shows the person.
    #[must_use]
    pub fn score(&self) -> f32 {
        (self.size / 100.0).min(2.0) + (self.sharpness / 30.0).min(1.0) - self.turn
    }
}

fn sharpness(crop: &Picture) -> f32 {
    let side = crop.width() as usize;
    let grey: Vec<f32> = crop
        .pixels()
        .chunks_exact(3)
        .map(|p| 0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2]))
        .collect();
    // The middle only: the background may be as sharp as it likes.
    let (low, high) = (side / 5, side - side / 5);
    let mut sum = 0.0;
    for y in low..high {
        for x in low..high {
            let at = y * side + x;
            let laplacian = 4.0 * grey[at] - grey[at - 1] - grey[at + 1] - grey[at - side] - grey[at + side];
            sum += laplacian * laplacian;
        }
    }
    (sum / ((high - low) * (high - low)) as f32).sqrt()
}

/// How distances are read in a gallery.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Same person at or nearer than this distance, were there one pair to tell.
    pub same_person: f32,
    /// How near strangers come, where that was measured.
    pub likeness: Option<Likeness>,
    /// People in the gallery: among more of them, strangers come nearer.
    pub people: usize,
}

impl Scale {
    /// Of a gallery as it is now.
    #[must_use]
    pub fn of(gallery: &dyn Gallery) -> Self {
        let EmbeddingId { same_person, likeness, .. } = *gallery.embedding();
        Self { same_person, likeness, people: gallery.size() }
    }

    /// Whether a face at this distance from somebody's photo is them. A newcomer has as many chances to be taken for somebody
    /// as there are people: all of them together may be no more than `mistaken`.
    fn accepts(&self, distance: f32, mistaken: f32) -> bool {
        let strangers = self.likeness.and_then(|likeness| likeness.strangers_within(distance));
        distance <= self.same_person && strangers.is_none_or(|share| share * self.people as f32 <= mistaken)
    }
}

/// One look at a tracked face.
#[derive(Debug, Clone, Copy)]
pub struct VisitorLook<'a> {
    /// Whose.
    pub track: TrackId,
    /// When, on any clock that goes on.
    pub at: Duration,
    /// How well it was seen.
    pub quality: Quality,
    /// Its embedding.
    pub vector: &'a [f32],
    /// How distances are read.
    pub scale: Scale,
    /// Whom the gallery has nearest, nearest first.
    pub nearest: &'a [Match],
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// Somebody new: add them with this vector, and tell [`Visitors::settled`] who they are. Look first whether it is
    /// [`Visitors::known`] after all: a mean says more than a look.
    Meet {
        /// The face.
        track: TrackId,
        /// The mean of the good looks.
        vector: Vec<f32>,
    },
    /// Somebody is there.
    Seen {
        /// Who.
        person: PersonId,
        /// Whether a visit begins.
        new: bool,
    },
    /// This look shows the person as no photo does yet: add it, if they were merely met.
    AddPhoto {
        /// Who.
        person: PersonId,
    },
    /// Two people are one: join them, if `from` was merely met.
    Merge {
        /// Who goes.
        from: PersonId,
        /// Who stays.
        into: PersonId,
    },
}

#[derive(Debug, Default)]
struct Candidate {
    /// Of the last looks whom the gallery took the face for.
    votes: VecDeque<Option<PersonId>>,
    /// Good looks so far.
    good: Vec<Vec<f32>>,
    person: Option<PersonId>,
    last: Duration,
}

/// How often it is noted that somebody is still there.
const NOTED_EVERY: Duration = Duration::from_secs(10);
/// A track without looks for so long is over.
const OVER_AFTER: Duration = Duration::from_secs(30);
/// Looks at two faces within this time show them together.
const TOGETHER: Duration = Duration::from_secs(1);

/// Decides from looks at tracked faces who is new, who is there again, and who is the same.
#[derive(Debug, Default)]
pub struct Visitors {
    params: VisitorParams,
    tracks: HashMap<TrackId, Candidate>,
    noted: HashMap<PersonId, Duration>,
    /// Photos added of each, beside the first.
    photos: HashMap<PersonId, usize>,
    /// People seen together: they are two.
    apart: HashSet<(PersonId, PersonId)>,
}

impl Visitors {
    /// With these parameters.
    #[must_use]
    pub fn new(params: VisitorParams) -> Self {
        Self { params, ..Self::default() }
    }

    /// Takes in a look.
    pub fn look(&mut self, look: &VisitorLook<'_>) -> Vec<Deed> {
        self.tracks.retain(|_, track| track.last + OVER_AFTER > look.at);
        let good = look.quality.suffices(&self.params);
        let taken_for = self.known(look.track, look.at, look.nearest, look.scale);
        let track = self.tracks.entry(look.track).or_default();
        track.last = look.at;
        track.votes.push_back(taken_for);
        while track.votes.len() > self.params.votes.max(1) {
            track.votes.pop_front();
        }
        if good && track.good.len() < self.params.looks {
            track.good.push(look.vector.to_vec());
        }
        let elected = elected(&track.votes);
        match track.person {
            None => match elected {
                Some(person) => self.settled(look.track, person, look.at),
                None if track.good.len() >= self.params.looks.max(1) && track.votes.iter().all(Option::is_none) => {
                    vec![Deed::Meet { track: look.track, vector: mean(&track.good) }]
                }
                None => Vec::new(),
            },
            Some(person) => {
                let mut deeds = self.note(person, look.at);
                deeds.extend(self.new_photo(person, good, look));
                deeds.extend(elected.and_then(|other| self.joined(look.track, person, other)));
                deeds
            }
        }
    }

    /// Whom of the gallery's nearest a face is, if it is one of them: somebody near enough who is not to be seen elsewhere.
    #[must_use]
    pub fn known(&self, track: TrackId, at: Duration, nearest: &[Match], scale: Scale) -> Option<PersonId> {
        let elsewhere = |person: PersonId| {
            let mut others = self.tracks.iter().filter(|(other, _)| **other != track);
            others.any(|(_, other)| other.person == Some(person) && other.last + TOGETHER > at)
        };
        let mut near = nearest.iter().filter(|found| scale.accepts(found.distance, self.params.mistaken));
        near.find(|found| !elsewhere(found.person)).map(|found| found.person)
    }

    /// Says who the face is: somebody just added, or found in the gallery after all.
    pub fn settled(&mut self, track: TrackId, person: PersonId, at: Duration) -> Vec<Deed> {
        let candidate = self.tracks.entry(track).or_default();
        (candidate.person, candidate.last) = (Some(person), at);
        candidate.good.clear();
        self.note(person, at)
    }

    /// Two people are two, however alike: they were not joined.
    pub fn are_two(&mut self, a: PersonId, b: PersonId) {
        self.apart.insert(pair(a, b));
    }

    /// Another network makes the vectors from now on: those of the old one do not go into a mean with its.
    pub fn change_network(&mut self) {
        self.tracks.values_mut().for_each(|track| track.good.clear());
    }

    /// Forgets people who are gone from the gallery.
    pub fn forget(&mut self, person: PersonId) {
        self.tracks.values_mut().filter(|track| track.person == Some(person)).for_each(|track| {
            *track = Candidate { last: track.last, ..Candidate::default() };
        });
        self.noted.remove(&person);
        self.photos.remove(&person);
        self.apart.retain(|(a, b)| *a != person && *b != person);
    }

    fn note(&mut self, person: PersonId, at: Duration) -> Vec<Deed> {
        let before = self.noted.get(&person).copied();
        if before.is_some_and(|before| at < before + NOTED_EVERY) {
            return Vec::new();
        }
        self.noted.insert(person, at);
        let others = self.tracks.values().filter(|track| track.last + TOGETHER > at).filter_map(|track| track.person);
        let pairs: Vec<_> = others.filter(|other| *other != person).map(|other| pair(person, other)).collect();
        self.apart.extend(pairs);
        vec![Deed::Seen { person, new: before.is_none_or(|before| at > before + self.params.away) }]
    }

    fn new_photo(&mut self, person: PersonId, good: bool, look: &VisitorLook<'_>) -> Option<Deed> {
        let nearest = look.nearest.first().filter(|nearest| good && nearest.person == person && nearest.same_person)?;
        let far = nearest.distance >= self.params.new_view * look.scale.same_person;
        let added = self.photos.entry(person).or_default();
        (far && *added + 1 < self.params.photos).then(|| {
            *added += 1;
            Deed::AddPhoto { person }
        })
    }

    /// The face was taken for `person`, and now the looks say `other`.
    fn joined(&mut self, track: TrackId, person: PersonId, other: PersonId) -> Option<Deed> {
        if person == other || self.apart.contains(&pair(person, other)) {
            return None;
        }
        if let Some(candidate) = self.tracks.get_mut(&track) {
            candidate.person = Some(person.min(other));
        }
        Some(Deed::Merge { from: person.max(other), into: person.min(other) })
    }
}

fn pair(a: PersonId, b: PersonId) -> (PersonId, PersonId) {
    (a.min(b), a.max(b))
}

/// Who has more than half of the votes, and at least two.
fn elected(votes: &VecDeque<Option<PersonId>>) -> Option<PersonId> {
    let of = |person: PersonId| votes.iter().filter(|vote| **vote == Some(person)).count();
    votes.iter().flatten().copied().find(|&person| of(person) >= 2 && 2 * of(person) > votes.len())
}

/// The mean of vectors made of unit length, as long as they are on average.
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

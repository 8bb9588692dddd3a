//! One visit of one face, while it lasts.

use std::sync::Arc;
use std::time::Duration;

use visavis_face::{FaceView, Quality, TrackId, thumbnail};
use visavis_gallery::{EmbeddingId, Gallery, GalleryError, NewSighting, PersonId, SightingId, distance};
use visavis_image::Frame;

use crate::scene::SceneFace;
use crate::sighting::{Sighting, SightingKind};

/// A visit is stored this long after its first look, or when it ends, so that the first results are averages.
const STORED_AFTER: Duration = Duration::from_millis(500);
/// How often the time of the last look is stored. A process that is killed loses at most this much of it.
const STORE_INTERVAL: Duration = Duration::from_secs(10);
/// How often the quality of a face is measured.
const MEASURE_INTERVAL: Duration = Duration::from_millis(200);
/// A picture replaces the best one only if its quality is higher by this much, since each replacement is written.
const BETTER_BY: f32 = 0.1;

/// One visit of one face.
pub(super) struct Visit {
    /// The number of its track in the last look.
    pub(super) track: TrackId,
    /// Time of the last look on the clock of the pipeline.
    pub(super) last_at: Duration,
    /// Name of the camera at the first look.
    camera: String,
    first_at: Duration,
    first_seen: i64,
    last_seen: i64,
    /// Number of looks for which a smile was determined, and of those with a smile.
    smiles: (u32, u32),
    age: Option<f32>,
    female: Option<f32>,
    person: Option<(PersonId, Arc<str>)>,
    identified: Option<f32>,
    embedding: Option<Arc<[f32]>>,
    /// The best picture with its quality.
    best: Option<(f32, Vec<u8>)>,
    measured_at: Option<Duration>,
    state: State,
}

/// What the store knows of a visit.
enum State {
    New,
    Stored {
        id: SightingId,
        at: Duration,
        person: Option<PersonId>,
        quality: f32,
    },
    /// The entry, or the person, was deleted meanwhile: nothing more is stored.
    Deleted,
}

impl Visit {
    pub(super) fn new(track: TrackId, camera: &str, now: Duration, time: i64) -> Self {
        Self {
            track,
            last_at: now,
            camera: camera.to_owned(),
            first_at: now,
            first_seen: time,
            last_seen: time,
            smiles: (0, 0),
            age: None,
            female: None,
            person: None,
            identified: None,
            embedding: None,
            best: None,
            measured_at: None,
            state: State::New,
        }
    }

    /// The distance of a face from this one, if the two can be the same person.
    pub(super) fn distance_to(&self, embedding: &[f32], face: &SceneFace, network: &EmbeddingId) -> Option<f32> {
        let other = face.resembles.as_ref().filter(|found| found.same_person).map(|found| found.person);
        if let (Some((own, _)), Some(other)) = (&self.person, other)
            && *own != other
        {
            return None;
        }
        let far = distance(network.metric, self.embedding.as_deref()?, embedding);
        (far <= network.same_person).then_some(far)
    }

    /// Adds a look.
    pub(super) fn add(&mut self, face: &SceneFace, frame: &Frame, now: Duration, time: i64) {
        (self.track, self.last_at, self.last_seen) = (face.track, now, time);
        (self.age, self.female) = (face.age.or(self.age), face.female.or(self.female));
        if let Some(smiling) = face.smiling {
            self.smiles = (self.smiles.0 + 1, self.smiles.1 + u32::from(smiling));
        }
        if let Some(found) = face.resembles.as_ref().filter(|found| found.same_person) {
            self.person = Some((found.person, Arc::clone(&found.name)));
            self.identified = found.identified;
        }
        self.embedding = face.embedding.clone().or(self.embedding.take());
        if self.measured_at.is_none_or(|last| now >= last + MEASURE_INTERVAL) {
            self.measured_at = Some(now);
            let view = FaceView { rect: face.rect, landmarks: face.landmarks, turn: face.turn };
            let quality = Quality::measure(&frame.picture, &view, face.pose).score();
            if self.best.as_ref().is_none_or(|(best, _)| quality > best + BETTER_BY)
                && let Some(crop) = thumbnail(&frame.picture, &face.rect, face.turn)
            {
                self.best = Some((quality, crop));
            }
        }
    }

    /// Stores the visit if something has changed that must be stored now. Returns what is to be reported.
    pub(super) fn store(
        &mut self,
        gallery: &Gallery,
        now: Duration,
        left: bool,
    ) -> Result<Vec<SightingKind>, GalleryError> {
        let (Some(embedding), Some((quality, crop))) = (&self.embedding, &self.best) else { return Ok(Vec::new()) };
        let person = self.person.as_ref().map(|(person, _)| *person);
        let sighting = NewSighting {
            camera: &self.camera,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            person,
            identified: self.identified,
            age: self.age,
            female: self.female,
            smiling: self.smiling(),
            quality: *quality,
            vector: embedding,
            crop: Some(crop),
        };
        let mut changes = Vec::new();
        let stored = match &self.state {
            State::Deleted => return Ok(changes),
            State::New if !left && now < self.first_at + STORED_AFTER => return Ok(changes),
            State::New => {
                changes.push(SightingKind::Appeared);
                changes.extend(person.map(|_| SightingKind::Identified));
                gallery.record_sighting(&sighting)?
            }
            State::Stored { id, at, person: before, quality: best } => {
                let identified = person.is_some() && person != *before;
                if !(left || identified || now >= *at + STORE_INTERVAL || *quality > best + 3.0 * BETTER_BY) {
                    return Ok(changes);
                }
                changes.extend(identified.then_some(SightingKind::Identified));
                gallery.update_sighting(*id, &sighting)?.map(|()| *id)
            }
        };
        self.state = match stored {
            Some(id) => State::Stored { id, at: now, person, quality: *quality },
            None => {
                changes.clear();
                State::Deleted
            }
        };
        changes.extend((left && stored.is_some()).then_some(SightingKind::Left));
        Ok(changes)
    }

    /// The report of a change; `None` if the visit is not stored.
    pub(super) fn report(&self, kind: SightingKind) -> Option<Sighting> {
        let State::Stored { id, .. } = self.state else { return None };
        Some(Sighting {
            kind,
            id,
            camera: self.camera.clone(),
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            person: self.person.clone(),
            identified: self.identified,
            age: self.age,
            female: self.female,
            smiling: self.smiling(),
        })
    }

    fn smiling(&self) -> Option<f32> {
        let (looks, smiling) = self.smiles;
        (looks > 0).then(|| smiling as f32 / looks as f32)
    }
}

//! Records sightings: one visit of one face is one entry in the gallery's store.
//!
//! A visit begins when a face is first recognised and ends when it was not seen for [`SightingParams::away`]. A face that comes back
//! within that time continues its visit, also under another track number. The recorder reads scenes on a thread of its own, so
//! neither the picture nor recognition waits for the store.

mod visit;

use std::sync::Arc;
use std::time::Duration;

use visavis_gallery::{EmbeddingId, Gallery, GalleryError};

use crate::clock::seconds_since_1970;
use crate::event::Event;
use crate::gallery_health::GalleryClient;
use crate::scene::Scene;
use crate::shared::Shared;
use crate::sighting::{Sighting, SightingParams};
use crate::subscription::{Received, Subscription};
use crate::thread::catch_panic;
use visit::Visit;

/// How often visits are checked while no scene comes.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// How often old sightings are deleted.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(600);
/// How often the traces of deleted sightings are erased, which rewrites the file of the gallery.
const ERASE_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// Limit for the number of visits at the same time. Beyond it, new faces begin no visit.
const MAX_VISITS: usize = 1_000;

/// Records the visits in `scenes` until the pipeline ends. Then all visits end.
pub(crate) fn run(shared: &Shared, scenes: &Subscription) {
    let Some(params) = shared.params.sightings.clone() else { return };
    let mut recorder = Recorder::new(params);
    loop {
        let received = scenes.recv_within(CHECK_INTERVAL);
        let ended = matches!(received, Received::Ended);
        if let Some(gallery) = shared.jobs.models().gallery.clone() {
            let scene = if let Received::Scene(scene) = &received { Some(&**scene) } else { None };
            if let Err(reason) = catch_panic(|| recorder.handle(shared, &gallery, scene, ended)) {
                shared.emit(Event::StageRestarted { stage: "sightings".into(), reason });
                recorder = Recorder::new(recorder.params);
            }
        }
        if ended {
            return;
        }
    }
}

struct Recorder {
    params: SightingParams,
    visits: Vec<Visit>,
    /// The network that made the embeddings of the visits.
    network: Option<EmbeddingId>,
    cleaned_up: Option<Duration>,
    /// Whether sightings were deleted whose traces are not erased yet.
    has_remains: bool,
    /// When traces were last erased.
    erased: Option<Duration>,
}

impl Recorder {
    fn new(params: SightingParams) -> Self {
        Self { params, visits: Vec::new(), network: None, cleaned_up: None, has_remains: false, erased: None }
    }

    /// Adds a scene, stores what has changed and reports it.
    fn handle(&mut self, shared: &Shared, gallery: &Gallery, scene: Option<&Scene>, ended: bool) {
        let (now, time) = (shared.clock.now(), seconds_since_1970());
        self.set_network(gallery.embedding());
        if let Some(scene) = scene {
            self.observe(scene, &shared.snapshots.newest().camera(), now, time, gallery.embedding());
        }
        let (stored, failure) = self.store(gallery, now, ended);
        let changed = !stored.is_empty();
        stored.into_iter().for_each(|sighting| shared.emit(Event::Sighting(Arc::new(sighting))));
        match failure.map_or_else(|| self.clean_up(gallery, now, time), Err) {
            // Nothing was asked of the store, so this says nothing about it.
            Ok(()) if !changed => {}
            result => shared.gallery_used(GalleryClient::Sightings, &result),
        }
    }

    /// After a change of the network, embeddings of the old one cannot be compared: all visits begin anew.
    fn set_network(&mut self, network: &EmbeddingId) {
        if self.network.as_ref().is_none_or(|known| !known.compares_with(network)) {
            self.visits.clear();
            self.network = Some(network.clone());
        }
    }

    /// Adds the faces of a scene of a camera to their visits. `now` is the time of the pipeline, `time` the Unix time in seconds.
    fn observe(&mut self, scene: &Scene, camera: &str, now: Duration, time: i64, network: &EmbeddingId) {
        for face in scene.faces.iter().filter(|face| face.detected && !face.ignored) {
            let Some(embedding) = &face.embedding else { continue };
            let own = self.visits.iter().position(|visit| visit.track == face.track);
            // A visit whose track is in view belongs to another face.
            let is_absent = |visit: &Visit| scene.faces.iter().all(|other| other.track != visit.track);
            let returned = || {
                let absent = self.visits.iter().enumerate().filter(|(_, visit)| is_absent(visit));
                let same =
                    absent.filter_map(|(place, visit)| Some((place, visit.distance_to(embedding, face, network)?)));
                same.min_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(place, _)| place)
            };
            match own.or_else(returned) {
                Some(place) => self.visits[place].add(face, &scene.frame, now, time),
                None if self.visits.len() < MAX_VISITS => {
                    let mut visit = Visit::new(face.track, camera, now, time);
                    visit.add(face, &scene.frame, now, time);
                    self.visits.push(visit);
                }
                None => {}
            }
        }
    }

    /// Stores what has changed. Drops the visits that have ended. Returns the changes that were stored, and the last failure.
    fn store(&mut self, gallery: &Gallery, now: Duration, ended: bool) -> (Vec<Sighting>, Option<GalleryError>) {
        let away = self.params.away;
        let (mut stored, mut failure) = (Vec::new(), None);
        self.visits.retain_mut(|visit| {
            let left = ended || now > visit.last_at + away;
            match visit.store(gallery, now, left) {
                Ok(changes) => {
                    stored.extend(changes.into_iter().filter_map(|kind| visit.report(kind)));
                    !left
                }
                // Tried again with the next scene. At the end of the run nothing more can be done.
                Err(error) => {
                    failure = Some(error);
                    !ended
                }
            }
        });
        (stored, failure)
    }

    /// Deletes old sightings, at its interval.
    fn clean_up(&mut self, gallery: &Gallery, now: Duration, time: i64) -> Result<(), GalleryError> {
        if self.cleaned_up.is_some_and(|last| now < last + CLEANUP_INTERVAL) {
            return Ok(());
        }
        self.cleaned_up = Some(now);
        let keep = i64::try_from(self.params.keep.as_secs()).unwrap_or(i64::MAX);
        let deleted = gallery.forget_sightings_before(time.saturating_sub(keep))?;
        if deleted > 0 {
            log::info!("{deleted} sightings were deleted, since they were older than the retention time");
            self.has_remains = true;
        }
        if self.has_remains && self.erased.is_none_or(|last| now >= last + ERASE_INTERVAL) {
            gallery.erase_remains()?;
            (self.has_remains, self.erased) = (false, Some(now));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! The gallery worker thread: raises and records alarms, adds visitors to the gallery, and reads the changes of other programs.
//! While the pipeline runs, only this thread and the sighting recorder wait for the gallery's store. Frames never do, and recognition
//! only if the database itself searches.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use visavis_face::{FaceView, Quality, TrackId, thumbnail};
use visavis_gallery::{EmbeddingId, Gallery, GalleryError, NewAlarm, NewPhoto, PersonId, distance_at};

use crate::alarm::{Alarm, AlarmTrigger, Cause};
use crate::clock::seconds_since_1970;
use crate::event::Event;
use crate::gallery_health::GalleryClient;
use crate::message::{GalleryRequest, GalleryWorkerParams, Observation};
use crate::shared::Shared;
use crate::thread::catch_panic;
use crate::visitors::{GrowthParams, Scale, VisitorAction, VisitorObservation, Visitors};

/// Capacity of the queue of requests. Observations that find it full are dropped, since newer ones follow.
pub(crate) const QUEUE: usize = 64;

/// Number of nearest people that are checked before a visitor is added.
const NEAREST: usize = 5;
/// How often the changes of other programs are read.
const REFRESH_INTERVAL: Duration = Duration::from_millis(250);
/// How often visitors who were not seen for long are removed.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(600);

/// Handles requests until it is told to stop.
pub(crate) fn run(shared: &Shared, requests: &Receiver<GalleryRequest>) {
    let (alarm, growth) = (shared.params.alarm.clone(), shared.params.growth.clone());
    let mut worker = GalleryWorker::new(GalleryWorkerParams { alarm, growth });
    loop {
        // The timeout is for the changes of other programs, which send no request.
        let observation = match requests.recv_timeout(REFRESH_INTERVAL) {
            Ok(GalleryRequest::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(GalleryRequest::SetParams(params)) => {
                worker.set_params(*params);
                continue;
            }
            Ok(request) => Some(request),
            Err(RecvTimeoutError::Timeout) => None,
        };
        let Some(gallery) = shared.jobs.models().gallery.clone() else { continue };
        let result = catch_panic(|| worker.handle(shared, &gallery, observation));
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => worker.failed(shared, error),
            Err(reason) => {
                shared.emit(Event::StageRestarted { stage: "gallery".into(), reason });
                worker = GalleryWorker::new(worker.params);
            }
        }
    }
}

struct GalleryWorker {
    params: GalleryWorkerParams,
    trigger: Option<AlarmTrigger>,
    visitors: Option<Visitors>,
    /// The best photo of each track of which it is not decided who it is, with its score.
    portraits: HashMap<TrackId, (f32, NewPhoto)>,
    /// The largest distance at which an alarm is raised for a watched person; `None` until computed from the gallery.
    alarm_distance: Option<f32>,
    /// The last alarm about a person, with the embedding that raised it.
    last_alarm: Option<(TrackId, PersonId, Vec<f32>)>,
    alarms: u64,
    /// The network that made the vectors and distances above.
    network: Option<EmbeddingId>,
    refreshed: Option<Duration>,
    cleaned_up: Option<Duration>,
    /// Whether the last change was refused by the store, which was reported.
    refused: bool,
}

impl GalleryWorker {
    fn new(params: GalleryWorkerParams) -> Self {
        Self {
            trigger: params.alarm.clone().map(AlarmTrigger::new),
            visitors: params.growth.as_ref().map(|growth| Visitors::new(growth.visitors.clone())),
            params,
            portraits: HashMap::new(),
            alarm_distance: None,
            last_alarm: None,
            alarms: 0,
            network: None,
            refreshed: None,
            cleaned_up: None,
            refused: false,
        }
    }

    /// Sets other parameters. Observations so far are kept, unless they are of no use with the new parameters.
    fn set_params(&mut self, params: GalleryWorkerParams) {
        match (&mut self.trigger, &params.alarm) {
            (Some(trigger), Some(alarm)) => trigger.set_params(alarm.clone()),
            (trigger, alarm) => *trigger = alarm.clone().map(AlarmTrigger::new),
        }
        match &params.growth {
            None => {
                self.visitors = None;
                self.portraits.clear();
            }
            Some(growth) if self.visitors.is_none() || !self.has_same_visitor_params(growth) => {
                self.visitors = Some(Visitors::new(growth.visitors.clone()));
            }
            Some(_) => {}
        }
        (self.alarm_distance, self.cleaned_up) = (None, None);
        self.params = params;
    }

    fn has_same_visitor_params(&self, growth: &GrowthParams) -> bool {
        self.params.growth.as_ref().is_some_and(|present| present.visitors == growth.visitors)
    }

    /// Reports that the store failed or refused a change, once until a change succeeds.
    fn failed(&mut self, shared: &Shared, error: GalleryError) {
        if matches!(error, GalleryError::Unreachable { .. }) {
            shared.gallery_used(GalleryClient::Worker, &Err::<(), _>(error));
        } else if !self.refused {
            shared.emit(Event::StageFailed { stage: "gallery".into(), reason: error.to_string() });
            self.refused = true;
        }
    }

    fn handle(
        &mut self,
        shared: &Shared,
        gallery: &Gallery,
        request: Option<GalleryRequest>,
    ) -> Result<(), GalleryError> {
        let network = gallery.embedding();
        if self.network.as_ref().is_none_or(|known| !known.compares_with(network)) {
            self.change_network(network);
        }
        self.maintain(shared, gallery)?;
        match request {
            // Of no use: the embedding was made by another network.
            Some(GalleryRequest::Observe(seen)) if !seen.gallery.embedding().compares_with(network) => Ok(()),
            Some(GalleryRequest::Observe(seen)) => {
                self.check_alarm(shared, gallery, &seen)?;
                self.update_visitors(shared, gallery, &seen)
            }
            Some(GalleryRequest::DenyLastAlarm) => self.deny_last_alarm(shared, gallery),
            Some(GalleryRequest::SetParams(_) | GalleryRequest::Stop) | None => Ok(()),
        }
    }

    /// Discards the vectors and distances of the network before.
    fn change_network(&mut self, network: &EmbeddingId) {
        (self.alarm_distance, self.last_alarm) = (None, None);
        self.trigger.iter_mut().for_each(AlarmTrigger::change_network);
        self.visitors.iter_mut().for_each(Visitors::change_network);
        self.network = Some(network.clone());
    }

    /// Reads the changes of other programs, and removes visitors who were not seen for long, each at its interval.
    fn maintain(&mut self, shared: &Shared, gallery: &Gallery) -> Result<(), GalleryError> {
        let now = shared.clock.now();
        let due = |last: Option<Duration>, interval: Duration| last.is_none_or(|last| now >= last + interval);
        if due(self.refreshed, REFRESH_INTERVAL) {
            self.refreshed = Some(now);
            let changed = gallery.refresh();
            shared.gallery_used(GalleryClient::Worker, &changed);
            match changed {
                Ok(false) => {}
                Ok(true) => {
                    self.alarm_distance = None;
                    // Settled faces are compared once a second only: a person who was just added is recognised sooner.
                    shared.jobs.reopen_identities();
                    shared.emit(Event::GalleryChanged);
                }
                // Reported above. Tried again at the next interval.
                Err(_) => return Ok(()),
            }
        }
        if let Some(growth) = &self.params.growth
            && due(self.cleaned_up, CLEANUP_INTERVAL)
        {
            self.cleaned_up = Some(now);
            let before = seconds_since_1970() - i64::try_from(growth.keep.as_secs()).unwrap_or(i64::MAX);
            let people = gallery.forget_met_before(before)?;
            if people > 0 {
                shared.emit(Event::VisitorsRemoved { people });
            }
        }
        Ok(())
    }

    /// Raises an alarm if the observation gives reason to.
    fn check_alarm(&mut self, shared: &Shared, gallery: &Gallery, seen: &Observation) -> Result<(), GalleryError> {
        let (Some(trigger), Some(params)) = (&mut self.trigger, &self.params.alarm) else { return Ok(()) };
        let distance = match self.alarm_distance {
            Some(distance) => distance,
            None => *self.alarm_distance.insert(alarm_distance(gallery, params.false_alarms)?),
        };
        let (now, network) = (shared.clock.now(), gallery.embedding());
        let Some(cause) = trigger.observe(now, seen.track, &seen.nearest, distance, &seen.vector, network) else {
            return Ok(());
        };
        self.alarms += 1;
        let (person, identified) = match &cause {
            Cause::Watched { person, identified, .. } => (Some(*person), *identified),
            Cause::Unknown => (None, None),
        };
        if let Some(person) = person {
            self.last_alarm = Some((seen.track, person, seen.vector.clone()));
        }
        let FaceView { rect, turn, .. } = seen.view;
        let crop = if params.crops { thumbnail(&seen.frame.picture, &rect, turn) } else { None };
        let time = seconds_since_1970();
        let source = shared.snapshots.newest().camera();
        let recorded = gallery.record_alarm(&NewAlarm {
            time,
            source: &source,
            person,
            identified,
            vector: &seen.vector,
            crop: crop.as_deref(),
        });
        // An alarm is raised even if it cannot be recorded.
        let id = match recorded {
            Ok(id) => {
                self.refused = false;
                id
            }
            Err(error) => {
                log::error!("alarm {} was not recorded: {error}", self.alarms);
                self.failed(shared, error);
                None
            }
        };
        let (number, frame, track) = (self.alarms, seen.frame.seq, seen.track);
        shared.emit(Event::Alarm(Arc::new(Alarm { number, id, time, frame, track, rect, cause, crop })));
        Ok(())
    }

    fn deny_last_alarm(&mut self, shared: &Shared, gallery: &Gallery) -> Result<(), GalleryError> {
        let Some((track, person, vector)) = &self.last_alarm else { return Ok(()) };
        let (track, person) = (*track, *person);
        gallery.deny(person, vector)?;
        (self.last_alarm, self.refused) = (None, false);
        if let Some(trigger) = &mut self.trigger {
            trigger.reset(track);
        }
        shared.emit(Event::AlarmDenied { person });
        Ok(())
    }

    /// Does what an observation means for the visitors: adds, records and merges people.
    fn update_visitors(&mut self, shared: &Shared, gallery: &Gallery, seen: &Observation) -> Result<(), GalleryError> {
        let (Some(visitors), Some(growth)) = (&mut self.visitors, &self.params.growth) else { return Ok(()) };
        let (at, scale) = (shared.clock.now(), Scale::of(gallery));
        let quality = Quality::measure(&seen.frame.picture, &seen.view, seen.pose);
        let mut actions = visitors.observe(&VisitorObservation {
            track: seen.track,
            at,
            in_view: &seen.in_view,
            quality,
            vector: &seen.vector,
            scale,
            nearest: &seen.nearest,
        });
        self.portraits.retain(|track, _| visitors.is_undecided(*track));
        let is_better = self.portraits.get(&seen.track).is_none_or(|(score, _)| quality.score() > *score);
        if is_better && visitors.is_undecided(seen.track) && quality.suffices(&growth.visitors.quality) {
            self.portraits.insert(seen.track, (quality.score(), photo_of(seen, quality)));
        }
        let changes = !actions.is_empty();
        while let Some(action) = actions.pop() {
            match action {
                VisitorAction::Add { track, vector } => {
                    actions.extend(self.add_visitor(shared, gallery, track, vector, at, &seen.in_view)?);
                }
                VisitorAction::Seen { person, new } => gallery.seen(person, seconds_since_1970(), new)?,
                VisitorAction::AddPhoto { person } => {
                    gallery.add_photo_if_met(person, &photo_of(seen, quality))?;
                }
                VisitorAction::Merge { from, into } => self.merge(shared, gallery, from, into)?,
            }
        }
        if changes {
            self.refused = false;
        }
        Ok(())
    }

    /// Adds the face of a track to the gallery, unless the mean of its vectors shows that it is a person of the gallery. Returns
    /// further actions.
    fn add_visitor(
        &mut self,
        shared: &Shared,
        gallery: &Gallery,
        track: TrackId,
        vector: Vec<f32>,
        at: Duration,
        in_view: &[TrackId],
    ) -> Result<Vec<VisitorAction>, GalleryError> {
        let Some(visitors) = &mut self.visitors else { return Ok(Vec::new()) };
        let nearest = gallery.search(&vector, NEAREST)?;
        if let Some(known) = visitors.known(track, in_view, &nearest, Scale::of(gallery)) {
            return Ok(visitors.settled(track, known, at, in_view));
        }
        let Some((_, portrait)) = self.portraits.get(&track) else { return Ok(Vec::new()) };
        let person = gallery.meet(&NewPhoto { vector, ..portrait.clone() }, seconds_since_1970())?;
        self.portraits.remove(&track);
        shared.emit(Event::PersonAdded { person });
        // The first visit was recorded together with the person.
        visitors.settled(track, person, at, in_view);
        Ok(Vec::new())
    }

    /// Merges two people if one of them is a visitor. A person that was added by hand remains.
    fn merge(
        &mut self,
        shared: &Shared,
        gallery: &Gallery,
        from: PersonId,
        into: PersonId,
    ) -> Result<(), GalleryError> {
        let merged = if gallery.merge_if_met(from, into)?.is_some() {
            Some((from, into))
        } else {
            gallery.merge_if_met(into, from)?.map(|_| (into, from))
        };
        let Some(visitors) = &mut self.visitors else { return Ok(()) };
        match merged {
            Some((from, into)) => {
                visitors.forget(from);
                shared.emit(Event::PeopleMerged { from, into });
            }
            None => visitors.are_two(from, into),
        }
        Ok(())
    }
}

fn photo_of(seen: &Observation, quality: Quality) -> NewPhoto {
    NewPhoto {
        source: format!("frame {}, face #{}", seen.frame.seq, seen.track),
        sha256: None,
        vector: seen.vector.clone(),
        thumbnail: thumbnail(&seen.frame.picture, &seen.view.rect, seen.view.turn),
        score: Some(quality.score()),
    }
}

/// The largest distance at which an alarm is raised for a watched person, for a wanted share of false alarms over the photos of
/// all watched people. The people of a gallery may be more similar than those that the network was measured on, so the smaller of
/// the two distances is taken.
fn alarm_distance(gallery: &Gallery, false_alarms: Option<f64>) -> Result<f32, GalleryError> {
    let EmbeddingId { same_person, likeness, .. } = *gallery.embedding();
    let Some(share) = false_alarms else { return Ok(same_person) };
    let people = gallery.people()?;
    let photos: usize = people.iter().filter(|person| person.watched).map(|person| person.photos).sum();
    let among_people = gallery.strangers_within(share / photos.max(1) as f64)?;
    let measured = likeness.map(|likeness| distance_at(&likeness, share, photos) as f32);
    Ok([among_people, measured].into_iter().flatten().reduce(f32::min).unwrap_or(same_person))
}

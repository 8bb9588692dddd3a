//! The controller thread: owns the tracks and the estimates, and publishes a scene for every frame.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use visavis_face::{EstimatesParams, Face, TrackId, Tracker};
use visavis_gallery::Match;
use visavis_image::Frame;
use visavis_infer::Task;

use crate::buffer::Pacing;
use crate::estimates::Estimates;
use crate::event::Event;
use crate::job_queue::{Job, Work, WorkFace};
use crate::message::{Message, RecognitionResult, SourceEnd};
use crate::params::Outcome;
use crate::scene::{FacePosition, Scene, SceneFace, assign_people};
use crate::shared::Shared;
use crate::statistics::CONTROLLER;

/// How often the controller checks whether the source has stalled.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// If the time between two frames is longer than this, a frame is shown only after its own detection, since the next frame would
/// show its faces too late.
const SLOW: Duration = Duration::from_millis(150);

/// A frame whose recognition has not ended (every frame).
struct Pending {
    frame: Frame,
    /// The faces as they are shown, without their estimates.
    faces: Vec<SceneFace>,
    work: Arc<Work>,
    jobs_left: usize,
    /// Index of the face, tasks of the network, and result.
    results: Vec<(usize, Vec<Task>, RecognitionResult)>,
}

pub(crate) struct Controller {
    tracker: Tracker,
    estimates: HashMap<TrackId, Estimates>,
    estimates_params: EstimatesParams,
    /// The tracks of the last frame with detections (live).
    seen: HashSet<TrackId>,
    pending: VecDeque<Pending>,
    /// The sequence of related pictures that the tracks belong to.
    sequence: Option<u64>,
    /// A frame that is shown when its faces are detected (live).
    held: Option<Frame>,
    /// The last frame (live).
    last: Option<Frame>,
    /// When the read of the source began that has stalled, on the pipeline's clock (live).
    stalled: Option<Duration>,
    outcome: Outcome,
    /// Number of frames of the source, once it has ended.
    frames_expected: Option<u64>,
}

impl Controller {
    pub(crate) fn new(shared: &Shared) -> Self {
        Self {
            tracker: Tracker::new(shared.params.tracker.clone()),
            estimates: HashMap::new(),
            estimates_params: shared.params.estimates.clone(),
            seen: HashSet::new(),
            pending: VecDeque::new(),
            sequence: None,
            held: None,
            last: None,
            stalled: None,
            outcome: Outcome::default(),
            frames_expected: None,
        }
    }

    /// Runs until the source has ended and all frames are shown, or the pipeline is stopped.
    pub(crate) fn run(mut self, shared: &Shared, messages: &Receiver<Message>) -> Outcome {
        loop {
            let message = match messages.recv_timeout(CHECK_INTERVAL) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => {
                    self.check_source(shared);
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let started = Instant::now();
            let (is_frame, continues) = (matches!(message, Message::Grabbed(_)), self.handle(shared, message));
            if is_frame {
                shared.statistics.record(CONTROLLER, shared.clock.now(), started.elapsed());
            }
            if !continues {
                break;
            }
        }
        self.outcome
    }

    /// Handles a message. Returns `false` when the run has ended.
    fn handle(&mut self, shared: &Shared, message: Message) -> bool {
        let live = shared.params.pacing == Pacing::Live;
        match message {
            Message::Stop => return false,
            Message::Grabbed(frame) if live => self.grabbed(shared, frame),
            Message::Grabbed(_) => {}
            Message::Detected { frame, faces } => self.detected(shared, frame, &faces),
            Message::Recognised { job, results } if live => {
                self.add_results_live(shared, &job, results.unwrap_or_default());
            }
            Message::Recognised { job, results } => {
                self.add_results_every_frame(shared, &job, results.unwrap_or_default());
            }
            Message::Switched(task) => self.estimates.values_mut().for_each(|estimates| estimates.reset(task)),
            Message::SetEstimates(params) => self.estimates_params = params,
            Message::SourceEnded(SourceEnd { frames, skipped, failure }) => {
                shared.emit(match &failure {
                    Some(reason) => Event::SourceFailed { reason: reason.clone() },
                    None => Event::SourceEnded,
                });
                (self.outcome.source_failure, self.outcome.skipped) = (failure, skipped);
                self.frames_expected = Some(frames);
            }
        }
        match self.frames_expected {
            // Live: the last frame was shown, unless it waits for its detection. Its recognition is not awaited, since no further
            // frame would show the results.
            Some(_) if live => self.held.is_some(),
            Some(expected) => self.outcome.frames < expected,
            None => true,
        }
    }

    /// Live: handles a new frame. It is shown at once, except after a cut or when frames are rare: then it is shown after its
    /// detection.
    fn grabbed(&mut self, shared: &Shared, frame: Frame) {
        if let Some(since) = self.stalled.take() {
            shared.emit(Event::SourceResumed { after: frame.captured_at.saturating_sub(since) });
        }
        if let Some(held) = self.held.take() {
            self.show(shared, held);
        }
        let gap = self.last.as_ref().map(|last| frame.captured_at.saturating_sub(last.captured_at));
        let is_new = self.begin_sequence(&frame);
        self.last = Some(frame.clone());
        if is_new || gap.is_none_or(|gap| gap > SLOW) {
            self.held = Some(frame);
        } else {
            self.show(shared, frame);
        }
    }

    /// Ends all tracks if the frame is not related to the one before. Returns whether that is so.
    fn begin_sequence(&mut self, frame: &Frame) -> bool {
        let is_new = self.sequence.replace(frame.sequence) != Some(frame.sequence);
        if is_new {
            self.tracker.clear();
            self.seen.clear();
        }
        is_new
    }

    /// Live: checks whether the source has stalled. If so, the last frame is shown once more, marked as stalled and without faces.
    fn check_source(&mut self, shared: &Shared) {
        let Some(since) = shared.reading_since() else { return };
        let waited = shared.clock.now().saturating_sub(since);
        if shared.params.pacing != Pacing::Live || self.stalled.is_some() || waited < shared.params.stalled_after {
            return;
        }
        self.stalled = Some(since);
        let wall_time = SystemTime::now().checked_sub(waited).unwrap_or_else(SystemTime::now);
        shared.emit(Event::SourceStalled { since: wall_time });
        if let Some(held) = self.held.take() {
            self.show(shared, held);
        }
        self.tracker.clear();
        self.seen.clear();
        if let Some(frame) = self.last.clone() {
            self.publish(shared, Scene { frame, faces: Vec::new(), stalled_since: Some(wall_time) });
        }
    }

    /// Live: shows a frame with the present estimates of its faces.
    fn show(&mut self, shared: &Shared, frame: Frame) {
        let at = frame.captured_at;
        self.tracker.forget(at);
        let params = self.tracker.params();
        let shown = self.tracker.tracks().iter().filter(|track| track.is_shown());
        let mut faces: Vec<SceneFace> = shown
            .map(|track| {
                SceneFace::new(
                    track.id,
                    FacePosition::of(track, at, params),
                    self.seen.contains(&track.id),
                    self.estimates.get(&track.id),
                )
            })
            .collect();
        assign_people(&mut faces, &self.estimates);
        if let Some(gallery) = &shared.jobs.models().gallery {
            for face in &mut faces {
                let person = face.resembles.as_ref().filter(|found| found.same_person).map(|found| found.person);
                face.ignored = person.is_some_and(|person| gallery.is_ignored(person));
            }
        }
        shared.statistics.in_view(at, faces.iter().map(|face| face.track));
        self.publish(shared, Scene { frame, faces, stalled_since: None });
    }

    /// Assigns detected faces to tracks and queues the recognition jobs of the frame.
    fn detected(&mut self, shared: &Shared, frame: Frame, faces: &[Face]) {
        let at = frame.captured_at;
        let live = shared.params.pacing == Pacing::Live;
        if !live {
            self.begin_sequence(&frame);
        } else if self.sequence != Some(frame.sequence) || self.stalled.is_some() {
            // The tracks of this frame have ended meanwhile.
            return;
        }
        let tracks = self.tracker.update(at, faces);
        let alive: Vec<TrackId> = self.tracker.tracks().iter().map(|track| track.id).collect();
        let faces_of_frame = faces.iter().zip(&tracks).map(|(face, &track)| WorkFace::new(track, face.view()));
        let work = Arc::new(Work { frame: frame.clone(), faces: faces_of_frame.collect() });
        if live {
            self.estimates.retain(|track, _| alive.contains(track));
            self.seen = tracks.into_iter().collect();
            shared.jobs.add(&work, Pacing::Live, &alive);
            if let Some(held) = self.held.take_if(|held| held.seq == frame.seq) {
                self.show(shared, held);
            }
            return;
        }
        let params = self.tracker.params();
        // A face that was detected in this frame is always shown, even if its track is new.
        let shown = |track: &&visavis_face::Track| track.is_shown() || tracks.contains(&track.id);
        let faces = self.tracker.tracks().iter().filter(shown).map(|track| {
            SceneFace::new(track.id, FacePosition::of(track, at, params), tracks.contains(&track.id), None)
        });
        let faces = faces.collect();
        let jobs_left = shared.jobs.add(&work, Pacing::EveryFrame, &alive);
        self.pending.push_back(Pending { frame, faces, work, jobs_left, results: Vec::new() });
        self.publish_finished(shared);
    }

    /// Live: adds results to the averages at once, except for tasks that have another network meanwhile.
    fn add_results_live(&mut self, shared: &Shared, job: &Job, results: Vec<RecognitionResult>) {
        let models = shared.jobs.models();
        let Some(network) = models.recogniser(&job.model.name) else { return };
        let tasks: Vec<Task> = job.model.tasks.iter().copied().filter(|task| network.tasks.contains(task)).collect();
        for (track, result) in job.tracks().into_iter().zip(results) {
            if self.tracker.track(track).is_none() {
                continue;
            }
            let compared = result.0.embedding.is_some();
            if compared && log::log_enabled!(log::Level::Info) {
                log_comparison(track, &result.1, shared);
            }
            self.add_result(shared, track, result, &tasks);
            if compared
                && self.estimates.get(&track).is_some_and(|estimates| !estimates.comparisons().last_look_agrees())
            {
                shared.jobs.reopen_identity(track);
            }
        }
    }

    /// Adds a result to the averages of its track. Results for other tasks than `tasks` are discarded.
    fn add_result(&mut self, shared: &Shared, track: TrackId, (findings, nearest): RecognitionResult, tasks: &[Task]) {
        let findings = findings.only(tasks);
        if findings.smile.is_some() {
            shared.statistics.expression(track);
        }
        self.estimates.entry(track).or_default().add(&findings, nearest, &self.estimates_params);
    }

    /// Every frame: keeps results until those of all earlier frames have come, so that runs are reproducible to the byte.
    fn add_results_every_frame(&mut self, shared: &Shared, job: &Job, results: Vec<RecognitionResult>) {
        if let Some(pending) = self.pending.iter_mut().find(|pending| Arc::ptr_eq(&pending.work, &job.work)) {
            pending.jobs_left -= 1;
            let tasks = &job.model.tasks;
            pending.results.extend(job.faces.iter().zip(results).map(|(&face, result)| (face, tasks.clone(), result)));
        }
        self.publish_finished(shared);
    }

    /// Every frame: publishes the oldest frames, as far as their jobs have ended.
    fn publish_finished(&mut self, shared: &Shared) {
        while let Some(mut done) = self.pending.pop_front_if(|first| first.jobs_left == 0) {
            for (face, tasks, result) in done.results {
                let track = done.work.faces[face].track;
                self.add_result(shared, track, result, &tasks);
            }
            let at = done.frame.captured_at;
            shared.statistics.in_view(at, done.faces.iter().map(|face| face.track));
            for face in &mut done.faces {
                *face = SceneFace::new(face.track, face.position(), face.detected, self.estimates.get(&face.track));
            }
            assign_people(&mut done.faces, &self.estimates);
            self.drop_unused_estimates();
            let seq = done.frame.seq;
            self.publish(shared, Scene { frame: done.frame, faces: done.faces, stalled_since: None });
            shared.buffer.release(seq);
        }
    }

    /// Drops the estimates of faces that are neither tracked nor on a waiting frame.
    fn drop_unused_estimates(&mut self) {
        let (tracker, pending) = (&self.tracker, &self.pending);
        self.estimates.retain(|track, _| {
            tracker.track(*track).is_some()
                || pending.iter().any(|waiting| waiting.faces.iter().any(|face| face.track == *track))
        });
    }

    fn publish(&mut self, shared: &Shared, scene: Scene) {
        self.outcome.frames += 1;
        let scene = Arc::new(scene);
        for channel in &shared.channels {
            channel.push(&scene, &shared.statistics);
        }
    }
}

/// Logs what decided whether a look at a face identified a person.
fn log_comparison(track: TrackId, nearest: &[Match], shared: &Shared) {
    let Some(gallery) = &shared.jobs.models().gallery else { return };
    match nearest.first() {
        Some(found) => log::info!(
            "face #{track}: {} {} at distance {:.3}; with {} photos, at most {:.3} is identified",
            if found.same_person { "identified," } else { "not identified, nearest is" },
            found.name,
            found.distance,
            gallery.size(),
            gallery.identity_distance(),
        ),
        None => log::info!("face #{track}: not identified, the gallery is empty"),
    }
}

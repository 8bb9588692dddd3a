//! The controller thread: owns the tracks and the estimates, and publishes a scene for every frame.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use visavis_face::{Estimates, EstimatesParams, Face, FaceView, Findings, TrackId, Tracker};
use visavis_image::Frame;
use visavis_infer::Task;

use crate::Event;
use crate::board::{Job, Work, WorkFace};
use crate::buffer::Pacing;
use crate::pipeline::{Outcome, Shared};
use crate::recognition::Answer;
use crate::scene::{Scene, SceneFace, tell_apart};
use crate::statistics::CONTROLLER;

/// What the other threads tell the controller.
pub(crate) enum Message {
    Grabbed(Frame),
    Detected {
        frame: Frame,
        faces: Vec<Face>,
    },
    Recognised {
        job: Job,
        answers: Option<Vec<Answer>>,
    },
    /// Another network does this task now: what the old one said is forgotten.
    Switched(Task),
    /// From now on answers are averaged so.
    Smooth(EstimatesParams),
    SourceEnded {
        frames: u64,
        failure: Option<String>,
    },
    Stop,
}

/// A frame whose recognition is not finished (every frame).
struct Pending {
    frame: Frame,
    /// As they will be shown, but for the estimates.
    faces: Vec<SceneFace>,
    work: Arc<Work>,
    jobs_left: usize,
    answers: Vec<(usize, Vec<Task>, Answer)>,
}

pub(crate) struct Controller {
    tracker: Tracker,
    estimates: HashMap<TrackId, Estimates>,
    smoothing: EstimatesParams,
    /// Tracks seen in the last detected frame (live).
    seen: HashSet<TrackId>,
    pending: VecDeque<Pending>,
    /// Pictures that have nothing to do with each other: nothing is tied over time.
    stills: bool,
    outcome: Outcome,
    frames_expected: Option<u64>,
}

impl Controller {
    pub(crate) fn new(shared: &Shared, stills: bool) -> Self {
        let mut params = shared.params.tracker.clone();
        if stills {
            params.shown_after = 0;
        }
        Self {
            tracker: Tracker::new(params),
            estimates: HashMap::new(),
            smoothing: shared.params.estimates.clone(),
            seen: HashSet::new(),
            pending: VecDeque::new(),
            stills,
            outcome: Outcome::default(),
            frames_expected: None,
        }
    }

    /// Runs until the source has ended and everything is shown, or the pipeline is stopped.
    pub(crate) fn run(mut self, shared: &Shared, messages: &Receiver<Message>) -> Outcome {
        while let Ok(message) = messages.recv() {
            let started = Instant::now();
            let (is_frame, goes_on) = (matches!(message, Message::Grabbed(_)), self.handle(shared, message));
            if is_frame {
                shared.statistics.record(CONTROLLER, shared.clock.now(), started.elapsed());
            }
            if !goes_on {
                break;
            }
        }
        self.outcome
    }

    /// `false` once everything is over.
    fn handle(&mut self, shared: &Shared, message: Message) -> bool {
        let live = shared.params.pacing == Pacing::Live;
        match message {
            Message::Stop => return false,
            Message::Grabbed(frame) if live => self.show(shared, frame),
            Message::Grabbed(_) => {}
            Message::Detected { frame, faces } => self.detected(shared, frame, &faces),
            Message::Recognised { job, answers } if live => self.learn(shared, &job, answers.unwrap_or_default()),
            Message::Recognised { job, answers } => self.settle(shared, &job, answers.unwrap_or_default()),
            Message::Switched(task) => self.estimates.values_mut().for_each(|estimates| estimates.reset(task)),
            Message::Smooth(params) => self.smoothing = params,
            Message::SourceEnded { frames, failure } => {
                shared.tell(match &failure {
                    Some(reason) => Event::SourceFailed { reason: reason.clone() },
                    None => Event::SourceEnded,
                });
                self.outcome.source_failure = failure;
                self.frames_expected = Some(frames);
            }
        }
        match self.frames_expected {
            // Live, the last frame has been shown; waiting for its recognition would show nothing more.
            Some(_) if live => false,
            Some(expected) => self.outcome.frames < expected,
            None => true,
        }
    }

    /// Live: a new frame is shown at once, with what is known of its faces by now.
    fn show(&mut self, shared: &Shared, frame: Frame) {
        let at = frame.captured_at;
        self.tracker.forget(at);
        let params = self.tracker.params();
        let shown = self.tracker.tracks().iter().filter(|track| track.is_shown(params));
        let mut faces: Vec<SceneFace> = shown
            .map(|track| {
                let place = (track.rect_at(at, params), track.landmarks_at(at, params), track.score);
                SceneFace::new(track.id, place, self.seen.contains(&track.id), self.estimates.get(&track.id))
            })
            .collect();
        tell_apart(&mut faces, &self.estimates);
        shared.statistics.in_view(at, faces.iter().map(|face| face.track));
        self.publish(shared, Scene { frame, faces });
    }

    fn detected(&mut self, shared: &Shared, frame: Frame, faces: &[Face]) {
        let at = frame.captured_at;
        if self.stills {
            self.tracker.clear();
        }
        let tracks = self.tracker.update(at, faces);
        let alive: Vec<TrackId> = self.tracker.tracks().iter().map(|track| track.id).collect();
        let faces_of_frame = faces.iter().zip(&tracks).map(|(face, &track)| WorkFace {
            track,
            view: FaceView { rect: face.rect, landmarks: face.landmarks },
            located: OnceLock::new(),
        });
        let work = Arc::new(Work { frame: frame.clone(), faces: faces_of_frame.collect() });
        if shared.params.pacing == Pacing::Live {
            self.estimates.retain(|track, _| alive.contains(track));
            self.seen = tracks.into_iter().collect();
            shared.board.post(&work, Pacing::Live, &alive);
            return;
        }
        let params = self.tracker.params();
        let places = self.tracker.tracks().iter().filter(|track| track.is_shown(params)).map(|track| {
            let place = (track.rect_at(at, params), track.landmarks_at(at, params), track.score);
            SceneFace::new(track.id, place, tracks.contains(&track.id), None)
        });
        let faces = places.collect();
        let jobs_left = shared.board.post(&work, Pacing::EveryFrame, &alive);
        self.pending.push_back(Pending { frame, faces, work, jobs_left, answers: Vec::new() });
        self.emit(shared);
    }

    /// Live: an answer goes into the averages at once, but for tasks that another network was given meanwhile.
    fn learn(&mut self, shared: &Shared, job: &Job, answers: Vec<Answer>) {
        let lineup = shared.board.lineup();
        let Some(lane) = lineup.lane(&job.lane.model) else { return };
        let tasks: Vec<Task> = job.lane.tasks.iter().copied().filter(|task| lane.tasks.contains(task)).collect();
        for (track, answer) in job.tracks().into_iter().zip(answers) {
            if self.tracker.track(track).is_none() {
                continue;
            }
            self.absorb(shared, track, answer, &tasks);
        }
    }

    /// An answer goes into the averages of its track. What a network says beyond the tasks it was chosen for is left out.
    fn absorb(&mut self, shared: &Shared, track: TrackId, (findings, nearest): Answer, tasks: &[Task]) {
        let findings = Findings {
            age: findings.age.filter(|_| tasks.contains(&Task::Age)),
            female: findings.female.filter(|_| tasks.contains(&Task::Gender)),
            smile: findings.smile.filter(|_| tasks.contains(&Task::Smile)),
            embedding: findings.embedding.filter(|_| tasks.contains(&Task::Similarity)),
        };
        if findings.smile.is_some() {
            shared.statistics.expression(track);
        }
        self.estimates.entry(track).or_default().absorb(&findings, nearest, &self.smoothing);
    }

    /// Every frame: an answer waits until those of all earlier frames are in, so that a run repeats to the byte.
    fn settle(&mut self, shared: &Shared, job: &Job, answers: Vec<Answer>) {
        if let Some(pending) = self.pending.iter_mut().find(|pending| Arc::ptr_eq(&pending.work, &job.work)) {
            pending.jobs_left -= 1;
            let tasks = &job.lane.tasks;
            pending.answers.extend(job.faces.iter().zip(answers).map(|(&face, answer)| (face, tasks.clone(), answer)));
        }
        self.emit(shared);
    }

    fn emit(&mut self, shared: &Shared) {
        while let Some(mut done) = self.pending.pop_front_if(|first| first.jobs_left == 0) {
            for (face, tasks, answer) in done.answers {
                let track = done.work.faces[face].track;
                self.absorb(shared, track, answer, &tasks);
            }
            let at = done.frame.captured_at;
            shared.statistics.in_view(at, done.faces.iter().map(|face| face.track));
            for face in &mut done.faces {
                let place = (face.rect, face.landmarks, face.score);
                *face = SceneFace::new(face.track, place, face.detected, self.estimates.get(&face.track));
            }
            tell_apart(&mut done.faces, &self.estimates);
            self.forget_estimates();
            let seq = done.frame.seq;
            self.publish(shared, Scene { frame: done.frame, faces: done.faces });
            shared.buffer.release(seq);
        }
    }

    /// Drops the estimates of faces that neither a live track nor a waiting frame has.
    fn forget_estimates(&mut self) {
        if self.stills {
            self.estimates.clear();
            return;
        }
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

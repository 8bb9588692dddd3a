//! The board where detected faces are posted and recognition workers find their jobs.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};

use visavis_face::{FaceView, TrackId};
use visavis_image::{Frame, Landmarks};

use crate::buffer::Pacing;
use crate::lineup::{Lane, Lineup};
use crate::schedule::{LaneView, Schedule, ScheduleParams};

/// A detected frame.
pub(crate) struct Work {
    pub(crate) frame: Frame,
    pub(crate) faces: Vec<WorkFace>,
}

/// A face of it. Its keypoints are located at most once, by the first worker that needs them.
pub(crate) struct WorkFace {
    pub(crate) track: TrackId,
    pub(crate) view: FaceView,
    pub(crate) located: OnceLock<Option<Landmarks>>,
}

/// One network, some faces of one frame.
pub(crate) struct Job {
    pub(crate) work: Arc<Work>,
    pub(crate) lane: Arc<Lane>,
    pub(crate) faces: Vec<usize>,
}

impl Job {
    pub(crate) fn tracks(&self) -> Vec<TrackId> {
        self.faces.iter().map(|&face| self.work.faces[face].track).collect()
    }
}

/// What a worker does next.
pub(crate) enum Next {
    Job(Job),
    /// Other networks are in use now.
    Changed(Arc<Lineup>),
    Closed,
}

struct State {
    schedule: Schedule,
    current: Option<Arc<Work>>,
    queue: VecDeque<Job>,
    lineup: Arc<Lineup>,
    /// How many workers there are to be.
    workers: usize,
    closed: bool,
}

/// Shared by the controller, the workers and the loader.
pub(crate) struct Board {
    state: Mutex<State>,
    changed: Condvar,
}

impl Board {
    pub(crate) fn new(params: ScheduleParams, lineup: Lineup, workers: usize) -> Self {
        let state = State {
            schedule: Schedule::new(params),
            current: None,
            queue: VecDeque::new(),
            lineup: Arc::new(lineup),
            workers,
            closed: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Posts a detected frame. Live: in place of the one before. Every frame: behind it; says how many jobs that makes.
    pub(crate) fn post(&self, work: &Arc<Work>, pacing: Pacing, alive: &[TrackId]) -> usize {
        let mut state = self.lock();
        let jobs = match pacing {
            Pacing::Live => {
                state.schedule.keep(alive);
                state.current = Some(Arc::clone(work));
                0
            }
            Pacing::EveryFrame if work.faces.is_empty() => 0,
            Pacing::EveryFrame => {
                let lineup = Arc::clone(&state.lineup);
                let all: Vec<usize> = (0..work.faces.len()).collect();
                state.queue.extend(lineup.lanes.iter().map(|lane| Job {
                    work: Arc::clone(work),
                    lane: Arc::clone(lane),
                    faces: all.clone(),
                }));
                lineup.lanes.len()
            }
        };
        drop(state);
        self.changed.notify_all();
        jobs
    }

    /// Waits for a job for the `number`th worker (from 1), or for news about the networks if it knows those of `generation`.
    pub(crate) fn take(&self, number: usize, generation: u64) -> Next {
        let mut state = self.lock();
        loop {
            if state.closed || number > state.workers {
                return Next::Closed;
            }
            if state.lineup.generation != generation {
                return Next::Changed(Arc::clone(&state.lineup));
            }
            if let Some(job) = state.queue.pop_front() {
                return Next::Job(job);
            }
            if let Some(job) = Self::pick(&mut state) {
                return Next::Job(job);
            }
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    fn pick(state: &mut State) -> Option<Job> {
        let work = Arc::clone(state.current.as_ref()?);
        let lineup = Arc::clone(&state.lineup);
        let lanes: Vec<LaneView<'_>> =
            lineup.lanes.iter().map(|lane| LaneView { model: &lane.model, tasks: &lane.tasks }).collect();
        let tracks: Vec<TrackId> = work.faces.iter().map(|face| face.track).collect();
        let pick = state.schedule.pick(&lanes, work.frame.seq, work.frame.captured_at, &tracks)?;
        Some(Job { work, lane: Arc::clone(&lineup.lanes[pick.lane]), faces: pick.faces })
    }

    /// A job is over; `done` if it brought an answer.
    pub(crate) fn finish(&self, job: &Job, done: bool) {
        self.lock().schedule.finish(&job.lane.model, &job.tracks(), done);
        self.changed.notify_all();
    }

    /// The networks in use.
    pub(crate) fn lineup(&self) -> Arc<Lineup> {
        Arc::clone(&self.lock().lineup)
    }

    /// Puts other networks to use, from the next job on.
    pub(crate) fn replace(&self, lineup: Lineup) {
        self.lock().lineup = Arc::new(lineup);
        self.changed.notify_all();
    }

    /// How many workers there are to be.
    pub(crate) fn workers(&self) -> usize {
        self.lock().workers
    }

    /// From now on there are to be so many workers: those with higher numbers go home after their job.
    pub(crate) fn set_workers(&self, workers: usize) {
        self.lock().workers = workers;
        self.changed.notify_all();
    }

    /// Sends every worker home.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.queue.clear();
        state.current = None;
        drop(state);
        self.changed.notify_all();
    }
}

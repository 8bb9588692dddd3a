//! The queue of recognition jobs: the controller adds detected frames, the workers take jobs.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};

use visavis_face::{FaceCrops, FaceView, TrackId};
use visavis_image::{Frame, Landmarks, Picture};
use visavis_infer::manifest::Crop;

use crate::buffer::Pacing;
use crate::model_set::{ModelSet, RecognitionModel};
use crate::schedule::{ModelTasks, Schedule, ScheduleParams};

/// A detected frame.
pub(crate) struct Work {
    pub(crate) frame: Frame,
    pub(crate) faces: Vec<WorkFace>,
}

/// A face of a detected frame. Its keypoints are located at most once, and each of its crops is made once, by the first worker
/// that needs it.
pub(crate) struct WorkFace {
    pub(crate) track: TrackId,
    pub(crate) view: FaceView,
    pub(crate) located: OnceLock<Option<Landmarks>>,
    crops: FaceCrops,
}

impl WorkFace {
    pub(crate) fn new(track: TrackId, view: FaceView) -> Self {
        Self { track, view, located: OnceLock::new(), crops: FaceCrops::default() }
    }

    /// The crop of the face in `picture` by the keypoints in `view`.
    pub(crate) fn crop(&self, picture: &Picture, view: &FaceView, crop: &Crop, size: [u32; 2]) -> Arc<Picture> {
        self.crops.get(picture, view, crop, size)
    }
}

/// A recognition network to be run on some faces of a frame.
pub(crate) struct Job {
    pub(crate) work: Arc<Work>,
    pub(crate) model: Arc<RecognitionModel>,
    /// Indices into the faces of the frame.
    pub(crate) faces: Vec<usize>,
    /// Those of the faces that are compared with the gallery.
    pub(crate) compared: Vec<usize>,
}

impl Job {
    pub(crate) fn tracks(&self) -> Vec<TrackId> {
        self.faces.iter().map(|&face| self.work.faces[face].track).collect()
    }
}

/// What a worker is to do next.
pub(crate) enum Next {
    Job(Job),
    /// Use these networks from now on.
    Changed(Arc<ModelSet>),
    /// End.
    Closed,
}

struct State {
    schedule: Schedule,
    current: Option<Arc<Work>>,
    queue: VecDeque<Job>,
    models: Arc<ModelSet>,
    /// The wanted number of workers.
    workers: usize,
    closed: bool,
}

fn tasks_of(models: &ModelSet) -> Vec<ModelTasks<'_>> {
    models.recognition.iter().map(|model| ModelTasks { name: &model.name, tasks: &model.tasks }).collect()
}

/// Shared by the controller, the workers and the loader.
pub(crate) struct JobQueue {
    state: Mutex<State>,
    changed: Condvar,
}

impl JobQueue {
    pub(crate) fn new(params: ScheduleParams, models: ModelSet, workers: usize) -> Self {
        let state = State {
            schedule: Schedule::new(params),
            current: None,
            queue: VecDeque::new(),
            models: Arc::new(models),
            workers,
            closed: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Adds a detected frame. Live: replaces the frame before. Every frame: queues its jobs and returns their number. `alive` are
    /// the tracks that still exist.
    pub(crate) fn add(&self, work: &Arc<Work>, pacing: Pacing, alive: &[TrackId]) -> usize {
        let mut state = self.lock();
        let jobs = match pacing {
            Pacing::Live => {
                state.schedule.keep(alive);
                state.current = Some(Arc::clone(work));
                0
            }
            Pacing::EveryFrame if work.faces.is_empty() => 0,
            Pacing::EveryFrame => {
                state.schedule.keep(alive);
                let models = Arc::clone(&state.models);
                let tracks: Vec<TrackId> = work.faces.iter().map(|face| face.track).collect();
                let (seq, now) = (work.frame.seq, work.frame.captured_at);
                let picks = state.schedule.all(&tasks_of(&models), seq, now, &tracks);
                let jobs = picks.len();
                state.queue.extend(picks.into_iter().map(|pick| Job {
                    work: Arc::clone(work),
                    model: Arc::clone(&models.recognition[pick.model]),
                    faces: pick.faces,
                    compared: pick.compared,
                }));
                jobs
            }
        };
        drop(state);
        self.changed.notify_all();
        jobs
    }

    /// Waits for a job for the worker with this number, counted from 1. Returns the model set first if it is not the one of
    /// `generation`.
    pub(crate) fn take(&self, number: usize, generation: u64) -> Next {
        let mut state = self.lock();
        loop {
            if state.closed || number > state.workers {
                return Next::Closed;
            }
            if state.models.generation != generation {
                return Next::Changed(Arc::clone(&state.models));
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
        let models = Arc::clone(&state.models);
        let tracks: Vec<TrackId> = work.faces.iter().map(|face| face.track).collect();
        let pick = state.schedule.pick(&tasks_of(&models), work.frame.seq, work.frame.captured_at, &tracks)?;
        let model = Arc::clone(&models.recognition[pick.model]);
        Some(Job { work, model, faces: pick.faces, compared: pick.compared })
    }

    /// Records that the last comparison of a face disagreed with those before it.
    pub(crate) fn reopen_identity(&self, track: TrackId) {
        self.lock().schedule.reopen_identity(track);
    }

    /// Records that the gallery has changed, so all faces are compared with it again.
    pub(crate) fn reopen_identities(&self) {
        self.lock().schedule.reopen_identities();
    }

    /// Records that a job has ended, and whether it succeeded.
    pub(crate) fn finish(&self, job: &Job, succeeded: bool) {
        self.lock().schedule.finish(&job.model.name, &job.tracks(), succeeded);
        self.changed.notify_all();
    }

    /// The networks in use.
    pub(crate) fn models(&self) -> Arc<ModelSet> {
        Arc::clone(&self.lock().models)
    }

    /// Uses other networks from the next job on.
    pub(crate) fn replace(&self, models: ModelSet) {
        self.lock().models = Arc::new(models);
        self.changed.notify_all();
    }

    /// The wanted number of workers.
    pub(crate) fn workers(&self) -> usize {
        self.lock().workers
    }

    /// Sets the wanted number of workers. Workers with higher numbers end after their job.
    pub(crate) fn set_workers(&self, workers: usize) {
        self.lock().workers = workers;
        self.changed.notify_all();
    }

    /// Ends all workers after their jobs.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.queue.clear();
        state.current = None;
        drop(state);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_image::Rect;
    use visavis_infer::manifest::Fit;

    #[test]
    fn a_crop_is_made_once_for_all_networks() {
        let picture = Picture::filled(40, 40, [9; 3]);
        let face = WorkFace::new(1, FaceView::upright(Rect::new(5.0, 5.0, 20.0, 20.0), None));
        let boxed = Crop::Box { fit: Fit::Square, expand: 1.0 };
        let first = face.crop(&picture, &face.view, &boxed, [16, 16]);
        assert!(Arc::ptr_eq(&first, &face.crop(&picture, &face.view, &boxed, [16, 16])));
        let larger = face.crop(&picture, &face.view, &boxed, [24, 24]);
        let other = face.crop(&picture, &face.view, &Crop::Aligned, [16, 16]);
        assert_eq!((larger.width(), other.width()), (24, 16));
        assert!(!Arc::ptr_eq(&first, &other));
    }
}

//! The queue of recognition jobs: the controllers of all cameras add detected frames, the workers take jobs.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

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

/// Identifies a camera in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CameraId(u64);

/// What a worker is to do next.
pub(crate) enum Next<C> {
    /// A job of a camera. The worker calls [`JobQueue::finish`] after it.
    Job(CameraId, C, Job),
    /// Use these networks from now on.
    Changed(Arc<ModelSet>),
    /// End.
    Closed,
}

/// The jobs of one camera.
struct CameraQueue<C> {
    id: CameraId,
    /// What a worker needs for a job of this camera. `None` after the end of the camera: it gets no more jobs.
    camera: Option<C>,
    schedule: Schedule,
    current: Option<Arc<Work>>,
    queue: VecDeque<Job>,
    /// Number of jobs that workers run at present.
    running: usize,
    /// Working time spent on this camera, plus the time that it was behind the others because it had no jobs.
    used: Duration,
    /// When it last got a worker, as a number that increases with every job.
    turn: u64,
}

impl<C: Clone> CameraQueue<C> {
    fn next(&mut self, models: &ModelSet) -> Option<(C, Job)> {
        let camera = self.camera.clone()?;
        if let Some(job) = self.queue.pop_front() {
            return Some((camera, job));
        }
        let work = Arc::clone(self.current.as_ref()?);
        let tracks: Vec<TrackId> = work.faces.iter().map(|face| face.track).collect();
        let pick = self.schedule.pick(&tasks_of(models), work.frame.seq, work.frame.captured_at, &tracks)?;
        let model = Arc::clone(&models.recognition[pick.model]);
        Some((camera, Job { work, model, faces: pick.faces, compared: pick.compared }))
    }
}

struct State<C> {
    cameras: Vec<CameraQueue<C>>,
    models: Arc<ModelSet>,
    /// The wanted number of workers.
    workers: usize,
    /// Number of cameras and of jobs so far.
    ids: u64,
    turns: u64,
    /// The value of `used` of the camera that got the last job: a camera that had no jobs continues from here.
    level: Duration,
    closed: bool,
}

fn tasks_of(models: &ModelSet) -> Vec<ModelTasks<'_>> {
    models.recognition.iter().map(|model| ModelTasks { name: &model.name, tasks: &model.tasks }).collect()
}

/// The jobs of all cameras of a worker pool. Shared by the controllers, the workers and the loader.
///
/// The next job is of the camera on which the workers have spent the least time, among the cameras that have a job that is due. So
/// each camera gets an equal share of the workers if all are busy, whatever the number of its faces. A camera that had no jobs for
/// a while is not compensated for that time.
pub(crate) struct JobQueue<C> {
    state: Mutex<State<C>>,
    changed: Condvar,
}

impl<C: Clone> JobQueue<C> {
    pub(crate) fn new(models: ModelSet, workers: usize) -> Self {
        let state = State {
            cameras: Vec::new(),
            models: Arc::new(models),
            workers,
            ids: 0,
            turns: 0,
            level: Duration::ZERO,
            closed: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn with<T>(&self, id: CameraId, act: impl FnOnce(&mut CameraQueue<C>, &Arc<ModelSet>) -> T) -> Option<T> {
        let state = &mut *self.lock();
        let jobs = state.cameras.iter_mut().find(|jobs| jobs.id == id)?;
        Some(act(jobs, &state.models))
    }

    /// Makes room for the jobs of a camera. No worker takes them before [`JobQueue::connect`].
    pub(crate) fn register(&self, params: ScheduleParams) -> CameraId {
        let mut state = self.lock();
        state.ids += 1;
        let id = CameraId(state.ids);
        state.cameras.push(CameraQueue {
            id,
            camera: None,
            schedule: Schedule::new(params),
            current: None,
            queue: VecDeque::new(),
            running: 0,
            used: Duration::ZERO,
            turn: 0,
        });
        id
    }

    /// Sets what the workers get with each job of the camera.
    pub(crate) fn connect(&self, id: CameraId, camera: C) {
        self.with(id, |jobs, _| jobs.camera = Some(camera));
    }

    /// Drops the camera's jobs and takes no more. Returns at once; jobs that are running go on.
    pub(crate) fn disconnect(&self, id: CameraId) {
        // Dropped after the lock is released: the camera may be the last owner of a great deal.
        let _dropped =
            self.with(id, |jobs, _| (jobs.camera.take(), jobs.current.take(), std::mem::take(&mut jobs.queue)));
    }

    /// Disconnects the camera, waits until its running jobs have ended, and forgets it.
    pub(crate) fn remove(&self, id: CameraId) {
        self.disconnect(id);
        let mut state = self.lock();
        while state.cameras.iter().any(|jobs| jobs.id == id && jobs.running > 0) {
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        state.cameras.retain(|jobs| jobs.id != id);
    }

    /// Adds a detected frame of a camera. Live: replaces the frame before. Every frame: queues its jobs and returns their number.
    /// `alive` are the tracks that still exist.
    pub(crate) fn add(&self, id: CameraId, work: &Arc<Work>, pacing: Pacing, alive: &[TrackId]) -> usize {
        let added = self.with(id, |jobs, models| match pacing {
            Pacing::Live => {
                jobs.schedule.keep(alive);
                jobs.current = Some(Arc::clone(work));
                0
            }
            Pacing::EveryFrame if work.faces.is_empty() => 0,
            Pacing::EveryFrame => {
                jobs.schedule.keep(alive);
                let tracks: Vec<TrackId> = work.faces.iter().map(|face| face.track).collect();
                let (seq, now) = (work.frame.seq, work.frame.captured_at);
                let picks = jobs.schedule.all(&tasks_of(models), seq, now, &tracks);
                let added = picks.len();
                jobs.queue.extend(picks.into_iter().map(|pick| Job {
                    work: Arc::clone(work),
                    model: Arc::clone(&models.recognition[pick.model]),
                    faces: pick.faces,
                    compared: pick.compared,
                }));
                added
            }
        });
        self.changed.notify_all();
        added.unwrap_or(0)
    }

    /// Waits for a job for the worker with this number, counted from 1. Returns the model set first if it is not the one of
    /// `generation`.
    pub(crate) fn take(&self, number: usize, generation: u64) -> Next<C> {
        let mut state = self.lock();
        loop {
            if state.closed || number > state.workers {
                return Next::Closed;
            }
            if state.models.generation != generation {
                return Next::Changed(Arc::clone(&state.models));
            }
            if let Some((id, camera, job)) = Self::pick(&mut state) {
                return Next::Job(id, camera, job);
            }
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// The next job, if there is one.
    #[cfg(test)]
    pub(crate) fn take_now(&self) -> Option<(CameraId, Job)> {
        Self::pick(&mut self.lock()).map(|(id, _, job)| (id, job))
    }

    fn pick(state: &mut State<C>) -> Option<(CameraId, C, Job)> {
        let level = state.level;
        let mut order: Vec<&mut CameraQueue<C>> = state.cameras.iter_mut().collect();
        order.sort_by_key(|jobs| (jobs.used.max(level), jobs.turn));
        let (jobs, (camera, job)) = order.into_iter().find_map(|jobs| {
            let next = jobs.next(&state.models)?;
            Some((jobs, next))
        })?;
        jobs.used = jobs.used.max(level);
        jobs.running += 1;
        state.turns += 1;
        jobs.turn = state.turns;
        state.level = jobs.used;
        Some((jobs.id, camera, job))
    }

    /// Records that a job of the camera has ended, whether it succeeded, and how long it took.
    pub(crate) fn finish(&self, id: CameraId, model: &str, tracks: &[TrackId], succeeded: bool, took: Duration) {
        self.with(id, |jobs, _| {
            jobs.schedule.finish(model, tracks, succeeded);
            jobs.running = jobs.running.saturating_sub(1);
            jobs.used += took;
        });
        self.changed.notify_all();
    }

    /// Records that the last comparison of a face disagreed with those before it.
    pub(crate) fn reopen_identity(&self, id: CameraId, track: TrackId) {
        self.with(id, |jobs, _| jobs.schedule.reopen_identity(track));
    }

    /// Records that the gallery has changed, so all faces of the camera are compared with it again.
    pub(crate) fn reopen_identities(&self, id: CameraId) {
        self.with(id, |jobs, _| jobs.schedule.reopen_identities());
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
        self.lock().closed = true;
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

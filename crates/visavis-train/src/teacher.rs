//! The results of other networks, which are imitated.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use visavis_data::pack::Pack;
use visavis_face::{FaceView, Findings, Recognise};

use crate::TrainError;
use crate::feed::{Targets, age_classes};
use crate::network::{AGE_CLASSES, FaceTask};
use crate::numbers::{from_bytes, to_bytes};
use crate::recipe::AgeTarget;

/// Assumed standard deviation in years of a teacher that gives only an age: about its usual error.
const TEACHER_DEVIATION: f32 = 4.0;

/// A teacher's results for every face of a pack, `[faces, columns]` for each task; a row of NaN if there is none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answers {
    tasks: HashMap<String, (usize, Vec<f32>)>,
}

impl Answers {
    /// Runs a network on every face of a pack, cropped by the labelled keypoints or else the detector's, and on its mirror image;
    /// the result is the mean. `ask` makes one recogniser per thread; `done` is called after each face.
    ///
    /// # Errors
    /// [`TrainError`] if a picture or the network fails.
    pub fn ask(
        pack: &Pack,
        tasks: &[FaceTask],
        make: impl Fn() -> Result<Box<dyn Recognise>, TrainError> + Sync,
        threads: usize,
        done: impl Fn(usize) + Sync,
    ) -> Result<Self, TrainError> {
        let count = pack.faces().len();
        let rows: Mutex<Vec<Vec<Option<Vec<f32>>>>> = Mutex::new(vec![Vec::new(); count]);
        let next = AtomicUsize::new(0);
        let work = || -> Result<(), TrainError> {
            let mut teacher = make()?;
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return Ok(());
                }
                let answers = answers_for(pack, index, tasks, teacher.as_mut())?;
                rows.lock().unwrap_or_else(std::sync::PoisonError::into_inner)[index] = answers;
                done(index + 1);
            }
        };
        on_threads(threads, work)?;
        let rows = rows.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut taught = Self::default();
        for (at, task) in tasks.iter().enumerate() {
            let columns = rows
                .iter()
                .find_map(|row| row[at].as_ref().map(Vec::len))
                .ok_or_else(|| TrainError::Recipe { reason: format!("the teacher says nothing of {task}") })?;
            let mut values = Vec::with_capacity(count * columns);
            for row in &rows {
                match &row[at] {
                    Some(row) => values.extend_from_slice(row),
                    None => values.resize(values.len() + columns, f32::NAN),
                }
            }
            taught.tasks.insert(task.to_string(), (columns, values));
        }
        Ok(taught)
    }

    /// The result for a face.
    #[must_use]
    pub fn row(&self, task: &str, face: usize) -> Option<&[f32]> {
        let (columns, values) = self.tasks.get(task)?;
        values.get(face * columns..(face + 1) * columns).filter(|row| !row[0].is_nan())
    }

    /// Writes the results under a temporary name and renames the file.
    ///
    /// # Errors
    /// [`TrainError::File`], [`TrainError::Weights`].
    pub fn write(&self, path: &Path) -> Result<(), TrainError> {
        let bytes: Vec<(String, usize, Vec<u8>)> =
            self.tasks.iter().map(|(task, (columns, values))| (task.clone(), *columns, to_bytes(values))).collect();
        let views = bytes.iter().map(|(task, columns, bytes)| {
            let view = TensorView::new(Dtype::F32, vec![bytes.len() / 4 / columns, *columns], bytes);
            view.map(|view| (task.clone(), view))
        });
        let views: Vec<_> = views.collect::<Result<_, _>>().map_err(TrainError::weights)?;
        crate::checkpoint::write_aside(path, &safetensors::serialize(views, None).map_err(TrainError::weights)?)
    }

    /// Reads a file of [`write`](Self::write).
    ///
    /// # Errors
    /// [`TrainError::File`], [`TrainError::Weights`].
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let bytes = std::fs::read(path).map_err(|source| TrainError::file(path, source))?;
        let file = SafeTensors::deserialize(&bytes).map_err(TrainError::weights)?;
        let tasks = file.tensors().into_iter().filter_map(|(task, view)| {
            let columns = *view.shape().get(1)?;
            let values = from_bytes(view.data());
            Some((task, (columns, values)))
        });
        Ok(Self { tasks: tasks.collect() })
    }
}

/// The results of a teacher for the faces of one batch, for one head.
#[derive(Debug, Clone, Default)]
pub struct TeacherTargets {
    /// The head.
    pub head: String,
    /// A row for each face; `None` if the teacher has no result or is not imitated.
    pub answers: Vec<Option<Vec<f32>>>,
    /// Weight of the imitation; labels have 1.
    pub weight: f32,
}

/// Runs the same work on several threads; returns the first error of any.
fn on_threads(threads: usize, work: impl Fn() -> Result<(), TrainError> + Sync) -> Result<(), TrainError> {
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(&work)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

fn answers_for(
    pack: &Pack,
    index: usize,
    tasks: &[FaceTask],
    teacher: &mut dyn Recognise,
) -> Result<Vec<Option<Vec<f32>>>, TrainError> {
    let (face, mut picture) = (&pack.faces()[index], pack.picture(index)?);
    let landmarks = face.any_landmarks();
    // Without keypoints the teacher would get a crop that it was not trained for: better no result than a wrong one.
    if teacher.needs_landmarks() && landmarks.is_none() {
        return Ok(vec![None; tasks.len()]);
    }
    let rect = face.detected.map_or(face.rect, |found| found.rect);
    let width = picture.width() as f32;
    let first = teacher.recognise(&picture, &[FaceView::upright(rect, landmarks)])?;
    picture.mirror();
    let mirrored_rect = visavis_image::Rect::new(width - rect.x - rect.width, rect.y, rect.width, rect.height);
    let mirrored_landmarks = landmarks.map(|landmarks| landmarks.mirrored(width));
    let second = teacher.recognise(&picture, &[FaceView::upright(mirrored_rect, mirrored_landmarks)])?;
    let told = |task: FaceTask| {
        let rows = [first.first(), second.first()].map(|found| found.and_then(|found| row_of(task, found)));
        match rows {
            [Some(a), Some(b)] => {
                // In a mirror image, yaw and roll have the opposite sign.
                let signs: &[f32] = if task == FaceTask::HeadPose { &[-1.0, 1.0, -1.0] } else { &[] };
                let sign = |at: usize| signs.get(at).copied().unwrap_or(1.0);
                let both = a.iter().zip(&b).enumerate();
                let mut mean: Vec<f32> = both.map(|(at, (a, b))| (a + sign(at) * b) / 2.0).collect();
                if task == FaceTask::Similarity {
                    unit_length(&mut mean);
                }
                Some(mean)
            }
            _ => None,
        }
    };
    Ok(tasks.iter().map(|task| told(*task)).collect())
}

fn unit_length(row: &mut [f32]) {
    let length = row.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-12);
    row.iter_mut().for_each(|value| *value /= length);
}

fn row_of(task: FaceTask, found: &Findings) -> Option<Vec<f32>> {
    match task {
        FaceTask::Age => found.age.as_ref().map(|age| match &age.distribution {
            Some(shares) if shares.len() == AGE_CLASSES => shares.to_vec(),
            _ => age_classes(age.years, None, AgeTarget::Distribution { deviation: TEACHER_DEVIATION }),
        }),
        FaceTask::Gender => found.female.map(|female| vec![1.0 - female, female]),
        FaceTask::Smile => found.smile.map(|smile| vec![1.0 - smile.share, smile.share]),
        FaceTask::Similarity => found.embedding.clone(),
        FaceTask::Expression => found.expression.as_ref().map(|expression| expression.shares.clone()),
        FaceTask::HeadPose => found.pose.map(|pose| vec![pose.yaw, pose.pitch, pose.roll]),
    }
}

/// Converts a teacher's result for a face in its picture to one for the crop.
pub(crate) fn in_crop(head: &str, row: &[f32], target: &Targets) -> Vec<f32> {
    match *row {
        [yaw, pitch, roll] if head == FaceTask::HeadPose.to_string() => {
            target.pose_in_crop([yaw, pitch, roll]).to_vec()
        }
        _ => row.to_vec(),
    }
}

//! What another network says of the faces, to be imitated.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use visavis_data::boxes::{FaceBoxes, Label, LabelledFace, LabelledImage};
use visavis_data::pack::Pack;
use visavis_face::{Detect, FaceView, Findings, Recognise};
use visavis_image::codec;

use crate::TrainError;
use crate::feed::age_classes;
use crate::network::{AGE_CLASSES, FaceTask};
use crate::numbers::{from_bytes, to_bytes};
use crate::recipe::AgeTarget;

/// How sure a teacher that gives a bare number of years is taken to be, in years: about its usual error.
const TEACHER_DEVIATION: f32 = 4.0;

/// A teacher's answers for every face of a pack, `[faces, columns]` for each task; a row of NaN where it had none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answers {
    tasks: HashMap<String, (usize, Vec<f32>)>,
}

impl Answers {
    /// Asks a network about every face of a pack, by the labelled keypoints or else the detector's: about the face and
    /// its mirror image, of which the mean counts. `ask` makes one recogniser for each thread; `done` hears of progress.
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

    /// What it says of a face.
    #[must_use]
    pub fn row(&self, task: &str, face: usize) -> Option<&[f32]> {
        let (columns, values) = self.tasks.get(task)?;
        values.get(face * columns..(face + 1) * columns).filter(|row| !row[0].is_nan())
    }

    /// Writes them aside and renames.
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

    /// Reads what [`write`](Self::write) wrote.
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

/// What a teacher says of the faces of one batch, for one head.
#[derive(Debug, Clone, Default)]
pub struct Lesson {
    /// The head.
    pub head: String,
    /// A row for each face; none where the teacher is silent or not to be heard.
    pub answers: Vec<Option<Vec<f32>>>,
    /// Weight beside the labels.
    pub weight: f32,
}

/// Does the same work on several threads; the first error of any counts.
fn on_threads(threads: usize, work: impl Fn() -> Result<(), TrainError> + Sync) -> Result<(), TrainError> {
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(&work)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

/// Score from which a detector that points out faces is believed.
const SURE: f32 = 0.65;
/// Score from which what it sees is at least doubtful.
pub const DOUBTFUL: f32 = 0.25;

/// Asks a detector where the faces in the pictures of `folder` are. What it is sure of are faces; what it doubts is to be
/// ignored. `make` makes one detector for each thread; `done` hears of progress.
///
/// # Errors
/// [`TrainError`] if a picture or the network fails.
pub fn point_out(
    folder: &Path,
    make: impl Fn() -> Result<Box<dyn Detect>, TrainError> + Sync,
    threads: usize,
    done: impl Fn(usize, usize) + Sync,
) -> Result<FaceBoxes, TrainError> {
    let file = |source| TrainError::file(folder, source);
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .map_err(file)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| [".jpg", ".jpeg", ".png"].iter().any(|end| name.to_lowercase().ends_with(end)))
        .collect();
    names.sort();
    let images: Mutex<Vec<LabelledImage>> = Mutex::new(Vec::with_capacity(names.len()));
    let next = AtomicUsize::new(0);
    let work = || -> Result<(), TrainError> {
        let mut detector = make()?;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(name) = names.get(index) else { return Ok(()) };
            let path = folder.join(name);
            let bytes = std::fs::read(&path).map_err(|source| TrainError::file(&path, source))?;
            let picture = codec::decode(&bytes, codec::MAX_PIXELS)
                .map_err(|error| TrainError::Picture { path: path.clone(), reason: error.to_string() })?;
            let faces = detector.detect(&picture)?;
            let faces = faces.iter().map(|face| LabelledFace {
                rect: face.rect,
                label: if face.score >= SURE { Label::Face } else { Label::Ignore },
                wider: None,
            });
            let (width, height) = (picture.width(), picture.height());
            let image = LabelledImage {
                id: index as u64,
                file_name: name.clone(),
                width,
                height,
                source: None,
                negative: false,
                faces: faces.collect(),
            };
            images.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(image);
            done(index + 1, names.len());
        }
    };
    on_threads(threads, work)?;
    let mut images = images.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    images.sort_by_key(|image| image.id);
    Ok(FaceBoxes { images })
}

fn answers_for(
    pack: &Pack,
    index: usize,
    tasks: &[FaceTask],
    teacher: &mut dyn Recognise,
) -> Result<Vec<Option<Vec<f32>>>, TrainError> {
    let (face, mut picture) = (&pack.faces()[index], pack.picture(index)?);
    let landmarks = face.any_landmarks();
    // Without keypoints the teacher sees a crop that it was not made for: better no answer than a wrong one.
    if teacher.needs_landmarks() && landmarks.is_none() {
        return Ok(vec![None; tasks.len()]);
    }
    let rect = face.detected.map_or(face.rect, |found| found.rect);
    let width = picture.width() as f32;
    let first = teacher.recognise(&picture, &[FaceView { rect, landmarks }])?;
    picture.mirror();
    let mirrored_rect = visavis_image::Rect::new(width - rect.x - rect.width, rect.y, rect.width, rect.height);
    let mirrored_landmarks = landmarks.map(|landmarks| landmarks.mirrored(width));
    let second = teacher.recognise(&picture, &[FaceView { rect: mirrored_rect, landmarks: mirrored_landmarks }])?;
    let told = |task: FaceTask| {
        let rows = [first.first(), second.first()].map(|found| found.and_then(|found| row_of(task, found)));
        match rows {
            [Some(a), Some(b)] => {
                let mut mean: Vec<f32> = a.iter().zip(&b).map(|(a, b)| (a + b) / 2.0).collect();
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
    }
}

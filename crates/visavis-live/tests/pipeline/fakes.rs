//! Fake sources, networks and a fake loader, whose behaviour is set by the tests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use visavis_face::{Age, Choice, CutFace, Detect, Face, FaceError, FaceView, Findings, Locate, Recognise};
use visavis_gallery::{Converted, Gallery, GalleryError};
use visavis_image::{Picture, Rect, Turn};
use visavis_infer::{InferError, Placement, Task};
use visavis_live::{LiveError, Loader};
use visavis_video::{Pace, Shot, Source, SourceInfo, VideoError};

fn placement() -> Placement {
    Placement { engine: "fake".into(), device: "none".into(), threads: 1 }
}

fn info(pace: Pace, frame_rate: Option<f64>) -> SourceInfo {
    SourceInfo { name: "fake".into(), width: 64, height: 48, frame_rate, frames: None, pace }
}

/// Plays `frames` black pictures, 40 ms apart, then ends or fails.
pub(crate) struct Film {
    info: SourceInfo,
    frames: u64,
    next: u64,
    breaks: bool,
    /// Frames that cannot be read.
    torn: Vec<u64>,
    gap: Duration,
    stills: bool,
}

impl Film {
    pub(crate) fn new(frames: u64) -> Self {
        let info = info(Pace::Timeline, Some(25.0));
        Self { info, frames, next: 0, breaks: false, torn: Vec::new(), gap: Duration::from_millis(40), stills: false }
    }

    /// Some of its frames cannot be read.
    pub(crate) fn torn(frames: u64, torn: &[u64]) -> Self {
        Self { torn: torn.to_vec(), ..Self::new(frames) }
    }

    pub(crate) fn breaking(frames: u64) -> Self {
        Self { breaks: true, ..Self::new(frames) }
    }

    /// Pictures that are not related.
    pub(crate) fn stills(frames: u64) -> Self {
        Self { stills: true, ..Self::slow(frames) }
    }

    /// Pictures that are far apart.
    pub(crate) fn slow(frames: u64) -> Self {
        Self { gap: Duration::from_millis(300), ..Self::new(frames) }
    }
}

impl Source for Film {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn read(&mut self) -> Result<Option<Shot>, VideoError> {
        if self.next == self.frames {
            if std::mem::take(&mut self.breaks) {
                return Err(VideoError::Spec { spec: "fake".into(), reason: "was pulled out".into() });
            }
            return Ok(None);
        }
        self.next += 1;
        if self.torn.contains(&(self.next - 1)) {
            let frame = self.next - 1;
            return Err(VideoError::Frame { name: "fake".into(), frame, reason: "is torn".into() });
        }
        let shot = Shot::new(Picture::new(64, 48), self.gap * (self.next - 1) as u32);
        Ok(Some(Shot { cut: self.stills, ..shot }))
    }

    fn rewind(&mut self) -> Result<(), VideoError> {
        self.next = 0;
        Ok(())
    }
}

/// A camera that delivers a picture for each trigger. It ends when the trigger is dropped.
pub(crate) struct Camera {
    info: SourceInfo,
    trigger: Receiver<()>,
}

pub(crate) fn camera() -> (Camera, Sender<()>) {
    let (send, trigger) = channel();
    (Camera { info: info(Pace::Own, Some(30.0)), trigger }, send)
}

impl Source for Camera {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn read(&mut self) -> Result<Option<Shot>, VideoError> {
        Ok(self.trigger.recv().ok().map(|()| Shot::new(Picture::new(64, 48), Duration::ZERO)))
    }

    fn rewind(&mut self) -> Result<(), VideoError> {
        Ok(())
    }
}

/// Finds the same faces in every picture.
struct FixedDetector(Vec<Rect>);

impl Detect for FixedDetector {
    fn detect(&mut self, _: &Picture) -> Result<Vec<Face>, FaceError> {
        Ok(self.0.iter().map(|&rect| Face { rect, score: 0.9, landmarks: None, turn: Turn::None }).collect())
    }

    fn placement(&self) -> Placement {
        placement()
    }
}

/// The result of a recogniser, by the number of the call and the faces; or a failure.
pub(crate) type Behaviour = Arc<dyn Fn(usize, &[FaceView]) -> Result<f32, FaceError> + Send + Sync>;

struct Scripted {
    tasks: Vec<Task>,
    calls: Arc<AtomicUsize>,
    behaviour: Behaviour,
}

impl Recognise for Scripted {
    fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    fn needs_landmarks(&self) -> bool {
        false
    }

    fn recognise_cut(
        &mut self,
        _: &Picture,
        faces: &[FaceView],
        _: &mut CutFace<'_>,
    ) -> Result<Vec<Findings>, FaceError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let value = (self.behaviour)(call, faces)?;
        Ok(faces
            .iter()
            .map(|face| Findings {
                age: self.tasks.contains(&Task::Age).then_some(Age { years: value, distribution: None }),
                female: self.tasks.contains(&Task::Gender).then_some(value / 100.0),
                smile: self
                    .tasks
                    .contains(&Task::Smile)
                    .then_some(visavis_face::Smile { share: value / 100.0, threshold: 0.5 }),
                // Faces at different places have different embeddings.
                embedding: self.tasks.contains(&Task::Similarity).then(|| vec![value, face.rect.x]),
                ..Findings::default()
            })
            .collect())
    }

    fn placement(&self) -> Placement {
        placement()
    }
}

struct Network {
    tasks: Vec<Task>,
    behaviour: Behaviour,
    calls: Arc<AtomicUsize>,
    loads: Arc<AtomicUsize>,
}

/// A loader of fake networks.
#[derive(Default)]
pub(crate) struct FakeLoader {
    networks: Mutex<HashMap<String, Network>>,
    faces: Mutex<HashMap<String, Vec<Rect>>>,
    detector_loads: AtomicUsize,
    gallery: Option<Arc<Gallery>>,
    /// The galleries of some networks, used instead of `gallery`.
    galleries: HashMap<String, Arc<Gallery>>,
    /// The network that the gallery belongs to, if it must be converted for others.
    made_by: Mutex<Option<String>>,
    /// The conversion goes on as long as this is set.
    converting: Option<Arc<AtomicBool>>,
}

impl FakeLoader {
    /// With a detector `two` (two faces) and one `none` (no faces).
    pub(crate) fn new() -> Self {
        let loader = Self::default();
        let two = vec![Rect::new(4.0, 4.0, 16.0, 16.0), Rect::new(40.0, 20.0, 16.0, 16.0)];
        loader.faces.lock().unwrap().extend([("two".to_owned(), two), ("none".to_owned(), vec![])]);
        loader
    }

    pub(crate) fn with(self, name: &str, tasks: &[Task], behaviour: Behaviour) -> Self {
        let network = Network { tasks: tasks.to_vec(), behaviour, calls: Arc::default(), loads: Arc::default() };
        self.networks.lock().unwrap().insert(name.to_owned(), network);
        self
    }

    pub(crate) fn with_gallery(self, gallery: Arc<Gallery>) -> Self {
        Self { gallery: Some(gallery), ..self }
    }

    pub(crate) fn with_gallery_of(mut self, network: &str, gallery: Arc<Gallery>) -> Self {
        self.galleries.insert(network.to_owned(), gallery);
        self
    }

    /// With a gallery that belongs to `network`. Other networks are refused until the gallery is converted, which goes on as long
    /// as `converting` is set.
    pub(crate) fn made_by(self, network: &str, converting: &Arc<AtomicBool>) -> Self {
        let (made_by, converting) = (Mutex::new(Some(network.to_owned())), Some(Arc::clone(converting)));
        Self { made_by, converting, ..self }
    }

    pub(crate) fn calls(&self, name: &str) -> usize {
        self.networks.lock().unwrap()[name].calls.load(Ordering::SeqCst)
    }

    pub(crate) fn detector_loads(&self) -> usize {
        self.detector_loads.load(Ordering::SeqCst)
    }

    pub(crate) fn loads(&self, name: &str) -> usize {
        self.networks.lock().unwrap()[name].loads.load(Ordering::SeqCst)
    }
}

/// Always the same result.
pub(crate) fn says(value: f32) -> Behaviour {
    Arc::new(move |_, _| Ok(value))
}

fn unknown(name: &str) -> LiveError {
    LiveError::Infer(InferError::Run { model: name.into(), reason: "there is no such network".into() })
}

impl Loader for FakeLoader {
    fn detector(&self, model: &str) -> Result<Box<dyn Detect>, LiveError> {
        self.detector_loads.fetch_add(1, Ordering::SeqCst);
        let faces = self.faces.lock().unwrap();
        faces.get(model).map(|faces| Box::new(FixedDetector(faces.clone())) as _).ok_or_else(|| unknown(model))
    }

    fn locator(&self, model: &str) -> Result<Box<dyn Locate>, LiveError> {
        Err(unknown(model))
    }

    fn recogniser(&self, model: &str) -> Result<Box<dyn Recognise>, LiveError> {
        let networks = self.networks.lock().unwrap();
        let network = networks.get(model).ok_or_else(|| unknown(model))?;
        network.loads.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Scripted {
            tasks: network.tasks.clone(),
            calls: Arc::clone(&network.calls),
            behaviour: Arc::clone(&network.behaviour),
        }))
    }

    fn gallery(&self, model: &str) -> Result<Option<Arc<Gallery>>, LiveError> {
        if let Some(made_with) = self.made_by.lock().unwrap().clone().filter(|made_by| made_by != model) {
            let (path, wanted, network) = ("fake.gallery".into(), model.to_owned(), model.to_owned());
            return Err(GalleryError::OtherNetwork { path, made_with, wanted, network }.into());
        }
        Ok(self.galleries.get(model).or(self.gallery.as_ref()).cloned())
    }

    fn convert_gallery(
        &self,
        choice: &Choice,
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Converted, LiveError> {
        // Goes on until the test ends it.
        let mut done = 0;
        while self.converting.as_ref().is_some_and(|go_on| go_on.load(Ordering::SeqCst)) {
            if !progress(done, 400) {
                return Err(LiveError::Stopped);
            }
            done = (done + 1) % 400;
            std::thread::yield_now();
        }
        *self.made_by.lock().unwrap() = choice.similarity.clone();
        Ok(Converted { photos: 400, denials: 0 })
    }
}

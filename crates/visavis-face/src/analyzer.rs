//! All faces of one picture in one call.

use std::sync::{Arc, Mutex};

use visavis_image::Picture;
use visavis_infer::manifest::Crop;
use visavis_infer::{EngineOptions, Registry, Runtime, Task};

use crate::choice::Choice;
use crate::detect::{DetectorParams, PhotoDetector};
use crate::{
    Detect, Face, FaceError, FaceNetwork, FaceView, Findings, Locate, MirroredAverage, Recognise, align, load_locator,
};

/// Finds the faces of a picture and runs all chosen networks on each of them.
///
/// An analyzer belongs to one thread. Several analyzers may run in several threads.
///
/// ```
/// use visavis_face::{AnalyzerParams, FaceAnalyzer, NetworkNames};
/// use visavis_image::Picture;
/// use visavis_infer::{Registry, Runtime};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (registry, runtime) = (Registry::open(&[])?, Runtime::discover(None));
/// let params = AnalyzerParams::default();
/// let engine = runtime.choose(&params.recognition)?;
/// // The default networks, except that no gender is estimated.
/// let names = NetworkNames { gender: Some("none".into()), ..NetworkNames::default() };
/// let choice = names.choose(&registry, engine, engine)?;
/// let mut analyzer = FaceAnalyzer::load(&registry, &runtime, &params, &choice)?;
/// let picture = Picture::filled(320, 240, [128, 128, 128]);
/// for face in analyzer.analyze(&picture)? {
///     println!("{:?}: {:?} years", face.face.rect, face.findings.age.map(|age| age.years));
/// }
/// # Ok(())
/// # }
/// ```
pub struct FaceAnalyzer {
    detector: Box<dyn Detect>,
    locator: Option<Box<dyn Locate>>,
    networks: Vec<(Box<dyn Recognise>, Vec<Task>)>,
}

/// How the networks of an analyzer run.
#[derive(Debug, Clone, Default)]
pub struct AnalyzerParams {
    /// Engine, device and threads of the detector.
    pub detection: EngineOptions,
    /// Engine, device and threads of the other networks.
    pub recognition: EngineOptions,
    /// Input size and thresholds of the detector.
    pub detector: DetectorParams,
}

/// A face of a picture with the results of all networks.
#[derive(Debug, Clone, PartialEq)]
pub struct AnalyzedFace {
    /// Box in pixels of the picture, score, and the keypoints by which it was cropped.
    pub face: Face,
    /// The results of all networks.
    pub findings: Findings,
}

impl FaceAnalyzer {
    /// An analyzer that only detects faces. Use [`PhotoDetector`] to find faces of all sizes in photos.
    #[must_use]
    pub fn new(detector: Box<dyn Detect>) -> Self {
        Self { detector, locator: None, networks: Vec::new() }
    }

    /// Uses keypoints of `locator` instead of the detector's.
    #[must_use]
    pub fn with_locator(self, locator: Box<dyn Locate>) -> Self {
        Self { locator: Some(locator), ..self }
    }

    /// Runs `network` on each face and keeps its results for `tasks`.
    #[must_use]
    pub fn with_network(mut self, network: Box<dyn Recognise>, tasks: &[Task]) -> Self {
        self.networks.push((network, tasks.to_vec()));
        self
    }

    /// Loads the networks of `choice`, with a [`PhotoDetector`] for detection. A network with several tasks is loaded once. It runs
    /// once for each face; the one that is chosen for ages, but not for embeddings, runs twice
    /// ([`MirroredAverage`]).
    ///
    /// # Errors
    /// [`FaceError::Infer`] if a network is unknown or cannot be loaded; [`FaceError::WrongTask`] if it does not have its task.
    pub fn load(
        registry: &Registry,
        runtime: &Runtime,
        params: &AnalyzerParams,
        choice: &Choice,
    ) -> Result<Self, FaceError> {
        let detector = registry.get(&choice.detector)?;
        let detector = PhotoDetector::load(detector, runtime, &params.detection, params.detector)?;
        let mut analyzer = Self::new(Box::new(detector));
        if let Some(name) = &choice.keypoints {
            analyzer.locator = Some(load_locator(registry.get(name)?, runtime, &params.recognition)?);
        }
        for (name, tasks) in choice.recognition() {
            let entry = registry.get(name)?;
            if let Some(missing) = tasks.iter().find(|task| !entry.manifest.tasks.contains(task)) {
                return Err(FaceError::WrongTask { model: name.into(), task: missing.to_string() });
            }
            let network = FaceNetwork::new(&entry.manifest, entry.load(runtime, &params.recognition)?)?;
            // A network for embeddings takes several times as long, and its ages gain nothing.
            let is_worth_twice = tasks.contains(&Task::Age) && !tasks.contains(&Task::Similarity);
            let network: Box<dyn Recognise> = match is_worth_twice {
                true => Box::new(MirroredAverage::new(Box::new(network))),
                false => Box::new(network),
            };
            analyzer = analyzer.with_network(network, &tasks);
        }
        Ok(analyzer)
    }

    /// All faces of `picture`, in the order of the detector (highest score first).
    ///
    /// # Errors
    /// [`FaceError`] of the first network that fails.
    pub fn analyze(&mut self, picture: &Picture) -> Result<Vec<AnalyzedFace>, FaceError> {
        let mut faces = self.detector.detect(picture)?;
        if self.networks.iter().any(|(network, _)| network.needs_landmarks())
            && let Some(locator) = &mut self.locator
        {
            for face in &mut faces {
                face.landmarks = Some(locator.locate(picture, &face.rect, face.turn)?);
            }
        }
        let views: Vec<FaceView> = faces.iter().map(Face::view).collect();
        let crops: Vec<FaceCrops> = views.iter().map(|_| FaceCrops::default()).collect();
        let mut analyzed: Vec<AnalyzedFace> =
            faces.into_iter().map(|face| AnalyzedFace { face, findings: Findings::default() }).collect();
        for (network, tasks) in &mut self.networks {
            let mut cut = |face: usize, crop: &Crop, size| crops[face].get(picture, &views[face], crop, size);
            let answers = network.recognise_cut(picture, &views, &mut cut)?;
            for (face, answer) in analyzed.iter_mut().zip(answers) {
                face.findings.merge(answer.only(tasks));
            }
        }
        Ok(analyzed)
    }
}

/// The crops of one face of one picture. Each is made once, for the first network that needs it. Threads may share it.
#[derive(Default)]
pub struct FaceCrops(Mutex<Vec<CutCrop>>);

/// How a crop was made, its size in pixels, and its pixels.
struct CutCrop {
    crop: Crop,
    size: [u32; 2],
    picture: Arc<Picture>,
}

impl FaceCrops {
    /// The crop of `size` (width, height in pixels) of the face that `view` describes.
    pub fn get(&self, picture: &Picture, view: &FaceView, crop: &Crop, size: [u32; 2]) -> Arc<Picture> {
        // Locked while it is made: a second network that needs the same crop waits instead of making it again.
        let mut crops = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(known) = crops.iter().find(|known| known.size == size && known.crop == *crop) {
            return Arc::clone(&known.picture);
        }
        let mut out = Picture::new(size[0], size[1]);
        align::cut(picture, crop, view, &mut out);
        let cut = Arc::new(out);
        crops.push(CutCrop { crop: crop.clone(), size, picture: Arc::clone(&cut) });
        cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_image::{Landmarks, Rect, Turn, face_template};
    use visavis_infer::Placement;

    use crate::Smile;

    fn placement() -> Placement {
        Placement { engine: "fake".into(), device: "none".into(), threads: 1 }
    }

    /// Detects the same two faces in every picture.
    struct TwoFaces;

    impl Detect for TwoFaces {
        fn detect(&mut self, _: &Picture) -> Result<Vec<Face>, FaceError> {
            let face = |x| Face { rect: Rect::new(x, 8.0, 24.0, 24.0), score: 0.9, landmarks: None, turn: Turn::None };
            Ok(vec![face(4.0), face(36.0)])
        }

        fn placement(&self) -> Placement {
            placement()
        }
    }

    /// Puts the template's keypoints into every box.
    struct Template;

    impl Locate for Template {
        fn locate(&mut self, _: &Picture, rect: &Rect, _: Turn) -> Result<Landmarks, FaceError> {
            let shift = |p: visavis_image::Point| visavis_image::Point::new(p.x + rect.x, p.y + rect.y);
            Ok(face_template(24).map(shift))
        }

        fn placement(&self) -> Placement {
            placement()
        }
    }

    /// Computes age and smile from the brightness of its crop, and counts its crops.
    struct Brightness {
        age: f32,
        seen: Arc<Mutex<Vec<Arc<Picture>>>>,
    }

    impl Recognise for Brightness {
        fn tasks(&self) -> &[Task] {
            &[Task::Age, Task::Smile]
        }

        fn needs_landmarks(&self) -> bool {
            true
        }

        fn recognise_cut(
            &mut self,
            _: &Picture,
            faces: &[FaceView],
            cut: &mut crate::CutFace<'_>,
        ) -> Result<Vec<Findings>, FaceError> {
            assert!(faces.iter().all(|face| face.landmarks.is_some()));
            let answers = (0..faces.len()).map(|face| {
                self.seen.lock().unwrap().push(cut(face, &Crop::Aligned, [8, 8]));
                let age = Some(crate::Age { years: self.age + face as f32, distribution: None });
                Findings { age, smile: Some(Smile { share: 0.5, threshold: 0.5 }), ..Findings::default() }
            });
            Ok(answers.collect())
        }

        fn placement(&self) -> Placement {
            placement()
        }
    }

    #[test]
    fn each_network_answers_for_its_tasks_and_crops_are_shared() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let network = |age| Box::new(Brightness { age, seen: Arc::clone(&seen) });
        let mut analyzer = FaceAnalyzer::new(Box::new(TwoFaces))
            .with_locator(Box::new(Template))
            .with_network(network(20.0), &[Task::Age])
            .with_network(network(50.0), &[Task::Smile]);
        let faces = analyzer.analyze(&Picture::filled(64, 48, [90; 3])).unwrap();
        let ages: Vec<f32> = faces.iter().map(|face| face.findings.age.as_ref().unwrap().years).collect();
        assert_eq!(ages, [20.0, 21.0], "the second network's age is not asked for");
        assert!(faces.iter().all(|face| face.findings.smile.is_some() && face.face.landmarks.is_some()));
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 4);
        assert!(Arc::ptr_eq(&seen[0], &seen[2]) && Arc::ptr_eq(&seen[1], &seen[3]));
        assert!(!Arc::ptr_eq(&seen[0], &seen[1]));
    }

    #[test]
    fn a_network_that_does_not_do_its_task_is_named() {
        let (registry, runtime) = (Registry::open(&[]).unwrap(), Runtime::discover(None));
        let params = AnalyzerParams::default();
        let choice = Choice { detector: "yunet".into(), smile: Some("age_mobilenetv1".into()), ..Choice::default() };
        let error = FaceAnalyzer::load(&registry, &runtime, &params, &choice).err().unwrap().to_string();
        assert!(error.contains("age_mobilenetv1 does not do smile"), "{error}");
    }
}

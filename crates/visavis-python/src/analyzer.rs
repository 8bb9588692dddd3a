//! The networks, as Python sees them.

use std::env;
use std::ffi::CString;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::{PyUserWarning, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use visavis_face::detect::DetectorParams;
use visavis_face::{AnalyzerParams, Choice, FaceError, NetworkNames, default_network};
use visavis_infer::{EngineKind, EngineOptions, InferError, Registry, Runtime, Task};

use crate::errors;
use crate::face::Face;
use crate::image::Image;

/// Folder with networks, read if none is given; as for the command line.
const MODELS: &str = "VISAVIS_MODELS";

/// Loads networks and analyses pictures with them.
///
/// The arguments are the flags of `visavis analyze` of the same names, with the same defaults; all are keywords. The networks
/// for age, gender, smile, expression, head_pose and similarity may be "none", and that for keypoints "detector" (those of the
/// detector).
///
/// detector, keypoints, age, gender, smile: names of networks. None is the default network.
/// expression: name of a network. None estimates no expressions.
/// head_pose: name of a network. None is a network that runs for another task and also gives the head pose, if there is one.
/// embeddings: whether to compute the embedding of each face.
/// similarity: name of the network that computes embeddings. Naming one computes them too.
/// engine: "auto" (ONNX Runtime if it is installed, else tract), "tract" or "onnxruntime".
/// detection_device, recognition_device: "cpu", or for example "cuda", "cuda:1", "tensorrt", "openvino".
/// precision: "auto" (8-bit networks in ONNX Runtime on the CPU where there are some) or "single" (32-bit floats).
/// threads: number of threads of each network.
/// onnxruntime: path of the ONNX Runtime library, or of the folder that contains it.
/// models: additional folders with networks. If there are none, the environment variable VISAVIS_MODELS names one folder.
/// detector_size: width and height of the detector's input in pixels. None searches photos at several sizes.
/// score: least score of a face, 0 to 1. None is the value of the detector's manifest.
/// smallest_face: least width of a face, in pixels of the picture.
///
/// Raises ValueError for an unknown network or a wrong option, RuntimeError if ONNX Runtime or a device is asked for and cannot
/// be used, OSError for a folder that cannot be read. Warns of networks in folders that cannot be used.
#[pyclass(frozen, module = "visavis")]
pub(crate) struct FaceAnalyzer {
    analyzer: Mutex<visavis_face::FaceAnalyzer>,
    choice: Choice,
    engine: &'static str,
}

/// What a `FaceAnalyzer` is made from.
#[derive(Default)]
struct Options {
    names: NetworkNames,
    embeddings: bool,
    params: AnalyzerParams,
    onnxruntime: Option<PathBuf>,
    models: Vec<PathBuf>,
}

impl FaceAnalyzer {
    /// Loads the networks, while other Python threads run.
    fn load(py: Python<'_>, mut options: Options) -> PyResult<Self> {
        if options.models.is_empty() {
            options.models.extend(env::var_os(MODELS).filter(|folder| !folder.is_empty()).map(PathBuf::from));
        }
        let (loaded, problems) = py.detach(|| {
            let registry = Registry::open(&options.models).map_err(|error| errors::of_network(&error))?;
            let problems: Vec<String> = registry.problems().iter().map(ToString::to_string).collect();
            Self::load_from(&registry, options)
                .map(|loaded| (loaded, problems))
                .map_err(|error| errors::of_face(&error))
        })?;
        for problem in problems {
            PyErr::warn(py, &py.get_type::<PyUserWarning>(), &CString::new(problem)?, 1)?;
        }
        Ok(loaded)
    }

    fn load_from(registry: &Registry, options: Options) -> Result<Self, FaceError> {
        let Options { mut names, embeddings, params, onnxruntime, .. } = options;
        let runtime = Runtime::discover(onnxruntime.as_deref());
        let detection = runtime.choose(&params.detection)?;
        let engine = runtime.choose(&params.recognition)?;
        if embeddings && names.similarity.is_none() {
            let default = default_network(registry, Task::Similarity, engine);
            let default = default.ok_or(FaceError::NoNetwork { task: Task::Similarity })?;
            names.similarity = Some(default.manifest.name.clone());
        }
        let choice = names.choose(registry, detection, engine)?;
        let analyzer = visavis_face::FaceAnalyzer::load(registry, &runtime, &params, &choice)?;
        // The names that the argument has too.
        let engine = match engine {
            EngineKind::Tract => "tract",
            EngineKind::OnnxRuntime => "onnxruntime",
        };
        Ok(Self { analyzer: Mutex::new(analyzer), choice, engine })
    }
}

#[pymethods]
impl FaceAnalyzer {
    #[new]
    #[pyo3(signature = (
        *, detector=None, keypoints=None, age=None, gender=None, smile=None, expression=None, head_pose=None,
        embeddings=false, similarity=None, engine="auto", detection_device="cpu", recognition_device="cpu",
        precision="auto", threads=1, onnxruntime=None, models=None, detector_size=None, score=None, smallest_face=0.0
    ))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        py: Python<'_>,
        detector: Option<String>,
        keypoints: Option<String>,
        age: Option<String>,
        gender: Option<String>,
        smile: Option<String>,
        expression: Option<String>,
        head_pose: Option<String>,
        embeddings: bool,
        similarity: Option<String>,
        engine: &str,
        detection_device: &str,
        recognition_device: &str,
        precision: &str,
        threads: usize,
        onnxruntime: Option<PathBuf>,
        models: Option<Vec<PathBuf>>,
        detector_size: Option<[u32; 2]>,
        score: Option<f32>,
        smallest_face: f32,
    ) -> PyResult<Self> {
        if score.is_some_and(|score| !(0.0..=1.0).contains(&score)) {
            return Err(PyValueError::new_err("score must be between 0 and 1"));
        }
        let on = |device: &str| {
            Ok::<_, InferError>(EngineOptions {
                engine: engine.parse()?,
                device: device.parse()?,
                precision: precision.parse()?,
                threads,
                library: onnxruntime.clone(),
            })
        };
        let wrong = |error: InferError| errors::of_network(&error);
        let params = AnalyzerParams {
            detection: on(detection_device).map_err(wrong)?,
            recognition: on(recognition_device).map_err(wrong)?,
            detector: DetectorParams { size: detector_size, native_size: false, score, smallest: smallest_face },
        };
        let names = NetworkNames { detector, keypoints, age, gender, smile, expression, head_pose, similarity };
        Self::load(py, Options { names, embeddings, params, onnxruntime, models: models.unwrap_or_default() })
    }

    /// The faces of a picture, the one with the highest score first.
    ///
    /// image is one of
    /// - a uint8 array of shape (height, width, 3), red, green and blue (OpenCV's order is image[:, :, ::-1]),
    /// - a uint8 array of shape (height, width), grey,
    /// - the path of a photo, in any format that `visavis analyze` reads,
    /// - the bytes of a photo: JPEG, PNG, WebP, BMP or GIF.
    ///
    /// The picture is not changed. Other Python threads run during the analysis. An analyzer works on one picture at a time; use
    /// several of them to analyse pictures at the same time.
    ///
    /// Raises TypeError for another type or dtype, ValueError for another shape and for a photo that cannot be decoded, OSError
    /// for a file that cannot be read (FileNotFoundError if there is none), RuntimeError if a network fails or if a photo needs
    /// FFmpeg and it is not installed.
    fn analyze(&self, py: Python<'_>, image: &Bound<'_, PyAny>) -> PyResult<Vec<Face>> {
        let image = Image::of(image)?;
        let (faces, shrunk) = py.detach(|| {
            let photo = image.decode()?;
            let mut analyzer = self.analyzer.lock().unwrap_or_else(PoisonError::into_inner);
            let faces = analyzer.analyze(&photo.picture).map_err(|error| errors::of_face(&error))?;
            Ok::<_, PyErr>((faces, photo.shrunk))
        })?;
        (1..).zip(faces).map(|(number, face)| Face::new(py, number, face, shrunk)).collect()
    }

    /// The name of the network of each task that is done.
    #[getter]
    fn networks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let networks = PyDict::new(py);
        for task in Task::ALL {
            if let Some(name) = self.choice.of(task) {
                networks.set_item(task.to_string(), name)?;
            }
        }
        Ok(networks)
    }

    /// The engine that runs the networks, "tract" or "onnxruntime".
    #[getter]
    fn engine(&self) -> &'static str {
        self.engine
    }

    fn __repr__(&self) -> String {
        let named = |task: Task| Some(format!(", {task}='{}'", self.choice.of(task)?));
        let networks: String = Task::ALL.into_iter().filter_map(named).collect();
        format!("FaceAnalyzer(engine='{}'{networks})", self.engine)
    }
}

/// The faces of a picture, the one with the highest score first.
///
/// As FaceAnalyzer().analyze(image), or FaceAnalyzer(embeddings=True).analyze(image): the analyzers are loaded at the first call
/// and kept. See there for the pictures and the errors.
#[pyfunction]
#[pyo3(signature = (image, *, embeddings=false))]
pub(crate) fn analyze(py: Python<'_>, image: &Bound<'_, PyAny>, embeddings: bool) -> PyResult<Vec<Face>> {
    static KEPT: [PyOnceLock<FaceAnalyzer>; 2] = [const { PyOnceLock::new() }; 2];
    let load = || FaceAnalyzer::load(py, Options { embeddings, ..Options::default() });
    KEPT[usize::from(embeddings)].get_or_try_init(py, load)?.analyze(py, image)
}

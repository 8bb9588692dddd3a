//! ONNX Runtime, loaded at run time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::ep;
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session};
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};

use super::EngineOptions;
use super::library::Library;
use crate::device::{Device, EngineKind};
use crate::{InferError, Manifest, Model, Placement, Tensor, contract};

/// Pictures that are run together. Four take a tenth less time together than one by one (tract takes almost twice the time).
const BATCH: usize = 4;

/// A network in ONNX Runtime.
pub(crate) struct OrtModel {
    manifest: Manifest,
    placement: Placement,
    session: Session,
    outputs: Vec<String>,
    /// Selects the outputs, so that outputs which are not read are not computed.
    run_options: RunOptions<HasSelectedOutputs>,
}

impl OrtModel {
    /// Makes a session from the weights on the device in `options`.
    pub(crate) fn load(
        manifest: &Manifest,
        weights: &[u8],
        library: &Library,
        options: &EngineOptions,
        quantised: bool,
    ) -> Result<Self, InferError> {
        if !library.providers.iter().any(|name| name == options.device.provider()) {
            return Err(InferError::Device {
                device: options.device,
                reason: format!(
                    "the ONNX Runtime at {} was built without {}; it has {}",
                    library.path.display(),
                    options.device.provider(),
                    library.providers.join(", ")
                ),
            });
        }
        let environment = environment(&library.path)?;
        let refuse =
            |reason: String| InferError::Load { model: manifest.name.clone(), engine: EngineKind::OnnxRuntime, reason };
        let builder = configure(&environment, options).map_err(|error| refuse(error.message().to_owned()))?;
        let mut builder = with_device(builder, options)?;
        let session = builder.commit_from_memory(weights).map_err(|error| refuse(error.message().to_owned()))?;
        check_input(manifest, &session)?;
        let outputs = manifest.output_tensors();
        check_outputs(manifest, &session, &outputs)?;
        let selector = outputs.iter().fold(OutputSelector::no_default(), |selector, name| selector.with(name));
        let run_options = RunOptions::new().map_err(|error| refuse(error.message().to_owned()))?;
        Ok(Self {
            manifest: manifest.clone(),
            placement: Placement {
                engine: format!("ONNX Runtime {}{}", library.version, if quantised { ", 8-bit" } else { "" }),
                device: options.device.label(),
                threads: options.threads,
            },
            session,
            outputs,
            run_options: run_options.with_outputs(selector),
        })
    }

    fn execute(&mut self, input: &Tensor) -> ort::Result<Vec<Tensor>> {
        let view = TensorRef::from_array_view((input.shape.as_slice(), input.data.as_slice()))?;
        let results = self
            .session
            .run_with_options(ort::inputs![self.manifest.input.tensor.as_str() => view], &self.run_options)?;
        self.outputs
            .iter()
            .map(|name| {
                let value =
                    results.get(name).ok_or_else(|| ort::Error::new(format!("the run gave no tensor `{name}`")))?;
                let (shape, data) = value.try_extract_tensor::<f32>()?;
                let shape = shape.iter().map(|&extent| usize::try_from(extent).unwrap_or(0)).collect();
                Ok(Tensor { shape, data: data.to_vec() })
            })
            .collect()
    }
}

impl Model for OrtModel {
    fn batch(&self) -> usize {
        BATCH
    }

    fn run(&mut self, input: &Tensor) -> Result<Vec<Tensor>, InferError> {
        contract::check_input(&self.manifest, input)?;
        self.execute(input)
            .map_err(|error| InferError::Run { model: self.manifest.name.clone(), reason: error.message().to_owned() })
    }

    fn placement(&self) -> &Placement {
        &self.placement
    }
}

/// The library and its environment, once per process: ONNX Runtime does not allow a second one.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

fn environment(path: &Path) -> Result<Environment, InferError> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((first, environment)) = &*loaded {
        // One file may have several paths.
        let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if real(first) == real(path) {
            return Ok(environment.clone());
        }
        return Err(InferError::SecondLibrary { loaded: first.clone(), asked: path.to_owned() });
    }
    let refuse =
        |reason: String| InferError::Library { path: path.to_owned(), asked_by: "the search for it".into(), reason };
    let environment = ort::init_from(path)
        .map_err(|error| refuse(error.to_string()))?
        .with_name("visavis")
        .with_telemetry(false)
        .with_logger(Arc::new(forward))
        .build()
        .map_err(|error| refuse(error.message().to_owned()))?;
    environment.set_log_level(LogLevel::Warning);
    *loaded = Some((path.to_owned(), environment.clone()));
    Ok(environment)
}

/// Passes ONNX Runtime's messages to the log. Its warnings, such as a missing GPU, need no action by the user.
fn forward(level: LogLevel, category: &str, _id: &str, location: &str, message: &str) {
    let level = match level {
        LogLevel::Fatal => log::Level::Error,
        LogLevel::Error => log::Level::Warn,
        LogLevel::Warning => log::Level::Debug,
        LogLevel::Info | LogLevel::Verbose => log::Level::Trace,
    };
    log::log!(target: "onnxruntime", level, "{category} {location}: {message}");
}

fn configure(environment: &Environment, options: &EngineOptions) -> ort::Result<SessionBuilder> {
    // DirectML does not allow the memory pattern.
    let memory_pattern = !matches!(options.device, Device::DirectMl(_));
    Ok(Session::builder(environment)?
        .with_log_level(LogLevel::Error)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_parallel_execution(false)?
        .with_intra_threads(options.threads)?
        .with_inter_threads(1)?
        // A thread that spins while it waits occupies a core that the next worker needs.
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .with_memory_pattern(memory_pattern)?
        // Denormal numbers are up to a hundred times slower on some CPUs and do not matter for a face.
        .with_flush_to_zero()?)
}

fn with_device(builder: SessionBuilder, options: &EngineOptions) -> Result<SessionBuilder, InferError> {
    let number = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let cuda = |n: u32| ep::CUDA::default().with_device_id(number(n)).build().error_on_failure();
    let providers = match options.device {
        Device::Cpu => return Ok(builder),
        Device::Cuda(n) => vec![cuda(n)],
        Device::TensorRt(n) => {
            vec![ep::TensorRT::default().with_device_id(number(n)).build().error_on_failure(), cuda(n)]
        }
        Device::OpenVino => {
            vec![ep::OpenVINO::default().with_num_threads(options.threads).build().error_on_failure()]
        }
        Device::CoreMl => vec![ep::CoreML::default().build().error_on_failure()],
        Device::DirectMl(n) => vec![ep::DirectML::default().with_device_id(number(n)).build().error_on_failure()],
    };
    builder.with_execution_providers(providers).map_err(|error| InferError::Device {
        device: options.device,
        reason: format!("{} does not load: {}", options.device.provider(), error.message()),
    })
}

fn check_input(manifest: &Manifest, session: &Session) -> Result<(), InferError> {
    let Some(input) = session.inputs().iter().find(|input| input.name() == manifest.input.tensor) else {
        return Err(InferError::MissingTensor {
            model: manifest.name.clone(),
            side: "input",
            tensor: manifest.input.tensor.clone(),
            available: names(session.inputs()),
        });
    };
    if session.inputs().len() > 1 {
        return Err(InferError::Load {
            model: manifest.name.clone(),
            engine: EngineKind::OnnxRuntime,
            reason: format!(
                "it wants {} inputs ({}); a network here takes one picture",
                session.inputs().len(),
                names(session.inputs())
            ),
        });
    }
    contract::check_declared_input(manifest, &extents(manifest, input)?)
}

fn check_outputs(manifest: &Manifest, session: &Session, wanted: &[String]) -> Result<(), InferError> {
    for (index, name) in wanted.iter().enumerate() {
        let Some(output) = session.outputs().iter().find(|output| output.name() == name) else {
            return Err(InferError::MissingTensor {
                model: manifest.name.clone(),
                side: "output",
                tensor: name.clone(),
                available: names(session.outputs()),
            });
        };
        contract::check_output(manifest, index, &extents(manifest, output)?)?;
    }
    Ok(())
}

/// The shape of an input or output as far as the file gives it; an error unless the type is 32-bit floats.
fn extents(manifest: &Manifest, outlet: &Outlet) -> Result<Vec<Option<usize>>, InferError> {
    match outlet.dtype() {
        ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => {
            Ok(shape.iter().map(|&extent| usize::try_from(extent).ok().filter(|n| *n > 0)).collect())
        }
        other => Err(InferError::Shape {
            model: manifest.name.clone(),
            tensor: outlet.name().to_owned(),
            expected: "32-bit floats".into(),
            found: format!("{other}"),
        }),
    }
}

fn names(outlets: &[Outlet]) -> String {
    outlets.iter().map(Outlet::name).collect::<Vec<_>>().join(", ")
}

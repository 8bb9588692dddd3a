//! Which engines this computer has: the search for ONNX Runtime.

mod install;
mod search;

pub use crate::engine::library::Library;
pub use install::{VERSION as INSTALLED_VERSION, install};
pub use search::{Candidate, Finding, Place, Search};

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::engine::onnxruntime::OrtModel;
use crate::engine::tract::TractModel;
use crate::manifest::FileKind;
use crate::{Device, EngineChoice, EngineKind, EngineOptions, InferError, Manifest, Model, Precision};

/// The environment variable that names an ONNX Runtime: a library, or the folder that contains it.
pub const VARIABLE: &str = "VISAVIS_ONNXRUNTIME";

/// The variable that other programs use for the same; read second.
pub const COMMON_VARIABLE: &str = "ORT_DYLIB_PATH";

/// The folder into which [`install`] puts libraries, each in a folder named by its version, and in which discovery looks
/// for them. `None` if the user has no cache folder.
#[must_use]
pub fn cache() -> Option<PathBuf> {
    Some(dirs::cache_dir()?.join("visavis").join("onnxruntime"))
}

/// Where ONNX Runtime was searched, what was found, and which engine follows from it. For `visavis runtime status --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuntimeReport {
    /// The engine that `auto` chooses; `None` if an explicitly named ONNX Runtime is not usable.
    pub engine: Option<EngineKind>,
    /// Why.
    pub reason: String,
    /// The ONNX Runtime in use.
    pub library: Option<Library>,
    /// Every place, in the order of the search.
    pub candidates: Vec<Candidate>,
}

/// The engines of this computer. Made once and shared; a clone is cheap.
#[derive(Debug, Clone)]
pub struct Runtime {
    report: RuntimeReport,
    refusal: Option<InferError>,
    asked: Option<PathBuf>,
}

impl Runtime {
    /// Looks for ONNX Runtime: `library` (a file, or a folder that contains it), the variables [`VARIABLE`] and
    /// [`COMMON_VARIABLE`], beside the executable, in [`cache`], in the system. The first usable one is taken.
    ///
    /// A library named by `library` or a variable ends the search: if it is not usable, [`Runtime::choose`] returns the
    /// error.
    #[must_use]
    pub fn discover(library: Option<&Path>) -> Self {
        Self::from_search(&Search::of_this_machine(library))
    }

    /// Looks in the places of `search` only.
    #[must_use]
    pub fn from_search(search: &Search) -> Self {
        let asked = search.library.clone();
        let outcome = search.run();
        let (engine, reason) = match (&outcome.library, &outcome.refusal) {
            (_, Some(refusal)) => (None, refusal.to_string()),
            (Some(library), None) => (
                Some(EngineKind::OnnxRuntime),
                format!("ONNX Runtime {} was found at {}", library.version, library.path.display()),
            ),
            (None, None) => (Some(EngineKind::Tract), "no usable ONNX Runtime was found".into()),
        };
        log::debug!("engines: {reason}");
        Self {
            report: RuntimeReport { engine, reason, library: outcome.library, candidates: outcome.candidates },
            refusal: outcome.refusal,
            asked,
        }
    }

    /// Where the search looked and what it found.
    #[must_use]
    pub fn report(&self) -> &RuntimeReport {
        &self.report
    }

    /// The engine that `options` select on this computer.
    ///
    /// # Errors
    /// [`InferError::Library`] if an explicitly named ONNX Runtime is not usable; [`InferError::NoOnnxRuntime`] if the
    /// engine or the device needs one and none was found; the errors of [`EngineOptions::validate`].
    pub fn choose(&self, options: &EngineOptions) -> Result<EngineKind, InferError> {
        options.validate()?;
        if let Some(library) = &options.library
            && self.asked.as_ref() != Some(library)
        {
            return Err(InferError::Option {
                option: "library",
                reason: format!("{} was not part of the search for ONNX Runtime", library.display()),
            });
        }
        if options.engine == EngineChoice::Tract {
            return Ok(EngineKind::Tract);
        }
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        if self.report.library.is_some() {
            return Ok(EngineKind::OnnxRuntime);
        }
        let wanted = match (options.engine, options.device) {
            (EngineChoice::OnnxRuntime, _) => "the engine onnxruntime".into(),
            (_, Device::Cpu) => return Ok(EngineKind::Tract),
            (_, device) => format!("the device {device}"),
        };
        Err(InferError::NoOnnxRuntime { wanted })
    }

    /// Loads a network from the bytes of its ONNX file. The caller checks the hash; see [`crate::Registry::load`].
    ///
    /// # Errors
    /// The errors of [`Runtime::choose`]; [`InferError::NotANetwork`] for a regression forest; [`InferError::Load`] for a
    /// file that the engine cannot read; [`InferError::MissingTensor`] and [`InferError::Shape`] if the file does not match
    /// the manifest; [`InferError::Device`] for a device that the library does not support or that does not start.
    pub fn load(
        &self,
        manifest: &Manifest,
        weights: &[u8],
        options: &EngineOptions,
    ) -> Result<Box<dyn Model>, InferError> {
        self.load_version(manifest, weights, options, false)
    }

    /// Whether an 8-bit version of a network runs with these options.
    ///
    /// # Errors
    /// The errors of [`Runtime::choose`].
    pub(crate) fn runs_quantised(&self, options: &EngineOptions) -> Result<bool, InferError> {
        let suits = options.precision == Precision::Auto && options.device == Device::Cpu;
        Ok(self.choose(options)? == EngineKind::OnnxRuntime && suits)
    }

    /// As [`Runtime::load`]; `quantised` says that `weights` is the 8-bit version.
    pub(crate) fn load_version(
        &self,
        manifest: &Manifest,
        weights: &[u8],
        options: &EngineOptions,
        quantised: bool,
    ) -> Result<Box<dyn Model>, InferError> {
        if manifest.file_kind() == FileKind::Forest {
            return Err(InferError::NotANetwork { model: manifest.name.clone() });
        }
        let model: Box<dyn Model> = match (self.choose(options)?, &self.report.library) {
            (EngineKind::OnnxRuntime, Some(library)) => {
                Box::new(OrtModel::load(manifest, weights, library, options, quantised)?)
            }
            _ => Box::new(TractModel::load(manifest, weights)?),
        };
        log::debug!("{}: {}", manifest.name, model.placement());
        Ok(model)
    }
}

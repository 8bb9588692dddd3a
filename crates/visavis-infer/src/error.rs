//! What can go wrong, always with the thing's name and what to do about it.

use std::path::PathBuf;

use crate::engine::{Device, EngineKind};

/// What can go wrong between a file of weights and an answer.
///
/// Cloneable, because a broken manifest is kept by the registry and told to everyone who asks for its name.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum InferError {
    /// A manifest is not TOML, or a field is missing, misspelt or of the wrong kind.
    #[error("{origin}: not a manifest: {reason}")]
    ManifestSyntax {
        /// The file.
        origin: String,
        /// The parser's words, with line and column.
        reason: String,
    },
    /// A manifest's field has a value that makes no sense.
    #[error("{origin}: {field}: {reason}")]
    ManifestField {
        /// The file.
        origin: String,
        /// The field, such as `input.std`.
        field: String,
        /// The value and what would be right.
        reason: String,
    },
    /// A file or folder could not be read or written.
    #[error("{}: {reason}", .path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// Weights without a manifest.
    #[error(
        "{}: weights without a manifest; write {} beside it (docs/manifest.md says how)",
        .path.display(), .path.with_extension("toml").display()
    )]
    NoManifest {
        /// The file of the weights.
        path: PathBuf,
    },
    /// Weights are not the ones that the manifest describes.
    #[error(
        "{model}: refused, {location} is not the file that its manifest describes: \
         SHA-256 expected {expected}, found {found}; get the right file or correct `sha256` in the manifest"
    )]
    Hash {
        /// The network.
        model: String,
        /// Where the weights lie.
        location: String,
        /// What the manifest says.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// Nobody knows this name.
    #[error("no model is called `{name}`; {hint}")]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// Names that are near, or all of them.
        hint: String,
    },
    /// A network whose manifest ships with the program, but not its weights.
    #[error(
        "{name}: known, but its weights are not here; put {file} (from {source_text}) into a folder given with --models"
    )]
    NoWeights {
        /// The network.
        name: String,
        /// The file that is wanted.
        file: String,
        /// Where the network comes from.
        source_text: String,
    },
    /// A regression forest where a network is needed.
    #[error("{model}: a regression forest, which no engine runs: it is there for `--keypoints {model}`")]
    NotANetwork {
        /// The forest.
        model: String,
    },
    /// The engine cannot make sense of the file.
    #[error("{model}: {engine} cannot load it: {reason}")]
    Load {
        /// The network.
        model: String,
        /// The engine.
        engine: EngineKind,
        /// The engine's own words.
        reason: String,
    },
    /// A manifest names a tensor that the file does not have.
    #[error("{model}: the manifest names the {side} tensor `{tensor}`, but the file has {available}")]
    MissingTensor {
        /// The network.
        model: String,
        /// `input` or `output`.
        side: &'static str,
        /// The name that is missing.
        tensor: String,
        /// The names that are there.
        available: String,
    },
    /// A tensor has a shape that does not go with the manifest.
    #[error("{model}: tensor `{tensor}`: expected {expected}, found {found}")]
    Shape {
        /// The network.
        model: String,
        /// The tensor.
        tensor: String,
        /// What the manifest says.
        expected: String,
        /// What there is.
        found: String,
    },
    /// The engine failed while running.
    #[error("running {model}: {reason}")]
    Run {
        /// The network.
        model: String,
        /// The engine's own words.
        reason: String,
    },
    /// An ONNX Runtime that was asked for by name is not usable.
    #[error("ONNX Runtime {}, asked for by {asked_by}, is not usable: {reason}", .path.display())]
    Library {
        /// The library.
        path: PathBuf,
        /// The flag or the environment variable.
        asked_by: String,
        /// Why not.
        reason: String,
    },
    /// A process can hold one ONNX Runtime only.
    #[error(
        "ONNX Runtime {} is loaded already and a process can hold only one: {} needs a process of its own",
        .loaded.display(), .asked.display()
    )]
    SecondLibrary {
        /// The one that is there.
        loaded: PathBuf,
        /// The one that was wanted too.
        asked: PathBuf,
    },
    /// ONNX Runtime is needed and there is none.
    #[error(
        "{wanted} needs ONNX Runtime, and none was found; install one, name one with VISAVIS_ONNXRUNTIME, \
         or see `visavis runtime status` for where it was looked for"
    )]
    NoOnnxRuntime {
        /// What needs it.
        wanted: String,
    },
    /// A device that this engine or this library does not have.
    #[error("device {device}: {reason}")]
    Device {
        /// The device.
        device: Device,
        /// Why not, and what there is.
        reason: String,
    },
    /// An option that makes no sense.
    #[error("{option}: {reason}")]
    Option {
        /// The option.
        option: &'static str,
        /// The value and what would be right.
        reason: String,
    },
    /// Fetching ONNX Runtime failed.
    #[error("installing ONNX Runtime: {reason}")]
    Install {
        /// What failed and what to do.
        reason: String,
    },
}

impl InferError {
    /// A file or folder that could not be read or written.
    pub(crate) fn file(path: impl Into<PathBuf>, error: impl std::fmt::Display) -> Self {
        Self::File { path: path.into(), reason: error.to_string() }
    }
}

//! The errors: each names the thing concerned and what to do.

use std::path::PathBuf;

use crate::device::{Device, EngineKind};

/// What can fail between a file of weights and a result.
///
/// `Clone`, because the registry stores the error of a broken manifest and returns it for each request of that name.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum InferError {
    /// A manifest is not TOML, or a field is missing, misspelt or of the wrong kind.
    #[error("{origin}: not a manifest: {reason}")]
    ManifestSyntax {
        /// The file.
        origin: String,
        /// The parser's message, with line and column.
        reason: String,
    },
    /// A field of a manifest has a wrong value.
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
        /// The system's message.
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
    /// The weights are not those that the manifest describes.
    #[error(
        "{model}: refused, {location} is not the file that its manifest describes: \
         SHA-256 expected {expected}, found {found}; get the right file or correct `sha256` in the manifest"
    )]
    Hash {
        /// The network.
        model: String,
        /// Where the weights are.
        location: String,
        /// What the manifest says.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// No network has this name.
    #[error("no model is called `{name}`; {hint}")]
    UnknownModel {
        /// The name that was asked for.
        name: String,
        /// Similar names, or all names.
        hint: String,
    },
    /// A network that an earlier version of the program contained.
    #[error(
        "{name} is no longer part of the program; {successor} replaces it: name that one, \
         or give a folder of networks that contains {name}"
    )]
    Retired {
        /// The network that was asked for.
        name: String,
        /// The network that replaces it.
        successor: &'static str,
    },
    /// The program contains the manifest of this network, but not its weights.
    #[error(
        "{name}: its weights are missing; put {file} (from {source_text}) into a folder of networks and give this folder"
    )]
    NoWeights {
        /// The network.
        name: String,
        /// The file that is missing.
        file: String,
        /// Where the network comes from.
        source_text: String,
    },
    /// A regression forest was given where a network is needed.
    #[error("{model} is a regression forest, not a network: it can only be used for keypoints")]
    NotANetwork {
        /// The forest.
        model: String,
    },
    /// The engine cannot load the file.
    #[error("{model}: {engine} cannot load it: {reason}")]
    Load {
        /// The network.
        model: String,
        /// The engine.
        engine: EngineKind,
        /// The engine's message.
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
        /// The names that the file has.
        available: String,
    },
    /// A tensor's shape does not match the manifest.
    #[error("{model}: tensor `{tensor}`: expected {expected}, found {found}")]
    Shape {
        /// The network.
        model: String,
        /// The tensor.
        tensor: String,
        /// What the manifest says.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The engine failed while running.
    #[error("running {model}: {reason}")]
    Run {
        /// The network.
        model: String,
        /// The engine's message.
        reason: String,
    },
    /// An explicitly named ONNX Runtime is not usable.
    #[error("ONNX Runtime {}, given by {asked_by}, is not usable: {reason}", .path.display())]
    Library {
        /// The library.
        path: PathBuf,
        /// The flag or the environment variable.
        asked_by: String,
        /// Why not.
        reason: String,
    },
    /// A process can load only one ONNX Runtime.
    #[error(
        "ONNX Runtime {} is loaded already and a process can hold only one: {} needs a process of its own",
        .loaded.display(), .asked.display()
    )]
    SecondLibrary {
        /// The one that is loaded.
        loaded: PathBuf,
        /// The one that was requested.
        asked: PathBuf,
    },
    /// ONNX Runtime is needed, but was not found.
    #[error(
        "{wanted} needs ONNX Runtime, and none was found; install one, name one with VISAVIS_ONNXRUNTIME, \
         or run `visavis runtime status` to see where it was searched for"
    )]
    NoOnnxRuntime {
        /// What needs it.
        wanted: String,
    },
    /// This engine or this library does not support the device.
    #[error("device {device}: {reason}")]
    Device {
        /// The device.
        device: Device,
        /// The reason, and what is supported.
        reason: String,
    },
    /// An option has a wrong value.
    #[error("{option}: {reason}")]
    Option {
        /// The option.
        option: &'static str,
        /// The value and what would be right.
        reason: String,
    },
    /// Installing ONNX Runtime failed.
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

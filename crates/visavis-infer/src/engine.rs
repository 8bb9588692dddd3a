//! Which engine runs a network, on which device, with how many threads.

pub(crate) mod library;
pub(crate) mod onnxruntime;
pub(crate) mod tract;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::error::InferError;

/// Which engine the user selects: `auto`, `tract` or `onnxruntime`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// ONNX Runtime if its library is found, else tract.
    #[default]
    Auto,
    /// tract.
    Tract,
    /// ONNX Runtime; an error if none is found.
    OnnxRuntime,
}

impl FromStr for EngineChoice {
    type Err = InferError;

    fn from_str(text: &str) -> Result<Self, InferError> {
        match text.to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "tract" => Ok(Self::Tract),
            "onnxruntime" | "ort" => Ok(Self::OnnxRuntime),
            _ => Err(InferError::Option {
                option: "engine",
                reason: format!("`{text}` is not one of auto, tract, onnxruntime"),
            }),
        }
    }
}

impl fmt::Display for EngineChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Tract => "tract",
            Self::OnnxRuntime => "onnxruntime",
        })
    }
}

impl FromStr for Device {
    type Err = InferError;

    fn from_str(text: &str) -> Result<Self, InferError> {
        let refuse = |reason: &str| InferError::Option { option: "device", reason: format!("`{text}` {reason}") };
        let lower = text.to_ascii_lowercase();
        let (kind, number) = match lower.split_once(':') {
            Some((kind, number)) => {
                (kind, Some(number.parse::<u32>().map_err(|_| refuse("has no whole number after the colon"))?))
            }
            None => (lower.as_str(), None),
        };
        let device = match kind {
            "cpu" => Self::Cpu,
            "cuda" => Self::Cuda(number.unwrap_or(0)),
            "tensorrt" => Self::TensorRt(number.unwrap_or(0)),
            "openvino" => Self::OpenVino,
            "coreml" => Self::CoreMl,
            "directml" => Self::DirectMl(number.unwrap_or(0)),
            _ => return Err(refuse("is not one of cpu, cuda[:N], tensorrt[:N], openvino, coreml, directml[:N]")),
        };
        if number.is_some() && matches!(device, Self::Cpu | Self::OpenVino | Self::CoreMl) {
            return Err(refuse("takes no number"));
        }
        // ONNX Runtime stores device numbers in an i32.
        if number.is_some_and(|n| i32::try_from(n).is_err()) {
            return Err(refuse("has a number beyond all devices"));
        }
        Ok(device)
    }
}

impl TryFrom<String> for Device {
    type Error = InferError;

    fn try_from(text: String) -> Result<Self, InferError> {
        text.parse()
    }
}

/// Which version of a network runs, if its manifest has one with 8-bit numbers ([`crate::manifest::Quantised`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// The 8-bit version if ONNX Runtime runs it on the CPU, else the one with floats.
    #[default]
    Auto,
    /// The version with 32-bit floats.
    Single,
}

impl FromStr for Precision {
    type Err = InferError;

    fn from_str(text: &str) -> Result<Self, InferError> {
        match text.to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "single" => Ok(Self::Single),
            _ => {
                Err(InferError::Option { option: "precision", reason: format!("`{text}` is not one of auto, single") })
            }
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Single => "single",
        })
    }
}

/// How networks run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineOptions {
    /// The engine.
    pub engine: EngineChoice,
    /// The device.
    pub device: Device,
    /// The version of networks that have an 8-bit version.
    pub precision: Precision,
    /// Threads per run, at least 1. Default 1: several workers use the cores better than several threads in one small
    /// network.
    pub threads: usize,
    /// The path of an ONNX Runtime library, or of the folder that contains it. Pass it to [`crate::Runtime::discover`].
    pub library: Option<PathBuf>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { engine: EngineChoice::Auto, device: Device::Cpu, precision: Precision::Auto, threads: 1, library: None }
    }
}

impl EngineOptions {
    /// Checks the options without loading anything.
    ///
    /// # Errors
    /// [`InferError::Option`] for a number of threads outside 1 to 1024; [`InferError::Device`] for tract with a device
    /// other than the CPU.
    pub fn validate(&self) -> Result<(), InferError> {
        if !(1..=1024).contains(&self.threads) {
            return Err(InferError::Option {
                option: "threads",
                reason: format!("{} is not between 1 and 1024", self.threads),
            });
        }
        if self.engine == EngineChoice::Tract && self.device != Device::Cpu {
            return Err(InferError::Device {
                device: self.device,
                reason: "tract runs on the CPU only; choose the engine onnxruntime or auto".into(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_parse_and_print_back() {
        for (text, device) in [
            ("cpu", Device::Cpu),
            ("cuda:0", Device::Cuda(0)),
            ("cuda:3", Device::Cuda(3)),
            ("tensorrt:1", Device::TensorRt(1)),
            ("openvino", Device::OpenVino),
            ("coreml", Device::CoreMl),
            ("directml:0", Device::DirectMl(0)),
        ] {
            assert_eq!(text.parse::<Device>().unwrap(), device);
            assert_eq!(device.to_string(), text);
        }
        assert_eq!("CUDA".parse::<Device>().unwrap(), Device::Cuda(0));
        assert_eq!("directml".parse::<Device>().unwrap(), Device::DirectMl(0));
    }

    #[test]
    fn devices_that_are_none() {
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "coreml:1", "cuda:4294967295"] {
            let error = text.parse::<Device>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn engines_parse_and_print_back() {
        for choice in [EngineChoice::Auto, EngineChoice::Tract, EngineChoice::OnnxRuntime] {
            assert_eq!(choice.to_string().parse::<EngineChoice>().unwrap(), choice);
        }
        assert!("burn".parse::<EngineChoice>().unwrap_err().to_string().contains("auto, tract, onnxruntime"));
    }

    #[test]
    fn options_come_from_a_file_and_are_checked() {
        let options: EngineOptions = toml::from_str("device = \"cuda:1\"\nthreads = 2").unwrap();
        assert_eq!(options.device, Device::Cuda(1));
        assert_eq!(options.engine, EngineChoice::Auto);
        options.validate().unwrap();
        assert!(toml::from_str::<EngineOptions>("device = \"gpu\"").unwrap_err().to_string().contains("cuda[:N]"));
        assert!(EngineOptions { threads: 0, ..EngineOptions::default() }.validate().is_err());
        let tract = EngineOptions { engine: EngineChoice::Tract, device: Device::CoreMl, ..EngineOptions::default() };
        assert!(tract.validate().unwrap_err().to_string().contains("coreml"));
    }
}

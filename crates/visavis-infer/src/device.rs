//! The engines, and the devices that they run networks on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// Pure Rust, always compiled in; CPU only, one thread.
    Tract,
    /// Microsoft's library, loaded at run time if it is found.
    OnnxRuntime,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tract => "tract",
            Self::OnnxRuntime => "ONNX Runtime",
        })
    }
}

/// The device that runs the network: `cpu`, `cuda`, `cuda:1`, `tensorrt`, `openvino`, `coreml`, `directml`.
///
/// All but the CPU need an ONNX Runtime that was built with support for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// The CPU.
    #[default]
    Cpu,
    /// An NVIDIA GPU by its number.
    Cuda(u32),
    /// An NVIDIA GPU by its number, through TensorRT; CUDA runs what TensorRT cannot.
    TensorRt(u32),
    /// Intel's OpenVINO on the device that it chooses itself.
    OpenVino,
    /// Apple's Core ML.
    CoreMl,
    /// A GPU by its number, through DirectX 12.
    DirectMl(u32),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(n) => write!(f, "cuda:{n}"),
            Self::TensorRt(n) => write!(f, "tensorrt:{n}"),
            Self::OpenVino => f.write_str("openvino"),
            Self::CoreMl => f.write_str("coreml"),
            Self::DirectMl(n) => write!(f, "directml:{n}"),
        }
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

impl Device {
    /// For display: `CPU`, `CUDA 0`.
    #[must_use]
    pub fn label(self) -> String {
        match self {
            Self::Cpu => "CPU".into(),
            Self::Cuda(n) => format!("CUDA {n}"),
            Self::TensorRt(n) => format!("TensorRT {n}"),
            Self::OpenVino => "OpenVINO".into(),
            Self::CoreMl => "Core ML".into(),
            Self::DirectMl(n) => format!("DirectML {n}"),
        }
    }

    /// ONNX Runtime's name of the execution provider.
    #[must_use]
    pub fn provider(self) -> &'static str {
        match self {
            Self::Cpu => "CPUExecutionProvider",
            Self::Cuda(_) => "CUDAExecutionProvider",
            Self::TensorRt(_) => "TensorrtExecutionProvider",
            Self::OpenVino => "OpenVINOExecutionProvider",
            Self::CoreMl => "CoreMLExecutionProvider",
            Self::DirectMl(_) => "DmlExecutionProvider",
        }
    }
}

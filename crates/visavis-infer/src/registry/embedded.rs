//! The networks compiled into the program.

use super::{Entry, Find, ModelSource, Slot, WeightsLocation};
use crate::Manifest;

/// A network compiled into the program with `include_str!` and `include_bytes!`.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedModel {
    /// The text of its manifest.
    pub manifest: &'static str,
    /// Its weights: an ONNX file or a forest.
    pub weights: &'static [u8],
    /// The weights of its 8-bit version, if its manifest has one.
    pub quantised: Option<&'static [u8]>,
}

/// A network in the folder `models`: the manifest's name, the file of the weights and that of the 8-bit version.
macro_rules! model {
    ($name:literal, $file:literal) => {
        EmbeddedModel {
            manifest: include_str!(concat!("../../../../models/", $name, ".toml")),
            weights: include_bytes!(concat!("../../../../models/", $file)),
            quantised: None,
        }
    };
    ($name:literal, $file:literal, $quantised:literal) => {
        EmbeddedModel {
            quantised: Some(include_bytes!(concat!("../../../../models/", $quantised))),
            ..model!($name, $file)
        }
    };
}

/// The networks of this build, each with a model card in `models/`.
pub static EMBEDDED: &[EmbeddedModel] = &[
    model!("yunet", "yunet.onnx"),
    model!("similarity_mobilefacenet", "similarity_mobilefacenet.onnx", "similarity_mobilefacenet.int8.onnx"),
    model!("face_mobilefacenet", "face_mobilefacenet.onnx"),
    model!("ssd_mobilenetv1_quarter", "ssd_mobilenetv1_quarter.onnx"),
    model!("kazemi_forest", "kazemi_forest.forest"),
    model!("onet", "onet.onnx"),
    model!(
        "multitask_efficientnet_lite0",
        "multitask_efficientnet_lite0.onnx",
        "multitask_efficientnet_lite0.int8.onnx"
    ),
    model!("age_mobilenetv1", "age_mobilenetv1.onnx"),
    model!("gender_mobilenetv1", "gender_mobilenetv1.onnx"),
    model!("smile_mobilenetv1", "smile_mobilenetv1.onnx", "smile_mobilenetv1.int8.onnx"),
    model!("similarity_efficientnet_lite0", "similarity_efficientnet_lite0.onnx"),
];

impl EmbeddedModel {
    pub(super) fn find(&self) -> Find {
        let origin = "manifest in the program";
        match Manifest::parse(self.manifest, origin) {
            Ok(manifest) => Find {
                name: manifest.name.clone(),
                origin: origin.into(),
                slot: Slot::Good(Box::new(Entry {
                    manifest,
                    weights: WeightsLocation::Embedded(self.weights),
                    quantised: self.quantised.map(WeightsLocation::Embedded),
                    found_in: ModelSource::Embedded,
                })),
            },
            Err(error) => Find {
                name: super::folder::name_in(self.manifest).unwrap_or_default(),
                origin: origin.into(),
                slot: Slot::Broken(error),
            },
        }
    }
}

//! The networks inside the program.

use super::{Entry, Find, Shelf, Slot, WeightsLocation};
use crate::Manifest;

/// A network compiled into the program with `include_str!` and `include_bytes!`.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedModel {
    /// The text of its manifest.
    pub manifest: &'static str,
    /// Its weights, an ONNX file.
    pub weights: &'static [u8],
}

/// The networks of this build.
pub static EMBEDDED: &[EmbeddedModel] = &[];

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
                    shelf: Shelf::Embedded,
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

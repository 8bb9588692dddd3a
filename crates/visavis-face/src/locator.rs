//! Loading whatever locates keypoints: a network or a regression forest.

use visavis_infer::manifest::FileKind;
use visavis_infer::{EngineOptions, Entry, Runtime};

use crate::FaceError;
use crate::forest::{Forest, ForestLocator};
use crate::keypoints::{KeypointNetwork, Locate};

/// Loads a keypoint network, or a regression forest, which needs neither `runtime` nor `options`.
///
/// # Errors
/// [`FaceError::Infer`] if the weights do not match the manifest or cannot be loaded; [`FaceError::WrongTask`] if the
/// entry has no task `keypoints`; [`FaceError::Forest`] for an invalid forest file.
pub fn load_locator(entry: &Entry, runtime: &Runtime, options: &EngineOptions) -> Result<Box<dyn Locate>, FaceError> {
    Ok(match entry.manifest.file_kind() {
        FileKind::Onnx => Box::new(KeypointNetwork::new(&entry.manifest, entry.load(runtime, options)?)?),
        FileKind::Forest => {
            let wrong = |error| FaceError::Forest { model: entry.manifest.name.clone(), error };
            Box::new(ForestLocator::new(Forest::read(&entry.read()?).map_err(wrong)?))
        }
    })
}

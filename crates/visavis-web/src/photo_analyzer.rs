//! Analyses photos with the networks that are chosen for the live picture.

use std::sync::Mutex;
use std::time::Duration;

use visavis_face::{AnalyzedFace, Choice, FaceAnalyzer};
use visavis_image::{Frame, codec};
use visavis_live::{RegistryLoader, Scene};

use crate::enrol::MAX_PIXELS;
use crate::problem::Problem;

/// The networks that analyse photos, loaded at the first photo and again when other networks are chosen. One photo at a time;
/// they are apart from those of the pipeline, so that the live picture does not wait.
#[derive(Default)]
pub(crate) struct CachedAnalyzer(Mutex<Option<(Choice, FaceAnalyzer)>>);

/// A photo with the results for its faces.
pub(crate) struct Analyzed {
    /// Width of the photo in pixels.
    pub(crate) width: u32,
    /// Height of the photo in pixels.
    pub(crate) height: u32,
    /// The faces; in pixels of the picture, which is smaller than the photo if that was shrunk.
    pub(crate) scene: Scene,
    /// The embedding of each face.
    pub(crate) embeddings: Vec<Option<Vec<f32>>>,
}

impl CachedAnalyzer {
    /// Analyses an encoded photo with the networks of `choice`.
    pub(crate) fn analyze(
        &self,
        loader: &RegistryLoader,
        choice: &Choice,
        encoded: &[u8],
    ) -> Result<Analyzed, Problem> {
        let decoded = codec::decode_photo(encoded, MAX_PIXELS)?;
        let mut frame = Frame::new(0, Duration::ZERO, decoded.picture);
        frame.shrunk = decoded.shrunk;
        let mut guard = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if guard.as_ref().is_none_or(|(loaded, _)| loaded != choice) {
            // First, so that the old and the new networks are not in memory together.
            *guard = None;
            *guard = Some((choice.clone(), loader.analyzer(choice)?));
        }
        let faces = match &mut *guard {
            Some((_, analyzer)) => analyzer.analyze(&frame.picture)?,
            None => Vec::new(),
        };
        let side = |side: u32| (side as f32 * decoded.shrunk).round() as u32;
        let (width, height) = (side(frame.picture.width()), side(frame.picture.height()));
        let embeddings = faces.iter().map(|AnalyzedFace { findings, .. }| findings.embedding.clone()).collect();
        Ok(Analyzed { width, height, scene: Scene::of_photo(frame, faces, 0, None)?, embeddings })
    }
}

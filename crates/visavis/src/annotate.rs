//! Scenes as pictures.

use std::collections::HashMap;
use std::sync::Arc;

use visavis_face::gallery::{Gallery, PersonId};
use visavis_image::draw::{FaceLabel, Gender, Overlay, OverlayParams, Resemblance, Smile};
use visavis_image::{Picture, codec};
use visavis_live::{Scene, SceneFace};

/// Draws scenes into a picture of its own, which it reuses.
pub(crate) struct Annotator {
    overlay: Overlay,
    canvas: Picture,
    /// The people's photos, each decoded once.
    photos: HashMap<PersonId, Option<Arc<Picture>>>,
    gallery: Option<Arc<dyn Gallery>>,
}

impl Annotator {
    /// An annotator that shows photos of `gallery`, if there is one.
    pub(crate) fn new(gallery: Option<Arc<dyn Gallery>>) -> Self {
        let overlay = Overlay::new(OverlayParams::default());
        Self { overlay, canvas: Picture::new(0, 0), photos: HashMap::new(), gallery }
    }

    /// The scene's picture with everything known drawn into it.
    pub(crate) fn draw(&mut self, scene: &Scene) -> &Picture {
        self.canvas.copy_from(&scene.frame.picture);
        let labels: Vec<FaceLabel> = scene.faces.iter().map(|face| self.label(face)).collect();
        self.overlay.draw(&mut self.canvas, &labels);
        &self.canvas
    }

    fn label(&mut self, face: &SceneFace) -> FaceLabel {
        let resembles = face.resembles.as_ref().map(|found| Resemblance {
            name: Arc::clone(&found.name),
            similarity: found.similarity,
            same_person: found.same_person,
            photo: self.photo(found.person),
        });
        FaceLabel {
            bounds: face.rect,
            track: face.track,
            landmarks: face.landmarks,
            age: face.age,
            gender: face
                .female
                .map(|female| if female >= 0.5 { (Gender::Female, female) } else { (Gender::Male, 1.0 - female) }),
            smile: face.smile.zip(face.smiling).map(|(share, smiling)| Smile { share, smiling }),
            resembles,
            alarm: false,
        }
    }

    fn photo(&mut self, person: PersonId) -> Option<Arc<Picture>> {
        if let Some(known) = self.photos.get(&person) {
            return known.clone();
        }
        // A gallery that cannot be asked now is asked again with the next scene.
        let bytes = self.gallery.as_ref()?.portrait(person).ok()?;
        let photo = bytes.and_then(|bytes| codec::decode(&bytes, codec::MAX_PIXELS).ok()).map(Arc::new);
        self.photos.entry(person).or_insert(photo).clone()
    }
}

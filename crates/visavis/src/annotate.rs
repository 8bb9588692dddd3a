//! Draws scenes into pictures.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use visavis_face::Expression;
use visavis_gallery::{Gallery, PersonId};
use visavis_image::draw::{FaceLabel, Gender, Overlay, OverlayParams, Resemblance, Smile, can_write};
use visavis_image::{Picture, codec};
use visavis_live::{Scene, SceneFace};

use visavis_cli::options::complain;

/// Draws scenes into a picture that it reuses.
pub(crate) struct Annotator {
    overlay: Overlay,
    canvas: Picture,
    /// The decoded photo of each person; `None` if there is none.
    photos: HashMap<PersonId, Option<Arc<Picture>>>,
    gallery: Option<Arc<Gallery>>,
    /// People whose names were checked for letters that the font lacks.
    named: HashSet<PersonId>,
}

impl Annotator {
    /// An annotator that shows photos of `gallery`, if there is one.
    pub(crate) fn new(gallery: Option<Arc<Gallery>>) -> Self {
        let overlay = Overlay::new(OverlayParams::default());
        Self { overlay, canvas: Picture::new(0, 0), photos: HashMap::new(), gallery, named: HashSet::new() }
    }

    /// Returns the picture of the scene with the results drawn into it.
    pub(crate) fn draw(&mut self, scene: &Scene) -> &Picture {
        self.canvas.copy_from(&scene.frame.picture);
        let labels: Vec<FaceLabel> = scene.faces.iter().map(|face| self.label(face)).collect();
        self.overlay.draw(&mut self.canvas, &labels);
        &self.canvas
    }

    fn label(&mut self, face: &SceneFace) -> FaceLabel {
        if let Some(found) = &face.resembles
            && self.named.insert(found.person)
            && !can_write(&found.name)
        {
            let name = &found.name;
            complain(&format!("{name}: the font lacks letters of this script: they are drawn as boxes"));
        }
        let resembles = face.resembles.as_ref().map(|found| Resemblance {
            name: Arc::clone(&found.name),
            likeness: found.likeness,
            identified: found.identified,
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
            expression: face.expression.as_ref().and_then(Expression::likeliest).map(|(name, _)| name.to_owned()),
            smile: face.smile.zip(face.smiling).map(|(share, smiling)| Smile { share, smiling }),
            resembles,
            alarm: false,
        }
    }

    fn photo(&mut self, person: PersonId) -> Option<Arc<Picture>> {
        if let Some(known) = self.photos.get(&person) {
            return known.clone();
        }
        // If the gallery cannot be reached now, the next scene tries again.
        let bytes = self.gallery.as_ref()?.portrait(person).ok()?;
        let photo = bytes.and_then(|bytes| codec::decode(&bytes, codec::MAX_PIXELS).ok()).map(Arc::new);
        self.photos.entry(person).or_insert(photo).clone()
    }
}

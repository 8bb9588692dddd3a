//! Training faces from a pack.

use visavis_data::pack::{Pack, PackedFace};
use visavis_data::{Split, SplitRule};
use visavis_face::forest::GreyPicture;

use super::{LabelledFace, TrainForestError};

/// The faces of `pack` with labelled keypoints for which `wanted` returns true.
///
/// # Errors
/// [`TrainForestError::Data`] for a crop that cannot be decoded.
pub fn labelled_faces(
    pack: &Pack,
    wanted: impl Fn(&PackedFace) -> bool,
) -> Result<Vec<LabelledFace>, TrainForestError> {
    let mut faces = Vec::new();
    for (index, face) in pack.faces().iter().enumerate() {
        let Some(landmarks) = face.landmarks.filter(|_| face.rect.is_proper() && wanted(face)) else { continue };
        faces.push(LabelledFace {
            grey: GreyPicture::from(&pack.picture(index)?),
            landmarks,
            rect: face.rect,
            detected: face.detected.map(|found| found.rect).filter(visavis_image::Rect::is_proper),
        });
    }
    Ok(faces)
}

/// The side of a training face in a rehearsal: a tenth of the training part is used for measuring, so that settings can be chosen
/// without the validation part. `None` for faces of the validation part.
#[must_use]
pub fn rehearsal(face: &PackedFace) -> Option<Split> {
    let key = face.identity.as_deref().unwrap_or(&face.file);
    (face.split == Split::Train).then(|| SplitRule::default().side(&format!("rehearsal of {}", face.set), key))
}

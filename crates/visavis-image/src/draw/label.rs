//! What the overlay can say of a face.

use std::sync::Arc;

use crate::{Landmarks, Picture, Rect};

/// What the overlay says of one face.
#[derive(Debug, Clone, Default)]
pub struct FaceLabel {
    /// The face in pixels of the picture drawn on. A face that is not [proper](Rect::is_proper) or wholly outside of
    /// the picture is left out.
    pub bounds: Rect,
    /// The same face has the same number in every frame: by it the overlay remembers where its panels stood.
    pub track: u64,
    /// Keypoints, drawn if [`OverlayParams::landmarks`](super::OverlayParams::landmarks) says so.
    pub landmarks: Option<Landmarks>,
    /// In years; shown rounded.
    pub age: Option<f32>,
    /// The likelier gender and its share, 0.5 to 1.
    pub gender: Option<(Gender, f32)>,
    /// Smile or not.
    pub smile: Option<Smile>,
    /// Whom in the gallery the face resembles most.
    pub resembles: Option<Resemblance>,
    /// Draws the face and its panels in red.
    pub alarm: bool,
}

/// The two genders that the data sets know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gender {
    /// Shown as "female".
    Female,
    /// Shown as "male".
    Male,
}

/// How much a face smiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Smile {
    /// Likelihood of a smile, 0 to 1; the mouth of the icon curves with it.
    pub share: f32,
    /// Whether that counts as a smile; colours the icon.
    pub smiling: bool,
}

/// The most similar person of a gallery.
#[derive(Debug, Clone)]
pub struct Resemblance {
    /// In any script that DejaVu Sans knows; long names are broken and shortened.
    pub name: Arc<str>,
    /// 0 to 1, shown in percent.
    pub similarity: f32,
    /// Whether this *is* that person, as far as the gallery can tell: shown as "recognised", in a strong style.
    pub same_person: bool,
    /// Of any size; the overlay keeps a scaled copy while the photo is on screen. Pass the same `Arc` in every frame.
    pub photo: Option<Arc<Picture>>,
}

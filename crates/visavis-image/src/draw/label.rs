//! What the overlay can show of a face.

use std::sync::Arc;

use crate::{Landmarks, Picture, Rect};

/// What the overlay shows of one face.
#[derive(Debug, Clone, Default)]
pub struct FaceLabel {
    /// The face in pixels of the picture. A face that is not [proper](Rect::is_proper) or lies wholly outside the picture
    /// is left out.
    pub bounds: Rect,
    /// The same face has the same number in every frame; the overlay stores the places of panels under it.
    pub track: u64,
    /// Keypoints, drawn if [`OverlayParams::landmarks`](super::OverlayParams::landmarks) says so.
    pub landmarks: Option<Landmarks>,
    /// In years; shown rounded.
    pub age: Option<f32>,
    /// The likelier gender and its probability, 0.5 to 1.
    pub gender: Option<(Gender, f32)>,
    /// Smiling or not.
    pub smile: Option<Smile>,
    /// The likeliest expression, as one word.
    pub expression: Option<String>,
    /// The most similar person of the gallery.
    pub resembles: Option<Resemblance>,
    /// Whether the face and its panels are drawn in red.
    pub alarm: bool,
}

/// The two genders that the data sets distinguish.
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
    /// Probability of a smile, 0 to 1; the mouth of the icon curves with it.
    pub share: f32,
    /// Whether that counts as a smile; determines the colour of the icon.
    pub smiling: bool,
}

/// The most similar person of a gallery.
#[derive(Debug, Clone)]
pub struct Resemblance {
    /// In any script of DejaVu Sans; long names are wrapped and shortened.
    pub name: Arc<str>,
    /// Similarity on a scale from 0 to 1, not a probability: shown as up to five dots if the face is not taken for the
    /// person.
    pub likeness: f32,
    /// The probability that the face is this person, 0 to 1: shown in percent if the face is taken for the person.
    pub identified: Option<f32>,
    /// Whether the face is taken for this person: shown as "identified", in a strong style.
    pub same_person: bool,
    /// Of any size; the overlay keeps a scaled copy while the photo is on screen. Pass the same `Arc` in every frame.
    pub photo: Option<Arc<Picture>>,
}

//! Pictures and targets of one step.

use visavis_data::Gender;
use visavis_data::pack::PackedFace;
use visavis_image::Picture;

use super::{Pick, View};
use crate::network::AGE_CLASSES;
use crate::recipe::AgeTarget;

/// What is asked of one face. What its set does not label is `None` and weighs nothing in the loss.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Targets {
    /// Years, and what the 101 classes are to say.
    pub age: Option<(f32, Vec<f32>)>,
    /// 0 male, 1 female.
    pub gender: Option<usize>,
    /// 0 not smiling, 1 smiling.
    pub smile: Option<usize>,
    /// Five x, y pairs as shares of the side.
    pub points: Option<[f32; 10]>,
}

impl Targets {
    /// Whether the set itself says what a head of this name tells.
    #[must_use]
    pub fn has(&self, head: &str) -> bool {
        match head {
            "age" => self.age.is_some(),
            "gender" => self.gender.is_some(),
            "smile" => self.smile.is_some(),
            _ => false,
        }
    }

    /// Of a face and its view.
    #[must_use]
    pub fn of(face: &PackedFace, view: &View, target: AgeTarget) -> Self {
        let labels = &face.labels;
        Self {
            age: labels.age.map(|age| (age, age_classes(age, labels.age_deviation, target))),
            gender: labels.gender.map(|gender| usize::from(gender == Gender::Female)),
            smile: labels.smile.map(usize::from),
            points: view.landmarks.map(|landmarks| {
                let mut points = [0.0; 10];
                for (pair, point) in points.chunks_exact_mut(2).zip(landmarks.to_array()) {
                    pair.copy_from_slice(&[point.x, point.y]);
                }
                points
            }),
        }
    }
}

/// The distribution over years 0 to 100 that stands for an age.
pub(crate) fn age_classes(age: f32, known_deviation: Option<f32>, target: AgeTarget) -> Vec<f32> {
    let mut classes = vec![0.0; AGE_CLASSES];
    match target {
        AgeTarget::Class => classes[(age.round().max(0.0) as usize).min(AGE_CLASSES - 1)] = 1.0,
        AgeTarget::Distribution { deviation } => {
            let deviation = known_deviation.filter(|known| *known > 0.5).unwrap_or(deviation).max(0.1);
            let age = age.clamp(0.0, (AGE_CLASSES - 1) as f32);
            for (year, share) in classes.iter_mut().enumerate() {
                *share = (-((year as f32 - age) / deviation).powi(2) / 2.0).exp();
            }
            let total: f32 = classes.iter().sum();
            classes.iter_mut().for_each(|share| *share /= total);
        }
    }
    classes
}

/// One step's faces.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Which faces.
    pub picks: Vec<Pick>,
    /// `[3, N, side, side]`: `(value − mean) / std`.
    pub pictures: Vec<f32>,
    /// What is asked of each.
    pub targets: Vec<Targets>,
    /// Pixels across and down.
    pub side: usize,
}

impl Batch {
    /// Room for `count` pictures.
    #[must_use]
    pub fn new(count: usize, side: usize) -> Self {
        Self {
            picks: Vec::with_capacity(count),
            pictures: vec![0.0; 3 * count * side * side],
            targets: Vec::with_capacity(count),
            side,
        }
    }
}

/// Puts a picture into the place `index` of `count` pictures of its size, `[3, N, height, width]`: `(value − mean) / std`.
pub(super) fn write_picture(
    pictures: &mut [f32],
    [index, count]: [usize; 2],
    picture: &Picture,
    mean: &[f32; 3],
    std: &[f32; 3],
) {
    let plane = picture.width() as usize * picture.height() as usize;
    for channel in 0..3 {
        let out = &mut pictures[(channel * count + index) * plane..][..plane];
        for (out, pixel) in out.iter_mut().zip(picture.pixels().chunks_exact(3)) {
            *out = (f32::from(pixel[channel]) - mean[channel]) / std[channel];
        }
    }
}

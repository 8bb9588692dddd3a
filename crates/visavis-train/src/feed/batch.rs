//! Pictures and targets of one step.

use visavis_data::Gender;
use visavis_data::pack::PackedFace;
use visavis_image::Picture;
use visavis_infer::manifest::Colour;

use super::{Pick, View};
use crate::network::AGE_CLASSES;
use crate::recipe::AgeTarget;

/// Training targets of one face. A missing label is `None` and adds no loss.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Targets {
    /// Years, and the target distribution of the 101 classes.
    pub age: Option<(f32, Vec<f32>)>,
    /// 0 male, 1 female.
    pub gender: Option<usize>,
    /// 0 not smiling, 1 smiling.
    pub smile: Option<usize>,
    /// Five x, y pairs as shares of the side.
    pub points: Option<[f32; 10]>,
    /// Shares of the votes for the eight expressions; they sum to 1.
    pub expression: Option<[f32; 8]>,
    /// Clockwise rotation of the crop against the picture in degrees, before any mirroring.
    pub turn: f32,
    /// Whether the crop was mirrored.
    pub mirrored: bool,
}

impl Targets {
    /// Whether the set has a label for the head of this name.
    #[must_use]
    pub fn has(&self, head: &str) -> bool {
        match head {
            "age" => self.age.is_some(),
            "gender" => self.gender.is_some(),
            "smile" => self.smile.is_some(),
            "expression" => self.expression.is_some(),
            _ => false,
        }
    }

    /// Converts yaw, pitch and roll of a head from its picture to the crop, in degrees.
    #[must_use]
    pub fn pose_in_crop(&self, [yaw, pitch, roll]: [f32; 3]) -> [f32; 3] {
        let roll = roll - self.turn;
        if self.mirrored { [-yaw, pitch, -roll] } else { [yaw, pitch, roll] }
    }

    /// The targets of a face in a view.
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
            expression: labels.expression.map(|votes| {
                let total: f32 = votes.iter().sum();
                votes.map(|share| share / total.max(f32::MIN_POSITIVE))
            }),
            turn: view.turn,
            mirrored: view.mirrored,
        }
    }
}

/// The target distribution over years 0 to 100 for an age.
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

/// The faces of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The faces.
    pub picks: Vec<Pick>,
    /// `[3, N, side, side]`: `(value − mean) / std`.
    pub pictures: Vec<f32>,
    /// The targets of each face.
    pub targets: Vec<Targets>,
    /// Width and height of a picture in pixels.
    pub side: usize,
}

impl Batch {
    /// An empty batch for `count` pictures.
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

/// Writes a picture at index `index` of `count` pictures of its size, `[3, N, height, width]`: `(value − mean) / std`, with
/// the channels in the order of `colour`.
pub(super) fn write_picture(
    pictures: &mut [f32],
    [index, count]: [usize; 2],
    picture: &Picture,
    colour: Colour,
    mean: &[f32; 3],
    std: &[f32; 3],
) {
    let plane = picture.width() as usize * picture.height() as usize;
    let order = match colour {
        Colour::Rgb => [0, 1, 2],
        Colour::Bgr => [2, 1, 0],
    };
    for (channel, from) in order.into_iter().enumerate() {
        let out = &mut pictures[(channel * count + index) * plane..][..plane];
        for (out, pixel) in out.iter_mut().zip(picture.pixels().chunks_exact(3)) {
            *out = (f32::from(pixel[from]) - mean[channel]) / std[channel];
        }
    }
}

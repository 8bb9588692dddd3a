//! The results for a face as the programs write them: rounded, and named as in their JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::detect::Face;
use crate::findings::{Expression, HeadPose};

/// What is reported about a face, besides its place. `None`: it was not estimated.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Attributes<'a> {
    /// Years.
    pub age: Option<f32>,
    /// Probability of "female", 0 to 1; the rest is "male".
    pub female: Option<f32>,
    /// Probability of "smiling", 0 to 1.
    pub smile: Option<f32>,
    /// Whether that probability counts as a smile.
    pub smiling: Option<bool>,
    /// Probabilities of the expressions.
    pub expression: Option<&'a Expression>,
    /// Head pose in the picture.
    pub pose: Option<HeadPose>,
}

impl Attributes<'_> {
    /// The more probable gender, "female" or "male".
    #[must_use]
    pub fn gender(&self) -> Option<&'static str> {
        self.female.map(|female| if female >= 0.5 { "female" } else { "male" })
    }
}

/// A face as it is written. Lengths are in pixels of the source, rounded to 0.1; shares and scores are rounded to 0.001, years
/// and degrees to 0.1. What was not estimated is left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaceRecord<'a> {
    /// Number of the track or, in a photo, of the face.
    pub track: u64,
    /// x, y, width, height in pixels of the source.
    #[serde(rename = "box")]
    pub bounds: [f64; 4],
    /// Score of the detection, 0 to 1.
    pub score: f64,
    /// Whether the face was detected in this frame.
    pub detected: bool,
    /// Degrees, clockwise, by which the face is turned in the picture: 90, 180 or 270; absent for an upright face.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turned: Option<u16>,
    /// Left eye, right eye, nose, left and right mouth corner, as seen when the face is upright.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub landmarks: Option<[[f64; 2]; 5]>,
    /// Years.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<f64>,
    /// "female" or "male".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gender: Option<&'static str>,
    /// Probability of "female", 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub female: Option<f64>,
    /// Whether the probability of "smiling" counts as a smile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smiling: Option<bool>,
    /// Probability of "smiling", 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smile: Option<f64>,
    /// Expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<ExpressionRecord<'a>>,
    /// Head pose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_pose: Option<HeadPoseRecord>,
}

/// The most likely expression, and the shares of all expressions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExpressionRecord<'a> {
    /// The most likely expression.
    pub name: &'a str,
    /// Its probability, 0 to 1.
    pub share: f64,
    /// The probability of each expression, 0 to 1.
    pub shares: BTreeMap<&'a str, f64>,
}

/// Head pose in degrees, as seen in the picture: yaw to the right, pitch up, roll clockwise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HeadPoseRecord {
    /// Above 0 where the nose points to the right edge of the picture.
    pub yaw: f64,
    /// Above 0 where the face looks up.
    pub pitch: f64,
    /// Above 0 where the head is rotated clockwise.
    pub roll: f64,
}

/// Rounds to a number of decimals. Further decimals are noise and make lines long.
#[must_use]
pub fn rounded(value: f32, decimals: i32) -> f64 {
    let factor = 10f64.powi(decimals);
    (f64::from(value) * factor).round() / factor
}

impl<'a> FaceRecord<'a> {
    /// `shrunk`: width of a pixel of the analysed picture, in pixels of the source.
    #[must_use]
    pub fn new(track: u64, face: &Face, detected: bool, attributes: Attributes<'a>, shrunk: f32) -> Self {
        let pixels = |value: f32| rounded(value * shrunk, 1);
        Self {
            track,
            bounds: <[f32; 4]>::from(face.rect).map(pixels),
            score: rounded(face.score, 3),
            detected,
            turned: Some(face.turn.degrees()).filter(|degrees| *degrees != 0),
            landmarks: face.landmarks.map(|l| l.to_array().map(|p| [pixels(p.x), pixels(p.y)])),
            age: attributes.age.map(|age| rounded(age, 1)),
            gender: attributes.gender(),
            female: attributes.female.map(|female| rounded(female, 3)),
            smiling: attributes.smiling,
            smile: attributes.smile.map(|smile| rounded(smile, 3)),
            expression: attributes.expression.and_then(ExpressionRecord::new),
            head_pose: attributes.pose.map(HeadPoseRecord::new),
        }
    }
}

impl<'a> ExpressionRecord<'a> {
    fn new(expression: &'a Expression) -> Option<Self> {
        let (name, share) = expression.likeliest()?;
        let shares = expression.labels.iter().map(String::as_str).zip(expression.shares.iter().map(|s| rounded(*s, 3)));
        Some(Self { name, share: rounded(share, 3), shares: shares.collect() })
    }
}

impl HeadPoseRecord {
    fn new(pose: HeadPose) -> Self {
        Self { yaw: rounded(pose.yaw, 1), pitch: rounded(pose.pitch, 1), roll: rounded(pose.roll, 1) }
    }
}

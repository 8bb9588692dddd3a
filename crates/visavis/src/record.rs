//! The output formats of scenes: JSON Lines and CSV.

use std::collections::BTreeMap;

use serde::Serialize;
use visavis_face::{Expression, HeadPose};
use visavis_live::{Scene, SceneFace};

/// One frame.
#[derive(Serialize)]
pub(crate) struct SceneRecord<'a> {
    /// The file or camera; absent if there is only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<&'a str>,
    /// Number of the frame, from 0.
    pub(crate) frame: u64,
    /// Seconds since the start of the source, to the microsecond.
    pub(crate) time: f64,
    /// Time at which the picture was taken (RFC 3339); only for live sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) taken_at: Option<String>,
    /// Time since which the source has delivered no picture (RFC 3339). Such a line repeats the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stalled_since: Option<String>,
    pub(crate) faces: Vec<FaceRecord<'a>>,
}

/// One face of a frame.
#[derive(Serialize)]
pub(crate) struct FaceRecord<'a> {
    pub(crate) track: u64,
    /// x, y, width, height in pixels of the source.
    #[serde(rename = "box")]
    pub(crate) bounds: [f64; 4],
    pub(crate) score: f64,
    pub(crate) detected: bool,
    /// Degrees, clockwise, by which the face is turned in the picture: 90, 180 or 270; absent for an upright face.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) turned: Option<u16>,
    /// Left eye, right eye, nose, left and right mouth corner, as seen when the face is upright.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) landmarks: Option<[[f64; 2]; 5]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) age: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gender: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) female: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) smiling: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) smile: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expression: Option<ExpressionRecord<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) head_pose: Option<HeadPoseRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resembles: Option<ResemblanceRecord<'a>>,
}

/// The most likely expression, and the shares of all expressions.
#[derive(Serialize)]
pub(crate) struct ExpressionRecord<'a> {
    pub(crate) name: &'a str,
    pub(crate) share: f64,
    pub(crate) shares: BTreeMap<&'a str, f64>,
}

/// Head pose in degrees, as seen in the picture: yaw to the right, pitch up, roll clockwise.
#[derive(Serialize)]
pub(crate) struct HeadPoseRecord {
    pub(crate) yaw: f64,
    pub(crate) pitch: f64,
    pub(crate) roll: f64,
}

/// The most similar person of the gallery.
#[derive(Serialize)]
pub(crate) struct ResemblanceRecord<'a> {
    pub(crate) name: &'a str,
    /// Similarity, 0 to 1; not a probability.
    pub(crate) likeness: f64,
    /// The probability that it is this person, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identified: Option<f64>,
    /// Whether the face is identified as this person.
    pub(crate) same_person: bool,
}

/// Rounds to a number of decimals. Further decimals are noise and make lines long.
fn rounded(value: f32, decimals: i32) -> f64 {
    let factor = 10f64.powi(decimals);
    (f64::from(value) * factor).round() / factor
}

impl<'a> SceneRecord<'a> {
    pub(crate) fn new(scene: &'a Scene, source: Option<&'a str>) -> Self {
        Self {
            source,
            frame: scene.frame.seq,
            time: visavis_live::seconds(scene.frame.captured_at),
            taken_at: scene.frame.wall_time.map(visavis_live::rfc3339),
            stalled_since: scene.stalled_since.map(visavis_live::rfc3339),
            faces: scene.faces.iter().map(|face| FaceRecord::new(face, scene.frame.shrunk)).collect(),
        }
    }
}

impl<'a> FaceRecord<'a> {
    /// `shrunk`: width of a pixel of the analysed picture, in pixels of the source.
    fn new(face: &'a SceneFace, shrunk: f32) -> Self {
        let pixels = |value: f32| rounded(value * shrunk, 1);
        Self {
            track: face.track,
            bounds: <[f32; 4]>::from(face.rect).map(pixels),
            score: rounded(face.score, 3),
            detected: face.detected,
            turned: Some(face.turn.degrees()).filter(|degrees| *degrees != 0),
            landmarks: face.landmarks.map(|l| l.to_array().map(|p| [pixels(p.x), pixels(p.y)])),
            age: face.age.map(|age| rounded(age, 1)),
            gender: face.female.map(|female| if female >= 0.5 { "female" } else { "male" }),
            female: face.female.map(|female| rounded(female, 3)),
            smiling: face.smiling,
            smile: face.smile.map(|smile| rounded(smile, 3)),
            expression: face.expression.as_ref().and_then(ExpressionRecord::new),
            head_pose: face.pose.map(HeadPoseRecord::new),
            resembles: face.resembles.as_ref().map(|found| ResemblanceRecord {
                name: &found.name,
                likeness: rounded(found.likeness, 3),
                identified: found.identified.map(|chance| rounded(chance, 3)),
                same_person: found.same_person,
            }),
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

/// The columns of the CSV output: one row per face.
pub(crate) const CSV_HEADER: [&str; 24] = [
    "source",
    "frame",
    "time",
    "track",
    "x",
    "y",
    "width",
    "height",
    "score",
    "detected",
    "age",
    "gender",
    "female",
    "smiling",
    "smile",
    "expression",
    "expression_share",
    "yaw",
    "pitch",
    "roll",
    "resembles",
    "likeness",
    "identified",
    "same_person",
];

impl SceneRecord<'_> {
    /// The rows of this frame, in the order of [`CSV_HEADER`].
    pub(crate) fn csv_rows(&self) -> impl Iterator<Item = [String; 24]> {
        fn cell<T: ToString>(value: Option<T>) -> String {
            value.map(|value| value.to_string()).unwrap_or_default()
        }
        self.faces.iter().map(|face| {
            let [x, y, width, height] = face.bounds.map(|value| value.to_string());
            let (expression, pose) = (face.expression.as_ref(), face.head_pose.as_ref());
            let resembles = face.resembles.as_ref();
            [
                cell(self.source),
                self.frame.to_string(),
                self.time.to_string(),
                face.track.to_string(),
                x,
                y,
                width,
                height,
                face.score.to_string(),
                face.detected.to_string(),
                cell(face.age),
                cell(face.gender),
                cell(face.female),
                cell(face.smiling),
                cell(face.smile),
                cell(expression.map(|expression| expression.name)),
                cell(expression.map(|expression| expression.share)),
                cell(pose.map(|pose| pose.yaw)),
                cell(pose.map(|pose| pose.pitch)),
                cell(pose.map(|pose| pose.roll)),
                cell(resembles.map(|found| found.name)),
                cell(resembles.map(|found| found.likeness)),
                cell(resembles.and_then(|found| found.identified)),
                cell(resembles.map(|found| found.same_person)),
            ]
        })
    }
}

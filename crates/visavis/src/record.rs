//! Scenes as lines: JSON Lines and CSV.

use serde::Serialize;
use visavis_live::{Scene, SceneFace};

/// One frame.
#[derive(Serialize)]
pub(crate) struct SceneRecord<'a> {
    /// The file or camera, where there is more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<&'a str>,
    /// Counts from 0.
    pub(crate) frame: u64,
    /// Seconds since the start of the source.
    pub(crate) time: f64,
    pub(crate) faces: Vec<FaceRecord<'a>>,
}

/// One face of it.
#[derive(Serialize)]
pub(crate) struct FaceRecord<'a> {
    pub(crate) track: u64,
    /// x, y, width, height in pixels.
    #[serde(rename = "box")]
    pub(crate) bounds: [f64; 4],
    pub(crate) score: f64,
    pub(crate) detected: bool,
    /// Left eye, right eye, nose, left and right mouth corner.
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
    pub(crate) resembles: Option<ResemblanceRecord<'a>>,
}

#[derive(Serialize)]
pub(crate) struct ResemblanceRecord<'a> {
    pub(crate) name: &'a str,
    pub(crate) similarity: f64,
    pub(crate) same_person: bool,
}

/// To so many decimals: more are noise, and lines stay short.
fn rounded(value: f32, decimals: i32) -> f64 {
    let factor = 10f64.powi(decimals);
    (f64::from(value) * factor).round() / factor
}

impl<'a> SceneRecord<'a> {
    pub(crate) fn new(scene: &'a Scene, source: Option<&'a str>) -> Self {
        Self {
            source,
            frame: scene.frame.seq,
            time: rounded(scene.frame.captured_at.as_secs_f32(), 3),
            faces: scene.faces.iter().map(FaceRecord::new).collect(),
        }
    }
}

impl<'a> FaceRecord<'a> {
    fn new(face: &'a SceneFace) -> Self {
        Self {
            track: face.track,
            bounds: <[f32; 4]>::from(face.rect).map(|value| rounded(value, 1)),
            score: rounded(face.score, 3),
            detected: face.detected,
            landmarks: face.landmarks.map(|l| l.to_array().map(|p| [rounded(p.x, 1), rounded(p.y, 1)])),
            age: face.age.map(|age| rounded(age, 1)),
            gender: face.female.map(|female| if female >= 0.5 { "female" } else { "male" }),
            female: face.female.map(|female| rounded(female, 3)),
            smiling: face.smiling,
            smile: face.smile.map(|smile| rounded(smile, 3)),
            resembles: face.resembles.as_ref().map(|found| ResemblanceRecord {
                name: &found.name,
                similarity: rounded(found.similarity, 3),
                same_person: found.same_person,
            }),
        }
    }
}

/// The columns of the CSV output: one row per face.
pub(crate) const CSV_HEADER: [&str; 17] = [
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
    "resembles",
    "similarity",
];

impl SceneRecord<'_> {
    /// The rows of this frame, in the order of [`CSV_HEADER`].
    pub(crate) fn csv_rows(&self) -> impl Iterator<Item = [String; 17]> {
        fn cell<T: ToString>(value: Option<T>) -> String {
            value.map(|value| value.to_string()).unwrap_or_default()
        }
        self.faces.iter().map(|face| {
            let [x, y, width, height] = face.bounds.map(|value| value.to_string());
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
                cell(resembles.map(|found| found.name)),
                cell(resembles.map(|found| found.similarity)),
            ]
        })
    }
}

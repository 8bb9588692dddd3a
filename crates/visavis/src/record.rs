//! The output formats of scenes: JSON Lines and CSV.

use serde::Serialize;
use visavis_face::{Attributes, Face, FaceRecord, rounded};
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
    /// Time since which the source has delivered no picture (RFC 3339). Such a line repeats the frame and the time of the last one, without faces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stalled_since: Option<String>,
    pub(crate) faces: Vec<SceneFaceRecord<'a>>,
}

/// One face of a frame.
#[derive(Serialize)]
pub(crate) struct SceneFaceRecord<'a> {
    #[serde(flatten)]
    pub(crate) face: FaceRecord<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resembles: Option<ResemblanceRecord<'a>>,
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

impl<'a> SceneRecord<'a> {
    pub(crate) fn new(scene: &'a Scene, source: Option<&'a str>) -> Self {
        Self {
            source,
            frame: scene.frame.seq,
            time: visavis_live::seconds(scene.frame.captured_at),
            taken_at: scene.frame.wall_time.map(visavis_live::rfc3339),
            stalled_since: scene.stalled_since.map(visavis_live::rfc3339),
            faces: scene.faces.iter().map(|face| SceneFaceRecord::new(face, scene.frame.shrunk)).collect(),
        }
    }
}

impl<'a> SceneFaceRecord<'a> {
    /// `shrunk`: width of a pixel of the analysed picture, in pixels of the source.
    fn new(face: &'a SceneFace, shrunk: f32) -> Self {
        let position = Face { rect: face.rect, score: face.score, landmarks: face.landmarks, turn: face.turn };
        let attributes = Attributes {
            age: face.age,
            female: face.female,
            smile: face.smile,
            smiling: face.smiling,
            expression: face.expression.as_ref(),
            pose: face.pose,
        };
        Self {
            face: FaceRecord::new(face.track, &position, face.detected, attributes, shrunk),
            resembles: face.resembles.as_ref().map(|found| ResemblanceRecord {
                name: &found.name,
                likeness: rounded(found.likeness, 3),
                identified: found.identified.map(|chance| rounded(chance, 3)),
                same_person: found.same_person,
            }),
        }
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
        self.faces.iter().map(|SceneFaceRecord { face, resembles }| {
            let [x, y, width, height] = face.bounds.map(|value| value.to_string());
            let (expression, pose) = (face.expression.as_ref(), face.head_pose.as_ref());
            let resembles = resembles.as_ref();
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

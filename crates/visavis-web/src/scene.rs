//! Scenes as the API shows them.

use serde::Serialize;
use utoipa::ToSchema;
use visavis_face::{Expression, HeadPose};
use visavis_gallery::{Match, Resemblance};
use visavis_image::Point;
use visavis_live::{Scene, SceneFace};

/// A frame with its faces.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct SceneView {
    /// Number of the frame.
    seq: u64,
    /// Seconds since the start, to the microsecond.
    time: f64,
    /// When the picture was taken (RFC 3339), for live sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    taken_at: Option<String>,
    /// When the source delivered its last picture (RFC 3339), if it has stalled.
    #[serde(skip_serializing_if = "Option::is_none")]
    stalled_since: Option<String>,
    /// Width in pixels.
    width: u32,
    /// Height in pixels.
    height: u32,
    /// The faces in view, oldest track first.
    faces: Vec<FaceView>,
}

/// A face.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct FaceView {
    /// Number of the track: the same while the face stays in view.
    track: u64,
    /// Box: x, y, width, height in pixels of the picture.
    #[serde(rename = "box")]
    bounds: [f64; 4],
    /// Whether the face was detected in the last frame with detections.
    detected: bool,
    /// Left eye, right eye, nose, left and right mouth corner, as seen in the picture; x and y in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    landmarks: Option<Vec<[f64; 2]>>,
    /// Age in years.
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<f64>,
    /// Probability of "female", 0 to 1; the rest is "male".
    #[serde(skip_serializing_if = "Option::is_none")]
    female: Option<f64>,
    /// Probability of "smiling", 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    smile: Option<f64>,
    /// Whether that probability counts as a smile.
    #[serde(skip_serializing_if = "Option::is_none")]
    smiling: Option<bool>,
    /// The most probable expression, if a network for expressions is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    expression: Option<ExpressionView>,
    /// Head pose.
    #[serde(skip_serializing_if = "Option::is_none")]
    head_pose: Option<HeadPoseView>,
    /// The most similar person of the gallery.
    #[serde(skip_serializing_if = "Option::is_none")]
    resembles: Option<ResemblanceView>,
    /// Whether the face is identified as a person who is ignored; absent if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ignored: bool,
}

/// An expression and its probability.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ExpressionView {
    /// The network's name of the expression, such as neutral, happiness, surprise, sadness, anger, disgust, fear or contempt.
    name: String,
    /// Probability, 0 to 1.
    share: f64,
}

/// Head pose in degrees, as seen in the picture. All angles are 0 for an upright face that looks into the camera.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct HeadPoseView {
    /// Positive: turned to the right edge of the picture.
    yaw: f64,
    /// Positive: turned up.
    pitch: f64,
    /// Positive: rotated clockwise.
    roll: f64,
}

/// A person of the gallery that a face resembles.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ResemblanceView {
    /// Number of the person.
    pub(crate) person: i64,
    /// Name of the person.
    pub(crate) name: String,
    /// Likeness on a scale from 0 (typical for two people) to 1 (typical for two photos of one person). Not a probability.
    pub(crate) likeness: f64,
    /// Chance that the face is this person, given the number of photos that it was compared with, 0 to 1. Absent if the network's
    /// distances were not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identified: Option<f64>,
    /// Whether the face is identified as this person. Otherwise it is only similar.
    pub(crate) same_person: bool,
}

/// A face in detail.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct FaceDetail {
    #[serde(flatten)]
    face: FaceView,
    /// Score of the last detection, 0 to 1.
    score: f64,
    /// Probability of each age from 0 years on, if the network determines it.
    ages: Option<Vec<f64>>,
    /// The probabilities of all expressions, in the order of the network, if one is in use.
    expressions: Option<Vec<ExpressionView>>,
    /// The most similar people, best first, at most five.
    candidates: Vec<ResemblanceView>,
}

/// A face of a photo.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct PhotoFace {
    #[serde(flatten)]
    face: FaceView,
    /// Score of the detection, 0 to 1.
    score: f64,
    /// Degrees, clockwise, by which the face is turned in the photo: 90, 180 or 270; absent for an upright face.
    #[serde(skip_serializing_if = "Option::is_none")]
    turned: Option<u16>,
    /// The embedding, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding: Option<Vec<f32>>,
}

/// Rounds to a number of decimals.
fn rounded(value: f32, decimals: i32) -> f64 {
    let factor = 10f64.powi(decimals);
    (f64::from(value) * factor).round() / factor
}

impl SceneView {
    pub(crate) fn new(scene: &Scene) -> Self {
        let frame = &scene.frame;
        Self {
            seq: frame.seq,
            time: visavis_live::seconds(frame.captured_at),
            taken_at: frame.wall_time.map(visavis_live::rfc3339),
            stalled_since: scene.stalled_since.map(visavis_live::rfc3339),
            width: frame.picture.width(),
            height: frame.picture.height(),
            faces: scene.faces.iter().map(FaceView::new).collect(),
        }
    }
}

impl FaceView {
    fn new(face: &SceneFace) -> Self {
        let point = |p: Point| [rounded(p.x, 1), rounded(p.y, 1)];
        Self {
            track: face.track,
            bounds: <[f32; 4]>::from(face.rect).map(|value| rounded(value, 1)),
            detected: face.detected,
            landmarks: face.landmarks.map(|landmarks| landmarks.to_array().map(point).to_vec()),
            age: face.age.map(|age| rounded(age, 1)),
            female: face.female.map(|share| rounded(share, 3)),
            smile: face.smile.map(|share| rounded(share, 3)),
            smiling: face.smiling,
            expression: face
                .expression
                .as_ref()
                .and_then(Expression::likeliest)
                .map(|(name, share)| ExpressionView::new(name, share)),
            head_pose: face.pose.map(HeadPoseView::new),
            resembles: face.resembles.as_ref().map(ResemblanceView::new),
            ignored: face.ignored,
        }
    }
}

impl PhotoFace {
    /// `shrunk`: pixels of the photo per pixel of the picture in which `face` was found.
    pub(crate) fn new(face: &SceneFace, shrunk: f32, embedding: Option<Vec<f32>>) -> Self {
        let turned = Some(face.turn.degrees()).filter(|degrees| *degrees != 0);
        let score = rounded(face.score, 3);
        let landmarks = face.landmarks.map(|points| points.map(|p| Point::new(p.x * shrunk, p.y * shrunk)));
        let face = SceneFace { rect: face.rect.scaled(shrunk, shrunk), landmarks, ..face.clone() };
        Self { face: FaceView::new(&face), score, turned, embedding }
    }
}

impl ExpressionView {
    fn new(name: &str, share: f32) -> Self {
        Self { name: name.to_owned(), share: rounded(share, 3) }
    }

    fn all(expression: &Expression) -> Vec<Self> {
        expression.labels.iter().zip(&expression.shares).map(|(name, share)| Self::new(name, *share)).collect()
    }
}

impl HeadPoseView {
    fn new(pose: HeadPose) -> Self {
        Self { yaw: rounded(pose.yaw, 1), pitch: rounded(pose.pitch, 1), roll: rounded(pose.roll, 1) }
    }
}

impl ResemblanceView {
    pub(crate) fn new(found: &Resemblance) -> Self {
        Self {
            person: found.person.0,
            name: found.name.to_string(),
            likeness: rounded(found.likeness, 3),
            identified: found.identified.map(|chance| rounded(chance, 3)),
            same_person: found.same_person,
        }
    }
}

impl From<Match> for ResemblanceView {
    fn from(found: Match) -> Self {
        Self {
            person: found.person.0,
            name: found.name.to_string(),
            likeness: rounded(found.likeness, 3),
            identified: found.identified.map(|chance| rounded(chance, 3)),
            same_person: found.same_person,
        }
    }
}

impl FaceDetail {
    pub(crate) fn new(face: &SceneFace) -> Self {
        Self {
            face: FaceView::new(face),
            score: rounded(face.score, 3),
            ages: face.ages.as_ref().map(|ages| ages.iter().map(|share| rounded(*share, 4)).collect()),
            expressions: face.expression.as_ref().map(ExpressionView::all),
            candidates: face.candidates.iter().take(5).map(ResemblanceView::new).collect(),
        }
    }
}

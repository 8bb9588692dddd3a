//! Scenes as the API tells them.

use serde::Serialize;
use utoipa::ToSchema;
use visavis_face::Resemblance;
use visavis_face::gallery::Match;
use visavis_image::Point;
use visavis_live::{Scene, SceneFace};

/// What is known of one frame.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct SceneView {
    /// Counts up with every frame of the source.
    seq: u64,
    /// Seconds since the start.
    time: f64,
    /// Pixels across.
    width: u32,
    /// Pixels down.
    height: u32,
    /// Faces in view, longest known first.
    faces: Vec<FaceView>,
}

/// What is known of one face.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct FaceView {
    /// The face's number while it stays in view.
    track: u64,
    /// x, y, width, height in pixels of the picture.
    #[serde(rename = "box")]
    bounds: [f64; 4],
    /// Whether it was found in the last frame that was looked at.
    detected: bool,
    /// Left eye, right eye, nose, left and right mouth corner, as seen in the picture; x and y in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    landmarks: Option<Vec<[f64; 2]>>,
    /// Years.
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<f64>,
    /// Share of "female", 0 to 1; the rest is "male".
    #[serde(skip_serializing_if = "Option::is_none")]
    female: Option<f64>,
    /// Share of "smiling", 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    smile: Option<f64>,
    /// Whether that counts as a smile.
    #[serde(skip_serializing_if = "Option::is_none")]
    smiling: Option<bool>,
    /// Whom it resembles most.
    #[serde(skip_serializing_if = "Option::is_none")]
    resembles: Option<ResemblanceView>,
}

/// Whom a face resembles.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ResemblanceView {
    /// The person's number in the gallery.
    pub(crate) person: i64,
    /// The name.
    pub(crate) name: String,
    /// 0 to 1.
    pub(crate) similarity: f64,
    /// Whether that is near enough to be the same person.
    pub(crate) same_person: bool,
}

/// A face in detail.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct FaceDetail {
    #[serde(flatten)]
    face: FaceView,
    /// Score of its last detection, 0 to 1.
    score: f64,
    /// Probability of each year from 0 on, where the network for age tells it.
    ages: Option<Vec<f64>>,
    /// The people whom it resembles most, best first, five at most.
    candidates: Vec<ResemblanceView>,
}

/// To so many decimals: more are noise.
fn rounded(value: f32, decimals: i32) -> f64 {
    let factor = 10f64.powi(decimals);
    (f64::from(value) * factor).round() / factor
}

impl SceneView {
    pub(crate) fn new(scene: &Scene) -> Self {
        let frame = &scene.frame;
        Self {
            seq: frame.seq,
            time: rounded(frame.captured_at.as_secs_f32(), 3),
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
            resembles: face.resembles.as_ref().map(ResemblanceView::new),
        }
    }
}

impl ResemblanceView {
    pub(crate) fn new(found: &Resemblance) -> Self {
        Self {
            person: found.person.0,
            name: found.name.to_string(),
            similarity: rounded(found.similarity, 3),
            same_person: found.same_person,
        }
    }
}

impl From<Match> for ResemblanceView {
    fn from(found: Match) -> Self {
        Self {
            person: found.person.0,
            name: found.name.to_string(),
            similarity: rounded(found.similarity, 3),
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
            candidates: face.candidates.iter().take(5).map(ResemblanceView::new).collect(),
        }
    }
}

//! Thresholds, smoothing, mirror: live.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use visavis_face::EstimatesParams;
use visavis_face::detect::DetectorParams;
use visavis_infer::Task;
use visavis_live::Loader;

use super::{Answer, Json};
use crate::desk::Desk;
use crate::problem::Problem;

/// What can be set while it runs.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Settings {
    /// Whether the picture is mirrored.
    mirror: bool,
    /// Least score of a face, 0 to 1; null: what its detector suggests.
    score: Option<f32>,
    /// Least width of a face in pixels.
    smallest_face: f32,
    /// Width and height of the detector's input; null: what the detector suggests.
    detector_size: Option<[u32; 2]>,
    /// Weight of a new look in the age, once its first looks have settled, 0 to 1.
    age_weight: f32,
    /// The same for gender.
    gender_weight: f32,
    /// The same for smiles.
    smile_weight: f32,
    /// Whom a face resembles is the majority of this many last looks.
    resemblance_looks: usize,
}

fn settings(desk: &Desk) -> Settings {
    let detector = desk.parts.loader.detector_params();
    let smoothing = desk.smoothing.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    Settings {
        mirror: desk.parts.switch.is_mirrored(),
        score: detector.score,
        smallest_face: detector.smallest,
        detector_size: detector.size,
        age_weight: smoothing.age_weight,
        gender_weight: smoothing.gender_weight,
        smile_weight: smoothing.smile_weight,
        resemblance_looks: smoothing.resemblance_window,
    }
}

/// What is to be set; what is left out stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingsChange {
    mirror: Option<bool>,
    /// 0 to 1; null: what the detector suggests.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<f32>)]
    score: Option<Option<f32>>,
    /// 0 to 10,000.
    smallest_face: Option<f32>,
    /// Each side 16 to 4,096; null: what the detector suggests.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<[u32; 2]>)]
    detector_size: Option<Option<[u32; 2]>>,
    /// Above 0, at most 1.
    age_weight: Option<f32>,
    /// Above 0, at most 1.
    gender_weight: Option<f32>,
    /// Above 0, at most 1.
    smile_weight: Option<f32>,
    /// 1 to 1,000.
    resemblance_looks: Option<usize>,
}

/// Tells null from what was left out.
fn given<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl SettingsChange {
    fn detector(&self, old: DetectorParams) -> DetectorParams {
        DetectorParams {
            size: self.detector_size.unwrap_or(old.size),
            score: self.score.unwrap_or(old.score),
            smallest: self.smallest_face.unwrap_or(old.smallest),
            ..old
        }
    }

    fn smoothing(&self, old: &EstimatesParams) -> EstimatesParams {
        EstimatesParams {
            age_weight: self.age_weight.unwrap_or(old.age_weight),
            gender_weight: self.gender_weight.unwrap_or(old.gender_weight),
            smile_weight: self.smile_weight.unwrap_or(old.smile_weight),
            resemblance_window: self.resemblance_looks.unwrap_or(old.resemblance_window),
            steady_after: old.steady_after,
        }
    }

    /// What cannot be set so.
    fn fault(&self) -> Option<&'static str> {
        let within =
            |value: Option<f32>, least: f32, most: f32| value.is_none_or(|value| (least..=most).contains(&value));
        let weights = [self.age_weight, self.gender_weight, self.smile_weight];
        if !within(self.score.flatten(), 0.0, 1.0) {
            Some("score: 0 to 1 is possible")
        } else if !within(self.smallest_face, 0.0, 10_000.0) {
            Some("smallest_face: 0 to 10000 is possible")
        } else if self.detector_size.flatten().is_some_and(|size| size.iter().any(|side| !(16..=4096).contains(side))) {
            Some("detector_size: 16 to 4096 is possible for each side")
        } else if !weights.into_iter().all(|weight| within(weight, 0.001, 1.0)) {
            Some("weights: 0.001 to 1 is possible")
        } else if self.resemblance_looks.is_some_and(|looks| !(1..=1000).contains(&looks)) {
            Some("resemblance_looks: 1 to 1000 is possible")
        } else {
            None
        }
    }
}

/// Thresholds, smoothing, mirror
#[utoipa::path(get, path = "/api/v1/settings", tag = "steering", responses((status = 200, body = Settings)))]
pub(crate) async fn get(State(desk): State<Arc<Desk>>) -> Json<Settings> {
    Json(settings(&desk))
}

/// Set some of them
#[utoipa::path(patch, path = "/api/v1/settings", tag = "steering", request_body = SettingsChange,
    responses((status = 200, body = Settings), (status = 400, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn change(
    State(desk): State<Arc<Desk>>,
    Json(change): Json<SettingsChange>,
) -> Answer<Json<Settings>> {
    if let Some(fault) = change.fault() {
        return Err(Problem::unprocessable(fault));
    }
    desk.apart(move |desk| {
        let old = desk.parts.loader.detector_params();
        let new = change.detector(old);
        if new != old {
            let network = desk.status.borrow().network(Task::Detection).unwrap_or_default().to_owned();
            desk.parts.loader.set_detector_params(new);
            // Tried before it is put to use: a size that the network does not take changes nothing.
            if let Err(error) = desk.parts.loader.detector(&network) {
                desk.parts.loader.set_detector_params(old);
                return Err(error.into());
            }
            desk.parts.steering.switch(Task::Detection, Some(network));
        }
        let mut smoothing = desk.smoothing.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let smoother = change.smoothing(&smoothing);
        if smoother != *smoothing {
            desk.parts.steering.smooth(smoother.clone());
            *smoothing = smoother;
        }
        drop(smoothing);
        if let Some(mirror) = change.mirror {
            desk.parts.switch.set_mirror(Some(mirror));
        }
        Ok(Json(settings(desk)))
    })
    .await
}

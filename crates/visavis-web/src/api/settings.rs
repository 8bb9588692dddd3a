//! The settings that can be changed while the pipeline runs: thresholds, averages, mirror, workers, alarms, growth.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use visavis_face::EstimatesParams;
use visavis_face::detect::DetectorParams;
use visavis_infer::Task;
use visavis_live::{AlarmParams, GrowthParams, Loader, PipelineParams};

use super::{ApiResult, Json};
use crate::app_state::AppState;
use crate::audit::Client;
use crate::problem::Problem;

/// The settings that can be changed while the pipeline runs.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Settings {
    /// Whether the picture is mirrored.
    mirror: bool,
    /// Lowest score of a face, 0 to 1; null: the default of the detector. The same for all cameras.
    score: Option<f32>,
    /// Smallest width of a face in pixels. The same for all cameras.
    smallest_face: f32,
    /// Width and height of the detector's input; null: chosen by the size of the source and the time that detection takes. The
    /// size in use is `input` of the task `detection` in the status. The same for all cameras.
    detector_size: Option<[u32; 2]>,
    /// Weight of a new result in the average age, 0 to 1. The first results have equal weights.
    age_weight: f32,
    /// The same for the gender.
    gender_weight: f32,
    /// The same for smiles.
    smile_weight: f32,
    /// Number of last comparisons that decide together which person a face resembles.
    resemblance_looks: usize,
    /// Number of recognition workers, which all cameras share.
    workers: usize,
    /// Alarms and growth of the gallery; null without a gallery.
    gallery: Option<GallerySettings>,
}

/// Alarms and growth of the gallery.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct GallerySettings {
    /// Number of results in a row that must agree before an alarm is raised.
    alarm_confirm: usize,
    /// An alarm about the same person is raised again only after the person was out of view for this many seconds.
    alarm_cool_down: u64,
    /// False match rate: share of the results of people outside the gallery that may match a watched person, 0 to 1; null: the
    /// threshold of the network.
    alarm_rate: Option<f64>,
    /// Whether a face that matches no person of the gallery raises an alarm.
    alarm_unknown: bool,
    /// Whether alarms contain the picture of the face.
    alarm_crops: bool,
    /// Whether visitors are added to the gallery.
    grows: bool,
    /// Visitors who were not seen for this many days are removed; null if visitors are not added.
    keep_days: Option<f64>,
}

const DAY: f64 = 24.0 * 3600.0;

impl GallerySettings {
    fn of(params: &PipelineParams) -> Option<Self> {
        let (alarm, growth) = (params.alarm.as_ref()?, params.growth.as_ref());
        Some(Self {
            alarm_confirm: alarm.confirm,
            alarm_cool_down: alarm.cool_down.as_secs(),
            alarm_rate: alarm.false_alarms,
            alarm_unknown: alarm.unknown,
            alarm_crops: alarm.crops,
            grows: growth.is_some(),
            keep_days: growth.map(|growth| growth.keep.as_secs_f64() / DAY),
        })
    }
}

fn settings(state: &AppState) -> Settings {
    let detector = state.config.loader.detector_params();
    let snapshot = state.config.pipeline.snapshot();
    let params = &snapshot.params;
    let estimates = &params.estimates;
    Settings {
        mirror: state.config.switch.is_mirrored(),
        score: detector.score,
        smallest_face: detector.smallest,
        detector_size: detector.size,
        age_weight: estimates.age_weight,
        gender_weight: estimates.gender_weight,
        smile_weight: estimates.smile_weight,
        resemblance_looks: estimates.resemblance_window,
        workers: params.workers,
        gallery: GallerySettings::of(params),
    }
}

/// The settings to change. Settings that are not given stay unchanged.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingsChange {
    mirror: Option<bool>,
    /// 0 to 1; null: the default of the detector.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<f32>)]
    score: Option<Option<f32>>,
    /// 0 to 10,000.
    smallest_face: Option<f32>,
    /// Each side 16 to 4,096; null: chosen by the size of the source and the time that detection takes.
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
    /// 1 to 16.
    workers: Option<usize>,
    /// Alarms and growth of the gallery.
    gallery: Option<GalleryChange>,
}

/// The settings of alarms and growth to change. Settings that are not given stay unchanged.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GalleryChange {
    /// 1 to 100.
    alarm_confirm: Option<usize>,
    /// 0 to 86,400 seconds.
    alarm_cool_down: Option<u64>,
    /// 0.000001 to 0.5.
    alarm_rate: Option<f64>,
    alarm_unknown: Option<bool>,
    alarm_crops: Option<bool>,
    grows: Option<bool>,
    /// 0.01 to 36,500.
    keep_days: Option<f64>,
}

impl GalleryChange {
    fn fault(&self) -> Option<&'static str> {
        if self.alarm_confirm.is_some_and(|looks| !(1..=100).contains(&looks)) {
            Some("alarm_confirm: 1 to 100 is possible")
        } else if self.alarm_cool_down.is_some_and(|seconds| seconds > 86_400) {
            Some("alarm_cool_down: 0 to 86400 is possible")
        } else if self.alarm_rate.is_some_and(|rate| !(1e-6..=0.5).contains(&rate)) {
            Some("alarm_rate: 0.000001 to 0.5 is possible")
        } else if self.keep_days.is_some_and(|days| !(0.01..=36_500.0).contains(&days)) {
            Some("keep_days: 0.01 to 36500 is possible")
        } else {
            None
        }
    }

    fn alarm(&self, old: &AlarmParams) -> AlarmParams {
        AlarmParams {
            confirm: self.alarm_confirm.unwrap_or(old.confirm),
            cool_down: self.alarm_cool_down.map_or(old.cool_down, Duration::from_secs),
            false_alarms: self.alarm_rate.or(old.false_alarms),
            unknown: self.alarm_unknown.unwrap_or(old.unknown),
            crops: self.alarm_crops.unwrap_or(old.crops),
        }
    }

    fn growth(&self, old: Option<&GrowthParams>) -> Option<GrowthParams> {
        if !self.grows.unwrap_or(old.is_some()) {
            return None;
        }
        let old = old.cloned().unwrap_or_default();
        let keep = self.keep_days.map_or(old.keep, |days| Duration::from_secs_f64(days * DAY));
        Some(GrowthParams { keep, ..old })
    }
}

/// Distinguishes null from a missing value.
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

    fn estimates(&self, old: &EstimatesParams) -> EstimatesParams {
        EstimatesParams {
            age_weight: self.age_weight.unwrap_or(old.age_weight),
            gender_weight: self.gender_weight.unwrap_or(old.gender_weight),
            smile_weight: self.smile_weight.unwrap_or(old.smile_weight),
            resemblance_window: self.resemblance_looks.unwrap_or(old.resemblance_window),
            ..old.clone()
        }
    }

    /// The first value that is out of range, as a message.
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
        } else if self.workers.is_some_and(|workers| !(1..=16).contains(&workers)) {
            Some("workers: 1 to 16 is possible")
        } else {
            self.gallery.as_ref().and_then(GalleryChange::fault)
        }
    }
}

/// The new values of the settings that differ.
fn changed(before: &Settings, after: &Settings) -> Value {
    let object = |settings: &Settings| match serde_json::to_value(settings) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let before = object(before);
    object(after).into_iter().filter(|(name, value)| before.get(name) != Some(value)).collect()
}

/// The settings: thresholds, averages, mirror, workers, alarms, growth
#[utoipa::path(get, path = "/api/v1/settings", tag = "steering", responses((status = 200, body = Settings)))]
pub(crate) async fn get(State(state): State<Arc<AppState>>) -> Json<Settings> {
    Json(settings(&state))
}

/// Change some of the settings
///
/// The settings of face detection and the number of workers are changed for all cameras.
#[utoipa::path(patch, path = "/api/v1/settings", tag = "steering", request_body = SettingsChange,
    responses((status = 200, body = Settings), (status = 400, body = Problem), (status = 413, body = Problem),
        (status = 409, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn change(
    State(state): State<Arc<AppState>>,
    client: Client,
    Json(change): Json<SettingsChange>,
) -> ApiResult<Json<Settings>> {
    if let Some(fault) = change.fault() {
        return Err(Problem::unprocessable(fault));
    }
    state
        .run_blocking(move |state| {
            let _one_at_a_time = state.lock_settings();
            let before = settings(state);
            let pipeline = &state.config.pipeline;
            let snapshot = pipeline.snapshot();
            let params = &snapshot.params;
            if change.gallery.is_some() && params.alarm.is_none() {
                state.gallery()?;
                return Err(Problem::conflict("alarms are off in this run"));
            }
            let old = state.config.loader.detector_params();
            let new = change.detector(old);
            if new != old {
                let network = params.choice.detector.clone();
                state.config.loader.set_detector_params(new);
                // Tried before it is used, so that a size that the network does not take changes nothing.
                if let Err(error) = state.config.loader.detector(&network) {
                    state.config.loader.set_detector_params(old);
                    return Err(error.into());
                }
                pipeline.switch(Task::Detection, Some(network));
            }
            let estimates = change.estimates(&params.estimates);
            if estimates != params.estimates {
                pipeline.set_estimates(estimates);
            }
            if let Some(workers) = change.workers.filter(|workers| *workers != params.workers) {
                pipeline.set_workers(workers);
            }
            if let Some((change, alarm)) = change.gallery.as_ref().zip(params.alarm.as_ref()) {
                pipeline.set_gallery_params(Some(change.alarm(alarm)), change.growth(params.growth.as_ref()));
            }
            if let Some(mirror) = change.mirror {
                state.config.switch.set_mirror(Some(mirror));
            }
            let after = settings(state);
            state.audit(&client, "settings_changed", json!({ "settings": changed(&before, &after) }));
            Ok(Json(after))
        })
        .await
}

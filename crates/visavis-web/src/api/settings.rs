//! Thresholds, smoothing, mirror, workers, alarms, growth: live.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use visavis_face::EstimatesParams;
use visavis_face::detect::DetectorParams;
use visavis_infer::Task;
use visavis_live::{AlarmParams, GrowthParams, Loader, PipelineParams};

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
    /// Recognition workers.
    workers: usize,
    /// What looks at faces do to the gallery; null without one.
    gallery: Option<GallerySettings>,
}

/// When alarms ring, and whether the gallery grows.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct GallerySettings {
    /// Looks in a row that must agree before an alarm rings.
    alarm_confirm: usize,
    /// Whoever rang rings again after so many seconds out of sight.
    alarm_cool_down: u64,
    /// Share of the looks at strangers that may be taken for somebody watched; null: the network's own threshold.
    alarm_rate: Option<f64>,
    /// Whether faces of nobody in the gallery ring too.
    alarm_unknown: bool,
    /// Whether alarms keep the picture of the face.
    alarm_crops: bool,
    /// Whether everyone seen is added to the gallery.
    grows: bool,
    /// Whoever was added so and was not seen for so many days is forgotten; null while it does not grow.
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

fn settings(desk: &Desk) -> Settings {
    let detector = desk.parts.loader.detector_params();
    let params = desk.params();
    let smoothing = &params.estimates;
    Settings {
        mirror: desk.parts.switch.is_mirrored(),
        score: detector.score,
        smallest_face: detector.smallest,
        detector_size: detector.size,
        age_weight: smoothing.age_weight,
        gender_weight: smoothing.gender_weight,
        smile_weight: smoothing.smile_weight,
        resemblance_looks: smoothing.resemblance_window,
        workers: params.workers,
        gallery: GallerySettings::of(&params),
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
    /// 1 to 16.
    workers: Option<usize>,
    /// What looks at faces do to the gallery.
    gallery: Option<GalleryChange>,
}

/// What is to be set of alarms and growth; what is left out stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GalleryChange {
    /// 1 to 100.
    alarm_confirm: Option<usize>,
    /// At most a day.
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
        } else if self.workers.is_some_and(|workers| !(1..=16).contains(&workers)) {
            Some("workers: 1 to 16 is possible")
        } else {
            self.gallery.as_ref().and_then(GalleryChange::fault)
        }
    }
}

/// Thresholds, smoothing, mirror, workers, alarms, growth
#[utoipa::path(get, path = "/api/v1/settings", tag = "steering", responses((status = 200, body = Settings)))]
pub(crate) async fn get(State(desk): State<Arc<Desk>>) -> Json<Settings> {
    Json(settings(&desk))
}

/// Set some of them
#[utoipa::path(patch, path = "/api/v1/settings", tag = "steering", request_body = SettingsChange,
    responses((status = 200, body = Settings), (status = 400, body = Problem), (status = 413, body = Problem),
        (status = 409, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn change(
    State(desk): State<Arc<Desk>>,
    Json(change): Json<SettingsChange>,
) -> Answer<Json<Settings>> {
    if let Some(fault) = change.fault() {
        return Err(Problem::unprocessable(fault));
    }
    desk.apart(move |desk| {
        if change.gallery.is_some() && desk.params().alarm.is_none() {
            desk.gallery()?;
            return Err(Problem::conflict("alarms are off in this run"));
        }
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
        let mut params = desk.params();
        let smoother = change.smoothing(&params.estimates);
        if smoother != params.estimates {
            desk.parts.steering.smooth(smoother.clone());
            params.estimates = smoother;
        }
        if let Some(workers) = change.workers.filter(|workers| *workers != params.workers) {
            desk.parts.steering.set_workers(workers);
            params.workers = workers;
        }
        if let Some((change, alarm)) = change.gallery.as_ref().zip(params.alarm.as_ref()) {
            (params.alarm, params.growth) = (Some(change.alarm(alarm)), change.growth(params.growth.as_ref()));
            desk.parts.steering.keep(params.alarm.clone(), params.growth.clone());
            let grows = params.growth.is_some();
            desk.status.send_if_modified(|status| {
                let status = status.gallery.as_mut().filter(|status| status.grows != grows);
                status.map(|status| status.grows = grows).is_some()
            });
        }
        drop(params);
        if let Some(mirror) = change.mirror {
            desk.parts.switch.set_mirror(Some(mirror));
        }
        Ok(Json(settings(desk)))
    })
    .await
}

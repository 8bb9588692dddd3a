//! The status and the statistics.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use visavis_live::{StageReport, StatisticsReport};

use super::{ApiResult, Json};
use crate::app_state::AppState;
use crate::problem::Problem;
use crate::status::Status;

/// Which source, networks and gallery are in use
#[utoipa::path(get, path = "/api/v1/status", tag = "live", responses((status = 200, body = Status)))]
pub(crate) async fn status(State(state): State<Arc<AppState>>) -> Json<Status> {
    Json(state.status())
}

/// Measurements since the start.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct StatisticsView {
    /// Seconds since the start.
    seconds: f64,
    /// Number of frames that the source delivered.
    captured_frames: u64,
    /// Number of frames that were ready to be shown.
    shown_frames: u64,
    /// Shown frames per second, over the last two seconds.
    shown_fps: f64,
    /// Median latency from capture to display, in milliseconds.
    latency_p50_ms: f64,
    /// 95th percentile of the latency, in milliseconds.
    latency_p95_ms: f64,
    /// Number of frames that were replaced by newer ones before they were shown.
    dropped_frames: u64,
    /// Number of frames that detection did not process.
    undetected_frames: u64,
    /// Number of frames in the buffer.
    buffered_frames: usize,
    /// The stages by name; each recognition network is a stage.
    stages: BTreeMap<String, StageView>,
}

/// Measurements of one stage.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct StageView {
    /// Pieces of work per second, over the last two seconds.
    per_second: f64,
    /// Median duration in milliseconds.
    p50_ms: f64,
    /// 95th percentile of the duration in milliseconds.
    p95_ms: f64,
    /// Average number of busy threads.
    busy: f64,
    /// Number of failures.
    failures: u64,
}

impl From<StatisticsReport> for StatisticsView {
    fn from(report: StatisticsReport) -> Self {
        let stage = |stage: StageReport| StageView {
            per_second: stage.recent_per_second,
            p50_ms: stage.p50_ms,
            p95_ms: stage.p95_ms,
            busy: stage.busy,
            failures: stage.failures,
        };
        Self {
            seconds: report.seconds,
            captured_frames: report.captured_frames,
            shown_frames: report.shown_frames,
            shown_fps: report.recent_shown_fps,
            latency_p50_ms: report.latency_p50_ms,
            latency_p95_ms: report.latency_p95_ms,
            dropped_frames: report.dropped_frames,
            undetected_frames: report.undetected_frames,
            buffered_frames: report.buffered_frames,
            stages: report.stages.into_iter().map(|(name, report)| (name, stage(report))).collect(),
        }
    }
}

impl StatisticsView {
    pub(crate) fn of(state: &AppState) -> Option<Self> {
        state.config.pipeline.statistics().map(Self::from)
    }
}

/// Rates and durations of every stage
#[utoipa::path(get, path = "/api/v1/statistics", tag = "live",
    responses((status = 200, body = StatisticsView), (status = 409, body = Problem)))]
pub(crate) async fn statistics(State(state): State<Arc<AppState>>) -> ApiResult<Json<StatisticsView>> {
    StatisticsView::of(&state).map(Json).ok_or_else(|| Problem::conflict("the pipeline has ended"))
}

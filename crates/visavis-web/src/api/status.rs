//! What runs, and how fast.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use visavis_live::{StageReport, StatisticsReport};

use super::{Answer, Json};
use crate::desk::Desk;
use crate::problem::Problem;
use crate::status::Status;

/// Which source, networks and gallery are in use
#[utoipa::path(get, path = "/api/v1/status", tag = "live", responses((status = 200, body = Status)))]
pub(crate) async fn status(State(desk): State<Arc<Desk>>) -> Json<Status> {
    Json(desk.status.borrow().clone())
}

/// What is measured, since the start and of late.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct StatisticsView {
    /// Since the start.
    seconds: f64,
    /// Frames that the source delivered.
    captured_frames: u64,
    /// Frames that were ready to be shown.
    shown_frames: u64,
    /// Shown frames per second, of late.
    shown_fps: f64,
    /// Median time from capture to shown.
    latency_p50_ms: f64,
    /// 95th percentile of it.
    latency_p95_ms: f64,
    /// Frames replaced by a newer one before they were shown.
    dropped_frames: u64,
    /// Frames shown without having been through the detector.
    undetected_frames: u64,
    /// Frames in the buffer now.
    buffered_frames: usize,
    /// Stage by stage; recognition networks under their own names.
    stages: BTreeMap<String, StageView>,
}

/// What one stage does.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct StageView {
    /// Pieces of work a second, of late.
    per_second: f64,
    /// Median duration of one.
    p50_ms: f64,
    /// 95th percentile of it.
    p95_ms: f64,
    /// Share of the time spent working, in threads.
    busy: f64,
    /// Failed pieces of work.
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
    pub(crate) fn of(desk: &Desk) -> Option<Self> {
        desk.parts.steering.statistics().map(Self::from)
    }
}

/// Rates and durations of every stage
#[utoipa::path(get, path = "/api/v1/statistics", tag = "live",
    responses((status = 200, body = StatisticsView), (status = 409, body = Problem)))]
pub(crate) async fn statistics(State(desk): State<Arc<Desk>>) -> Answer<Json<StatisticsView>> {
    StatisticsView::of(&desk).map(Json).ok_or_else(|| Problem::conflict("the pipeline has ended"))
}

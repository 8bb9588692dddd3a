//! What the pipeline measures of itself, in a fixed amount of memory however long it runs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use visavis_face::TrackId;

/// Rates on the screen are means over this long.
const RECENT: Duration = Duration::from_secs(2);
/// Tracks remembered for the report; of more, the shortest are forgotten.
const MOST_TRACKS: usize = 256;

/// Name of the grabber in reports.
pub(crate) const GRABBER: &str = "grabber";
/// Name of the detection thread.
pub(crate) const DETECTION: &str = "detection";
/// Name of the keypoint step of the workers.
pub(crate) const KEYPOINTS: &str = "keypoints";
/// Name of the controller.
pub(crate) const CONTROLLER: &str = "controller";

/// Durations: how many, how long, how often of late.
#[derive(Debug)]
struct Meter {
    histogram: Histogram<u32>,
    total: Duration,
    failures: u64,
    recent: VecDeque<Duration>,
}

impl Meter {
    fn new() -> Self {
        // One microsecond to a minute at 1 %: about 20 KiB. The bounds are constants, so this cannot fail.
        let histogram = Histogram::new_with_bounds(1, 60_000_000, 2).expect("constant bounds are valid");
        Self { histogram, total: Duration::ZERO, failures: 0, recent: VecDeque::new() }
    }

    fn record(&mut self, now: Duration, took: Duration) {
        self.histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1));
        self.total += took;
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|first| now.saturating_sub(*first) > RECENT) {
            self.recent.pop_front();
        }
    }

    fn percentile_ms(&self, quantile: f64) -> f64 {
        if self.histogram.is_empty() { 0.0 } else { self.histogram.value_at_quantile(quantile) as f64 / 1000.0 }
    }

    fn report(&self, now: Duration) -> StageReport {
        let seconds = now.as_secs_f64().max(1e-9);
        let recent = self.recent.iter().filter(|at| now.saturating_sub(**at) <= RECENT).count();
        StageReport {
            count: self.histogram.len(),
            failures: self.failures,
            per_second: self.histogram.len() as f64 / seconds,
            recent_per_second: recent as f64 / RECENT.as_secs_f64().min(seconds),
            p50_ms: self.percentile_ms(0.5),
            p95_ms: self.percentile_ms(0.95),
            busy: self.total.as_secs_f64() / seconds,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct TrackCount {
    first: Duration,
    last: Duration,
    expressions: u64,
}

#[derive(Debug)]
struct Inner {
    stages: BTreeMap<String, Meter>,
    latency: Meter,
    tracks: BTreeMap<TrackId, TrackCount>,
    captured: u64,
    undelivered: u64,
}

/// Shared by all stages.
#[derive(Debug)]
pub(crate) struct Statistics(Mutex<Inner>);

impl Statistics {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Inner {
            stages: BTreeMap::new(),
            latency: Meter::new(),
            tracks: BTreeMap::new(),
            captured: 0,
            undelivered: 0,
        }))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// A stage finished a piece of work at `now`.
    pub(crate) fn record(&self, stage: &str, now: Duration, took: Duration) {
        self.with(|inner| match inner.stages.get_mut(stage) {
            Some(meter) => meter.record(now, took),
            None => inner.stages.entry(stage.to_owned()).or_insert_with(Meter::new).record(now, took),
        });
    }

    /// A stage failed.
    pub(crate) fn fail(&self, stage: &str) {
        self.with(|inner| inner.stages.entry(stage.to_owned()).or_insert_with(Meter::new).failures += 1);
    }

    pub(crate) fn captured(&self) {
        self.with(|inner| inner.captured += 1);
    }

    /// A scene was replaced by a newer one before anyone saw it.
    pub(crate) fn undelivered(&self) {
        self.with(|inner| inner.undelivered += 1);
    }

    /// A scene was shown at `now`, `latency` after its capture.
    pub(crate) fn shown(&self, now: Duration, latency: Duration) {
        self.with(|inner| inner.latency.record(now, latency));
    }

    /// These faces are in view at `now`.
    pub(crate) fn in_view(&self, now: Duration, tracks: impl Iterator<Item = TrackId>) {
        self.with(|inner| {
            for track in tracks {
                inner.tracks.entry(track).or_insert(TrackCount { first: now, last: now, expressions: 0 }).last = now;
            }
            while inner.tracks.len() > MOST_TRACKS {
                let shortest = inner.tracks.iter().min_by_key(|(id, t)| (t.last - t.first, **id)).map(|(id, _)| *id);
                shortest.map(|id| inner.tracks.remove(&id));
            }
        });
    }

    /// The expression of a face was read.
    pub(crate) fn expression(&self, track: TrackId) {
        self.with(|inner| {
            if let Some(count) = inner.tracks.get_mut(&track) {
                count.expressions += 1;
            }
        });
    }

    pub(crate) fn report(&self, now: Duration, undetected_frames: u64, buffered_frames: usize) -> StatisticsReport {
        self.with(|inner| {
            let shown = inner.latency.report(now);
            StatisticsReport {
                seconds: now.as_secs_f64(),
                captured_frames: inner.captured,
                shown_frames: shown.count,
                shown_fps: shown.per_second,
                recent_shown_fps: shown.recent_per_second,
                latency_p50_ms: shown.p50_ms,
                latency_p95_ms: shown.p95_ms,
                dropped_frames: inner.undelivered,
                undetected_frames,
                buffered_frames,
                stages: inner.stages.iter().map(|(name, meter)| (name.clone(), meter.report(now))).collect(),
                tracks: inner
                    .tracks
                    .iter()
                    .map(|(&track, count)| {
                        let seconds = (count.last - count.first).as_secs_f64();
                        let expression_hz = if seconds > 0.0 { count.expressions as f64 / seconds } else { 0.0 };
                        TrackReport { track, seconds, expression_hz }
                    })
                    .collect(),
            }
        })
    }
}

/// Everything measured since the start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatisticsReport {
    /// Since the start.
    pub seconds: f64,
    /// Frames that the source delivered.
    pub captured_frames: u64,
    /// Frames that were shown.
    pub shown_frames: u64,
    /// Shown frames per second, over all the time.
    pub shown_fps: f64,
    /// Shown frames per second, of late.
    pub recent_shown_fps: f64,
    /// Median time from capture to shown.
    pub latency_p50_ms: f64,
    /// 95th percentile of it.
    pub latency_p95_ms: f64,
    /// Frames replaced by a newer one before they were shown.
    pub dropped_frames: u64,
    /// Frames shown without having been through the detector.
    pub undetected_frames: u64,
    /// Frames in the buffer now.
    pub buffered_frames: usize,
    /// Stage by stage; recognition networks under their own names.
    pub stages: BTreeMap<String, StageReport>,
    /// Faces, in the order in which they came.
    pub tracks: Vec<TrackReport>,
}

/// What one stage did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StageReport {
    /// Pieces of work: frames, or jobs of a recognition network.
    pub count: u64,
    /// Failed ones.
    pub failures: u64,
    /// Over all the time.
    pub per_second: f64,
    /// Of late.
    pub recent_per_second: f64,
    /// Median duration of one.
    pub p50_ms: f64,
    /// 95th percentile of it.
    pub p95_ms: f64,
    /// Share of the time spent working, in threads: 0.5 is half of one thread.
    pub busy: f64,
}

/// How one face was served.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TrackReport {
    /// Its name.
    pub track: TrackId,
    /// How long it was in view.
    pub seconds: f64,
    /// How often a second its expression was read.
    pub expression_hz: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_percentiles() {
        let statistics = Statistics::new();
        let ms = Duration::from_millis;
        for i in 1..=100u64 {
            statistics.record(DETECTION, ms(i * 40), ms(i));
        }
        let report = statistics.report(ms(4000), 3, 2);
        let stage = report.stages[DETECTION];
        assert_eq!(stage.count, 100);
        assert!((stage.per_second - 25.0).abs() < 1e-9);
        assert!((stage.recent_per_second - 25.0).abs() <= 0.5);
        assert!((stage.p50_ms - 50.0).abs() < 1.0 && (stage.p95_ms - 95.0).abs() < 1.5, "{stage:?}");
        assert!((stage.busy - 5.05 / 4.0).abs() < 1e-6);
    }

    #[test]
    fn expression_rate_is_per_face() {
        let statistics = Statistics::new();
        let second = Duration::from_secs;
        statistics.in_view(second(1), [1, 2].into_iter());
        (0..30).for_each(|_| statistics.expression(1));
        statistics.in_view(second(3), [1].into_iter());
        let tracks = statistics.report(second(3), 0, 0).tracks;
        assert_eq!((tracks[0].expression_hz, tracks[1].expression_hz), (15.0, 0.0));
    }

    #[test]
    fn memory_stays_bounded() {
        let statistics = Statistics::new();
        for track in 0..5000u64 {
            statistics.in_view(Duration::from_millis(track), [track].into_iter());
        }
        assert_eq!(statistics.report(Duration::from_secs(9), 0, 0).tracks.len(), MOST_TRACKS);
    }
}

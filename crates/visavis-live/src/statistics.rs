//! Measurements of the pipeline: rates, durations, latency. Memory use is bounded however long it runs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use visavis_face::TrackId;

/// Recent rates are means over this time.
const RECENT: Duration = Duration::from_secs(2);
/// Largest number of tracks in the report. Beyond it, the tracks with the shortest duration are forgotten.
const MOST_TRACKS: usize = 256;

/// Name of the grabber in reports.
pub(crate) const GRABBER: &str = "grabber";
/// Name of detection in reports.
pub(crate) const DETECTION: &str = "detection";
/// Name of keypoint location in reports.
pub(crate) const KEYPOINTS: &str = "keypoints";
/// Name of the controller in reports.
pub(crate) const CONTROLLER: &str = "controller";

/// Number, durations and recent rate of pieces of work.
#[derive(Debug)]
struct Meter {
    histogram: Histogram<u32>,
    total: Duration,
    failures: u64,
    recent: VecDeque<Duration>,
}

impl Meter {
    fn new() -> Self {
        // One microsecond to one minute with 1 % precision: about 20 KiB.
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

    /// How many durations are at most each bound of [`DURATION_BOUNDS`].
    fn durations(&self) -> DurationCounts {
        let mut within = [0; DURATION_BOUNDS.len()];
        for value in self.histogram.iter_recorded() {
            let seconds = self.histogram.lowest_equivalent(value.value_iterated_to()) as f64 / 1e6;
            let counts = within.iter_mut().zip(DURATION_BOUNDS).filter(|(_, bound)| seconds <= *bound);
            counts.for_each(|(count, _)| *count += value.count_since_last_iteration());
        }
        DurationCounts { count: self.histogram.len(), seconds: self.total.as_secs_f64(), within }
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
            durations: self.durations(),
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
    alarms: u64,
    detector_input: Option<[u32; 2]>,
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
            alarms: 0,
            detector_input: None,
        }))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// Records that a stage finished a piece of work at `now`.
    pub(crate) fn record(&self, stage: &str, now: Duration, took: Duration) {
        self.with(|inner| match inner.stages.get_mut(stage) {
            Some(meter) => meter.record(now, took),
            None => inner.stages.entry(stage.to_owned()).or_insert_with(Meter::new).record(now, took),
        });
    }

    /// Records a failure of a stage.
    pub(crate) fn fail(&self, stage: &str) {
        self.with(|inner| inner.stages.entry(stage.to_owned()).or_insert_with(Meter::new).failures += 1);
    }

    /// Records that the source delivered a frame.
    pub(crate) fn captured(&self) {
        self.with(|inner| inner.captured += 1);
    }

    /// Records the input width and height of the detector.
    pub(crate) fn detector_input(&self, size: [u32; 2]) {
        self.with(|inner| inner.detector_input = Some(size));
    }

    /// Records that a scene was dropped before it was received.
    pub(crate) fn undelivered(&self) {
        self.with(|inner| inner.undelivered += 1);
    }

    /// Records that an alarm was raised.
    pub(crate) fn alarm(&self) {
        self.with(|inner| inner.alarms += 1);
    }

    /// Records that a scene was shown at `now`, `latency` after its capture.
    pub(crate) fn shown(&self, now: Duration, latency: Duration) {
        self.with(|inner| inner.latency.record(now, latency));
    }

    /// Records that these tracks are in view at `now`.
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

    /// Records that the expression of a face was determined.
    pub(crate) fn expression(&self, track: TrackId) {
        self.with(|inner| {
            if let Some(count) = inner.tracks.get_mut(&track) {
                count.expressions += 1;
            }
        });
    }

    /// All measurements.
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
                latency: shown.durations,
                alarms: inner.alarms,
                dropped_frames: inner.undelivered,
                undetected_frames,
                buffered_frames,
                detector_input: inner.detector_input,
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

/// All measurements since the start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatisticsReport {
    /// Seconds since the start.
    pub seconds: f64,
    /// Number of frames that the source delivered.
    pub captured_frames: u64,
    /// Number of frames that were shown.
    pub shown_frames: u64,
    /// Shown frames per second, since the start.
    pub shown_fps: f64,
    /// Shown frames per second, over the last two seconds.
    pub recent_shown_fps: f64,
    /// Median latency from capture to display, in milliseconds.
    pub latency_p50_ms: f64,
    /// 95th percentile of the latency, in milliseconds.
    pub latency_p95_ms: f64,
    /// The latencies from capture to display.
    #[serde(skip)]
    pub latency: DurationCounts,
    /// Number of alarms.
    #[serde(skip)]
    pub alarms: u64,
    /// Number of frames that were replaced by newer ones before they were shown.
    pub dropped_frames: u64,
    /// Number of frames that detection did not process.
    pub undetected_frames: u64,
    /// Number of frames in the buffer.
    pub buffered_frames: usize,
    /// Present width and height of the detector's input; `None` before the first frame, and for photos.
    pub detector_input: Option<[u32; 2]>,
    /// The stages by name; each recognition network is a stage.
    pub stages: BTreeMap<String, StageReport>,
    /// The tracked faces, oldest first.
    pub tracks: Vec<TrackReport>,
}

/// Measurements of one stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StageReport {
    /// Number of pieces of work: frames, or jobs of a recognition network.
    pub count: u64,
    /// Number of failures.
    pub failures: u64,
    /// Pieces of work per second, since the start.
    pub per_second: f64,
    /// Pieces of work per second, over the last two seconds.
    pub recent_per_second: f64,
    /// Median duration in milliseconds.
    pub p50_ms: f64,
    /// 95th percentile of the duration in milliseconds.
    pub p95_ms: f64,
    /// Average number of busy threads: 0.5 is one thread that is busy half of the time.
    pub busy: f64,
    /// The durations.
    #[serde(skip)]
    pub durations: DurationCounts,
}

/// The bounds of [`DurationCounts::within`], in seconds.
pub const DURATION_BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Durations since the start, counted, with a precision of 1 %.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DurationCounts {
    /// Number of durations.
    pub count: u64,
    /// Their sum in seconds.
    pub seconds: f64,
    /// Number of durations that are at most each bound of [`DURATION_BOUNDS`].
    pub within: [u64; DURATION_BOUNDS.len()],
}

/// Measurements of one tracked face.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TrackReport {
    /// Number of the track.
    pub track: TrackId,
    /// Seconds in view.
    pub seconds: f64,
    /// Results for its expression per second.
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
        let durations = stage.durations;
        assert!((durations.seconds - 5.05).abs() < 1e-9, "{durations:?}");
        // Up to 1 ms, 2.5 ms, 5 ms, 10 ms, …
        assert_eq!((durations.count, durations.within), (100, [1, 2, 5, 10, 25, 50, 100, 100, 100, 100, 100, 100]));
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

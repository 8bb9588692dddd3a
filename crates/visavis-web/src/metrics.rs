//! The metrics in the text format of Prometheus. They contain nothing about people.

use std::sync::Arc;

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};
use visavis_live::{DURATION_BOUNDS, DurationCounts, StatisticsReport};

use crate::app_state::AppState;
use crate::output_counts::OutputCounts;

/// The metrics of all cameras and outputs.
pub(crate) fn text(
    cameras: &[(String, Arc<AppState>)],
    outputs: &[Arc<OutputCounts>],
) -> Result<Vec<u8>, prometheus::Error> {
    let mut families = Families::default();
    families.gauge("visavis_build_info", "The version of visavis.", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    for (name, state) in cameras {
        add_camera(&mut families, name, state);
    }
    // All cameras share the gallery.
    let snapshot = cameras.first().map(|(_, state)| state.config.pipeline.snapshot());
    if let Some(gallery) = snapshot.as_ref().and_then(|snapshot| snapshot.gallery.as_ref()) {
        let photos = gallery.gallery.size() as f64;
        families.gauge("visavis_gallery_photos", "Photos that faces are compared with.", &[], photos);
        let up = f64::from(u8::from(gallery.failure.is_none()));
        families.gauge("visavis_gallery_up", "Whether the store of the gallery can be used.", &[], up);
    }
    for output in outputs {
        let (delivered, dropped) = output.get();
        let labels = [("output", output.name())];
        families.counter("visavis_events_delivered_total", "Events that an output has delivered.", &labels, delivered);
        families.counter("visavis_events_dropped_total", "Events that an output has dropped.", &labels, dropped);
    }
    let mut text = Vec::new();
    TextEncoder::new().encode(&families.0, &mut text)?;
    Ok(text)
}

fn add_camera(families: &mut Families, name: &str, state: &AppState) {
    let camera = ("camera", name);
    let config = &state.config;
    let snapshot = config.pipeline.snapshot();
    let report = config.pipeline.statistics();
    let scene = state.scene.borrow().clone();
    let is_up = report.is_some() && scene.is_some() && snapshot.source.stalled_since.is_none();
    let up = f64::from(u8::from(is_up));
    families.gauge("visavis_camera_up", "Whether the source delivers pictures.", &[camera], up);
    let faces = scene.filter(|_| is_up).map_or(0, |scene| scene.faces.len()) as f64;
    families.gauge("visavis_faces_in_view", "Faces in the newest picture.", &[camera], faces);
    let skipped = snapshot.source.skipped;
    families.counter("visavis_frames_skipped_total", "Pictures that could not be read.", &[camera], skipped);
    if let Some(report) = report {
        add_report(families, camera, &report);
    }
}

fn add_report(families: &mut Families, camera: (&str, &str), report: &StatisticsReport) {
    let (captured, shown) = (report.captured_frames, report.shown_frames);
    families.counter("visavis_frames_captured_total", "Pictures that the source delivered.", &[camera], captured);
    families.counter("visavis_frames_shown_total", "Pictures that were ready to be shown.", &[camera], shown);
    let dropped = "Pictures that were replaced by newer ones before they were shown, or before faces were detected.";
    for (stage, count) in [("display", report.dropped_frames), ("detection", report.undetected_frames)] {
        families.counter("visavis_frames_dropped_total", dropped, &[camera, ("stage", stage)], count);
    }
    let rate = "Shown pictures per second, over the last two seconds.";
    families.gauge("visavis_frames_per_second", rate, &[camera], report.recent_shown_fps);
    families.counter("visavis_alarms_total", "Alarms that were raised.", &[camera], report.alarms);
    let latency = "Time from the capture of a picture until it is shown.";
    families.histogram("visavis_latency_seconds", latency, &[camera], &report.latency);
    for (stage, of_stage) in &report.stages {
        let labels = [camera, ("stage", stage.as_str())];
        let durations = "Durations of the pieces of work of a stage; each recognition network is a stage.";
        families.histogram("visavis_stage_duration_seconds", durations, &labels, &of_stage.durations);
        let failures = "Failures of a stage.";
        families.counter("visavis_stage_failures_total", failures, &labels, of_stage.failures);
    }
}

/// The metrics by name, in the order in which the names first came.
#[derive(Default)]
struct Families(Vec<MetricFamily>);

impl Families {
    fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_gauge(gauge);
        self.add(MetricType::GAUGE, name, help, metric);
    }

    fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: u64) {
        let mut counter = Counter::default();
        counter.set_value(value as f64);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_counter(counter);
        self.add(MetricType::COUNTER, name, help, metric);
    }

    fn histogram(&mut self, name: &str, help: &str, labels: &[(&str, &str)], durations: &DurationCounts) {
        let bucket = |(bound, count): (f64, u64)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(DURATION_BOUNDS.into_iter().zip(durations.within).map(bucket).collect());
        histogram.set_sample_count(durations.count);
        histogram.set_sample_sum(durations.seconds);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_histogram(histogram);
        self.add(MetricType::HISTOGRAM, name, help, metric);
    }

    fn add(&mut self, kind: MetricType, name: &str, help: &str, metric: Metric) {
        match self.0.iter_mut().find(|family| family.name() == name) {
            Some(family) => family.mut_metric().push(metric),
            None => {
                let mut family = MetricFamily::default();
                family.set_name(name.to_owned());
                family.set_help(help.to_owned());
                family.set_field_type(kind);
                family.set_metric(vec![metric]);
                self.0.push(family);
            }
        }
    }
}

fn pairs(labels: &[(&str, &str)]) -> Vec<LabelPair> {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    labels.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_histograms_are_complete() {
        let mut families = Families::default();
        let durations = DurationCounts { count: 3, seconds: 7.5, within: [1; DURATION_BOUNDS.len()] };
        families.histogram("a_seconds", "Durations.", &[("camera", "a\"b\\c\nd")], &durations);
        families.gauge("b", "Help.", &[], 2.0);
        families.gauge("b", "Help.", &[("camera", "x")], 3.0);
        let mut text = Vec::new();
        TextEncoder::new().encode(&families.0, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        for line in [
            "# TYPE a_seconds histogram",
            r#"a_seconds_bucket{camera="a\"b\\c\nd",le="0.001"} 1"#,
            r#"a_seconds_bucket{camera="a\"b\\c\nd",le="+Inf"} 3"#,
            r#"a_seconds_sum{camera="a\"b\\c\nd"} 7.5"#,
            r#"a_seconds_count{camera="a\"b\\c\nd"} 3"#,
            "b 2",
            r#"b{camera="x"} 3"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert_eq!(text.matches("# TYPE b gauge").count(), 1);
    }
}

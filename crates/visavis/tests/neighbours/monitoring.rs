//! Metrics, and whether the program runs and is ready.

use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::TIMEOUT;
use crate::program::{Program, ask, stage_with_ada};

const TOKEN: &str = "0123456789abcdef";

/// Asks until the answer satisfies a condition.
fn wait(link: &str, is_it: impl Fn(u16, &str) -> bool) -> String {
    let until = Instant::now() + TIMEOUT;
    loop {
        let (status, body) = ask("GET", link, Some(TOKEN), None);
        if is_it(status, &body) {
            return body;
        }
        assert!(Instant::now() < until, "{link}: {status} {body}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The samples of a scrape by name and labels. Fails if the text breaks a rule of the format.
fn samples(text: &str) -> HashMap<String, f64> {
    let (mut samples, mut types) = (HashMap::new(), HashMap::new());
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(types.insert(name, kind).is_none(), "two types of {name}");
        } else if let Some(help) = line.strip_prefix("# HELP ") {
            assert!(help.split_once(' ').is_some_and(|(_, help)| help.ends_with('.')), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let suffixes = ["_bucket", "_sum", "_count"];
            let of_histogram = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
            let family = of_histogram.filter(|family| types.get(family) == Some(&"histogram")).unwrap_or(name);
            let kind = types.get(family).unwrap_or_else(|| panic!("{line} has no type"));
            assert_eq!(name.ends_with("_total"), *kind == "counter", "{line}");
            assert!(samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{series} occurs twice");
        }
    }
    samples
}

#[test]
fn prometheus_reads_the_metrics_with_the_token() {
    let stage = stage_with_ada();
    stage.succeeds(&["gallery", "watch", "p.gallery", "Ada"]);
    let words = ["--token", TOKEN, "--base-path", "/cams", "--alarm-command", "false", "--alarm-log", "alarms.jsonl"];
    let program = Program::play(&stage, &words);
    let metrics = format!("{}metrics", program.address());
    assert!(metrics.ends_with("/cams/metrics"), "{metrics}");
    assert_eq!(ask("GET", &metrics, None, None).0, 401);
    let dropped = r#"visavis_events_dropped_total{output="alarm_command"} 1"#;
    let text = wait(&metrics, |status, text| status == 200 && text.lines().any(|line| line == dropped));
    let found = samples(&text);
    let value = |series: &str| *found.get(series).unwrap_or_else(|| panic!("{series} is missing in\n{text}"));
    for (series, expected) in [
        (r#"visavis_camera_up{camera="door"}"#, 1.0),
        (r#"visavis_faces_in_view{camera="door"}"#, 1.0),
        (r#"visavis_alarms_total{camera="door"}"#, 1.0),
        (r#"visavis_events_delivered_total{output="alarm_log"}"#, 1.0),
        ("visavis_gallery_photos", 1.0),
        ("visavis_gallery_up", 1.0),
    ] {
        assert_eq!(value(series), expected, "{series}");
    }
    let latency = |rest: &str| value(&format!("visavis_latency_seconds_{rest}"));
    assert!(latency(r#"count{camera="door"}"#) > 0.0);
    assert_eq!(latency(r#"bucket{camera="door",le="+Inf"}"#), latency(r#"count{camera="door"}"#));
    assert!(value(r#"visavis_stage_duration_seconds_count{camera="door",stage="detection"}"#) > 0.0);
    // Counters grow.
    let captured = |text: &str| samples(text)[r#"visavis_frames_captured_total{camera="door"}"#];
    wait(&metrics, |_, later| captured(later) > captured(&text));
    // No person is in them.
    assert!(!text.contains("Ada"), "{text}");
    promtool(&text);
}

/// The linter of Prometheus, if it is installed.
fn promtool(text: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut linter) = command.spawn() else {
        return eprintln!("promtool is not installed, so only the format was checked: .ci/mosquitto installs it");
    };
    linter.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = linter.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.is_empty(), "{told}\n{text}");
}

#[test]
fn it_says_whether_it_runs_and_is_ready() {
    let stage = stage_with_ada();
    // A pipe that delivers one picture and then nothing.
    assert!(Command::new("mkfifo").arg(stage.path("pipe")).status().unwrap().success());
    let words = [
        "live",
        "door=film.mp4",
        "yard=pipe",
        "--repeat",
        "--gallery",
        "p.gallery",
        "--token",
        TOKEN,
        "--base-path",
        "/cams",
    ];
    let program = Program::start(&stage, &words, &[]);
    let address = program.address();
    let healthy = |link: &str| ask("GET", link, None, None);
    assert_eq!(healthy(&format!("{address}healthz")), (200, json!({ "status": "ok" }).to_string()));
    // Behind a proxy that removes the base path.
    let root = address.replace("/cams/", "/");
    assert_eq!(healthy(&format!("{root}healthz")).0, 200);
    let (status, body) = healthy(&format!("{address}readyz"));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 503, "{body}");
    let faults = body["not_ready"].as_array().unwrap();
    assert!(faults.iter().any(|fault| fault["camera"] == "yard" && fault["what"] == "source"), "{body}");
    // Other requests need the token, and other host names are refused.
    assert_eq!(healthy(&format!("{address}api/v1/cameras")).0, 401);
    assert_eq!(healthy(&format!("{address}cameras/1/metrics")).0, 401);
    // The pipe delivers: ready. It stops: not ready.
    let photo = visavis_image::codec::encode_jpeg(&crate::stage::picture(&[(1, 1)], [250; 3]), 90).unwrap();
    let mut pipe = std::fs::OpenOptions::new().write(true).open(stage.path("pipe")).unwrap();
    for _ in 0..5 {
        pipe.write_all(&photo).unwrap();
    }
    let ready = wait(&format!("{address}readyz"), |status, _| status == 200);
    assert_eq!(ready, json!({ "status": "ready" }).to_string());
    wait(&format!("{address}readyz"), |status, body| status == 503 && body.contains("no picture since"));
    drop(pipe);
    program.quit();
}

#[test]
fn serve_is_ready_without_a_source() {
    let stage = stage_with_ada();
    let program = Program::start(&stage, &["serve", "--gallery", "p.gallery"], &[]);
    let address = program.address();
    wait(&format!("{address}readyz"), |status, _| status == 200);
    let (status, text) = ask("GET", &format!("{address}metrics"), None, None);
    assert_eq!(status, 200);
    assert_eq!(samples(&text)["visavis_gallery_photos"], 1.0);
    promtool(&text);
    program.quit();
}

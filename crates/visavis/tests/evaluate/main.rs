//! `visavis evaluate` as a user runs it, on a pack and with networks made by hand.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, also in what tests share")]

#[path = "../../../visavis-infer/tests/support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::onnx::{Dim, Network, face_network};
use support::{face_manifest, sha256};
use visavis_data::pack::{DetectedFace, PackParams, PackWriter, PackedFace};
use visavis_data::{Gender, Labels, Split};
use visavis_image::{Landmarks, Picture, Point, Rect, codec};

/// Where the keypoint network sees the keypoints, as shares of the box.
const SHARES: [(f32, f32); 5] = [(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)];
/// Every face's box: the eyes are 32 pixels apart in it.
const RECT: Rect = Rect::new(40.0, 40.0, 80.0, 80.0);
/// By so much the detector's box lies to the right of the labelled one.
const OFF: f32 = 4.0;
const FACES: usize = 20;

struct Stage {
    folder: tempfile::TempDir,
}

impl Stage {
    /// A pack `set` and the networks `onet` and `face`.
    fn new() -> Self {
        let stage = Self { folder: tempfile::tempdir().unwrap() };
        for folder in ["models", "untrained"] {
            std::fs::create_dir(stage.path(folder)).unwrap();
        }
        stage.network("models", "onet", keypoint_network(), keypoint_manifest);
        for (folder, name) in [("models", "multitask_mobilenet_v1"), ("untrained", "multitask_vgg16")] {
            stage.network(folder, name, face_network(7), face_manifest);
        }
        let mut writer = PackWriter::new(&stage.path("set"), "set", "nobody", PackParams::default()).unwrap();
        for number in 0..FACES {
            let shade = 40 + 10 * number as u8;
            let jpeg = codec::encode_jpeg(&Picture::filled(160, 160, [shade, 120, 200]), 95).unwrap();
            writer.push(&face(number), &jpeg).unwrap();
        }
        writer.finish().unwrap();
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn network(&self, folder: &str, name: &str, weights: Vec<u8>, manifest: impl Fn(&str, &[u8]) -> String) {
        std::fs::write(self.path(folder).join(format!("{name}.toml")), manifest(name, &weights)).unwrap();
        std::fs::write(self.path(folder).join(format!("{name}.onnx")), weights).unwrap();
    }

    /// The program in this folder, with a home of its own and no ONNX Runtime.
    fn run(&self, words: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_visavis"));
        command.current_dir(self.folder.path()).arg("evaluate").args(words.split(' ')).stdin(Stdio::null());
        command.env_clear().env("HOME", self.folder.path()).env("VISAVIS_MODELS", self.path("models"));
        command.output().unwrap()
    }

    fn succeeds(&self, words: &str) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, words: &str) -> Value {
        serde_json::from_str(&self.succeeds(&format!("{words} --json"))).unwrap()
    }

    fn fails(&self, words: &str) -> String {
        let output = self.run(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{words} should have failed: {said}");
        said
    }
}

/// Number 0 trains, number 1 was missed by the detector.
fn face(number: usize) -> PackedFace {
    let landmarks = Landmarks::from(SHARES.map(|(x, y)| Point::new(RECT.x + x * RECT.width, RECT.y + y * RECT.height)));
    let detected = DetectedFace {
        rect: Rect { x: RECT.x + OFF, ..RECT },
        score: 0.9,
        landmarks: Some(landmarks.map(|p| Point::new(p.x + OFF, p.y))),
    };
    PackedFace {
        set: "set".into(),
        file: format!("{number}.jpg"),
        identity: None,
        split: if number == 0 { Split::Train } else { Split::Validation },
        labels: Labels {
            age: Some(number as f32 * 4.0),
            gender: Some(if number.is_multiple_of(2) { Gender::Female } else { Gender::Male }),
            pose: Some(3),
            ..Labels::default()
        },
        scale: 1.0,
        rect: RECT,
        landmarks: Some(landmarks),
        detected: (number != 1).then_some(detected),
    }
}

/// `[N, 3, 8, 8]` to `[N, 10]`: the same places, whatever it sees.
fn keypoint_network() -> Vec<u8> {
    let places: Vec<f32> = SHARES.iter().flat_map(|&(x, y)| [x, y]).collect();
    Network::default()
        .input("picture", &[Dim::Symbol("N"), Dim::Fixed(3), Dim::Fixed(8), Dim::Fixed(8)])
        .weight("nothing", &[10, 3, 8, 8], &[0.0; 10 * 3 * 64])
        .weight("places", &[10], &places)
        .node("Conv", &["picture", "nothing", "places"], "cell", &[], &[])
        .node("Flatten", &["cell"], "points", &[], &[("axis", 1)])
        .output("points", &[Dim::Symbol("N"), Dim::Fixed(10)])
        .build()
}

fn keypoint_manifest(name: &str, weights: &[u8]) -> String {
    format!(
        r#"
format = 1
name = "{name}"
title = "made by a test"
tasks = ["keypoints"]
file = "{name}.onnx"
sha256 = "{}"
licence = "MIT"
source = "a test"
input = {{ tensor = "picture", size = [8, 8], batch = true }}
crop = {{ kind = "box", fit = "square" }}

[[head]]
task = "keypoints"
tensor = "points"
decode = {{ kind = "points", order = "pairs" }}
"#,
        sha256(weights)
    )
}

#[test]
fn keypoints_are_measured_under_every_view() {
    let stage = Stage::new();
    let words = "keypoints --data set --network onet --view labelled,detected,jitter,small --groups --plot plots";
    let rows = stage.json(words);
    let row = |view: &str| rows.as_array().unwrap().iter().find(|row| row["view"] == view).unwrap();
    let error = |view: &str| row(view)["interocular"]["value"].as_f64().unwrap();
    assert!(error("labelled") < 1e-4 && error("small") < 1e-4, "{rows}");
    assert!((error("detected") - f64::from(OFF) / 32.0).abs() < 1e-4, "{rows}");
    assert!(error("jitter") > 0.01, "{rows}");
    let counts = |view: &str| ["faces", "left_out", "unchanged"].map(|name| row(view)[name].as_u64().unwrap());
    assert_eq!(counts("labelled"), [FACES as u64 - 1, 0, 0]);
    assert_eq!(counts("detected"), [FACES as u64 - 2, 1, 0]);
    assert_eq!(row("detected")["failures"]["value"], 1.0, "12.5 % is a failure");
    assert!(stage.path("plots/keypoints_set_jitter.svg").is_file());
    assert!(stage.path("plots/keypoints_set_jitter.png").is_file());
    let table = stage.succeeds("keypoints --data set --network onet --view detected --limit 7");
    assert!(table.contains("12.50 [12.50, 12.50]") && table.contains("detected  onet     6"), "{table}");
}

#[test]
fn attributes_are_measured_on_what_is_labelled() {
    let stage = Stage::new();
    let network = "--network multitask_mobilenet_v1";
    let rows = stage.json(&format!("attributes --data set {network} --groups --plot plots"));
    assert_eq!(rows[0]["age"]["mae"]["n"], FACES - 1);
    let counts = &rows[0]["gender"]["confusion"]["counts"];
    let total: u64 =
        counts.as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap()).map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(total, FACES as u64 - 1);
    assert!(rows[0].get("smile").is_none(), "the network does not tell it");
    assert!(rows[0]["groups"].as_array().unwrap().iter().any(|group| group["group"] == "13–19"));
    for name in ["age", "age_bands", "gender"] {
        assert!(stage.path(&format!("plots/{name}_set_labelled_multitask_mobilenet_v1.png")).is_file(), "{name}");
    }
    // Its crop is cut by keypoints: a random box alone does not tell where they are.
    let jitter = format!("attributes --data set {network} --view jitter");
    assert!(stage.fails(&jitter).contains("--keypoints"));
    let table = stage.succeeds(&format!("{jitter} --keypoints onet"));
    assert!(table.contains("age, MAE in years") && table.contains("gender, % right"), "{table}");
    assert!(stage.fails("attributes --data set --network onet").contains("onet does not do age, gender, smile"));
    assert!(stage.fails(&format!("attributes --data models {network}")).contains("pack.json"));
}

#[test]
fn speed_is_measured_on_every_engine_that_there_is() {
    let stage = Stage::new();
    let found = stage.json("speed --network onet,multitask_mobilenet_v1 --seconds 0");
    let speeds = found["speeds"].as_array().unwrap();
    assert_eq!(speeds.len(), 2, "there is no ONNX Runtime here: {found}");
    for speed in speeds {
        assert!(speed["engine"].as_str().unwrap().starts_with("tract"));
        assert_eq!(speed["median_ms"]["n"], 30);
        assert!(speed["per_second"]["value"].as_f64().unwrap() > 0.0);
    }
    assert!(stage.succeeds("speed --network onet --seconds 0").contains("per second"));
    assert!(stage.fails("speed --network nobody").contains("nobody"));
}

#[test]
fn tables_are_filled_by_the_names_of_networks() {
    let stage = Stage::new();
    let words = "tables --data set --untrained untrained --view labelled,detected --seconds 0 --out tables.md";
    assert_eq!(stage.succeeds(words), "");
    let text = std::fs::read_to_string(stage.path("tables.md")).unwrap();
    let row =
        |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {text}"));
    assert!(row("| CNN (O-Net) | `onet` | 1.04 | 0.00 [0.00, 0.00] |").contains("| 18.25 |"));
    assert!(row("| VGG16 | `multitask_vgg16` | 7.20 | not trained | 84.0 | not trained |").matches('[').count() == 1);
    assert!(row("| Multitask, MobileNetV1 | `multitask_mobilenet_v1` | 5.67 |").contains("| 84.2 |"));
    assert!(row("| ResNet18 | `multitask_resnet18` |").ends_with("| – |"));
    assert!(row("| keypoint error, % of the eyes' distance (set) | `onet` |").contains("12.50 [12.50, 12.50], n = 18"));
    assert!(text.contains("`visavis evaluate tables --data set --untrained untrained --view labelled,detected`"));
    assert!(!text.contains(stage.folder.path().to_str().unwrap()), "no path of this machine");
}

//! What a manifest may say.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{detector_manifest, face_manifest, forest_manifest};
use visavis_infer::manifest::{Crop, DetectorDecode};
use visavis_infer::{Manifest, Task};

const POINTS: &str = r#"kind = "points"
[[crop.points]]
landmarks = [1.0, 0.0, 0.0, 0.0, 0.0]
at = [0.3, 0.3]
[[crop.points]]
landmarks = [0.0, 1.0, 0.0, 0.0, 0.0]
at = [0.7, 0.3]
"#;

#[test]
fn good_manifests_survive_being_written_and_read() {
    for text in [face_manifest("face", b""), detector_manifest("detector", b""), forest_manifest("forest", b"")] {
        let manifest = Manifest::parse(&text, "a.toml").unwrap();
        let written = toml::to_string(&manifest).unwrap();
        assert_eq!(Manifest::parse(&written, "b.toml").unwrap(), manifest);
    }
    let text = face_manifest("face", b"").replace("kind = \"aligned\"", POINTS);
    let manifest = Manifest::parse(&text, "a.toml").unwrap();
    assert!(matches!(&manifest.crop, Some(Crop::Points { points }) if points.len() == 2));
}

/// What the book tells people to write must be right.
#[test]
fn the_documented_example_is_a_manifest() {
    let book = include_str!("../../../docs/manifest.md");
    let example = book.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let manifest = Manifest::parse(example, "docs/manifest.md").unwrap();
    assert_eq!(manifest.tasks, [Task::Age, Task::Smile]);
}

#[test]
fn whole_numbers_do_for_fractions() {
    let text = face_manifest("face", b"").replace("batch = true", "batch = true\nmean = [127, 127.5, 0]");
    assert_eq!(Manifest::parse(&text, "a.toml").unwrap().input.mean, [127.0, 127.5, 0.0]);
}

#[test]
fn output_order() {
    let manifest = Manifest::parse(&face_manifest("face", b""), "a.toml").unwrap();
    assert_eq!(manifest.output_tensors(), ["gender", "age"]);
    assert_eq!(manifest.head(Task::Age).unwrap().0, 1);
    assert!(manifest.head(Task::Smile).is_none());
    let mut manifest = Manifest::parse(&detector_manifest("d", b""), "a.toml").unwrap();
    assert_eq!(manifest.output_tensors(), ["scores", "boxes"]);
    manifest.detector.as_mut().unwrap().decode = DetectorDecode::Yunet { strides: vec![8, 16] };
    assert_eq!(
        manifest.output_tensors(),
        ["cls_8", "obj_8", "bbox_8", "kps_8", "cls_16", "obj_16", "bbox_16", "kps_16"]
    );
}

/// Each line: what is changed in a good manifest, into what, and words that the error must have.
#[test]
fn mistakes_are_named() {
    let face = face_manifest("face", b"");
    let detector = detector_manifest("detector", b"");
    let forest = forest_manifest("forest", b"");
    let points = face.replace("kind = \"aligned\"", POINTS);
    let yunet = detector.replace(
        "kind = \"corners\"\nscores = \"scores\"\nboxes = \"boxes\"\nface_class = 1",
        "kind = \"yunet\"\nstrides = [8]",
    );
    Manifest::parse(&yunet, "a.toml").unwrap();
    let anchors = detector.replace(
        "kind = \"corners\"",
        "kind = \"anchors\"\nactivation = \"softmax\"\nvariances = [0.1, 0.2]\n\
         levels = [{ stride = 8, sizes = [16.0], ratios = [1.0] }]",
    );
    Manifest::parse(&anchors, "a.toml").unwrap();
    let cases: &[(&str, &str, &str, &[&str])] = &[
        (&face, "format = 1", "format = 2", &["format: 2"]),
        (&face, "name = \"face\"", "name = \"Fa ce\"", &["name: `Fa ce`", "a-z"]),
        (&face, "name = \"face\"", "name = \"\"", &["name: ``"]),
        (&face, "title = \"made by a test\"", "title = \" \"", &["title: is empty"]),
        (&face, "file = \"face.onnx\"", "file = \"../face.onnx\"", &["file: `../face.onnx`", "plain file name"]),
        (&face, "file = \"face.onnx\"", "file = \"face.pb\"", &["file:", ".onnx", ".forest"]),
        (&face, "file = \"face.onnx\"", "file = \"face.forest\"", &["tasks: ", "`keypoints` alone"]),
        (&forest, "[\"keypoints\"]", "[\"keypoints\", \"age\"]", &["tasks: ", "keypoints, age"]),
        (&forest, "source = \"a test\"", "source = \"a test\"\ncrop = { kind = \"aligned\" }", &["crop: a regression"]),
        (&forest, "file = \"forest.forest\"", "file = \"forest.onnx\"", &["input: is missing"]),
        (&face, "sha256 = \"", "sha256 = \"x", &["sha256: `x", "64"]),
        (&face, "[\"age\", \"gender\"]", "[]", &["tasks: is empty", "similarity"]),
        (&face, "[\"age\", \"gender\"]", "[\"age\", \"age\"]", &["tasks: `age`", "twice"]),
        (&face, "[\"age\", \"gender\"]", "[\"age\"]", &["head[0].task: `gender`", "age"]),
        (&face, "[\"age\", \"gender\"]", "[\"age\", \"gender\", \"smile\"]", &["head: none for `smile`"]),
        (&face, "[\"age\", \"gender\"]", "[\"age\", \"gender\", \"detection\"]", &["detector: is missing"]),
        (&face, "[\"age\", \"gender\"]", "[\"age\", \"smell\"]", &["line 5", "smell", "keypoints", "similarity"]),
        (&face, "size = [16, 12]", "size = [0, 12]", &["input.size: [0, 12]"]),
        (&face, "size = [16, 12]", "size = [16, 99999]", &["input.size", "8192"]),
        (&face, "size = [16, 12]", "size = [16, 12]\nmultiple_of = 32", &["input.size", "32"]),
        (&face, "size = [16, 12]", "size = [16, 12]\nmultiple_of = 0", &["input.multiple_of: 0"]),
        (&face, "size = [16, 12]", "size = [16, 12]\nstd = [1.0, 0.0, 1.0]", &["input.std", "above 0"]),
        (&face, "size = [16, 12]", "size = [16, 12]\nmean = [nan, 0.0, 1.0]", &["input.mean"]),
        (&face, "size = [16, 12]", "size = [16, 12]\ncolor = \"BGR\"", &["color", "colour"]),
        (&face, "[crop]\nkind = \"aligned\"", "", &["crop: is missing"]),
        (&face, "kind = \"aligned\"", "kind = \"box\"\nfit = \"pad\"\nexpand = -1.0", &["crop.expand: -1"]),
        (&face, "positive = \"female\"", "positive = \"woman\"", &["head[0].decode.positive: `woman`", "male"]),
        (&face, "[\"male\", \"female\"]", "[\"female\"]", &["head[0].decode.labels"]),
        (&face, "positive = \"female\"", "positive = \"female\", threshold = 1.5", &["threshold: 1.5"]),
        (&face, "tensor = \"age\"", "tensor = \"gender\"", &["head[1].tensor", "second head"]),
        (
            &face,
            "kind = \"years\"",
            "kind = \"points\", order = \"pairs\"",
            &["head[1].decode.kind: `points`", "`age`"],
        ),
        (&points, "at = [0.7, 0.3]", "at = [0.3, 0.3]", &["crop.points[1]", "coincides"]),
        (&points, "at = [0.7, 0.3]", "at = [70.0, 30.0]", &["crop.points[1].at"]),
        (
            &points,
            "[0.0, 1.0, 0.0, 0.0, 0.0]",
            "[0.0, 0.5, 0.0, 0.0, 0.0]",
            &["crop.points[1].landmarks", "sum to 0.5"],
        ),
        (
            &points,
            "[[crop.points]]\nlandmarks = [0.0, 1.0, 0.0, 0.0, 0.0]\nat = [0.7, 0.3]",
            "",
            &["crop.points: 1 given"],
        ),
        (&detector, "score = 0.5", "score = 1.5", &["detector.score: 1.5"]),
        (&detector, "nms_iou = 0.4", "nms_iou = 0.0", &["detector.nms_iou: 0"]),
        (&detector, "boxes = \"boxes\"", "boxes = \"scores\"", &["detector.decode", "`scores`"]),
        (&detector, "[\"detection\"]", "[\"detection\", \"keypoints\"]", &["tasks: `keypoints`"]),
        (&detector, "[\"detection\"]", "[\"detection\", \"age\"]", &["tasks: `age`"]),
        (&detector, "[detector]", "[crop]\nkind = \"aligned\"\n[detector]", &["crop: a detector"]),
        (&yunet, "strides = [8]", "strides = []", &["detector.decode.strides: is empty"]),
        (&yunet, "strides = [8]", "strides = [8, 16]", &["detector.decode.strides: 16"]),
        (&anchors, "sizes = [16.0]", "sizes = []", &["detector.decode.levels[0].sizes"]),
        (&anchors, "[0.1, 0.2]", "[0.1, 0.0]", &["detector.decode.variances"]),
        (&anchors, "stride = 8,", "stride = 0,", &["detector.decode.levels[0].stride"]),
    ];
    for (good, from, to, words) in cases {
        assert!(good.contains(from), "nothing to replace: {from}");
        let error = Manifest::parse(&good.replacen(from, to, 1), "some/where.toml").unwrap_err().to_string();
        assert!(error.starts_with("some/where.toml: "), "{error}");
        for word in *words {
            assert!(error.contains(word), "{from} -> {to}: no `{word}` in: {error}");
        }
    }
}

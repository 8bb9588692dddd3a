//! What a manifest may contain.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{detector_manifest, face_manifest, forest_manifest};
use visavis_infer::manifest::{Crop, DetectorDecode, HeadDecode};
use visavis_infer::{Manifest, Task, fingerprint};

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

/// An empty list would have to be deleted before a table of the same name is added by hand.
#[test]
fn a_written_manifest_has_no_empty_lists() {
    for text in [face_manifest("face", b""), detector_manifest("detector", b""), forest_manifest("forest", b"")] {
        let manifest = Manifest { figures: Vec::new(), ..Manifest::parse(&text, "a.toml").unwrap() };
        let written = toml::to_string(&manifest).unwrap();
        assert!(!written.contains("= []"), "{written}");
        let completed = format!("{written}\n[[figure]]\nwhat = \"AP\"\nvalue = \"0.9\"\nby = \"us\"\n");
        let completed = Manifest::parse(&completed, "b.toml").unwrap();
        assert_eq!(completed.figures.len(), 1);
        assert_eq!(Manifest { figures: Vec::new(), ..completed }, manifest);
    }
}

/// The example in the documentation must be valid.
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
    assert_eq!(manifest.head(Task::Age).unwrap().tensor, "age");
    assert!(manifest.head(Task::Smile).is_none());
    let mut manifest = Manifest::parse(&detector_manifest("d", b""), "a.toml").unwrap();
    assert_eq!(manifest.output_tensors(), ["scores", "boxes"]);
    manifest.detector.as_mut().unwrap().decode = DetectorDecode::Yunet { strides: vec![8, 16] };
    assert_eq!(
        manifest.output_tensors(),
        ["cls_8", "obj_8", "bbox_8", "kps_8", "cls_16", "obj_16", "bbox_16", "kps_16"]
    );
}

const EXPRESSION: &str = r#"
[[head]]
task = "expression"
tensor = "emotion"
decode = { kind = "classes", labels = ["neutral", "happiness", "anger"], activation = "softmax" }

[[head]]
task = "smile"
tensor = "emotion"
decode = { kind = "label", labels = ["neutral", "happiness", "anger"], positive = "happiness", activation = "softmax" }

[[head]]
task = "head_pose"
tensor = "yaw"
decode = { kind = "angles", pitch = "pitch", roll = "roll", signs = [1, -1, 1] }
"#;

/// A manifest with an expression, a smile read from the same tensor, and a head pose in three tensors.
fn expression_manifest() -> String {
    let tasks = "[\"age\", \"gender\", \"smile\", \"expression\", \"head_pose\"]";
    face_manifest("face", b"").replace("[\"age\", \"gender\"]", tasks) + EXPRESSION
}

#[test]
fn expression_and_head_pose() {
    let manifest = Manifest::parse(&expression_manifest(), "a.toml").unwrap();
    // A tensor that two heads read is listed once.
    assert_eq!(manifest.output_tensors(), ["gender", "age", "emotion", "yaw", "pitch", "roll"]);
    assert_eq!("head_pose".parse::<Task>().unwrap(), Task::HeadPose);
    assert_eq!(Manifest::parse(&toml::to_string(&manifest).unwrap(), "b.toml").unwrap(), manifest);
    // All three angles in one tensor.
    let one = expression_manifest().replace(", pitch = \"pitch\", roll = \"roll\", signs = [1, -1, 1]", "");
    assert_eq!(Manifest::parse(&one, "a.toml").unwrap().output_tensors().len(), 4);
}

/// A manifest with an embedding whose distances were measured.
fn embedding_manifest(likeness: &str) -> String {
    let head = format!(
        "\n[[head]]\ntask = \"similarity\"\ntensor = \"vector\"\n\
         decode = {{ kind = \"embedding\", metric = \"cosine\", same_person = 0.6, likeness = {likeness} }}\n"
    );
    let tasks = "[\"age\", \"gender\", \"similarity\"]";
    face_manifest("face", b"").replace("[\"age\", \"gender\"]", tasks) + &head
}

const LIKENESS: &str = "{ median = 0.46, spread = 0.36, strangers = { within = 0.76, scale = 0.045, shape = -0.07 } }";

#[test]
fn measured_distances_are_read_and_those_of_older_manifests_passed_over() {
    let likeness = |text: &str| {
        let manifest = Manifest::parse(&embedding_manifest(text), "a.toml").unwrap();
        let written = toml::to_string(&manifest).unwrap();
        assert_eq!(Manifest::parse(&written, "b.toml").unwrap(), manifest);
        match &manifest.head(Task::Similarity).unwrap().decode {
            HeadDecode::Embedding { likeness, .. } => *likeness,
            other => panic!("{other:?}"),
        }
    };
    let found = likeness(LIKENESS).unwrap();
    assert_eq!((found.median, found.strangers.shape), (0.46, -0.07));
    assert_eq!(likeness("{ middle = 0.66, width = 0.034 }"), None);
    assert_eq!(likeness("{ middle = 0.66, width = 0.034, strangers = [0.54, 0.48, 0.43] }"), None);
    // `likeness` interprets vectors and does not change them: the fingerprint stays.
    let print = |text: &str| fingerprint(&Manifest::parse(&embedding_manifest(text), "a.toml").unwrap());
    assert_eq!(print(LIKENESS), print("{ middle = 0.66, width = 0.034 }"));
}

/// Each line: a text in a valid manifest, its replacement, and words that the error must contain.
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
    let huge = anchors.replace("size = [32, 16]", "size = [8192, 8192]");
    Manifest::parse(&huge, "a.toml").unwrap();
    let expression = expression_manifest();
    let embedding = embedding_manifest(LIKENESS);
    Manifest::parse(&embedding, "a.toml").unwrap();
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
            &expression,
            "[\"neutral\", \"happiness\", \"anger\"], positive",
            "[\"neutral\", \"happiness\"], positive",
            &["head[3].tensor: a second head on `emotion`"],
        ),
        (
            &expression,
            "task = \"expression\"\ntensor",
            "task = \"age\"\ntensor",
            &["head[2].task", "second head for `age`"],
        ),
        (&expression, "pitch = \"pitch\", ", "", &["head[4].decode", "`pitch` and `roll`"]),
        (&expression, "roll = \"roll\"", "roll = \"yaw\"", &["head[4].decode: `yaw`", "its own"]),
        (&expression, "roll = \"roll\"", "roll = \"age\"", &["head[4].tensor: a second head on `age`"]),
        (&embedding, "spread = 0.36", "spread = 0.0", &["head[2].decode.likeness", "spread 0"]),
        (&embedding, "shape = -0.07", "shape = 7.0", &["likeness: strangers.shape 7", "-1 and 1"]),
        (&embedding, "median = 0.46", "median = 1.46", &["likeness: median 1.46"]),
        (&embedding, "scale = 0.045", "scale = \"x\"", &["`median`, `spread` and `strangers"]),
        (&expression, "[1, -1, 1]", "[1, -2, 1]", &["head[4].decode.signs", "1 or -1"]),
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
        (&huge, "stride = 8,", "stride = 1,", &["detector.decode.levels: 67108864 anchors", "at most 4000000"]),
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

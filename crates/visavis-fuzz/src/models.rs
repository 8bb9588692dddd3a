//! Networks: their manifests, their files, and regression forests.

use std::sync::OnceLock;

use visavis_face::detect::AnchorGrid;
use visavis_face::forest::{Forest, GreyPicture, Level, PixelSample, Split, Tree, leaf_count, split_count};
use visavis_image::{Picture, Point, Rect, face_template};
use visavis_infer::manifest::DetectorDecode;
use visavis_infer::runtime::Search;
use visavis_infer::{EngineChoice, EngineOptions, Manifest, Runtime, Tensor, fingerprint};

use crate::{Target, onnx, panics};

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "manifest", run: manifest, seeds: manifests, most_bytes: 16 << 10, mutations: 600 },
    Target { name: "onnx", run: network, seeds: networks, most_bytes: 16 << 10, mutations: 60 },
    Target { name: "forest", run: forest, seeds: forests, most_bytes: 32 << 10, mutations: 600 },
];

/// A manifest, and what the program computes from it before it has the weights.
fn manifest(bytes: &[u8]) {
    let Ok(manifest) = Manifest::parse(&String::from_utf8_lossy(bytes), "fuzzing") else { return };
    let _ = (manifest.output_tensors(), fingerprint(&manifest));
    let [width, height] = manifest.input.size;
    if let Some(detector) = &manifest.detector
        && let DetectorDecode::Anchors { levels, .. } = &detector.decode
    {
        AnchorGrid::default().for_input(levels, width, height);
    }
}

/// The file of a network, loaded with a manifest that fits the seed, and run once.
fn network(bytes: &[u8]) {
    static MANIFEST: OnceLock<Manifest> = OnceLock::new();
    let manifest = MANIFEST.get_or_init(|| Manifest::parse(FACE, "fuzzing").expect("the manifest is valid"));
    let runtime = Runtime::from_search(&Search::default());
    let options = EngineOptions { engine: EngineChoice::Tract, ..EngineOptions::default() };
    // The engine panics for some networks; the program returns such a panic as an error.
    panics::expected(|| {
        if let Ok(mut model) = runtime.load(manifest, bytes, &options) {
            let _ = model.run(&Tensor::zeros(&[1, 3, 12, 16]));
        }
    });
}

/// The file of a regression forest, used on a face.
fn forest(bytes: &[u8]) {
    let Ok(forest) = Forest::read(bytes) else { return };
    assert_eq!(forest.write(), bytes, "a forest is written as it was read");
    let picture = Picture::filled(40, 40, [90; 3]);
    let rect = Rect::new(8.0, 8.0, 24.0, 24.0);
    let (grey, _) = GreyPicture::cut(&picture, &rect);
    let _ = forest.locate(&grey, &rect, &mut Vec::new());
}

const FACE: &str = r#"
format = 1
name = "face"
title = "A network for the fuzz targets"
tasks = ["age", "gender"]
file = "face.onnx"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
licence = "MIT"
source = "made for the fuzz targets"

[input]
tensor = "picture"
size = [16, 12]
batch = true

[crop]
kind = "aligned"

[[head]]
task = "gender"
tensor = "gender"
decode = { kind = "label", labels = ["male", "female"], positive = "female" }

[[head]]
task = "age"
tensor = "age"
decode = { kind = "years" }
"#;

fn manifests() -> Vec<Vec<u8>> {
    let own = [
        include_str!("../../../models/yunet.toml"),
        include_str!("../../../models/ssd_mobilenetv1_quarter.toml"),
        include_str!("../../../models/face_mobilefacenet.toml"),
        include_str!("../../../models/kazemi_forest.toml"),
        include_str!("../../../models/onet.toml"),
        FACE,
    ];
    own.map(|text| text.as_bytes().to_vec()).to_vec()
}

fn networks() -> Vec<Vec<u8>> {
    vec![onnx::face_network()]
}

fn forests() -> Vec<Vec<u8>> {
    let depth = 2;
    let pixels = |anchor: u8| PixelSample { anchor, offset: Point::new(0.1 * f32::from(anchor), -0.05) };
    let level = || {
        let mut level = Level::new(depth, (0..5).map(pixels).collect());
        for tree in 0..3_u16 {
            let splits = 0..split_count(depth) as u16;
            level.push(Tree {
                splits: splits.map(|at| Split { a: at % 5, b: (at + tree + 1) % 5, threshold: 10 }).collect(),
                leaves: vec![[3; 10]; leaf_count(depth)],
                step: 0.01,
            });
        }
        level
    };
    let forest = Forest::new(face_template(1).to_array(), 40, vec![level(), level()]);
    vec![forest.expect("the forest is valid").write()]
}

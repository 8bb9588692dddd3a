//! Shared by the tests: ONNX files written by hand, so that no network from outside is needed.

#![allow(dead_code, reason = "each test crate uses its own part")]

pub(crate) mod onnx;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use visavis_infer::Manifest;

/// SHA-256 as a manifest has it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The ready-made networks, if they lie beside this checkout.
pub(crate) fn shared_models() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/models");
    folder.join("yunet_n.onnx").is_file().then_some(folder)
}

/// Pseudo-random numbers between `low` and `high`, the same in every run.
pub(crate) fn noise(count: usize, seed: u32, low: f32, high: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..count)
        .map(|_| {
            // Numerical Recipes' linear congruence; its upper bits are good enough.
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            low + (high - low) * ((state >> 8) as f32 / 16_777_216.0)
        })
        .collect()
}

/// The manifest of [`onnx::face_network`]: age and gender of a picture of 16 by 12.
pub(crate) fn face_manifest(name: &str, weights: &[u8]) -> String {
    format!(
        r#"
format = 1
name = "{name}"
title = "made by a test"
tasks = ["age", "gender"]
file = "{name}.onnx"
sha256 = "{hash}"
licence = "MIT"
source = "a test"

[input]
tensor = "picture"
size = [16, 12]
batch = true

[crop]
kind = "aligned"

[[head]]
task = "gender"
tensor = "gender"
decode = {{ kind = "label", labels = ["male", "female"], positive = "female" }}

[[head]]
task = "age"
tensor = "age"
decode = {{ kind = "years" }}
"#,
        hash = sha256(weights)
    )
}

/// The manifest of [`onnx::detector_network`]: any size in steps of 8.
pub(crate) fn detector_manifest(name: &str, weights: &[u8]) -> String {
    format!(
        r#"
format = 1
name = "{name}"
title = "made by a test"
tasks = ["detection"]
file = "{name}.onnx"
sha256 = "{hash}"
licence = "MIT"
source = "a test"

[input]
tensor = "picture"
layout = "NHWC"
size = [32, 16]
multiple_of = 8

[detector]
score = 0.5
nms_iou = 0.4

[detector.decode]
kind = "corners"
scores = "scores"
boxes = "boxes"
face_class = 1
"#,
        hash = sha256(weights)
    )
}

/// The manifest of a regression forest.
pub(crate) fn forest_manifest(name: &str, weights: &[u8]) -> String {
    format!(
        r#"
format = 1
name = "{name}"
title = "made by a test"
tasks = ["keypoints"]
file = "{name}.forest"
sha256 = "{hash}"
licence = "MIT"
source = "a test"
"#,
        hash = sha256(weights)
    )
}

pub(crate) fn parse(text: &str) -> Manifest {
    Manifest::parse(text, "test.toml").unwrap()
}

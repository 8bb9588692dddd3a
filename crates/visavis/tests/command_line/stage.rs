//! A folder with small hand-made networks, pictures and films, in which `crate::PROGRAM` is run. The tests of `visavis-lab`
//! use it too.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use visavis_image::{Picture, codec};
use visavis_video::Mp4Writer;

use crate::support::onnx::{Dim, Network, face_network};
use crate::support::{face_manifest, sha256};

/// The size of the pictures and of the detector's input.
pub(crate) const SIZE: (u32, u32) = (64, 48);
/// The side of the bright cell that the detector below finds as a face.
const CELL: u32 = 16;

/// A folder that is deleted when this is dropped.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let stage = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(stage.path("models")).unwrap();
        let weights = bright_cells();
        stage.write("models/bright.onnx", &weights);
        stage.write("models/bright.toml", bright_manifest(&weights).as_bytes());
        let weights = face_network(7);
        stage.write("models/face.onnx", &weights);
        // One network with three results: the pooled values are also the embedding.
        let manifest =
            face_manifest("face", &weights).replace(r#"["age", "gender"]"#, r#"["age", "gender", "similarity"]"#);
        let embedding = r#"
[[head]]
task = "similarity"
tensor = "spare"
decode = { kind = "embedding", metric = "cosine", same_person = 0.001 }
"#;
        stage.write("models/face.toml", (manifest + embedding).as_bytes());
        stage
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// A PNG with bright cells at these columns and rows.
    pub(crate) fn picture(&self, name: &str, cells: &[(u32, u32)], colour: [u8; 3]) {
        self.write(name, &codec::encode_png(&picture(cells, colour)).unwrap());
    }

    /// An MP4 of 25 frames a second in which one cell is bright.
    pub(crate) fn film(&self, name: &str, frames: u32) {
        let mut writer = Mp4Writer::create(&self.path(name), SIZE.0, SIZE.1, 25.0).unwrap();
        for frame in 0..frames {
            let at = Duration::from_millis(u64::from(frame) * 40);
            writer.write(&picture(&[(1, 1)], [240, 240, 240]), at).unwrap();
        }
        writer.finish().unwrap();
    }

    /// The command for the program in this folder, with a separate home folder and without ONNX Runtime.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(crate::PROGRAM);
        command.current_dir(self.folder.path()).args(words).stdin(Stdio::null());
        command.env_clear().env("HOME", self.folder.path()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Runs a command that must succeed. Returns its standard output.
    pub(crate) fn succeeds(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail without a panic. Returns its standard error.
    pub(crate) fn fails(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{words:?} should have failed: {said}");
        assert!(!said.contains("panicked"), "{words:?}: {said}");
        said
    }
}

pub(crate) fn picture(cells: &[(u32, u32)], colour: [u8; 3]) -> Picture {
    let mut picture = Picture::filled(SIZE.0, SIZE.1, [20, 24, 28]);
    for &(column, row) in cells {
        for y in 0..CELL {
            for x in 0..CELL {
                picture.set_pixel(column * CELL + x, row * CELL + y, colour);
            }
        }
    }
    picture
}

/// A detector that finds every bright cell of a 4×3 grid as a face. The mean of a cell is its score; the boxes are the
/// cells.
fn bright_cells() -> Vec<u8> {
    use Dim::Fixed;
    let (columns, rows) = (SIZE.0 / CELL, SIZE.1 / CELL);
    let count = i64::from(columns * rows);
    let pixels = (CELL * CELL * 3) as usize;
    let side = i64::from(CELL);
    // Logits of "nothing" and "face": 0, and −10 (black) to 10 (white).
    let mut kernel = vec![0.0; pixels];
    kernel.extend(std::iter::repeat_n(20.0 / (255.0 * pixels as f32), pixels));
    let corners: Vec<f32> = (0..columns * rows)
        .flat_map(|cell| {
            let (x, y) = ((cell % columns) as f32 / columns as f32, (cell / columns) as f32 / rows as f32);
            [x, y, x + 1.0 / columns as f32, y + 1.0 / rows as f32]
        })
        .collect();
    Network::default()
        .input("picture", &[Fixed(1), Fixed(3), Fixed(i64::from(SIZE.1)), Fixed(i64::from(SIZE.0))])
        .weight("kernel", &[2, 3, side, side], &kernel)
        .weight("bias", &[2], &[0.0, -10.0])
        .weight("nothing", &[4, 3, side, side], &vec![0.0; 4 * pixels])
        .weight("corners", &[1, count, 4], &corners)
        .integers("pairs", &[1, -1, 2])
        .integers("fours", &[1, -1, 4])
        .node("Conv", &["picture", "kernel", "bias"], "s", &[("strides", &[side, side])], &[])
        .node("Transpose", &["s"], "st", &[("perm", &[0, 2, 3, 1])], &[])
        .node("Reshape", &["st", "pairs"], "logits", &[], &[])
        .node("Softmax", &["logits"], "scores", &[], &[("axis", 2)])
        .node("Conv", &["picture", "nothing"], "b", &[("strides", &[side, side])], &[])
        .node("Transpose", &["b"], "bt", &[("perm", &[0, 2, 3, 1])], &[])
        .node("Reshape", &["bt", "fours"], "zeros", &[], &[])
        .node("Add", &["zeros", "corners"], "boxes", &[], &[])
        .output("scores", &[Fixed(1), Fixed(count), Fixed(2)])
        .output("boxes", &[Fixed(1), Fixed(count), Fixed(4)])
        .build()
}

pub(crate) fn bright_manifest(weights: &[u8]) -> String {
    format!(
        r#"
format = 1
name = "bright"
title = "bright cells are faces"
tasks = ["detection"]
file = "bright.onnx"
sha256 = "{}"
licence = "MIT"
source = "a test"

[input]
tensor = "picture"
size = [64, 48]

[detector]
score = 0.9
nms_iou = 0.3
decode = {{ kind = "corners", scores = "scores", boxes = "boxes", face_class = 1 }}
"#,
        sha256(weights)
    )
}

/// The names of the files in a folder.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

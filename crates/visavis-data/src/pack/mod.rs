//! Packed faces: what training and evaluation read.
//!
//! A pack is a folder with `pack.json` (format, side, how it was made), `faces.jsonl` (a line for each face) and `faces.bin`
//! (the crops as JPEG, concatenated). A line of `faces.jsonl` is a [`PackedFace`] and a field `jpeg`: the place of its crop in
//! `faces.bin` as `[offset, length]`.

mod face_box;
mod mixer;
mod packer;
mod reader;
mod sheet;
mod summary;
mod writer;

pub use face_box::{BoxFit, usual_box};
pub use mixer::Mixer;
pub use packer::{PackReport, Packer, Unreadable, belonging};
pub use reader::Pack;
pub use sheet::contact_sheet;
pub use summary::{Count, Summary};
pub use writer::PackWriter;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use visavis_image::{Landmarks, Rect};

use sha2::{Digest, Sha256};

use crate::{DataError, Labels, Split, SplitRule};

/// The only version of the format so far.
const FORMAT: u32 = 1;

const INFO: &str = "pack.json";
const FACES: &str = "faces.jsonl";
const CROPS: &str = "faces.bin";

/// How the faces of a pack are cropped.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PackParams {
    /// Sides of a crop in pixels.
    pub side: u32,
    /// Side of a crop as a multiple of the longer side of the face's box: a margin for shifts, rotations and scaling in training.
    pub expansion: f32,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
    /// The split into training and validation.
    pub split: SplitRule,
}

impl Default for PackParams {
    /// A face of 80 pixels in a crop of 160, stored in about 10 KB. Networks of 64 to 112 pixels get about one pixel of it per
    /// input pixel; at quality 95 the second compression is not visible.
    fn default() -> Self {
        Self { side: 160, expansion: 2.0, quality: 95, split: SplitRule::default() }
    }
}

/// The contents of `pack.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackInfo {
    /// Version of the format.
    pub format: u32,
    /// Name of the set.
    pub name: String,
    /// How the faces were cropped.
    pub params: PackParams,
    /// The name of the detector.
    pub detector: String,
    /// Number of faces.
    pub faces: usize,
    /// Length of `faces.jsonl` in bytes.
    pub faces_bytes: u64,
    /// Length of `faces.bin` in bytes.
    pub crops_bytes: u64,
    /// SHA-256 over `faces.jsonl` followed by `faces.bin`, in hexadecimal.
    pub fingerprint: String,
}

/// One face of a pack. Boxes and keypoints are in pixels of its crop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackedFace {
    /// Name of the set it comes from.
    pub set: String,
    /// Its file in the set.
    pub file: String,
    /// The person, if the set gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Training or validation.
    pub split: Split,
    /// The labels that the set gives.
    pub labels: Labels,
    /// Crop pixels for each pixel of the stored picture.
    pub scale: f32,
    /// The labelled box; if the set gives only keypoints, the box estimated from them; if it gives neither, the
    /// detector's.
    pub rect: Rect,
    /// The labelled keypoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landmarks: Option<Landmarks>,
    /// The detection of this face.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detected: Option<DetectedFace>,
}

impl PackedFace {
    /// The keypoints to align by: the labelled ones, else the detector's.
    #[must_use]
    pub fn any_landmarks(&self) -> Option<Landmarks> {
        self.landmarks.or_else(|| self.detected.and_then(|found| found.landmarks))
    }
}

/// The detection of a packed face.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DetectedFace {
    /// Its box.
    pub rect: Rect,
    /// Its score.
    pub score: f32,
    /// Its keypoints, if the detector gives them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landmarks: Option<Landmarks>,
}

/// A line of `faces.jsonl`.
#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    face: PackedFace,
    jpeg: [u64; 2],
}

/// Hash of a pack's two files.
fn fingerprint(folder: &Path) -> Result<String, DataError> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    for name in [FACES, CROPS] {
        let path = folder.join(name);
        let fail = |reason: io::Error| DataError::File { path: path.clone(), reason };
        let mut file = File::open(&path).map_err(fail)?;
        loop {
            match file.read(&mut buffer).map_err(fail)? {
                0 => break,
                read => hash.update(&buffer[..read]),
            }
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

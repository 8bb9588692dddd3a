//! Detections in COCO's JSON format: a list of `{image_id, category_id, bbox, score}`.
//!
//! [`visavis_data::boxes`] reads the labelled boxes.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use visavis_image::Rect;

use visavis_data::boxes::{CocoError, FACE_CATEGORY};

/// One detected face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// The picture's id in the box file.
    pub image_id: u64,
    /// In pixels of the stored picture.
    pub rect: Rect,
    /// Score; only the order matters.
    pub score: f32,
}

/// Reads a detection file. [`evaluate`](crate::detection::evaluate) checks the boxes and scores.
///
/// # Errors
/// [`CocoError`] if the file cannot be read or is not a list of detections.
pub fn read_detections(path: &Path) -> Result<Vec<Detection>, CocoError> {
    let json = fs::read(path).map_err(|source| CocoError::Read { path: path.to_owned(), source })?;
    parse_detections(&json, path)
}

/// The same from bytes; errors name `origin`.
///
/// # Errors
/// [`CocoError::Format`] if the bytes are not a list of detections.
pub fn parse_detections(json: &[u8], origin: &Path) -> Result<Vec<Detection>, CocoError> {
    let entries: Vec<DetectionEntry> = serde_json::from_slice(json).map_err(|source| CocoError::Format {
        path: origin.to_owned(),
        kind: "detection",
        source,
    })?;
    Ok(entries
        .into_iter()
        .map(|DetectionEntry { image_id, bbox, score, .. }| Detection { image_id, rect: bbox, score })
        .collect())
}

/// Writes a detection file for [`read_detections`] and pycocotools.
///
/// # Errors
/// [`CocoError::WriteDetections`] if writing to `to` fails.
pub fn write_detections(detections: &[Detection], to: impl Write) -> Result<(), CocoError> {
    let entries: Vec<DetectionEntry> = detections.iter().map(DetectionEntry::from).collect();
    serde_json::to_writer(to, &entries).map_err(CocoError::WriteDetections)
}

#[derive(Serialize, Deserialize)]
struct DetectionEntry {
    image_id: u64,
    #[serde(default = "face_category")]
    category_id: u64,
    bbox: Rect,
    score: f32,
}

impl From<&Detection> for DetectionEntry {
    fn from(detection: &Detection) -> Self {
        Self { image_id: detection.image_id, category_id: FACE_CATEGORY, bbox: detection.rect, score: detection.score }
    }
}

fn face_category() -> u64 {
    FACE_CATEGORY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detections_survive_the_round_trip() {
        let detections = [
            Detection { image_id: 4, rect: Rect::new(-1.5, 0.1, 3.3, 7.0), score: 0.123_456_79 },
            Detection { image_id: 2, rect: Rect::new(5.0, 6.0, 7.0, 8.0), score: 1.0 },
        ];
        let mut bytes = Vec::new();
        write_detections(&detections, &mut bytes).unwrap();
        assert_eq!(parse_detections(&bytes, Path::new("found.json")).unwrap(), detections);

        let bad = br#"[{"image_id": 1, "bbox": [0, 0, 1, 1]}]"#;
        let message = parse_detections(bad, Path::new("found.json")).unwrap_err().to_string();
        assert!(message.contains("found.json is not a COCO detection file: missing field `score`"), "{message}");
    }
}

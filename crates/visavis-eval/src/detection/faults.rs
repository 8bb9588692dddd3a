//! Lists the errors of a detector one by one, for visual inspection.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{AT_50, DetectionError, DetectionParams, Matching, Outcome, iou_thresholds};
use crate::coco::Detection;
use visavis_data::boxes::FaceBoxes;

/// Missed faces and false positives at IoU 0.5.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Faults {
    /// Number of faces to be found.
    pub faces: usize,
    /// Those not found at the threshold, largest first.
    pub misses: Vec<Miss>,
    /// Detections that are no face, highest score first, also those below the threshold.
    pub false_alarms: Vec<FalseAlarm>,
}

/// A face that was not found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Miss {
    /// Index of its picture in the set.
    pub image: usize,
    /// Its index among the picture's boxes.
    pub face: usize,
    /// Score of a detection that would have found it with a lower threshold.
    pub weaker: Option<f32>,
}

/// A detection that is no face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FalseAlarm {
    /// Index of its picture in the set.
    pub image: usize,
    /// The detection.
    pub detection: Detection,
    /// Highest IoU with a labelled box: near 0 there is no face, below 0.5 the box fits badly, above 0.5 the face was found
    /// twice.
    pub overlap: f64,
}

/// Lists the errors with the score threshold `score`.
///
/// # Errors
/// As [`evaluate`](super::evaluate).
pub fn faults(
    boxes: &FaceBoxes,
    detections: &[Detection],
    params: &DetectionParams,
    score: f32,
) -> Result<Faults, DetectionError> {
    params.validate()?;
    let matching = Matching::new(boxes, detections, params)?;
    let mut faults = Faults::default();
    for (image, case) in matching.cases.iter().enumerate() {
        let counted = case.counted(|_| true);
        // A detection with a lower score takes no box from one with a higher score, so the matching is valid for every threshold.
        let outcomes = case.outcomes(&counted, |_| true, iou_thresholds()[AT_50]);
        let mut scores: Vec<Option<f32>> = vec![None; case.faces.len()];
        for (row, (&detection, outcome)) in case.detections.iter().zip(outcomes).enumerate() {
            match outcome {
                Outcome::Hit(face) => scores[face] = Some(detection.score),
                Outcome::FalseAlarm => {
                    let overlaps = &case.overlaps[row * case.faces.len()..][..case.faces.len()];
                    let overlap = overlaps.iter().copied().fold(0.0, f64::max);
                    faults.false_alarms.push(FalseAlarm { image, detection, overlap });
                }
                Outcome::Ignored => {}
            }
        }
        let asked = scores.iter().enumerate().filter(|&(face, _)| counted[face]);
        faults.faces += asked.clone().count();
        let missed = asked.filter(|(_, found)| found.is_none_or(|found| found < score));
        faults.misses.extend(missed.map(|(face, &weaker)| Miss { image, face, weaker }));
    }
    let area = |miss: &Miss| boxes.images[miss.image].faces[miss.face].rect.area();
    faults.misses.sort_by(|a, b| area(b).total_cmp(&area(a)));
    faults.false_alarms.sort_by(|a, b| b.detection.score.total_cmp(&a.detection.score));
    Ok(faults)
}

/// False positives on the pictures that are marked as having no face.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NegativeReport {
    /// Number of these pictures.
    pub images: usize,
    /// At each requested threshold.
    pub at: Vec<AtScore>,
}

/// False positives at one threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AtScore {
    /// Detections with this score or more count.
    pub score: f32,
    /// Their number.
    pub false_positives: usize,
    /// Their average number per picture.
    pub false_positives_per_image: f64,
}

/// Counts at each of `scores`; every detection counts, whatever its size. `None` if no picture is marked `negative`.
#[must_use]
pub fn on_negatives(boxes: &FaceBoxes, detections: &[Detection], scores: &[f32]) -> Option<NegativeReport> {
    let negatives: HashSet<u64> = boxes.images.iter().filter(|image| image.negative).map(|image| image.id).collect();
    let there = |detection: &&Detection| negatives.contains(&detection.image_id);
    let count = |score: f32| detections.iter().filter(there).filter(|found| found.score >= score).count();
    let at = |&score: &f32| {
        let false_positives = count(score);
        let false_positives_per_image = false_positives as f64 / negatives.len() as f64;
        AtScore { score, false_positives, false_positives_per_image }
    };
    (!negatives.is_empty()).then(|| NegativeReport { images: negatives.len(), at: scores.iter().map(at).collect() })
}

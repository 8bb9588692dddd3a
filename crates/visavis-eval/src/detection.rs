//! Average precision and recall of a face detector, by COCO's rules.
//!
//! Detections are matched greedily, highest score first, each to the free box with which it overlaps most. A detection matched
//! to an ignored box counts neither for nor against the detector; a box to be found is preferred to an ignored one. Average
//! precision is the mean of the interpolated precision at 101 recalls from 0 to 1. The rules are those of the `COCOeval`
//! class of pycocotools, with one addition: a box marked `ignore` is matched at most once at plain IoU, while a crowd is
//! matched any number of times by the share of the detection inside it.

mod faults;

pub use faults::{AtScore, FalseAlarm, Faults, Miss, NegativeReport, faults, on_negatives};

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use visavis_image::{Rect, fit_factor};

use crate::coco::Detection;
use visavis_data::boxes::{FaceBoxes, Label, LabelledFace, LabelledImage, WiderFlags};

/// Number of recalls at which precision is sampled: 0, 0.01, …, 1.
const RECALL_STEPS: usize = 101;

/// Number of IoU thresholds of AP@[0.5:0.95], 0.05 apart.
const IOU_STEPS: usize = 10;

/// Index of 0.5 among the thresholds.
const AT_50: usize = 0;

/// Index of 0.75 among the thresholds.
const AT_75: usize = 5;

/// Parameters or input are invalid.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum DetectionError {
    /// There are no pictures.
    #[error("the box set holds no image")]
    NoImages,
    /// A detection on a picture outside the set.
    #[error(
        "detection {index} is on image id {image_id}, which the box set does not hold: evaluate against the \
        boxes that the detector ran on"
    )]
    UnknownImage {
        /// Index of the detection, from 0.
        index: usize,
        /// The id of its picture.
        image_id: u64,
    },
    /// A score or coordinate that is not a finite number.
    #[error(
        "detection {index} on image id {image_id} has score {score} and box {bbox:?}: all must be finite, the \
        sides not negative"
    )]
    BadDetection {
        /// Index of the detection, from 0.
        index: usize,
        /// The picture.
        image_id: u64,
        /// Its score.
        score: f32,
        /// Its box.
        bbox: [f32; 4],
    },
    /// A parameter out of range.
    #[error("{name} is {value}: {expected}")]
    BadParameter {
        /// The field of [`DetectionParams`].
        name: &'static str,
        /// Its value.
        value: String,
        /// The range.
        expected: &'static str,
    },
}

/// A range of face sizes: the shorter side from `from` (inclusive) to `to` (exclusive), in pixels of the stored picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SizeBand {
    /// Smallest shorter side that belongs to the band.
    pub from: f32,
    /// First shorter side above the band; `None` for no upper end.
    pub to: Option<f32>,
}

impl SizeBand {
    /// Whether the box belongs to the band.
    #[must_use]
    pub fn holds(&self, rect: &Rect) -> bool {
        let side = rect.width.min(rect.height);
        side >= self.from && self.to.is_none_or(|to| side < to)
    }
}

/// Faces below this size need not be found; the size is that at the network's input.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LeastSide {
    /// Least shorter side of a face, in pixels of the network's input.
    pub pixels: f32,
    /// Width and height of the input into which every picture is fitted with its aspect ratio kept; `None` if each has its
    /// own size.
    pub input: Option<[u32; 2]>,
}

impl LeastSide {
    /// This side in pixels of the stored picture.
    #[must_use]
    pub fn in_picture(&self, image: &LabelledImage) -> f32 {
        self.pixels / self.input.map_or(1.0, |input| fit_factor([image.width, image.height], input))
    }
}

/// Parameters of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectionParams {
    /// Number of detections kept per picture, those with the highest scores. COCO's tables use 100; some pictures have more faces,
    /// and WIDER FACE sets no limit, so the default is 1000.
    pub max_detections: usize,
    /// False detections allowed per picture, on average over all pictures, at which recall is reported.
    pub false_positives_per_image: f64,
    /// Size bands that are reported separately. The default limits are 16, 32, 64 and 128 pixels.
    pub bands: Vec<SizeBand>,
    /// Smaller faces are ignored, as outside a band, and so are unmatched detections that are smaller.
    pub least_side: Option<LeastSide>,
}

impl Default for DetectionParams {
    fn default() -> Self {
        let edges = [0.0, 16.0, 32.0, 64.0, 128.0];
        let bands =
            edges.iter().enumerate().map(|(i, &from)| SizeBand { from, to: edges.get(i + 1).copied() }).collect();
        Self { max_detections: 1000, false_positives_per_image: 0.1, bands, least_side: None }
    }
}

impl DetectionParams {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`DetectionError::BadParameter`] with the first field out of range.
    pub fn validate(&self) -> Result<(), DetectionError> {
        let fault = |name, value: String, expected| Err(DetectionError::BadParameter { name, value, expected });
        if self.max_detections == 0 {
            return fault("max_detections", "0".to_owned(), "at least 1 detection per picture must count");
        }
        if !(self.false_positives_per_image.is_finite() && self.false_positives_per_image >= 0.0) {
            let value = self.false_positives_per_image.to_string();
            return fault("false_positives_per_image", value, "it must be finite and not negative");
        }
        if let Some(band) =
            self.bands.iter().find(|band| !(band.from >= 0.0 && band.to.is_none_or(|to| to > band.from)))
        {
            return fault("bands", format!("{band:?}"), "a band must start at 0 or above and end above its start");
        }
        if let Some(least) = self.least_side.filter(|least| !(least.pixels.is_finite() && least.pixels >= 0.0)) {
            return fault("least_side", least.pixels.to_string(), "it must be finite and not negative");
        }
        Ok(())
    }
}

/// The figures of a detector with the score threshold `score`, at IoU 0.5.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// The threshold: detections with this score or more count.
    pub score: f32,
    /// Share of the faces found.
    pub recall: f64,
    /// Share of the detections that are faces.
    pub precision: f64,
    /// False detections per picture.
    pub false_positives_per_image: f64,
}

/// Figures of one set of faces. AP and recall are `None` if the set has no face.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetectionReport {
    /// Pictures evaluated.
    pub images: usize,
    /// Faces to be found.
    pub faces: usize,
    /// Average precision at IoU 0.5.
    pub ap50: Option<f64>,
    /// Average precision at IoU 0.75.
    pub ap75: Option<f64>,
    /// Mean of the average precisions at IoU 0.5, 0.55, …, 0.95.
    pub ap50_95: Option<f64>,
    /// Largest recall at IoU 0.5 with at most [`DetectionParams::false_positives_per_image`].
    pub recall: Option<f64>,
    /// Precision and recall at IoU 0.5 by falling score, one point per distinct score. Ignored detections are left out.
    pub curve: Vec<CurvePoint>,
}

/// A report for one size band.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BandReport {
    /// The band.
    pub band: SizeBand,
    /// Its figures: faces outside the band are ignored, as are unmatched detections outside it.
    pub report: DetectionReport,
}

/// Reports for the three WIDER FACE subsets: faces outside a subset are ignored in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WiderReports {
    /// Large, clear faces.
    pub easy: DetectionReport,
    /// Easy faces and smaller ones.
    pub medium: DetectionReport,
    /// Nearly all faces.
    pub hard: DetectionReport,
}

/// All figures of one detector on one box set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetectionEvaluation {
    /// The parameter of that name; it limits every recall below.
    pub max_detections: usize,
    /// The parameter of that name, at which every recall below was measured.
    pub false_positives_per_image: f64,
    /// Every box labelled as a face.
    pub all: DetectionReport,
    /// By size, in the order of [`DetectionParams::bands`].
    pub bands: Vec<BandReport>,
    /// If the box set has WIDER FACE flags.
    pub wider: Option<WiderReports>,
}

/// Evaluates detections against labelled boxes.
///
/// # Errors
/// [`DetectionError`] for a parameter out of range, an empty box set, or a detection that is not finite or belongs to a
/// picture outside the set.
pub fn evaluate(
    boxes: &FaceBoxes,
    detections: &[Detection],
    params: &DetectionParams,
) -> Result<DetectionEvaluation, DetectionError> {
    params.validate()?;
    let matching = Matching::new(boxes, detections, params)?;
    let bands = params.bands.iter().map(|band| BandReport {
        band: *band,
        report: matching.report(|face| band.holds(&face.rect), |rect| band.holds(rect)),
    });
    let subset = |flag: fn(WiderFlags) -> bool| matching.report(|face| face.wider.is_some_and(flag), |_| true);
    let flagged = boxes.images.iter().flat_map(|image| &image.faces).any(|face| face.wider.is_some());
    Ok(DetectionEvaluation {
        max_detections: params.max_detections,
        false_positives_per_image: params.false_positives_per_image,
        all: matching.report(|_| true, |_| true),
        bands: bands.collect(),
        wider: flagged.then(|| WiderReports {
            easy: subset(|flags| flags.easy),
            medium: subset(|flags| flags.medium),
            hard: subset(|flags| flags.hard),
        }),
    })
}

/// One picture with its detections.
struct Case<'a> {
    faces: &'a [LabelledFace],
    /// Highest score first, ties in the given order.
    detections: Vec<Detection>,
    /// One row per detection, one column per face.
    overlaps: Vec<f64>,
    /// Boxes with a smaller shorter side do not count, in pixels of the stored picture.
    least: f32,
}

/// The part of an evaluation that does not depend on which faces count.
struct Matching<'a> {
    cases: Vec<Case<'a>>,
    /// (case, detection) over all pictures, highest score first, ties in the order of pictures.
    ranking: Vec<(usize, usize)>,
    false_positives: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    /// The face that it found.
    Hit(usize),
    FalseAlarm,
    Ignored,
}

impl<'a> Matching<'a> {
    fn new(boxes: &'a FaceBoxes, detections: &[Detection], params: &DetectionParams) -> Result<Self, DetectionError> {
        if boxes.images.is_empty() {
            return Err(DetectionError::NoImages);
        }
        let places: HashMap<u64, usize> = boxes.images.iter().enumerate().map(|(i, image)| (image.id, i)).collect();
        let mut found: Vec<Vec<Detection>> = vec![Vec::new(); boxes.images.len()];
        for (index, &detection) in detections.iter().enumerate() {
            let Detection { image_id, rect, score } = detection;
            let bbox: [f32; 4] = rect.into();
            if !(score.is_finite() && bbox.iter().all(|v| v.is_finite()) && rect.width >= 0.0 && rect.height >= 0.0) {
                return Err(DetectionError::BadDetection { index, image_id, score, bbox });
            }
            let Some(&place) = places.get(&image_id) else {
                return Err(DetectionError::UnknownImage { index, image_id });
            };
            found[place].push(detection);
        }

        let cases: Vec<Case> = boxes
            .images
            .iter()
            .zip(found)
            .map(|(image, mut detections)| {
                detections.sort_by(|a, b| b.score.total_cmp(&a.score));
                detections.truncate(params.max_detections);
                let overlaps = detections
                    .iter()
                    .flat_map(|detection| image.faces.iter().map(|face| overlap(&detection.rect, face)))
                    .collect();
                let least = params.least_side.map_or(0.0, |least| least.in_picture(image));
                Case { faces: &image.faces, detections, overlaps, least }
            })
            .collect();
        let mut ranking: Vec<(usize, usize)> = cases
            .iter()
            .enumerate()
            .flat_map(|(case, Case { detections, .. })| (0..detections.len()).map(move |detection| (case, detection)))
            .collect();
        ranking.sort_by(|a, b| cases[b.0].detections[b.1].score.total_cmp(&cases[a.0].detections[a.1].score));
        let false_positives = params.false_positives_per_image * cases.len() as f64;
        Ok(Self { cases, ranking, false_positives })
    }

    /// `counts` says which labelled faces are to be found, the others are ignored; `alarming` says which unmatched detections
    /// are false positives.
    fn report(&self, counts: impl Fn(&LabelledFace) -> bool, alarming: impl Fn(&Rect) -> bool) -> DetectionReport {
        let counted: Vec<Vec<bool>> = self.cases.iter().map(|case| case.counted(&counts)).collect();
        let faces = counted.iter().flatten().filter(|&&counts| counts).count();
        let ranked: Vec<Vec<(f32, Outcome)>> =
            iou_thresholds().iter().map(|&iou| self.ranked_outcomes(&counted, &alarming, iou)).collect();
        let precisions: Option<Vec<f64>> =
            (faces > 0).then(|| ranked.iter().map(|outcomes| average_precision(outcomes, faces)).collect());
        let curve = curve(&ranked[AT_50], faces, self.cases.len());
        DetectionReport {
            images: self.cases.len(),
            faces,
            ap50: precisions.as_ref().map(|ap| ap[AT_50]),
            ap75: precisions.as_ref().map(|ap| ap[AT_75]),
            ap50_95: precisions.map(|ap| ap.iter().sum::<f64>() / IOU_STEPS as f64),
            recall: (faces > 0).then(|| self.recall(&ranked[AT_50], faces)),
            curve,
        }
    }

    /// The outcome of each detection, highest score first.
    fn ranked_outcomes(
        &self,
        counted: &[Vec<bool>],
        alarming: impl Fn(&Rect) -> bool,
        iou: f64,
    ) -> Vec<(f32, Outcome)> {
        let outcomes: Vec<Vec<Outcome>> =
            self.cases.iter().zip(counted).map(|(case, counted)| case.outcomes(counted, &alarming, iou)).collect();
        self.ranking
            .iter()
            .map(|&(case, detection)| (self.cases[case].detections[detection].score, outcomes[case][detection]))
            .collect()
    }

    /// Largest recall with the allowed number of false positives.
    fn recall(&self, ranked: &[(f32, Outcome)], faces: usize) -> f64 {
        let within =
            operating_points(ranked).into_iter().take_while(|point| point.alarms as f64 <= self.false_positives);
        within.last().map_or(0.0, |point| point.hits as f64 / faces as f64)
    }
}

impl Case<'_> {
    fn is_large(&self, rect: &Rect) -> bool {
        rect.width.min(rect.height) >= self.least
    }

    /// Which faces are to be found.
    fn counted(&self, counts: impl Fn(&LabelledFace) -> bool) -> Vec<bool> {
        let asked = |face: &LabelledFace| face.label == Label::Face && self.is_large(&face.rect) && counts(face);
        self.faces.iter().map(asked).collect()
    }

    fn outcomes(&self, counted: &[bool], alarming: impl Fn(&Rect) -> bool, iou: f64) -> Vec<Outcome> {
        // Faces to be found come first, so that the search can stop at the ignored ones once it has found a face.
        let mut order: Vec<usize> = (0..self.faces.len()).collect();
        order.sort_by_key(|&face| Reverse(counted[face]));
        let mut taken = vec![false; self.faces.len()];
        let mut outcomes = Vec::with_capacity(self.detections.len());
        for (row, detection) in self.detections.iter().enumerate() {
            let mut best: Option<usize> = None;
            let mut least = iou;
            for &face in &order {
                if taken[face] && self.faces[face].label != Label::Crowd {
                    continue;
                }
                if best.is_some_and(|held| counted[held]) && !counted[face] {
                    break;
                }
                let overlap = self.overlaps[row * self.faces.len() + face];
                if overlap >= least {
                    least = overlap;
                    best = Some(face);
                }
            }
            outcomes.push(match best {
                Some(face) => {
                    taken[face] = true;
                    if counted[face] { Outcome::Hit(face) } else { Outcome::Ignored }
                }
                None if self.is_large(&detection.rect) && alarming(&detection.rect) => Outcome::FalseAlarm,
                None => Outcome::Ignored,
            });
        }
        outcomes
    }
}

/// Intersection over union, in double precision, so that an overlap equal to the threshold passes; for a crowd, the share of the
/// detection inside it.
fn overlap(detection: &Rect, face: &LabelledFace) -> f64 {
    let [dx, dy, dw, dh] = <[f32; 4]>::from(*detection).map(f64::from);
    let [fx, fy, fw, fh] = <[f32; 4]>::from(face.rect).map(f64::from);
    let width = (dx + dw).min(fx + fw) - dx.max(fx);
    let height = (dy + dh).min(fy + fh) - dy.max(fy);
    if width <= 0.0 || height <= 0.0 {
        return 0.0;
    }
    let shared = width * height;
    let whole = if face.label == Label::Crowd { dw * dh } else { dw * dh + fw * fh - shared };
    shared / whole
}

/// As numpy's linspace computes them.
fn iou_thresholds() -> [f64; IOU_STEPS] {
    let step = (0.95 - 0.5) / (IOU_STEPS - 1) as f64;
    std::array::from_fn(|i| 0.5 + step * i as f64)
}

/// Mean over the sampled recalls of the highest precision at that recall or above.
fn average_precision(ranked: &[(f32, Outcome)], faces: usize) -> f64 {
    let mut points: Vec<(f64, f64)> = Vec::new();
    let (mut hits, mut alarms) = (0_usize, 0_usize);
    for (_, outcome) in ranked {
        match outcome {
            Outcome::Hit(_) => hits += 1,
            Outcome::FalseAlarm => alarms += 1,
            Outcome::Ignored => continue,
        }
        points.push((hits as f64 / faces as f64, hits as f64 / (hits + alarms) as f64));
    }
    let mut best = 0.0_f64;
    for (_, precision) in points.iter_mut().rev() {
        best = best.max(*precision);
        *precision = best;
    }
    let sum: f64 = (0..RECALL_STEPS)
        .map(|step| {
            // A product, as in numpy's linspace: the quotient differs in the last bit, enough to shift a sample.
            let recall = step as f64 * 0.01;
            let place = points.partition_point(|&(reached, _)| reached < recall);
            points.get(place).map_or(0.0, |&(_, precision)| precision)
        })
        .sum();
    sum / RECALL_STEPS as f64
}

/// Counts at one score threshold.
struct OperatingPoint {
    score: f32,
    hits: usize,
    alarms: usize,
}

/// One per distinct score, highest first: a threshold cannot separate two detections with the same score.
fn operating_points(ranked: &[(f32, Outcome)]) -> Vec<OperatingPoint> {
    let mut points: Vec<OperatingPoint> = Vec::new();
    let (mut hits, mut alarms) = (0, 0);
    for &(score, outcome) in ranked {
        match outcome {
            Outcome::Hit(_) => hits += 1,
            Outcome::FalseAlarm => alarms += 1,
            Outcome::Ignored => continue,
        }
        match points.last_mut() {
            Some(last) if last.score == score => *last = OperatingPoint { score, hits, alarms },
            _ => points.push(OperatingPoint { score, hits, alarms }),
        }
    }
    points
}

fn curve(ranked: &[(f32, Outcome)], faces: usize, images: usize) -> Vec<CurvePoint> {
    if faces == 0 {
        return Vec::new();
    }
    operating_points(ranked)
        .into_iter()
        .map(|OperatingPoint { score, hits, alarms }| CurvePoint {
            score,
            recall: hits as f64 / faces as f64,
            precision: hits as f64 / (hits + alarms) as f64,
            false_positives_per_image: alarms as f64 / images as f64,
        })
        .collect()
}

#[cfg(test)]
mod tests;

//! Makes a pack of a data set: decode, detect and crop, in several threads.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use serde::Serialize;
use visavis_face::{Detect, Face};
use visavis_image::{Landmarks, Picture, Point, Rect, Similarity, Turn, codec, warp_into};

use super::{DetectedFace, PackParams, PackWriter, PackedFace, usual_box};
use crate::{DataError, DataSet, Sample, Split};

/// Least overlap (intersection over union) of a labelled box with the detection of the same face. Detectors and annotators
/// include different parts of the head: two boxes of one face overlap by 0.4 and more.
const LEAST_IOU: f32 = 0.3;

/// Least number of the five labelled keypoints that a detection of the same face contains.
const LEAST_KEYPOINTS: usize = 3;

/// Packs data sets.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Packer {
    /// How faces are cropped.
    pub params: PackParams,
}

/// The result of packing.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct PackReport {
    /// Name of the set.
    pub name: String,
    /// Faces in the pack.
    pub faces: usize,
    /// Number of training faces.
    pub train: usize,
    /// Number of validation faces.
    pub validation: usize,
    /// Number of faces that the detector did not find; the set gives their place.
    pub undetected: usize,
    /// Pictures left out because the set does not give the face's place and the detector found none.
    pub faceless: Vec<String>,
    /// Pictures left out because the labelled place of the face lies outside of them.
    pub outside: Vec<String>,
    /// Pictures left out because they cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// Fingerprint of the pack.
    pub fingerprint: String,
}

/// A picture that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// Its file in the set.
    pub file: String,
    /// The reason.
    pub reason: String,
}

/// The result for a sample.
enum Outcome {
    Packed(Box<PackedFace>, Vec<u8>),
    Faceless,
    Outside,
    Unreadable(String),
}

impl Packer {
    /// Packs `set` into the folder `out`, with a thread for each of `detectors`, which must be alike and are called `name`. The
    /// pack does not depend on their number. `progress` is called after each sample.
    ///
    /// # Errors
    /// [`DataError::Layout`] without detectors, if `out` is taken or if no face could be packed; [`DataError::Face`] if a
    /// detector fails; [`DataError::File`] if the pack cannot be written. Pictures that cannot be read and faces outside of their
    /// picture are left out and reported.
    pub fn pack(
        &self,
        set: &DataSet,
        name: &str,
        detectors: &mut [Box<dyn Detect>],
        out: &Path,
        mut progress: impl FnMut(),
    ) -> Result<PackReport, DataError> {
        let nothing = |reason: &str| DataError::Layout { path: out.to_owned(), reason: reason.into() };
        if detectors.is_empty() {
            return Err(nothing("faces are packed by at least one detector: none was given"));
        }
        let mut writer = PackWriter::new(out, &set.name, name, self.params)?;
        let mut report = PackReport { name: set.name.clone(), ..PackReport::default() };
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            let (sender, outcomes) = mpsc::sync_channel(2 * detectors.len());
            for detector in detectors.iter_mut() {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    while let Some((index, sample)) = take(&set.samples, next) {
                        let outcome = self.process(&set.name, sample, detector.as_mut());
                        if sender.send((index, outcome)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            // Threads finish in any order; the pack has the order of the set.
            let mut early = BTreeMap::new();
            let mut due = 0;
            for (index, outcome) in outcomes {
                early.insert(index, outcome);
                while let Some(outcome) = early.remove(&due) {
                    report.add(&set.samples[due], outcome?, &mut writer)?;
                    due += 1;
                    progress();
                }
            }
            Ok::<(), DataError>(())
        })?;
        if report.faces == 0 {
            let first = report.unreadable.first().map(|u| format!(" (the first: {}: {})", u.file, u.reason));
            return Err(nothing(&format!(
                "none of {} pictures gave a face, {} could not be read{}, in {} the labelled face lies outside: see that the set \
                 is complete",
                set.samples.len(),
                report.unreadable.len(),
                first.unwrap_or_default(),
                report.outside.len(),
            )));
        }
        report.fingerprint = writer.finish()?.fingerprint;
        Ok(report)
    }

    fn process(&self, set: &str, sample: &Sample, detector: &mut dyn Detect) -> Result<Outcome, DataError> {
        let bytes = fs::read(&sample.path).map_err(|error| error.to_string());
        let decoded = bytes.and_then(|bytes| codec::decode(&bytes, codec::MAX_PIXELS).map_err(|e| e.to_string()));
        let picture = match decoded {
            Ok(picture) => picture,
            Err(reason) => return Ok(Outcome::Unreadable(reason)),
        };
        let faces = detector.detect(&picture)?;
        let found = belonging(sample, &faces, &picture);
        let labelled = sample.rect.or_else(|| usual_box(&sample.landmarks?));
        let Some(rect) = labelled.or(found.map(|face| face.rect)).filter(Rect::is_proper) else {
            return Ok(Outcome::Faceless);
        };
        let whole = Rect::new(0.0, 0.0, picture.width() as f32, picture.height() as f32);
        if rect.intersection(&whole).is_none() {
            return Ok(Outcome::Outside);
        }
        // Labels refer to the picture as it is; a face without them is rotated upright.
        let turn = if labelled.is_some() { Turn::None } else { found.map_or(Turn::None, |face| face.turn) };
        let to_source = crop_to_source(&rect, turn, self.params.side, self.params.expansion);
        let mut crop = Picture::new(self.params.side, self.params.side);
        warp_into(&picture, &to_source, &mut crop);
        let jpeg = match codec::encode_jpeg(&crop, self.params.quality) {
            Ok(jpeg) => jpeg,
            Err(error) => return Ok(Outcome::Unreadable(error.to_string())),
        };
        let to_crop = to_source.inverse();
        let key = sample.identity.as_deref().unwrap_or(&sample.file);
        let face = PackedFace {
            set: set.to_owned(),
            file: sample.file.clone(),
            identity: sample.identity.clone(),
            split: self.params.split.side(set, key),
            labels: sample.labels.clone(),
            scale: to_crop.scale(),
            rect: moved_box(&rect, &to_crop),
            landmarks: sample.landmarks.map(|points| moved(points, &to_crop)),
            detected: found.map(|face| DetectedFace {
                rect: moved_box(&face.rect, &to_crop),
                score: face.score,
                landmarks: face.landmarks.map(|points| moved(points, &to_crop)),
            }),
        };
        Ok(Outcome::Packed(Box::new(face), jpeg))
    }
}

impl PackReport {
    fn add(&mut self, sample: &Sample, outcome: Outcome, writer: &mut PackWriter) -> Result<(), DataError> {
        match outcome {
            Outcome::Packed(face, jpeg) => {
                writer.push(&face, &jpeg)?;
                self.faces += 1;
                *(if face.split == Split::Train { &mut self.train } else { &mut self.validation }) += 1;
                self.undetected += usize::from(face.detected.is_none());
            }
            Outcome::Faceless => self.faceless.push(sample.file.clone()),
            Outcome::Outside => self.outside.push(sample.file.clone()),
            Outcome::Unreadable(reason) => self.unreadable.push(Unreadable { file: sample.file.clone(), reason }),
        }
        Ok(())
    }
}

fn take<'a>(samples: &'a [Sample], next: &AtomicUsize) -> Option<(usize, &'a Sample)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    samples.get(index).map(|sample| (index, sample))
}

/// The detection of the labelled face: the one that overlaps its box most, or that contains most of its keypoints, or, if the
/// set has neither, the one that is large and near the middle.
#[must_use]
pub fn belonging<'a>(sample: &Sample, faces: &'a [Face], picture: &Picture) -> Option<&'a Face> {
    if let Some(rect) = sample.rect {
        let overlap = |face: &&Face| face.rect.iou(&rect);
        return faces.iter().filter(|face| overlap(face) >= LEAST_IOU).max_by(|a, b| overlap(a).total_cmp(&overlap(b)));
    }
    if let Some(landmarks) = sample.landmarks {
        let held = |face: &Face| landmarks.to_array().iter().filter(|&&p| face.rect.contains(p)).count();
        let middle = centre_of(&landmarks);
        return faces.iter().filter(|face| held(face) >= LEAST_KEYPOINTS).max_by(|a, b| {
            let distance = |face: &Face| face.rect.centre().distance(middle);
            held(a).cmp(&held(b)).then_with(|| distance(b).total_cmp(&distance(a)))
        });
    }
    let middle = Point::new(picture.width() as f32 / 2.0, picture.height() as f32 / 2.0);
    // A face halfway to the edge must be about twice as large to be preferred.
    let weight = |face: &Face| face.rect.area() - 2.0 * face.rect.centre().distance(middle).powi(2);
    faces.iter().max_by(|a, b| weight(a).total_cmp(&weight(b)))
}

fn centre_of(landmarks: &Landmarks) -> Point {
    let sum = landmarks.to_array().iter().fold(Point::default(), |sum, p| Point::new(sum.x + p.x, sum.y + p.y));
    Point::new(sum.x / 5.0, sum.y / 5.0)
}

/// Maps a crop of `side` pixels to the square around `rect` with `expansion` times its longer side. A face that is rotated by
/// `turn` is upright in the crop.
fn crop_to_source(rect: &Rect, turn: Turn, side: u32, expansion: f32) -> Similarity {
    let square = rect.square().expanded(expansion);
    let scale = square.width / side.max(1) as f32;
    Similarity::scale_then_shift(scale, square.x, square.y).after(&turn.transform([side as f32; 2]))
}

/// Rounds to hundredths of a pixel, which is finer than any label and keeps the lines short.
fn rounded(value: f32) -> f32 {
    (value * 100.0).round() / 100.0
}

fn moved(landmarks: Landmarks, to_crop: &Similarity) -> Landmarks {
    landmarks.map(|p| {
        let p = to_crop.apply(p);
        Point::new(rounded(p.x), rounded(p.y))
    })
}

fn moved_box(rect: &Rect, to_crop: &Similarity) -> Rect {
    let p = to_crop.apply(Point::new(rect.x, rect.y));
    let q = to_crop.apply(Point::new(rect.right(), rect.bottom()));
    let (width, height) = ((p.x - q.x).abs(), (p.y - q.y).abs());
    Rect::new(rounded(p.x.min(q.x)), rounded(p.y.min(q.y)), rounded(width), rounded(height))
}

//! Labels pictures without face boxes with detectors that are better than the one to be trained.
//!
//! The first detector searches the picture at several sizes, and mirrored. A detection with a high score that another detector
//! confirms is a face. A detection by only one of them becomes a region that training and evaluation ignore.

use visavis_face::Detect;
use visavis_image::{Landmarks, Picture, Point, Rect, Resizer};

use super::{Label, LabelledFace};
use crate::DataError;

/// A detector that labels pictures.
pub struct Teacher {
    /// The detector. It searches every picture at the picture's own size, or has a fixed input size.
    pub detector: Box<dyn Detect>,
    /// The fixed input size, if it has one; larger pictures are cut into overlapping tiles.
    pub tile: Option<[u32; 2]>,
}

/// How teachers search, and which scores count.
#[derive(Debug, Clone, PartialEq)]
pub struct TeacherParams {
    /// Longer sides, in pixels, to which a picture is scaled.
    pub sides: Vec<u32>,
    /// Largest factor by which a picture is enlarged for that.
    pub enlarged: f32,
    /// Least score of the first teacher for a face.
    pub sure: f32,
    /// Least score of another teacher that confirms it.
    pub confirmed: f32,
    /// Least score of the first teacher, and of others alone, for an ignored region.
    pub doubtful: [f32; 2],
    /// Shorter side in pixels of the stored picture below which a face is ignored.
    pub least: f32,
}

impl Default for TeacherParams {
    /// Up to three times the 416 pixels of the detection set.
    fn default() -> Self {
        Self {
            sides: vec![416, 624, 832, 1248],
            enlarged: 3.0,
            sure: 0.6,
            confirmed: 0.6,
            doubtful: [0.3, 0.5],
            least: 6.0,
        }
    }
}

/// A detection of one teacher, over all sizes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    rect: Rect,
    landmarks: Option<Landmarks>,
    /// The highest score.
    score: f32,
}

/// Boxes with a higher overlap (IoU) are one face; for a face below 16 pixels, detectors agree less exactly.
const SAME: [f32; 2] = [0.5, 0.35];
/// Overlap of two tiles, as a share of a tile.
const REPEATED: f32 = 0.3;
/// A face this near to an inner edge of a tile, in pixels, is cut off.
const CUT: f32 = 3.0;

/// Labels a picture. `known` boxes are kept and get keypoints. `points` are the labelled keypoints of one face and are given
/// to the face around them. Other detections are added.
///
/// # Errors
/// [`DataError::Face`] if a detector fails.
pub fn label(
    picture: &Picture,
    teachers: &mut [Teacher],
    known: &[LabelledFace],
    points: Option<Landmarks>,
    params: &TeacherParams,
) -> Result<Vec<LabelledFace>, DataError> {
    let mut views = Vec::with_capacity(teachers.len());
    for (at, teacher) in teachers.iter_mut().enumerate() {
        views.push(teacher.search(picture, params, at > 0)?);
    }
    let others: Vec<Seen> = views.split_off(1.min(views.len())).concat();
    let first = views.pop().unwrap_or_default();
    let mut faces = known.to_vec();
    for face in &mut faces {
        let best = first.iter().max_by(|a, b| a.rect.iou(&face.rect).total_cmp(&b.rect.iou(&face.rect)));
        if let Some(seen) = best.filter(|seen| seen.rect.iou(&face.rect) >= SAME[0] && seen.score >= params.sure) {
            face.landmarks = face.landmarks.or(seen.landmarks);
        }
    }
    let covered = |faces: &[LabelledFace], rect: &Rect| {
        faces.iter().any(|face| {
            let both = face.rect.intersection(rect).map_or(0.0, |both| both.area());
            both >= 0.5 * rect.area().min(face.rect.area())
        })
    };
    for seen in &first {
        if seen.score < params.doubtful[0] || covered(&faces, &seen.rect) {
            continue;
        }
        let side = seen.rect.width.min(seen.rect.height);
        let same = SAME[usize::from(side < 16.0)];
        let agreed = others.iter().any(|other| other.score >= params.confirmed && other.rect.iou(&seen.rect) >= same);
        let named = points.is_some_and(|points| surrounds(&seen.rect, points));
        let face = (named || agreed && seen.score >= params.sure) && side >= params.least;
        faces.push(LabelledFace {
            rect: seen.rect,
            label: if face { Label::Face } else { Label::Ignore },
            wider: None,
            landmarks: seen.landmarks.filter(|_| face),
        });
    }
    for seen in others.iter().filter(|seen| seen.score >= params.doubtful[1]) {
        if !covered(&faces, &seen.rect) {
            faces.push(LabelledFace { rect: seen.rect, label: Label::Ignore, wider: None, landmarks: None });
        }
    }
    if let Some(points) = points {
        // Labels by people are better than the detector's.
        let around = faces.iter_mut().filter(|face| face.label == Label::Face && surrounds(&face.rect, points));
        if let Some(face) = around.min_by(|a, b| a.rect.area().total_cmp(&b.rect.area())) {
            face.landmarks = Some(points);
        }
    }
    Ok(faces)
}

/// Whether the keypoints are where a face with this box has them.
fn surrounds(rect: &Rect, points: Landmarks) -> bool {
    let points = points.to_array();
    let middle = |of: &dyn Fn(&Point) -> f32| points.iter().map(of).sum::<f32>() / 5.0;
    let (x, y) = (middle(&|point| point.x), middle(&|point| point.y));
    let spread = points[0].distance(points[4]).max(points[1].distance(points[3]));
    let (dx, dy) = ((x - rect.centre().x).abs() / rect.width, (y - rect.centre().y).abs() / rect.height);
    dx < 0.3 && dy < 0.3 && (0.3..1.6).contains(&(spread / (rect.width * rect.height).sqrt()))
}

impl Teacher {
    /// The detections over all sizes and mirrored, strongest first. A teacher that only confirms uses every second size, without
    /// mirroring.
    fn search(&mut self, picture: &Picture, params: &TeacherParams, confirms: bool) -> Result<Vec<Seen>, DataError> {
        let longest = picture.width().max(picture.height()) as f32;
        let mut factors: Vec<f32> =
            params.sides.iter().map(|side| (*side as f32 / longest).min(params.enlarged)).collect();
        factors.dedup();
        let step = if confirms { 2 } else { 1 };
        let mut resizer = Resizer::new();
        let mut seen: Vec<Seen> = Vec::new();
        for factor in factors.into_iter().step_by(step) {
            let side = |length: u32| ((length as f32 * factor).round() as u32).max(8);
            let mut view = Picture::new(side(picture.width()), side(picture.height()));
            resizer.stretch(picture, &mut view);
            let width = view.width() as f32;
            for mirrored in [false, true].into_iter().take(3 - step) {
                if mirrored {
                    view.mirror();
                }
                seen.extend(self.pass(&view)?.into_iter().map(|seen| {
                    let back = |seen: Seen| Seen {
                        rect: Rect { x: width - seen.rect.right(), ..seen.rect },
                        landmarks: seen.landmarks.map(|landmarks| landmarks.mirrored(width)),
                        ..seen
                    };
                    let seen = if mirrored { back(seen) } else { seen };
                    Seen {
                        rect: seen.rect.scaled(1.0 / factor, 1.0 / factor),
                        landmarks: seen.landmarks.map(|all| all.map(|p| Point::new(p.x / factor, p.y / factor))),
                        ..seen
                    }
                }));
            }
        }
        seen.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut distinct: Vec<Seen> = Vec::new();
        for seen in seen {
            if distinct.iter().all(|other| other.rect.iou(&seen.rect) < SAME[0]) {
                distinct.push(seen);
            }
        }
        Ok(distinct)
    }

    /// Searches a picture once, in tiles if the input size is fixed.
    fn pass(&mut self, view: &Picture) -> Result<Vec<Seen>, DataError> {
        let seen = |face: visavis_face::Face| Seen { rect: face.rect, landmarks: face.landmarks, score: face.score };
        let Some([width, height]) = self.tile else {
            return Ok(self.detector.detect(view)?.into_iter().map(seen).collect());
        };
        let mut all = Vec::new();
        if view.width() * 4 > width * 5 || view.height() * 4 > height * 5 {
            // Tiles cut off large faces, so the picture is also searched as a whole, scaled down.
            all.extend(self.detector.detect(view)?.into_iter().map(seen));
        }
        for (top, down) in spans(view.height(), height) {
            for (left, across) in spans(view.width(), width) {
                let mut tile = Picture::new(across, down);
                for row in 0..down {
                    let from = &view.row(top + row)[left as usize * 3..][..across as usize * 3];
                    let start = (row * across * 3) as usize;
                    tile.pixels_mut()[start..start + from.len()].copy_from_slice(from);
                }
                let inside = |face: &visavis_face::Face| {
                    let rect = face.rect;
                    (left == 0 || rect.x > CUT)
                        && (top == 0 || rect.y > CUT)
                        && (left + across == view.width() || rect.right() < across as f32 - CUT)
                        && (top + down == view.height() || rect.bottom() < down as f32 - CUT)
                };
                let found = self.detector.detect(&tile)?.into_iter().filter(inside);
                all.extend(found.map(|face| Seen {
                    rect: Rect { x: face.rect.x + left as f32, y: face.rect.y + top as f32, ..face.rect },
                    ..seen(face)
                }));
            }
        }
        Ok(all)
    }
}

/// Starts and lengths of overlapping pieces of about `piece` at most, evenly distributed over `length`.
fn spans(length: u32, piece: u32) -> Vec<(u32, u32)> {
    if length <= piece * 5 / 4 {
        return vec![(0, length)];
    }
    let step = piece as f32 * (1.0 - REPEATED);
    let count = ((length - piece) as f32 / step).ceil() as u32;
    (0..=count).map(|at| ((length - piece) * at / count, piece)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_face::{Face, FaceError};
    use visavis_infer::Placement;

    /// Returns given boxes, in shares of the picture, unless the picture is mirrored (its first pixel is not black).
    struct Told(Vec<(Rect, f32)>);

    impl Detect for Told {
        fn detect(&mut self, picture: &Picture) -> Result<Vec<Face>, FaceError> {
            let (w, h) = (picture.width() as f32, picture.height() as f32);
            let mirrored = picture.pixel(0, 0)[0] > 128;
            Ok(self
                .0
                .iter()
                .map(|(rect, score)| {
                    let rect = if mirrored { Rect { x: 1.0 - rect.right(), ..*rect } } else { *rect };
                    let rect = rect.scaled(w, h);
                    let landmarks = Some(Landmarks::from([rect.centre(); 5]));
                    Face { rect, score: *score, landmarks, turn: visavis_image::Turn::None }
                })
                .collect())
        }

        fn placement(&self) -> Placement {
            Placement { engine: "none".into(), device: "CPU".into(), threads: 1 }
        }
    }

    /// Black on the left, white on the right, so that mirroring can be detected.
    fn picture() -> Picture {
        let mut picture = Picture::new(200, 100);
        for y in 0..100 {
            for x in 100..200 {
                picture.set_pixel(x, y, [255; 3]);
            }
        }
        picture
    }

    fn teacher(seen: &[(Rect, f32)]) -> Teacher {
        Teacher { detector: Box::new(Told(seen.to_vec())), tile: None }
    }

    #[test]
    fn agreed_ones_are_faces_and_single_ones_are_ignored() {
        let (both, first, second) =
            (Rect::new(0.1, 0.1, 0.2, 0.4), Rect::new(0.4, 0.1, 0.2, 0.4), Rect::new(0.7, 0.1, 0.2, 0.4));
        let mut teachers = [teacher(&[(both, 0.9), (first, 0.9)]), teacher(&[(both, 0.8), (second, 0.8)])];
        let faces = label(&picture(), &mut teachers, &[], None, &TeacherParams::default()).unwrap();
        let labels: Vec<(f32, Label)> = faces.iter().map(|face| (face.rect.x.round(), face.label)).collect();
        assert_eq!(labels, [(20.0, Label::Face), (80.0, Label::Ignore), (140.0, Label::Ignore)]);
        assert!(faces[0].landmarks.is_some() && faces[1].landmarks.is_none());
    }

    #[test]
    fn known_boxes_stay_and_labelled_keypoints_win() {
        let rect = Rect::new(0.1, 0.1, 0.2, 0.4);
        let known =
            LabelledFace { rect: Rect::new(22.0, 11.0, 40.0, 40.0), label: Label::Face, wider: None, landmarks: None };
        let mut teachers = [teacher(&[(rect, 0.9)])];
        let params = TeacherParams::default();
        let faces = label(&picture(), &mut teachers, std::slice::from_ref(&known), None, &params).unwrap();
        assert_eq!(faces.len(), 1);
        assert_eq!(faces[0].rect, known.rect);
        assert!(faces[0].landmarks.is_some());
        let points = Landmarks::from(
            [(30.0, 20.0), (50.0, 20.0), (40.0, 30.0), (32.0, 42.0), (48.0, 42.0)].map(|(x, y)| Point::new(x, y)),
        );
        let faces = label(&picture(), &mut teachers, &[], Some(points), &params).unwrap();
        assert_eq!((faces[0].label, faces[0].landmarks), (Label::Face, Some(points)));
    }

    #[test]
    fn tiles_cover_everything_and_overlap() {
        assert_eq!(spans(320, 320), [(0, 320)]);
        let all = spans(1000, 320);
        assert_eq!((all[0], all[all.len() - 1]), ((0, 320), (680, 320)));
        assert!(all.windows(2).all(|pair| pair[1].0 <= pair[0].0 + 224), "{all:?}");
    }
}

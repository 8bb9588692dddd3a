//! Faces in whole photos: large faces, small faces, and faces in photos that are rotated by 90, 180 or 270 degrees.

use visavis_image::{Picture, Point, Rect, Resizer, Similarity, Turn, fit_factor, warp_into};
use visavis_infer::{EngineOptions, Entry, Placement, Runtime};

use super::{Detect, DetectorParams, Face, FaceDetector, InputSizes, non_maximum_suppression};
use crate::FaceError;

/// How photos are searched. Lengths are in pixels of the detector's input unless stated otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PhotoParams {
    /// The longer side of the photo at the coarsest of its scales, where a face may fill the picture.
    pub coarsest: u32,
    /// The longer side of the photo at its finest scale. At 2560 a face of 16 pixels is 1/160 of the photo's longer side.
    pub finest: u32,
    /// A photo that is larger than the coarsest scale is enlarged by at most this factor at the finest one.
    pub most_enlarged: f32,
    /// The factor between two scales is at most this.
    pub step: f32,
    /// A photo whose sides are longer than this at some scale is cut into tiles of at most this length.
    pub tile: u32,
    /// Overlap of two tiles. At scales finer than the coarsest, only faces that fit into the overlap count: larger ones are
    /// found at the next coarser scale.
    pub overlap: u32,
    /// Faces narrower than this are left out, in pixels of the photo.
    pub smallest: f32,
    /// A face with at least this score is certain. If no upright face is certain, the photo is also searched rotated by 90,
    /// 180 and 270 degrees; a rotated face must be certain too.
    pub sure: f32,
    /// A face with a lower score counts only if the detector finds it again in its surroundings alone.
    pub unchecked: f32,
    /// Two boxes with a higher intersection over union are one face.
    pub nms_iou: f32,
}

impl Default for PhotoParams {
    fn default() -> Self {
        Self {
            coarsest: 320,
            finest: 2560,
            most_enlarged: 1.5,
            step: 3.0,
            tile: 960,
            overlap: 128,
            smallest: 0.0,
            sure: 0.85,
            unchecked: 0.9,
            nms_iou: 0.45,
        }
    }
}

/// Faces narrower than this many pixels of the photo are left out: age, gender and identity cannot be told from so few pixels,
/// and many of these boxes are false positives.
const NARROWEST: f32 = 13.0;

/// Least width of a face that a detector is expected to find, in pixels of its input.
const LEAST_FACE: f32 = 16.0;
/// A box nearer than this to the inner edge of a tile may be cut off by it.
const EDGE: f32 = 8.0;
/// Input sides are multiples of this: an engine prepares for each input size, so there should be few.
const ROUND: u32 = 32;
/// To check how a face is rotated, and whether an uncertain one is a face, a square around it of so many times its side …
const CHECKED_AROUND: f32 = 3.0;
/// … is searched at this size in pixels. Small, because the scores of the four rotations then differ most.
const CHECKED_SIDE: u32 = 128;
/// The number of faces that are checked, largest first.
const CHECKED_FACES: usize = 3;
/// An upright face is taken for a rotated one only if its score is higher by this when rotated.
const TURNED_GAIN: f32 = 0.02;
/// A photo without a certain face is rotated at scales up to this longer side only, until a face shows the rotation.
const TURNED_FINEST: f32 = 1280.0;

/// Finds the faces of photos: at several scales, in tiles, and, if no upright face is certain, in the rotated photo.
///
/// Boxes and keypoints are in pixels of the photo as it is given; [`Face::turn`] says how a face is turned in it.
pub struct PhotoDetector {
    detector: Box<dyn Detect>,
    params: PhotoParams,
    /// `None`: every photo goes to the detector unscaled.
    sizes: Option<InputSizes>,
    resizer: Resizer,
    scaled: Picture,
    tile: Picture,
}

/// Tiles along one side of a scaled photo: their length, and the start of each.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Spans {
    length: u32,
    starts: Vec<u32>,
}

impl PhotoDetector {
    /// Makes a photo detector from a detector of single pictures. If the input size of `detector` cannot be set, every photo
    /// is searched as a whole, once for each rotation.
    #[must_use]
    pub fn new(detector: Box<dyn Detect>, params: PhotoParams) -> Self {
        let sizes = detector.input_sizes();
        let (scaled, tile) = (Picture::new(1, 1), Picture::new(1, 1));
        Self { detector, params, sizes, resizer: Resizer::new(), scaled, tile }
    }

    /// Loads a detector network for photos.
    ///
    /// # Errors
    /// [`FaceError::Infer`] if it cannot be loaded; the errors of [`FaceDetector::new`].
    pub fn load(
        entry: &Entry,
        runtime: &Runtime,
        options: &EngineOptions,
        params: DetectorParams,
    ) -> Result<Self, FaceError> {
        let network = entry.load(runtime, options)?;
        // Small faces are left out here, since the detector of single pictures runs at other scales.
        let detector = FaceDetector::new(&entry.manifest, network, DetectorParams { smallest: 0.0, ..params })?;
        let defaults = PhotoParams::default();
        let nms_iou = entry.manifest.detector.as_ref().map_or(defaults.nms_iou, |spec| spec.nms_iou);
        Ok(Self::new(Box::new(detector), PhotoParams { smallest: params.smallest, nms_iou, ..defaults }))
    }

    /// Scales of a photo of `width` × `height` pixels, coarsest first.
    fn scales(&self, width: u32, height: u32) -> Vec<f32> {
        let long = width.max(height).max(1) as f32;
        let coarsest = match self.sizes {
            None => return vec![1.0],
            Some(InputSizes::Fixed(size)) => fit_factor([width, height], size),
            Some(InputSizes::MultiplesOf(_)) => (self.params.coarsest as f32 / long).min(self.params.most_enlarged),
        };
        let mut finest = (self.params.finest as f32 / long).min(self.params.most_enlarged);
        if self.params.smallest > 0.0 {
            finest = finest.min(LEAST_FACE / self.params.smallest);
        }
        // Enlarging a photo further adds no detail, and a scale that is hardly finer finds hardly more faces.
        if coarsest >= 1.0 || finest < coarsest * 1.25 {
            return vec![coarsest];
        }
        let steps = ((finest / coarsest).ln() / self.params.step.ln()).ceil().max(1.0);
        (0..=steps as u32).map(|step| coarsest * (finest / coarsest).powf(step as f32 / steps)).collect()
    }

    /// The faces of the photo, which is turned by `turn`, at all of `scales`.
    fn search(&mut self, photo: &Picture, turn: Turn, scales: &[f32]) -> Result<Vec<Face>, FaceError> {
        let mut faces = Vec::new();
        for (at, &scale) in scales.iter().enumerate() {
            self.search_scale(photo, turn, scale, at == 0, &mut faces)?;
        }
        Ok(merged(faces, self.params.nms_iou))
    }

    fn search_scale(
        &mut self,
        photo: &Picture,
        turn: Turn,
        scale: f32,
        coarsest: bool,
        faces: &mut Vec<Face>,
    ) -> Result<(), FaceError> {
        let side = |side: u32| ((side as f32 * scale).round() as u32).max(1);
        self.scaled.reshape(side(photo.width()), side(photo.height()));
        self.resizer.stretch(photo, &mut self.scaled);
        if turn != Turn::None {
            self.scaled = self.scaled.turned(turn.inverse());
        }
        let size = [self.scaled.width(), self.scaled.height()];
        // Longest side of a tile, and the number of which its sides are multiples.
        let (most, round) = match self.sizes {
            None => (size, [1; 2]),
            Some(InputSizes::Fixed(size)) => (size, size),
            Some(InputSizes::MultiplesOf(multiple)) => {
                let round = if ROUND.is_multiple_of(multiple) { ROUND } else { multiple };
                ([(self.params.tile / round).max(1) * round; 2], [round; 2])
            }
        };
        let overlap = self.params.overlap.min(most[0].min(most[1]) / 3);
        let [columns, rows] = [0, 1].map(|axis| spans(size[axis], most[axis], overlap, round[axis]));
        let shape = [columns.length, rows.length];
        self.detector.set_input_size(shape)?;
        let largest = if coarsest { f32::INFINITY } else { overlap as f32 - 2.0 * EDGE };
        let of = size.map(|side| side as f32);
        let to_turned = turn.transform(of);
        // Both sides were rounded to whole pixels.
        let [scaled_width, scaled_height] = turn.size(of);
        let to_photo = [photo.width() as f32 / scaled_width, photo.height() as f32 / scaled_height];
        for (&left, &top) in rows.starts.iter().flat_map(|top| columns.starts.iter().map(move |left| (left, top))) {
            cut(&self.scaled, [left, top], shape, &mut self.tile);
            for mut face in self.detector.detect(&self.tile)? {
                let within = whole(face.rect.x, face.rect.right(), left, columns.length, size[0])
                    && whole(face.rect.y, face.rect.bottom(), top, rows.length, size[1]);
                if !within || face.rect.width.max(face.rect.height) > largest {
                    continue;
                }
                let (x, y) = (left as f32, top as f32);
                let moved = Rect { x: face.rect.x + x, y: face.rect.y + y, ..face.rect };
                face.rect = turn.rect(&moved, of).scaled(to_photo[0], to_photo[1]);
                face.landmarks = face.landmarks.map(|points| {
                    points.map(|p| {
                        let p = to_turned.apply(Point::new(p.x + x, p.y + y));
                        Point::new(p.x * to_photo[0], p.y * to_photo[1])
                    })
                });
                face.turn = turn;
                faces.push(face);
            }
        }
        Ok(())
    }

    /// The rotations at which the photo should be searched again, given the faces that were found in it as it is.
    fn turns(&mut self, photo: &Picture, faces: &[Face], scales: &[f32]) -> Result<Vec<Turn>, FaceError> {
        let mut turns = Vec::new();
        let mut largest: Vec<&Face> = faces.iter().collect();
        largest.sort_by(|a, b| b.rect.area().total_cmp(&a.rect.area()));
        for face in largest.into_iter().take(CHECKED_FACES) {
            let (turn, _) = self.check(photo, &face.rect)?;
            if turn != Turn::None && !turns.contains(&turn) {
                turns.push(turn);
            }
        }
        if faces.iter().any(|face| face.score >= self.params.sure) {
            return Ok(turns);
        }
        let long = photo.width().max(photo.height()) as f32;
        let coarse: Vec<f32> = scales.iter().copied().filter(|scale| scale * long <= TURNED_FINEST).collect();
        for turn in Turn::ALL.into_iter().filter(|turn| *turn != Turn::None) {
            if turns.contains(&turn) {
                continue;
            }
            let found = self.search(photo, turn, if coarse.is_empty() { &scales[..1] } else { &coarse })?;
            let best = found.iter().max_by(|a, b| a.score.total_cmp(&b.score));
            if let Some(face) = best.filter(|face| face.score >= self.params.sure)
                && matches!(self.check(photo, &face.rect)?, (found, score) if found == turn && score >= self.params.sure)
            {
                turns.push(turn);
            }
        }
        Ok(turns)
    }

    /// The faces with a high score, and those that the detector finds again when it is given their surroundings alone. A false
    /// positive is seldom found again at another scale and with other surroundings; a face is.
    fn confirmed(&mut self, photo: &Picture, faces: Vec<Face>) -> Result<Vec<Face>, FaceError> {
        if self.sizes.is_none() {
            return Ok(faces);
        }
        let mut kept = Vec::with_capacity(faces.len());
        for face in faces {
            if face.score >= self.params.unchecked
                || self.score_alone(&self.around(photo, &face.rect), face.turn)? > 0.0
            {
                kept.push(face);
            }
        }
        Ok(kept)
    }

    /// The surroundings of the face in `rect`, as a square of [`CHECKED_SIDE`] pixels.
    fn around(&self, photo: &Picture, rect: &Rect) -> Picture {
        let square = rect.square().expanded(CHECKED_AROUND);
        let scale = square.width / CHECKED_SIDE as f32;
        let mut around = Picture::new(CHECKED_SIDE, CHECKED_SIDE);
        warp_into(photo, &Similarity::scale_then_shift(scale, square.x, square.y), &mut around);
        around
    }

    /// The score of the face in the middle of `around`, which is turned by `turn`; 0 where the detector finds none.
    fn score_alone(&mut self, around: &Picture, turn: Turn) -> Result<f32, FaceError> {
        if let Some(InputSizes::MultiplesOf(multiple)) = self.sizes {
            self.detector.set_input_size([CHECKED_SIDE.next_multiple_of(multiple); 2])?;
        }
        let middle = Rect::new(0.0, 0.0, CHECKED_SIDE as f32, CHECKED_SIDE as f32).expanded(1.0 / CHECKED_AROUND);
        let faces = self.detector.detect(&around.turned(turn.inverse()))?;
        let scores = faces.iter().filter(|face| middle.contains(face.rect.centre())).map(|face| face.score);
        Ok(scores.fold(0.0, f32::max))
    }

    /// How the face in `rect` is rotated, and its score when it is upright: the rotation with the highest score.
    fn check(&mut self, photo: &Picture, rect: &Rect) -> Result<(Turn, f32), FaceError> {
        let around = self.around(photo, rect);
        let mut best = (Turn::None, 0.0);
        for turn in Turn::ALL {
            let score = self.score_alone(&around, turn)?;
            if turn == Turn::None {
                best = (turn, score + TURNED_GAIN);
            } else if score > best.1 {
                best = (turn, score);
            }
        }
        Ok(best)
    }
}

impl Detect for PhotoDetector {
    fn detect(&mut self, photo: &Picture) -> Result<Vec<Face>, FaceError> {
        let scales = self.scales(photo.width(), photo.height());
        let mut faces = self.search(photo, Turn::None, &scales)?;
        let turns = self.turns(photo, &faces, &scales)?;
        if !turns.is_empty() {
            for turn in turns {
                faces.append(&mut self.search(photo, turn, &scales)?);
            }
            faces = merged(faces, self.params.nms_iou);
        }
        faces.retain(|face| face.rect.width >= self.params.smallest.max(NARROWEST));
        self.confirmed(photo, faces)
    }

    fn placement(&self) -> Placement {
        self.detector.placement()
    }
}

/// Tiles of at most `most` pixels, of a length that is a multiple of `round`, that overlap by `overlap` at least and cover
/// `side` pixels.
fn spans(side: u32, most: u32, overlap: u32, round: u32) -> Spans {
    if side <= most {
        return Spans { length: side.next_multiple_of(round), starts: vec![0] };
    }
    let count = (side - overlap).div_ceil(most - overlap);
    let length = (side + (count - 1) * overlap).div_ceil(count).next_multiple_of(round).min(most);
    let last = u64::from(side - length);
    Spans { length, starts: (0..count).map(|at| (last * u64::from(at) / u64::from(count - 1)) as u32).collect() }
}

/// Whether a face from `low` to `high` in a tile that begins at `start` is not cut off by an edge inside the photo.
fn whole(low: f32, high: f32, start: u32, length: u32, side: u32) -> bool {
    (start == 0 || low >= EDGE) && (start + length >= side || high <= length as f32 - EDGE)
}

/// The part of `from` that begins at `start`, with black where `from` has no more pixels.
fn cut(from: &Picture, [left, top]: [u32; 2], [width, height]: [u32; 2], out: &mut Picture) {
    out.reshape(width, height);
    let (across, down) = (width.min(from.width() - left) as usize, height.min(from.height() - top));
    let stride = width as usize * 3;
    for (y, row) in out.pixels_mut().chunks_exact_mut(stride).enumerate() {
        let kept = if (y as u32) < down { across * 3 } else { 0 };
        if kept > 0 {
            row[..kept].copy_from_slice(&from.row(top + y as u32)[left as usize * 3..][..kept]);
        }
        row[kept..].fill(0);
    }
}

/// One box for each face, strongest first. Suppresses as in a single picture, and also a box in the middle of a stronger face
/// that is twice as wide or rotated differently: it is a part of that face.
fn merged(faces: Vec<Face>, iou: f32) -> Vec<Face> {
    let mut kept: Vec<Face> = Vec::new();
    for face in non_maximum_suppression(faces, iou) {
        let is_part = kept.iter().any(|strong| {
            let other = strong.turn != face.turn || strong.rect.width > 2.0 * face.rect.width;
            other && is_in_ellipse(&strong.rect, &face.rect)
        });
        if !is_part {
            kept.push(face);
        }
    }
    kept
}

/// Whether the middle of `part` lies in the ellipse that touches the sides of `rect`.
fn is_in_ellipse(rect: &Rect, part: &Rect) -> bool {
    let (a, b) = (rect.centre(), part.centre());
    ((b.x - a.x) / (rect.width / 2.0)).powi(2) + ((b.y - a.y) / (rect.height / 2.0)).powi(2) < 1.0
}

#[cfg(test)]
#[path = "photo/tests.rs"]
mod tests;

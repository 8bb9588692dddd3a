//! Makes a gallery entry from a photo: the main face, its embedding and a thumbnail.

use visavis_image::{Landmarks, Picture, Rect, Similarity, Turn, codec, warp_into};

use crate::{Detect, Face, FaceError, FaceView, HeadPose, Locate, Quality, QualityParams, Recognise};

/// Side of a thumbnail in pixels: sharp beside a face on a full-HD screen, about 8 KB.
const THUMBNAIL: u32 = 192;
/// The thumbnail is larger than the detector's box by this factor, to show hair and chin.
const THUMBNAIL_EXPANSION: f32 = 1.5;
const THUMBNAIL_QUALITY: u8 = 88;
/// Least overlap (IoU) of a face found in a thumbnail with the thumbnail's middle. It is low because a face at the edge of its
/// picture is not in the middle; other people in the thumbnail overlap less.
const LEAST_OVERLAP: f32 = 0.15;

/// Finds and embeds the main face of a photo, for a gallery or for a search in one.
pub struct Enroller {
    /// Finds the faces.
    pub detector: Box<dyn Detect>,
    /// Locates keypoints, if those of the detector are not to be used.
    pub locator: Option<Box<dyn Locate>>,
    /// Makes the embeddings.
    pub embedder: Box<dyn Recognise>,
}

/// The largest face of a photo.
#[derive(Debug, Clone, PartialEq)]
pub struct Enrolled {
    /// The face, with the keypoints by which it was aligned.
    pub face: Face,
    /// Number of faces in the photo.
    pub faces: usize,
    /// How well the face can be seen.
    pub quality: Quality,
    /// The embedding, as the network gives it.
    pub vector: Vec<f32>,
    /// The face with a margin, as JPEG.
    pub thumbnail: Option<Vec<u8>>,
    /// Quality of the picture: detection score times the root of the face's width in hundreds of pixels.
    pub score: f32,
}

impl Enrolled {
    /// What a person should check: why the face is poor, and which face was taken if the photo shows several.
    #[must_use]
    pub fn warnings(&self, params: &QualityParams) -> Vec<String> {
        let mut warnings: Vec<String> = self.quality.flaws(params).iter().map(ToString::to_string).collect();
        if self.faces > 1 {
            let [x, y, width, height] = <[f32; 4]>::from(self.face.rect).map(f32::round);
            let faces = self.faces;
            warnings.push(format!("{faces} faces found; the largest was taken: {width}×{height} pixels at {x}, {y}"));
        }
        warnings
    }
}

impl Enroller {
    /// The largest face of `picture`; `None` if there is no face.
    ///
    /// # Errors
    /// [`FaceError`] if a network fails or makes no embedding.
    pub fn enrol(&mut self, picture: &Picture) -> Result<Option<Enrolled>, FaceError> {
        let faces = self.detector.detect(picture)?;
        let largest = faces.iter().copied().max_by(|a, b| a.rect.area().total_cmp(&b.rect.area()));
        let Some(mut face) = largest else { return Ok(None) };
        face.landmarks = self.landmarks(picture, &face.view())?;
        let (vector, pose) = self.embed(picture, face.view())?;
        let quality = Quality::measure(picture, &face.view(), pose);
        let score = face.score * (face.rect.width / 100.0).max(0.0).sqrt();
        let thumbnail = thumbnail(picture, &face.rect, face.turn);
        Ok(Some(Enrolled { face, faces: faces.len(), quality, vector, thumbnail, score }))
    }

    /// The embedding of a face that was enrolled before, from its [`thumbnail`].
    ///
    /// # Errors
    /// [`FaceError`] if a network fails or makes no embedding.
    pub fn embed_thumbnail(&mut self, picture: &Picture) -> Result<Vec<f32>, FaceError> {
        let rect = thumbnail_rect(picture);
        let faces = self.detector.detect(picture)?;
        let found = faces.iter().max_by(|a, b| a.rect.iou(&rect).total_cmp(&b.rect.iou(&rect)));
        let found = found.filter(|face| face.rect.iou(&rect) > LEAST_OVERLAP);
        let mut view = found.map_or_else(|| FaceView::upright(rect, None), Face::view);
        view.landmarks = self.landmarks(picture, &view)?;
        Ok(self.embed(picture, view)?.0)
    }

    /// The keypoints of a face: those of the locator, or those of the detector if there is no locator.
    fn landmarks(&mut self, picture: &Picture, face: &FaceView) -> Result<Option<Landmarks>, FaceError> {
        match &mut self.locator {
            Some(locator) => locator.locate(picture, &face.rect, face.turn).map(Some),
            None => Ok(face.landmarks),
        }
    }

    /// The embedding of a face, and the head pose if the same network gives it.
    fn embed(&mut self, picture: &Picture, face: FaceView) -> Result<(Vec<f32>, Option<HeadPose>), FaceError> {
        let findings = self.embedder.recognise(picture, &[face])?.pop().unwrap_or_default();
        let vector = findings.embedding.ok_or_else(|| FaceError::WrongTask {
            model: "the network chosen for similarity".into(),
            task: "similarity".into(),
        })?;
        Ok((vector, findings.pose))
    }
}

/// The face `rect` with a margin, upright, as a square JPEG for a gallery; `None` if it cannot be encoded.
#[must_use]
pub fn thumbnail(picture: &Picture, rect: &Rect, turn: Turn) -> Option<Vec<u8>> {
    let square = around(rect, picture);
    let mut out = Picture::new(THUMBNAIL, THUMBNAIL);
    let scale = square.width / THUMBNAIL as f32;
    let upright = turn.transform([THUMBNAIL as f32; 2]);
    warp_into(picture, &Similarity::scale_then_shift(scale, square.x, square.y).after(&upright), &mut out);
    codec::encode_jpeg(&out, THUMBNAIL_QUALITY).ok()
}

/// Where the face is in a [`thumbnail`], approximately: the thumbnail was cropped around it.
#[must_use]
pub fn thumbnail_rect(thumbnail: &Picture) -> Rect {
    Rect::new(0.0, 0.0, thumbnail.width() as f32, thumbnail.height() as f32).expanded(1.0 / THUMBNAIL_EXPANSION)
}

/// The square around a face; moved inwards at an edge of the picture, so that it contains no black.
fn around(rect: &Rect, picture: &Picture) -> Rect {
    // The outermost half pixel fades to black.
    const EDGE: f32 = 0.5;
    let wanted = rect.expanded(THUMBNAIL_EXPANSION).square();
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let side = wanted.width.min(width - 2.0 * EDGE).min(height - 2.0 * EDGE).max(1.0);
    let place = |from: f32, room: f32| (from + (wanted.width - side) / 2.0).min(room - side - EDGE).max(EDGE);
    Rect::new(place(wanted.x, width), place(wanted.y, height), side, side)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbnail_shows_the_face_in_the_middle_or_lies_within_the_picture() {
        let picture = Picture::new(200, 100);
        for (face, shown) in [
            (Rect::new(80.0, 30.0, 40.0, 40.0), Rect::new(70.0, 20.0, 60.0, 60.0)),
            (Rect::new(0.0, 0.0, 40.0, 40.0), Rect::new(0.5, 0.5, 60.0, 60.0)),
            (Rect::new(165.0, 65.0, 40.0, 40.0), Rect::new(139.5, 39.5, 60.0, 60.0)),
            // Higher than the picture.
            (Rect::new(100.0, 5.0, 90.0, 90.0), Rect::new(95.5, 0.5, 99.0, 99.0)),
        ] {
            assert_eq!(around(&face, &picture), shown, "{face:?}");
        }
    }

    #[test]
    fn a_thumbnail_at_an_edge_has_no_black() {
        let mut picture = Picture::new(120, 90);
        picture.pixels_mut().fill(255);
        for (x, y) in [(0.0, 0.0), (85.0, 60.0), (-10.0, 40.0)] {
            let jpeg = thumbnail(&picture, &Rect::new(x, y, 40.0, 40.0), Turn::Right).unwrap();
            let seen = codec::decode(&jpeg, codec::MAX_PIXELS).unwrap();
            assert!(seen.pixels().iter().all(|&value| value > 250), "{x}, {y}");
        }
    }
}

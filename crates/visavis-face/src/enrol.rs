//! A photo into a gallery entry: the main face, its embedding and a thumbnail.

use visavis_image::{Landmarks, Picture, Rect, Similarity, codec, warp_into};

use crate::{Detect, Face, FaceError, FaceView, Locate, Recognise};

/// Side of a thumbnail in pixels: sharp beside a face on a full-HD screen, about 8 KB.
const THUMBNAIL: u32 = 192;
/// The thumbnail shows this much more than the detector's box: hair and chin.
const THUMBNAIL_EXPANSION: f32 = 1.5;
const THUMBNAIL_QUALITY: u8 = 88;
/// How much a face found in a thumbnail overlaps, at least, with where it would be in the middle: little where it was at the
/// picture's edge. Of whoever stood beside it less is on the thumbnail.
const LEAST_OVERLAP: f32 = 0.15;

/// Looks at photos for a gallery, or for a search in one.
pub struct Enroller {
    /// Finds the faces.
    pub detector: Box<dyn Detect>,
    /// Finds keypoints, where those of the detector are not to be used.
    pub locator: Option<Box<dyn Locate>>,
    /// Makes the embeddings.
    pub embedder: Box<dyn Recognise>,
}

/// The main face of a photo.
#[derive(Debug, Clone, PartialEq)]
pub struct Enrolled {
    /// The face.
    pub face: Face,
    /// How many faces the photo has.
    pub faces: usize,
    /// As the network made it.
    pub vector: Vec<f32>,
    /// The face and a little around it, as JPEG.
    pub thumbnail: Option<Vec<u8>>,
    /// How good the picture is: detection score times the root of the face's width in hundreds of pixels.
    pub score: f32,
}

impl Enroller {
    /// The largest face of `picture`; `None` if there is no face.
    ///
    /// # Errors
    /// [`FaceError`] if a network fails or makes no embedding.
    pub fn enrol(&mut self, picture: &Picture) -> Result<Option<Enrolled>, FaceError> {
        let faces = self.detector.detect(picture)?;
        let Some(&face) = faces.iter().max_by(|a, b| a.rect.area().total_cmp(&b.rect.area())) else { return Ok(None) };
        let vector = self.embed(picture, face.rect, face.landmarks)?;
        let score = face.score * (face.rect.width / 100.0).max(0.0).sqrt();
        Ok(Some(Enrolled { face, faces: faces.len(), vector, thumbnail: thumbnail(picture, &face.rect), score }))
    }

    /// The embedding of a face that was enrolled before, from its [`thumbnail`].
    ///
    /// # Errors
    /// [`FaceError`] if a network fails or makes no embedding.
    pub fn embed_thumbnail(&mut self, picture: &Picture) -> Result<Vec<f32>, FaceError> {
        let (width, height) = (picture.width() as f32, picture.height() as f32);
        // The thumbnail was cut around it, so this is about where it is, whatever this detector finds beside it.
        let rect = Rect::new(0.0, 0.0, width, height).expanded(1.0 / THUMBNAIL_EXPANSION);
        let faces = self.detector.detect(picture)?;
        let found = faces.iter().max_by(|a, b| a.rect.iou(&rect).total_cmp(&b.rect.iou(&rect)));
        match found.filter(|face| face.rect.iou(&rect) > LEAST_OVERLAP) {
            Some(face) => self.embed(picture, face.rect, face.landmarks),
            None => self.embed(picture, rect, None),
        }
    }

    fn embed(&mut self, picture: &Picture, rect: Rect, landmarks: Option<Landmarks>) -> Result<Vec<f32>, FaceError> {
        let landmarks = match &mut self.locator {
            Some(locator) => Some(locator.locate(picture, &rect)?),
            None => landmarks,
        };
        let answer = self.embedder.recognise(picture, &[FaceView { rect, landmarks }])?.pop();
        answer.and_then(|findings| findings.embedding).ok_or_else(|| FaceError::WrongTask {
            model: "the network chosen for similarity".into(),
            task: "similarity".into(),
        })
    }
}

/// The face `rect` with a little around it, as a square JPEG for a gallery; none where it cannot be made.
#[must_use]
pub fn thumbnail(picture: &Picture, rect: &Rect) -> Option<Vec<u8>> {
    let square = around(rect, picture);
    let mut out = Picture::new(THUMBNAIL, THUMBNAIL);
    let scale = square.width / THUMBNAIL as f32;
    warp_into(picture, &Similarity::scale_then_shift(scale, square.x, square.y), &mut out);
    codec::encode_jpeg(&out, THUMBNAIL_QUALITY).ok()
}

/// The square around a face; at an edge of the picture it lies farther inside, so that there is no black in it.
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
            let jpeg = thumbnail(&picture, &Rect::new(x, y, 40.0, 40.0)).unwrap();
            let seen = codec::decode(&jpeg, codec::MAX_PIXELS).unwrap();
            assert!(seen.pixels().iter().all(|&value| value > 250), "{x}, {y}");
        }
    }
}

//! A photo into a gallery entry: the main face, its embedding and a thumbnail.

use visavis_image::{Picture, Rect, Similarity, codec, warp_into};

use crate::{Detect, Face, FaceError, FaceView, Locate, Recognise};

/// Side of a thumbnail in pixels: sharp beside a face on a full-HD screen, about 8 KB.
const THUMBNAIL: u32 = 192;
/// The thumbnail shows this much more than the detector's box: hair and chin.
const THUMBNAIL_EXPANSION: f32 = 1.5;
const THUMBNAIL_QUALITY: u8 = 88;

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
        let landmarks = match &mut self.locator {
            Some(locator) => Some(locator.locate(picture, &face.rect)?),
            None => face.landmarks,
        };
        let answer = self.embedder.recognise(picture, &[FaceView { rect: face.rect, landmarks }])?.pop();
        let vector = answer.and_then(|findings| findings.embedding).ok_or_else(|| FaceError::WrongTask {
            model: "the network chosen for similarity".into(),
            task: "similarity".into(),
        })?;
        let score = face.score * (face.rect.width / 100.0).max(0.0).sqrt();
        Ok(Some(Enrolled { face, faces: faces.len(), vector, thumbnail: thumbnail(picture, &face.rect), score }))
    }
}

/// The face `rect` with a little around it, as a square JPEG for a gallery; none where it cannot be made.
#[must_use]
pub fn thumbnail(picture: &Picture, rect: &Rect) -> Option<Vec<u8>> {
    let square = rect.expanded(THUMBNAIL_EXPANSION).square();
    let mut out = Picture::new(THUMBNAIL, THUMBNAIL);
    let scale = square.width / THUMBNAIL as f32;
    warp_into(picture, &Similarity::scale_then_shift(scale, square.x, square.y), &mut out);
    codec::encode_jpeg(&out, THUMBNAIL_QUALITY).ok()
}

//! Photos and faces of the picture into gallery entries.

use std::sync::Mutex;

use sha2::{Digest, Sha256};
use visavis_face::Enroller;
use visavis_face::gallery::NewPhoto;
use visavis_image::{Picture, Point, Rect, Similarity, codec, warp_into};
use visavis_live::{Loader, RegistryLoader};

use crate::problem::Problem;

/// Photos with more pixels are refused before they are decoded.
const MAX_PIXELS: u64 = 40_000_000;
/// What is cut out of the picture around a face, in widths of the face.
const SURROUNDINGS: f32 = 2.2;

/// The networks that look at photos.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Networks {
    pub(crate) detector: String,
    pub(crate) keypoints: Option<String>,
    pub(crate) similarity: String,
}

/// Looks at photos, one at a time, with networks of its own: the picture never waits for it.
#[derive(Default)]
pub(crate) struct Looker(Mutex<Option<(Networks, Enroller)>>);

impl Looker {
    /// The main face of an encoded photo.
    pub(crate) fn photo(
        &self,
        loader: &RegistryLoader,
        networks: &Networks,
        encoded: &[u8],
        file: &str,
    ) -> Result<NewPhoto, Problem> {
        let picture = codec::decode(encoded, MAX_PIXELS)?;
        let looked = self.look(loader, networks, &picture)?;
        let (_, photo) = looked.ok_or_else(|| Problem::unprocessable("no face was found on the photo"))?;
        Ok(NewPhoto { source: file.to_owned(), sha256: Some(Sha256::digest(encoded).into()), ..photo })
    }

    /// The face at `rect` of the live picture.
    pub(crate) fn face(
        &self,
        loader: &RegistryLoader,
        networks: &Networks,
        picture: &Picture,
        rect: &Rect,
        source: String,
    ) -> Result<NewPhoto, Problem> {
        let unclear = || Problem::conflict("the face cannot be seen well enough just now: try again");
        let around = rect.expanded(SURROUNDINGS).square();
        let side = (around.width.round() as u32).clamp(1, 2_000);
        let mut cut = Picture::new(side, side);
        warp_into(picture, &Similarity::scale_then_shift(around.width / side as f32, around.x, around.y), &mut cut);
        let (found, photo) = self.look(loader, networks, &cut)?.ok_or_else(unclear)?;
        // The largest face of the cutting need not be the one that was meant.
        let middle = Point { x: side as f32 / 2.0, y: side as f32 / 2.0 };
        if found.centre().distance(middle) > found.width / 2.0 {
            return Err(unclear());
        }
        Ok(NewPhoto { source, ..photo })
    }

    fn look(
        &self,
        loader: &RegistryLoader,
        networks: &Networks,
        picture: &Picture,
    ) -> Result<Option<(Rect, NewPhoto)>, Problem> {
        let mut guard = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if guard.as_ref().is_none_or(|(loaded, _)| loaded != networks) {
            let enroller = Enroller {
                detector: loader.detector(&networks.detector)?,
                locator: networks.keypoints.as_deref().map(|name| loader.locator(name)).transpose()?,
                embedder: loader.recogniser(&networks.similarity)?,
            };
            *guard = Some((networks.clone(), enroller));
        }
        let Some((_, enroller)) = &mut *guard else { return Ok(None) };
        let enrolled = enroller.enrol(picture)?;
        Ok(enrolled.map(|found| {
            let (vector, thumbnail, score) = (found.vector, found.thumbnail, Some(found.score));
            (found.face.rect, NewPhoto { source: String::new(), sha256: None, vector, thumbnail, score })
        }))
    }
}

//! Makes gallery entries of photos and of faces in the live picture.

use std::sync::Mutex;

use sha2::{Digest, Sha256};
use visavis_face::{Enrolled, Enroller};
use visavis_gallery::NewPhoto;
use visavis_image::{Picture, Point, Rect, Similarity, codec, warp_into};
use visavis_live::{Loader, RegistryLoader};

use crate::problem::Problem;

/// Photos with more pixels are shrunk while they are decoded, or refused.
pub(crate) const MAX_PIXELS: u64 = 40_000_000;
/// Side of the region around a face of the live picture, in widths of the face.
const REGION: f32 = 2.2;

/// Names of the networks for enrolment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Networks {
    pub(crate) detector: String,
    pub(crate) keypoints: Option<String>,
    pub(crate) similarity: String,
}

/// Processes one photo at a time with its own network instances, so that the live picture does not wait. The networks stay loaded
/// until others are asked for.
#[derive(Default)]
pub(crate) struct CachedEnroller(Mutex<Option<(Networks, Enroller)>>);

impl CachedEnroller {
    /// The largest face of an encoded photo.
    pub(crate) fn photo(
        &self,
        loader: &RegistryLoader,
        networks: &Networks,
        encoded: &[u8],
    ) -> Result<Enrolled, Problem> {
        let picture = codec::decode_photo(encoded, MAX_PIXELS)?.picture;
        let found = self.enrol(loader, networks, &picture)?;
        found.ok_or_else(|| Problem::unprocessable("no face was found in the photo"))
    }

    /// The face at `rect` in the live picture.
    pub(crate) fn face(
        &self,
        loader: &RegistryLoader,
        networks: &Networks,
        picture: &Picture,
        rect: &Rect,
    ) -> Result<Enrolled, Problem> {
        let unclear = || Problem::conflict("the face is not visible well enough at present: try again");
        let around = rect.expanded(REGION).square();
        let side = (around.width.round() as u32).clamp(1, 2_000);
        let mut cut = Picture::new(side, side);
        warp_into(picture, &Similarity::scale_then_shift(around.width / side as f32, around.x, around.y), &mut cut);
        let found = self.enrol(loader, networks, &cut)?.ok_or_else(unclear)?;
        // The largest face of the region may be another one.
        let middle = Point { x: side as f32 / 2.0, y: side as f32 / 2.0 };
        if found.face.rect.centre().distance(middle) > found.face.rect.width / 2.0 {
            return Err(unclear());
        }
        Ok(found)
    }

    /// The largest face of a picture; `None` if there is no face.
    fn enrol(
        &self,
        loader: &RegistryLoader,
        networks: &Networks,
        picture: &Picture,
    ) -> Result<Option<Enrolled>, Problem> {
        let mut guard = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if guard.as_ref().is_none_or(|(loaded, _)| loaded != networks) {
            // First, so that the old and the new networks are not in memory together.
            *guard = None;
            let enroller = Enroller {
                detector: loader.photo_detector(&networks.detector)?,
                locator: networks.keypoints.as_deref().map(|name| loader.locator(name)).transpose()?,
                embedder: loader.recogniser(&networks.similarity)?,
            };
            *guard = Some((networks.clone(), enroller));
        }
        let Some((_, enroller)) = &mut *guard else { return Ok(None) };
        Ok(enroller.enrol(picture)?)
    }
}

/// The gallery entry of a face that was found in a photo or, if `encoded` is `None`, in the live picture.
pub(crate) fn new_photo(found: Enrolled, source: String, encoded: Option<&[u8]>) -> NewPhoto {
    let sha256 = encoded.map(|encoded| Sha256::digest(encoded).into());
    NewPhoto { source, sha256, vector: found.vector, thumbnail: found.thumbnail, score: Some(found.score) }
}

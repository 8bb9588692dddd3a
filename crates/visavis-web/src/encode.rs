//! The thread that encodes each scene once, for all clients.

use std::sync::Arc;

use axum::body::Bytes;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use visavis_image::Picture;
use visavis_live::Subscription;

use crate::app_state::AppState;
use crate::scene::SceneView;

/// JPEG quality: no blocks are visible on a large screen; about 100 KB for a frame of 1280×720.
const QUALITY: u8 = 82;

/// Runs until the pipeline ends. A picture is encoded only if a client shows it.
pub(crate) fn run(state: &AppState, scenes: &Subscription) {
    while let Some(scene) = scenes.recv() {
        if state.has_viewers() {
            match message(&SceneView::new(&scene), &scene.frame.picture) {
                Ok(message) => state.frames.send_replace(Some(message)),
                Err(reason) => {
                    log::warn!("frame {} cannot be shown: {reason}", scene.frame.seq);
                    None
                }
            };
        }
        scenes.shown(&scene);
        state.scene.send_replace(Some(Arc::clone(&scene)));
        state.recorder.offer(&scene);
    }
}

/// The length of the JSON as 4 bytes, little-endian; the JSON; the JPEG.
fn message(view: &SceneView, picture: &Picture) -> Result<Bytes, String> {
    let json = serde_json::to_vec(view).map_err(|error| error.to_string())?;
    let length = u32::try_from(json.len()).map_err(|error| error.to_string())?;
    let mut bytes = Vec::with_capacity(json.len() + 160_000);
    bytes.extend(length.to_le_bytes());
    bytes.extend(json);
    let side = |pixels: u32| u16::try_from(pixels).map_err(|_| format!("{pixels} pixels are too many for a JPEG"));
    let (width, height) = (side(picture.width())?, side(picture.height())?);
    let mut encoder = Encoder::new(&mut bytes, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    encoder.encode(picture.pixels(), width, height, ColorType::Rgb).map_err(|error| error.to_string())?;
    Ok(bytes.into())
}

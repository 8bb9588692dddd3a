//! Input tensors of a face network for labelled faces.

use std::sync::{Arc, Mutex, PoisonError};

use visavis_data::Split;
use visavis_data::pack::Pack;
use visavis_face::{FaceNetwork, FaceView, Recognise};
use visavis_infer::{InferError, Manifest, Model, Placement, Tensor};

use crate::TrainError;

/// Runs a network and keeps a copy of each of its inputs.
struct Recording {
    model: Box<dyn Model>,
    inputs: Arc<Mutex<Vec<Tensor>>>,
}

impl Model for Recording {
    fn run(&mut self, input: &Tensor) -> Result<Vec<Tensor>, InferError> {
        self.inputs.lock().unwrap_or_else(PoisonError::into_inner).push(input.clone());
        self.model.run(input)
    }

    fn placement(&self) -> &Placement {
        self.model.placement()
    }
}

/// The inputs `[1, 3, H, W]` that a face network gets for `count` faces, chosen at even distances among the training parts of the
/// packs.
///
/// # Errors
/// [`TrainError::Recipe`] if there is no face with what the network's crop needs; the errors of the network and of the packs.
pub fn calibration_inputs(
    packs: &[Pack],
    manifest: &Manifest,
    model: Box<dyn Model>,
    count: usize,
) -> Result<Vec<Tensor>, TrainError> {
    let inputs = Arc::new(Mutex::new(Vec::new()));
    let recording = Recording { model, inputs: Arc::clone(&inputs) };
    let mut network = FaceNetwork::new(manifest, Box::new(recording))?;
    let needs_landmarks = network.needs_landmarks();
    let faces = packs.iter().flat_map(|pack| (0..pack.faces().len()).map(move |index| (pack, index)));
    let suits = |&(pack, index): &(&Pack, usize)| {
        let face = &pack.faces()[index];
        face.split == Split::Train && (face.any_landmarks().is_some() || !needs_landmarks)
    };
    let faces: Vec<_> = faces.filter(suits).collect();
    let count = count.min(faces.len());
    for place in 0..count {
        let (pack, index) = faces[place * faces.len() / count];
        let face = &pack.faces()[index];
        let rect = face.detected.map_or(face.rect, |found| found.rect);
        network.recognise(&pack.picture(index)?, &[FaceView::upright(rect, face.any_landmarks())])?;
    }
    let inputs = std::mem::take(&mut *inputs.lock().unwrap_or_else(PoisonError::into_inner));
    if inputs.is_empty() {
        return Err(TrainError::Recipe {
            reason: "the packs have no training face that the network can be given".into(),
        });
    }
    Ok(inputs)
}

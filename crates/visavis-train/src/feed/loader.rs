//! Threads that prepare batches ahead of the trainer.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use visavis_data::DataError;
use visavis_data::pack::Pack;
use visavis_infer::manifest::{Colour, Crop};

use super::batch::write_picture;
use super::{Augmenter, Batch, Pick, Targets, mix};
use crate::recipe::{AgeTarget, AugmentParams};

/// Number of batches that a thread may be ahead.
const AHEAD: usize = 3;

/// Parameters for making batches.
#[derive(Debug, Clone)]
pub struct FeedParams {
    /// Augmentation; with `None` every face is as in live use.
    pub augment: Option<AugmentParams>,
    /// How a face is cropped.
    pub crop: Crop,
    /// Order of the colour channels.
    pub colour: Colour,
    /// Width and height of a picture in pixels.
    pub side: usize,
    /// Pictures per batch.
    pub batch: usize,
    /// Subtracted from pixels, per channel.
    pub mean: [f32; 3],
    /// Divisor, per channel.
    pub std: [f32; 3],
    /// Target of the age classes.
    pub age_target: AgeTarget,
    /// Seed of the augmentation, together with the index in the epoch; it does not depend on which thread was faster.
    pub seed: u64,
    /// Number of threads.
    pub threads: usize,
}

/// A thread and the batches that it has made.
struct LoaderThread<T> {
    batches: Receiver<Result<T, DataError>>,
    maker: Option<JoinHandle<()>>,
}

/// Batches in order, made in advance by threads that end when this is dropped.
pub struct BatchLoader<T> {
    threads: Vec<LoaderThread<T>>,
    next: usize,
    count: usize,
}

impl<T: Send + 'static> BatchLoader<T> {
    /// Starts making the batches with the indices `wanted`. `worker` gives each thread a function that makes one batch.
    pub(super) fn start<M>(threads: usize, wanted: std::ops::Range<usize>, worker: impl Fn() -> M) -> Self
    where
        M: FnMut(usize) -> Result<T, DataError> + Send + 'static,
    {
        let threads = threads.max(1);
        let count = wanted.len();
        let made = (0..threads).map(|number| {
            let (sender, receiver) = sync_channel(AHEAD);
            let (mut make, places) = (worker(), wanted.clone().skip(number).step_by(threads));
            let maker = thread::spawn(move || {
                for place in places {
                    // The receiver was dropped because the trainer has stopped.
                    if sender.send(make(place)).is_err() {
                        break;
                    }
                }
            });
            LoaderThread { batches: receiver, maker: Some(maker) }
        });
        Self { threads: made.collect(), next: 0, count }
    }
}

impl<T> Iterator for BatchLoader<T> {
    type Item = Result<T, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.count {
            return None;
        }
        let at = self.next % self.threads.len();
        self.next += 1;
        let thread = &mut self.threads[at];
        match thread.batches.recv() {
            Ok(batch) => Some(batch),
            // The thread ended before its last batch: report it, rather than end the epoch early.
            Err(_) => match thread.maker.take().map(JoinHandle::join) {
                Some(Err(panic)) => std::panic::resume_unwind(panic),
                _ => None,
            },
        }
    }
}

/// The batches of an epoch from `skip` on, in order. With augmentation, a last batch that is not full is left out, since a
/// normalisation over a few pictures would be poor; otherwise it is kept.
#[must_use]
pub fn batches(packs: &[Arc<Pack>], picks: Vec<Pick>, skip: usize, params: &FeedParams) -> BatchLoader<Batch> {
    let whole = picks.len() / params.batch;
    let count = if params.augment.is_some() { whole } else { picks.len().div_ceil(params.batch) };
    let (packs, picks, params) = (Arc::new(packs.to_vec()), Arc::new(picks), Arc::new(params.clone()));
    BatchLoader::start(params.threads, skip.min(count)..count, move || {
        let (packs, picks, params) = (packs.clone(), picks.clone(), params.clone());
        let mut augmenter =
            Augmenter::new(params.augment.clone().unwrap_or_default(), params.crop.clone(), params.side as u32);
        move |index| {
            let start = index * params.batch;
            let chosen = &picks[start..(start + params.batch).min(picks.len())];
            make(&packs, chosen, start, &params, &mut augmenter)
        }
    })
}

fn make(
    packs: &[Arc<Pack>],
    picks: &[Pick],
    start: usize,
    params: &FeedParams,
    augmenter: &mut Augmenter,
) -> Result<Batch, DataError> {
    let mut batch = Batch::new(picks.len(), params.side);
    for (index, pick) in picks.iter().enumerate() {
        let pack = &packs[pick.pack];
        let (face, picture) = (&pack.faces()[pick.face], pack.picture(pick.face)?);
        let view = if params.augment.is_some() {
            let mut random = fastrand::Rng::with_seed(mix(&[params.seed, (start + index) as u64]));
            augmenter.vary(face, &picture, &mut random)
        } else {
            augmenter.plain(face, &picture)
        };
        let place = [index, picks.len()];
        write_picture(&mut batch.pictures, place, &view.picture, params.colour, &params.mean, &params.std);
        batch.targets.push(Targets::of(face, &view, params.age_target));
        batch.picks.push(*pick);
    }
    Ok(batch)
}

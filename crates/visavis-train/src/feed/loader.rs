//! Threads that prepare batches ahead of the trainer.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use visavis_data::DataError;
use visavis_data::pack::Pack;

use super::batch::write_picture;
use super::{Augmenter, Batch, Pick, Purpose, Targets, mix};
use crate::recipe::{AgeTarget, AugmentParams};

/// Batches that a thread may be ahead.
const AHEAD: usize = 3;

/// How batches are made.
#[derive(Debug, Clone)]
pub struct FeedParams {
    /// Variation; `None` shows every face as live would.
    pub augment: Option<AugmentParams>,
    /// Kind of crop.
    pub purpose: Purpose,
    /// Pixels across and down.
    pub side: usize,
    /// Pictures in a batch.
    pub batch: usize,
    /// Subtracted from pixels, per channel.
    pub mean: [f32; 3],
    /// Divides them.
    pub std: [f32; 3],
    /// What the age classes say.
    pub age_target: AgeTarget,
    /// Variation follows from it and the place in the epoch, not from which thread was faster.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
}

/// A thread and the batches that it has made.
struct Lane<T> {
    batches: Receiver<Result<T, DataError>>,
    maker: Option<JoinHandle<()>>,
}

/// Batches in order, made ahead by threads that end when it is dropped.
pub struct Lanes<T> {
    lanes: Vec<Lane<T>>,
    next: usize,
    count: usize,
}

impl<T: Send + 'static> Lanes<T> {
    /// Starts on the batches of the places `wanted`. `worker` gives each thread what makes the batch of a place.
    pub(super) fn start<M>(threads: usize, wanted: std::ops::Range<usize>, worker: impl Fn() -> M) -> Self
    where
        M: FnMut(usize) -> Result<T, DataError> + Send + 'static,
    {
        let threads = threads.max(1);
        let count = wanted.len();
        let lanes = (0..threads).map(|lane| {
            let (sender, receiver) = sync_channel(AHEAD);
            let (mut make, places) = (worker(), wanted.clone().skip(lane).step_by(threads));
            let maker = thread::spawn(move || {
                for place in places {
                    // The receiver is gone when the trainer has stopped.
                    if sender.send(make(place)).is_err() {
                        break;
                    }
                }
            });
            Lane { batches: receiver, maker: Some(maker) }
        });
        Self { lanes: lanes.collect(), next: 0, count }
    }
}

impl<T> Iterator for Lanes<T> {
    type Item = Result<T, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.count {
            return None;
        }
        let at = self.next % self.lanes.len();
        self.next += 1;
        let lane = &mut self.lanes[at];
        match lane.batches.recv() {
            Ok(batch) => Some(batch),
            // The thread died before its last batch: an epoch that merely looked shorter would hide that.
            Err(_) => match lane.maker.take().map(JoinHandle::join) {
                Some(Err(panic)) => std::panic::resume_unwind(panic),
                _ => None,
            },
        }
    }
}

/// The batches of an epoch from `skip` on, in order. A last batch that is not full is left out while varying (a
/// normalisation over a few pictures would be a bad one) and kept otherwise.
#[must_use]
pub fn batches(packs: &[Arc<Pack>], picks: Vec<Pick>, skip: usize, params: &FeedParams) -> Lanes<Batch> {
    let whole = picks.len() / params.batch;
    let count = if params.augment.is_some() { whole } else { picks.len().div_ceil(params.batch) };
    let (packs, picks, params) = (Arc::new(packs.to_vec()), Arc::new(picks), Arc::new(params.clone()));
    Lanes::start(params.threads, skip.min(count)..count, move || {
        let (packs, picks, params) = (packs.clone(), picks.clone(), params.clone());
        let mut augmenter =
            Augmenter::new(params.augment.clone().unwrap_or_default(), params.purpose, params.side as u32);
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
        write_picture(&mut batch.pictures, place, &view.picture, &params.mean, &params.std);
        batch.targets.push(Targets::of(face, &view, params.age_target));
        batch.picks.push(*pick);
    }
    Ok(batch)
}

//! Makes batches of packed faces: sampling, augmentation, targets.

mod augment;
mod batch;
mod loader;
mod sampler;
pub mod scenes;

pub use augment::{Augmenter, View};
pub(crate) use batch::age_classes;
pub use batch::{Batch, Targets};
pub use loader::{BatchLoader, FeedParams, batches};
pub use sampler::{Pick, Sampler};

/// A pseudo-random number that depends on `parts` only (SplitMix64).
#[must_use]
pub fn mix(parts: &[u64]) -> u64 {
    parts.iter().fold(0x9e37_79b9_7f4a_7c15, |state, part| {
        let mut z = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

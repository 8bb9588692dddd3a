//! From packed faces to batches: which faces, how varied, and what is asked of each.

mod augment;
mod batch;
mod loader;
mod sampler;
pub mod scenes;

pub use augment::{Augmenter, View};
pub(crate) use batch::age_classes;
pub use batch::{Batch, Targets};
pub use loader::{FeedParams, Lanes, batches};
pub use sampler::{Pick, Sampler};

/// What a picture is cut for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Aligned by keypoints.
    Face,
    /// The square around the box, with keypoints as targets.
    Keypoints,
}

/// A number that depends on all of `parts` and on nothing else (SplitMix64).
#[must_use]
pub fn mix(parts: &[u64]) -> u64 {
    parts.iter().fold(0x9e37_79b9_7f4a_7c15, |state, part| {
        let mut z = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

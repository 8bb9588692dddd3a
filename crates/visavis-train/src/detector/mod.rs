//! Face detectors: their layout, what they are taught, and how they run while they are trained.

mod loss;
mod matching;
mod running;
mod ssd;

pub(crate) use loss::judge;
pub use matching::{AnchorTarget, LabelledBox, Matching, match_anchors};
pub(crate) use running::Running;
pub use ssd::{BOXES, SCORES, SsdPlan, VARIANCES, anchors, ssd};

//! Face detectors: their layout, what they are taught, and how they run while they are trained.

mod faster_rcnn;
mod loss;
mod matching;
pub(crate) mod regions;
mod running;
mod ssd;

pub use faster_rcnn::{FasterRcnnPlan, faster_rcnn, region_anchors};
pub(crate) use loss::judge;
pub use matching::{AnchorTarget, LabelledBox, Matching, match_anchors};
pub(crate) use running::{Running, infer, propose};
pub use ssd::{BOXES, SCORES, SsdPlan, VARIANCES, anchors, ssd};

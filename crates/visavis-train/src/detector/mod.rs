//! Face detectors: their layout, their training targets and losses, and how they run in training.

mod assign;
mod cell_loss;
mod faster_rcnn;
mod loss;
mod matching;
pub(crate) mod regions;
mod running;
mod ssd;
mod yunet;

pub(crate) use assign::cells;
pub(crate) use cell_loss::judge_cells;
pub use faster_rcnn::{FasterRcnnPlan, faster_rcnn, region_anchors};
pub(crate) use loss::judge;
pub use matching::{AnchorTarget, LabelledBox, Matching, match_anchors};
pub(crate) use running::{Running, infer, propose};
pub use ssd::{BOXES, SCORES, SsdPlan, VARIANCES, anchors, ssd};
pub use yunet::{YunetPlan, yunet};

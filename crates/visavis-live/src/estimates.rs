//! The state of recognition of one tracked face: averages of the networks' results, and the last comparisons with the gallery.

use std::ops::Deref;

use visavis_face::{EstimatesParams, Findings};
use visavis_gallery::{Comparisons, Match};
use visavis_infer::Task;

/// Number of nearest people of the gallery that each result is compared with. More than one, for the case that another face in
/// view is the nearest person.
pub(crate) const NEAREST: usize = 3;

/// The estimates of one face.
#[derive(Debug, Clone, Default)]
pub(crate) struct Estimates {
    face: visavis_face::Estimates,
    comparisons: Comparisons,
}

impl Estimates {
    /// Adds a result. `nearest` are the nearest people of the gallery, nearest first, if the result has an embedding.
    pub(crate) fn add(&mut self, findings: &Findings, nearest: Vec<Match>, params: &EstimatesParams) {
        let weight = self.face.absorb(findings, params);
        if findings.embedding.is_some() {
            self.comparisons.push(weight, nearest, params.resemblance_window);
        }
    }

    /// Discards the results of a task, after its network was switched.
    pub(crate) fn reset(&mut self, task: Task) {
        self.face.reset(task);
        if task == Task::Similarity {
            self.comparisons.clear();
        }
    }

    /// The last comparisons with the gallery.
    pub(crate) fn comparisons(&self) -> &Comparisons {
        &self.comparisons
    }
}

impl Deref for Estimates {
    type Target = visavis_face::Estimates;

    fn deref(&self) -> &Self::Target {
        &self.face
    }
}

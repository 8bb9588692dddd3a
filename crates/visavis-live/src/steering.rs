//! Steering a running pipeline from anywhere.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};

use visavis_face::EstimatesParams;
use visavis_infer::Task;

use crate::alarm::AlarmParams;
use crate::controller::Message;
use crate::keeper::{GrowthParams, KeeperParams, Note};
use crate::pipeline::{Request, Shared};
use crate::statistics::StatisticsReport;

/// Steers a pipeline from any thread. It keeps nothing alive: once the pipeline has ended, it does nothing more.
#[derive(Clone)]
pub struct Steering {
    // Weak, so that the streams of scenes and events end with the pipeline.
    shared: Weak<Shared>,
    messages: Sender<Message>,
}

impl Steering {
    pub(crate) fn new(shared: &Arc<Shared>, messages: &Sender<Message>) -> Self {
        Self { shared: Arc::downgrade(shared), messages: messages.clone() }
    }

    /// As [`crate::Pipeline::switch`].
    pub fn switch(&self, task: Task, model: Option<String>) {
        if let Some(shared) = self.shared.upgrade() {
            shared.request(Request::Switch { task, model });
        }
    }

    /// From now on so many recognition workers, at least one.
    pub fn set_workers(&self, workers: usize) {
        if let Some(shared) = self.shared.upgrade() {
            shared.request(Request::Workers(workers));
        }
    }

    /// From now on alarms ring so, and the gallery grows so; `None`: not at all. Only where the pipeline began with one of the
    /// two is anybody there to do it.
    pub fn keep(&self, alarm: Option<AlarmParams>, growth: Option<GrowthParams>) {
        if let Some(shared) = self.shared.upgrade() {
            shared.insist(Note::Change(Box::new(KeeperParams { alarm, growth })));
        }
    }

    /// From now on answers are averaged so.
    pub fn smooth(&self, estimates: EstimatesParams) {
        // A pipeline that has ended averages nothing.
        let _ = self.messages.send(Message::Smooth(estimates));
    }

    /// As [`crate::Pipeline::not_this_person`].
    pub fn not_this_person(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.insist(Note::NotThisPerson);
        }
    }

    /// Everything measured so far; `None` once the pipeline has ended.
    #[must_use]
    pub fn statistics(&self) -> Option<StatisticsReport> {
        Some(self.shared.upgrade()?.report())
    }

    /// Asks all threads of the pipeline to end; returns at once.
    pub fn stop(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.clock.stop();
            let _ = self.messages.send(Message::Stop);
        }
    }
}

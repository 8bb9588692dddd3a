//! Control of a running pipeline from any thread.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};

use visavis_face::EstimatesParams;
use visavis_infer::Task;

use crate::alarm::AlarmParams;
use crate::message::{GalleryRequest, GalleryWorkerParams, LoaderRequest, Message};
use crate::shared::Shared;
use crate::snapshot::{Snapshot, SnapshotCell, Snapshots};
use crate::statistics::StatisticsReport;
use crate::visitors::GrowthParams;

/// Controls a pipeline from any thread. Does not keep the pipeline running; after the end of the pipeline its methods do nothing.
#[derive(Clone)]
pub struct PipelineHandle {
    // Weak, so that the streams of scenes and events end with the pipeline.
    shared: Weak<Shared>,
    messages: Sender<Message>,
    snapshots: Arc<SnapshotCell>,
}

impl PipelineHandle {
    pub(crate) fn new(shared: &Arc<Shared>, messages: &Sender<Message>) -> Self {
        let snapshots = Arc::clone(&shared.snapshots);
        Self { shared: Arc::downgrade(shared), messages: messages.clone(), snapshots }
    }

    /// The present state; after the end of the pipeline, its last state.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.newest()
    }

    /// The present state and each later one.
    #[must_use]
    pub fn snapshots(&self) -> Snapshots {
        Snapshots { cell: Arc::clone(&self.snapshots), last: None }
    }

    /// As [`crate::Pipeline::switch`].
    pub fn switch(&self, task: Task, model: Option<String>) {
        self.with(|shared| shared.jobs.pool.request(LoaderRequest::Switch { task, model }));
    }

    /// Sets the number of recognition workers of the [`crate::WorkerPool`], at least 1.
    pub fn set_workers(&self, workers: usize) {
        self.with(|shared| shared.jobs.pool.set_workers(workers));
    }

    /// Sets when alarms are raised and how visitors are added to the gallery; `None`: not at all. Does nothing if the pipeline was
    /// started with neither, since it has no gallery worker then.
    pub fn set_gallery_params(&self, alarm: Option<AlarmParams>, growth: Option<GrowthParams>) {
        self.with(|shared| {
            if shared.gallery_requests.is_some() {
                self.update(|snapshot| {
                    (snapshot.params.alarm, snapshot.params.growth) = (alarm.clone(), growth.clone());
                });
                let params = Box::new(GalleryWorkerParams { alarm, growth });
                shared.send_to_gallery(GalleryRequest::SetParams(params));
            }
        });
    }

    /// Sets how recognition results are averaged.
    pub fn set_estimates(&self, estimates: EstimatesParams) {
        self.with(|_| {
            self.update(|snapshot| snapshot.params.estimates = estimates.clone());
            let _ = self.messages.send(Message::SetEstimates(estimates));
        });
    }

    /// As [`crate::Pipeline::deny_last_alarm`].
    pub fn deny_last_alarm(&self) {
        self.with(|shared| shared.send_to_gallery(GalleryRequest::DenyLastAlarm));
    }

    /// The measurements since the start. `None` after the end of the pipeline.
    #[must_use]
    pub fn statistics(&self) -> Option<StatisticsReport> {
        Some(self.shared.upgrade()?.report())
    }

    /// Asks all threads of the pipeline to end. Returns at once.
    pub fn stop(&self) {
        self.with(|shared| {
            shared.stop();
            let _ = self.messages.send(Message::Stop);
        });
    }

    fn with(&self, act: impl FnOnce(&Shared)) {
        if let Some(shared) = self.shared.upgrade() {
            act(&shared);
        }
    }

    fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        self.snapshots.update(|snapshot| {
            change(snapshot);
            true
        });
    }
}

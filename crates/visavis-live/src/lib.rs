//! The live pipeline: threads, scheduling, switching of networks, alarms, statistics.
//!
//! Named std threads around a bounded buffer of frames. The grabber reads the source. The detection thread takes the newest frame
//! that it has not seen. Recognition workers take jobs by priority. The controller owns the tracks and publishes a [`Scene`] for
//! every frame. The loader thread loads networks while others run. The workers, the loader thread and the networks are in a
//! [`WorkerPool`], which the pipelines of several cameras share. The gallery worker raises alarms and adds visitors. The sighting
//! recorder stores who was seen when. The state of the whole pipeline is published as one [`Snapshot`]. Nothing here knows HTTP or
//! terminals.

mod alarm;
mod buffer;
#[cfg(test)]
mod buffer_tests;
mod clock;
mod controller;
mod detection;
mod detector_pool;
#[cfg(test)]
mod detector_pool_tests;
mod error;
mod estimates;
mod event;
mod gallery_health;
mod gallery_worker;
mod grabber;
mod handle;
mod input_size;
mod job_queue;
#[cfg(test)]
mod job_queue_tests;
mod loader;
mod message;
mod model_loading;
mod model_set;
mod model_switching;
mod params;
mod pipeline;
mod pool;
mod recognition;
mod scene;
mod schedule;
mod shared;
mod sighting;
mod sighting_recorder;
mod snapshot;
mod statistics;
mod subscription;
mod sync;
mod thread;
mod visitors;
mod worker_pool;
mod worker_threads;

pub use alarm::{Alarm, AlarmParams, Cause};
pub use buffer::Pacing;
pub use clock::{rfc3339, seconds};
pub use error::LiveError;
pub use event::Event;
pub use handle::PipelineHandle;
pub use input_size::InputSizeParams;
pub use loader::{EmbedThumbnail, GalleryStore, Loader, RegistryLoader};
pub use params::{Outcome, PipelineParams};
pub use pipeline::{Pipeline, Prepared};
pub use scene::{Scene, SceneFace};
pub use schedule::ScheduleParams;
pub use sighting::{Sighting, SightingKind, SightingParams};
pub use snapshot::{GalleryState, Snapshot, Snapshots, SourceState, TaskState, short_name};
pub use statistics::{DURATION_BOUNDS, DurationCounts, StageReport, StatisticsReport, TrackReport};
pub use subscription::{Delivery, Received, Subscription};
pub use visitors::{GrowthParams, VisitorParams};
pub use worker_pool::WorkerPool;

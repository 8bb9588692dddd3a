//! The detection thread: finds the faces of the newest frame not yet looked at.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

use visavis_face::{Detect, Face};
use visavis_infer::Task;

use crate::Event;
use crate::controller::Message;
use crate::lineup::DetectorSlot;
use crate::panic::caught;
use crate::pipeline::Shared;
use crate::statistics::DETECTION;

/// Runs until the buffer is closed and empty.
pub(crate) fn run(shared: &Shared, messages: &Sender<Message>) {
    let mut slot: Option<Arc<DetectorSlot>> = None;
    let mut detector: Option<Box<dyn Detect>> = None;
    while let Some(frame) = shared.buffer.take_undetected() {
        let current = shared.detector();
        if slot.as_ref().is_none_or(|slot| slot.generation != current.generation) {
            detector = current.pool.take();
            slot = Some(Arc::clone(&current));
        }
        let started = Instant::now();
        let found = caught(|| {
            let running = match &mut detector {
                Some(running) => running,
                None => detector.insert(shared.loader.detector(&current.model).map_err(|error| error.to_string())?),
            };
            running.detect(&frame.picture).map_err(|error| error.to_string())
        });
        let took = started.elapsed();
        let faces: Vec<Face> = match found {
            Ok(Ok(faces)) => {
                shared.statistics.record(DETECTION, shared.clock.now(), took);
                faces
            }
            Ok(Err(reason)) => {
                shared.statistics.fail(DETECTION);
                shared.tell(Event::StageFailed { stage: format!("{} ({})", Task::Detection, current.model), reason });
                Vec::new()
            }
            Err(reason) => {
                // Whatever it was doing, its state is not to be trusted: the next frame gets a fresh one.
                detector = None;
                shared.statistics.fail(DETECTION);
                shared
                    .tell(Event::StageRestarted { stage: format!("{} ({})", Task::Detection, current.model), reason });
                Vec::new()
            }
        };
        shared.buffer.mark_detected(frame.seq);
        if messages.send(Message::Detected { frame, faces }).is_err() {
            return;
        }
    }
}

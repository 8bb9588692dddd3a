//! The detection thread: finds the faces of the next frame of the buffer.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

use visavis_face::{Detect, Face};
use visavis_infer::Task;

use crate::event::Event;
use crate::input_size::InputSizer;
use crate::message::Message;
use crate::model_set::DetectionModel;
use crate::shared::Shared;
use crate::statistics::DETECTION;
use crate::thread::catch_panic;

/// Runs until the buffer is closed and empty.
pub(crate) fn run(shared: &Shared, messages: &Sender<Message>) {
    let mut network: Option<Arc<DetectionModel>> = None;
    let mut detector: Option<Box<dyn Detect>> = None;
    let mut sizer: Option<InputSizer> = None;
    let mut input = None;
    while let Some(frame) = shared.buffer.take_undetected() {
        let current = shared.detector();
        if network.as_ref().is_none_or(|network| network.generation != current.generation) {
            (detector, sizer) = (current.instances.take(), None);
            network = Some(Arc::clone(&current));
        }
        let started = Instant::now();
        let found = catch_panic(|| {
            let running = match &mut detector {
                Some(running) => running,
                None => {
                    let loader = shared.loader.as_ref();
                    detector.insert(loader.detector(&current.name).map_err(|error| error.to_string())?)
                }
            };
            let sizer = sizer.get_or_insert_with(|| {
                InputSizer::new(shared.params.input_size.clone(), shared.params.pacing, running.input_sizes())
            });
            if let Some(size) = sizer.size_for([frame.picture.width(), frame.picture.height()]) {
                running.set_input_size(size).map_err(|error| error.to_string())?;
            }
            running.detect(&frame.picture).map_err(|error| error.to_string())
        });
        let took = started.elapsed();
        let present = detector.as_ref().and_then(|detector| detector.input_size());
        if let Some(size) = present.filter(|_| present != input) {
            input = present;
            shared.statistics.detector_input(size);
            shared.emit(Event::DetectorInput { size });
        }
        let faces: Vec<Face> = match found {
            Ok(Ok(faces)) => {
                shared.statistics.record(DETECTION, shared.clock.now(), took);
                if let Some(sizer) = &mut sizer {
                    sizer.measured(frame.seq, frame.captured_at, took);
                }
                faces
            }
            Ok(Err(reason)) => {
                shared.statistics.fail(DETECTION);
                shared.emit(Event::StageFailed { stage: format!("{} ({})", Task::Detection, current.name), reason });
                Vec::new()
            }
            Err(reason) => {
                // The state of the detector may be inconsistent: the next frame gets a newly loaded one.
                (detector, sizer) = (None, None);
                shared.statistics.fail(DETECTION);
                shared.emit(Event::StageRestarted { stage: format!("{} ({})", Task::Detection, current.name), reason });
                Vec::new()
            }
        };
        shared.buffer.mark_detected(frame.seq);
        if messages.send(Message::Detected { frame, faces }).is_err() {
            return;
        }
    }
}

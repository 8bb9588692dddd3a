//! The detection thread of a camera: finds the faces of the next frame of the buffer.

use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use visavis_face::{Detect, Face};
use visavis_image::Frame;
use visavis_infer::Task;

use crate::event::Event;
use crate::input_size::InputSizer;
use crate::message::Message;
use crate::shared::Shared;
use crate::statistics::DETECTION;
use crate::thread::catch_panic;

/// Runs until the buffer is closed and empty.
pub(crate) fn run(shared: &Shared, messages: &Sender<Message>) {
    let mut generation = None;
    let mut sizer: Option<InputSizer> = None;
    let mut input = None;
    // A detector is taken before the frame, so that the frame is the newest one also if the other cameras use all detectors.
    while shared.buffer.wait_undetected() {
        let current = shared.jobs.pool.detector();
        if generation != Some(current.generation) {
            (generation, sizer) = (Some(current.generation), None);
        }
        let load = || shared.jobs.pool.loader.detector(&current.name);
        let lease = catch_panic(|| current.detectors.take(load));
        let lease = lease.and_then(|lease| lease.map_err(|error| error.to_string()));
        let Some(frame) = shared.buffer.take_undetected() else { return };
        let stage = || format!("{} ({})", Task::Detection, current.name);
        let faces = match lease {
            Err(reason) => {
                shared.statistics.fail(DETECTION);
                shared.emit(Event::StageFailed { stage: stage(), reason });
                Vec::new()
            }
            Ok(mut lease) => {
                let started = Instant::now();
                let found = catch_panic(|| match lease.detector() {
                    Some(detector) => detect(shared, detector, &mut sizer, &frame),
                    None => Ok((Vec::new(), None)),
                });
                let took = started.elapsed();
                match found {
                    Ok(Ok((faces, present))) => {
                        drop(lease);
                        if let Some(size) = present.filter(|_| present != input) {
                            input = present;
                            shared.statistics.detector_input(size);
                            shared.emit(Event::DetectorInput { size });
                        }
                        record(shared, &mut sizer, &frame, took);
                        faces
                    }
                    Ok(Err(reason)) => {
                        drop(lease);
                        shared.statistics.fail(DETECTION);
                        shared.emit(Event::StageFailed { stage: stage(), reason });
                        Vec::new()
                    }
                    Err(reason) => {
                        // The next frame that finds no other instance gets a newly loaded one.
                        lease.discard();
                        sizer = None;
                        shared.statistics.fail(DETECTION);
                        shared.emit(Event::StageRestarted { stage: stage(), reason });
                        Vec::new()
                    }
                }
            }
        };
        if messages.send(Message::Detected { frame, faces }).is_err() {
            return;
        }
    }
}

/// The faces of a frame, and width and height of the detector's input.
fn detect(
    shared: &Shared,
    detector: &mut dyn Detect,
    sizer: &mut Option<InputSizer>,
    frame: &Frame,
) -> Result<(Vec<Face>, Option<[u32; 2]>), String> {
    let sizer = sizer.get_or_insert_with(|| {
        InputSizer::new(shared.params.input_size.clone(), shared.params.pacing, detector.input_sizes())
    });
    // The size is set for every frame, since the last frame of this instance may have been of another camera.
    if let Some(size) = sizer.size_for([frame.picture.width(), frame.picture.height()]) {
        detector.set_input_size(size).map_err(|error| error.to_string())?;
    }
    let faces = detector.detect(&frame.picture).map_err(|error| error.to_string())?;
    Ok((faces, detector.input_size()))
}

fn record(shared: &Shared, sizer: &mut Option<InputSizer>, frame: &Frame, took: Duration) {
    shared.statistics.record(DETECTION, shared.clock.now(), took);
    if let Some(sizer) = sizer {
        sizer.measured(frame.seq, frame.captured_at, took);
    }
}

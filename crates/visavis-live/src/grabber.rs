//! The grabber thread: reads the source and hands every frame on.

use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use visavis_image::Frame;
use visavis_video::{Pace, Source, VideoError};

use crate::buffer::Pacing;
use crate::controller::Message;
use crate::pipeline::Shared;
use crate::statistics::GRABBER;

/// A file whose decoding is later than this is not hurried after: its clock is moved instead.
const LATE: Duration = Duration::from_millis(100);

pub(crate) struct Grabber {
    pub(crate) source: Box<dyn Source>,
    pub(crate) repeat: bool,
    pub(crate) mirror: bool,
}

impl Grabber {
    /// Reads until the source ends, breaks or the pipeline stops; says so in a last message.
    pub(crate) fn run(mut self, shared: &Shared, messages: &Sender<Message>) {
        let end = match self.grab(shared, messages) {
            Ok(frames) => Message::SourceEnded { frames, failure: None },
            Err((frames, error)) => Message::SourceEnded { frames, failure: Some(error.to_string()) },
        };
        shared.buffer.close();
        // Nobody listens any more: the pipeline is stopping anyway.
        let _ = messages.send(end);
    }

    fn grab(&mut self, shared: &Shared, messages: &Sender<Message>) -> Result<u64, (u64, VideoError)> {
        let mut seq = 0;
        // Time at which the source's own zero falls on the pipeline's clock.
        let mut base = shared.clock.now();
        let mut lap_start = Duration::ZERO;
        let mut lap_frames = 0u64;
        let mut last = Duration::ZERO;
        while !shared.clock.is_stopped() {
            let started = Instant::now();
            let Some(shot) = self.source.read().map_err(|error| (seq, error))? else {
                if !self.repeat || lap_frames == 0 {
                    break;
                }
                // The last frame of a lap lasts as long as the ones before it did on average.
                let mean =
                    if lap_frames > 1 { (last - lap_start) / (lap_frames - 1) as u32 } else { Duration::from_secs(1) };
                lap_start = last + mean;
                lap_frames = 0;
                self.source.rewind().map_err(|error| (seq, error))?;
                continue;
            };
            lap_frames += 1;
            last = lap_start + shot.at;
            let mut picture = shot.picture;
            if self.mirror {
                picture.mirror();
            }
            let took = started.elapsed();
            let captured_at = match (shared.params.pacing, self.source.info().pace) {
                (Pacing::EveryFrame, _) => last,
                (Pacing::Live, Pace::Own) => shared.clock.now(),
                (Pacing::Live, Pace::Timeline) => {
                    let now = shared.clock.now();
                    if now > base + last + LATE {
                        base = now - last;
                    }
                    if !shared.clock.wait_until(base + last) {
                        break;
                    }
                    shared.clock.now()
                }
            };
            shared.statistics.captured();
            shared.statistics.record(GRABBER, shared.clock.now(), took);
            let frame = Frame::new(seq, captured_at, picture);
            seq += 1;
            // Shown first, looked at afterwards.
            if messages.send(Message::Grabbed(frame.clone())).is_err() || !shared.buffer.push(frame.seq, frame) {
                break;
            }
        }
        Ok(seq)
    }
}

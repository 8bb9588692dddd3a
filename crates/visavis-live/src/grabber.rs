//! The grabber thread: reads the source and passes every frame on.

use std::sync::mpsc::Sender;
use std::time::{Duration, Instant, SystemTime};

use visavis_image::Frame;
use visavis_video::{Pace, Source, VideoError};

use crate::buffer::Pacing;
use crate::event::Event;
use crate::message::{Message, SourceEnd};
use crate::shared::Shared;
use crate::statistics::GRABBER;

/// A file that is decoded later than this is not played faster to catch up; its clock is moved instead.
const LATE: Duration = Duration::from_millis(100);
/// Number of pictures that could not be read that are reported; further ones are only counted. For live sources: per
/// [`REPORT_INTERVAL`].
const MAX_REPORTED: u64 = 20;
/// Live sources: after this time, pictures that could not be read are reported again.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);
/// A source ends after this number of failures in a row.
const MAX_FAILURES: usize = 10_000;

pub(crate) struct Grabber {
    pub(crate) source: Box<dyn Source>,
    pub(crate) repeat: bool,
    pub(crate) mirror: bool,
}

/// Counts pictures that could not be read, and reports the first of them unless that was done.
fn skip(end: &mut SourceEnd, reasons: impl Iterator<Item = String>, reported: bool, shared: &Shared) {
    for reason in reasons {
        end.skipped += 1;
        if !reported && end.skipped <= MAX_REPORTED {
            shared.emit(Event::FrameSkipped { reason });
        }
    }
}

impl Grabber {
    /// Reads until the source ends, fails or the pipeline stops. Sends [`Message::SourceEnded`] last.
    pub(crate) fn run(mut self, shared: &Shared, messages: &Sender<Message>) {
        let end = self.grab(shared, messages);
        shared.buffer.close();
        // Fails if the controller has ended.
        let _ = messages.send(Message::SourceEnded(end));
    }

    fn grab(&mut self, shared: &Shared, messages: &Sender<Message>) -> SourceEnd {
        let mut end = SourceEnd::default();
        // The errors since the last picture that was read.
        let mut failures: Vec<String> = Vec::new();
        // A live source may not deliver another picture for long, so its failures are reported at once.
        let at_once = self.source.info().pace == Pace::Own;
        let (mut reported, mut reported_since) = (0, Instant::now());
        // Time on the pipeline's clock of the source's time 0.
        let mut base = shared.clock.now();
        let mut lap_start = Duration::ZERO;
        let mut lap_frames = 0u64;
        let mut last = Duration::ZERO;
        let (mut sequence, mut cut) = (0, false);
        while !shared.clock.is_stopped() {
            let started = Instant::now();
            shared.set_reading(true);
            let read = self.source.read();
            shared.set_reading(false);
            let shot = match read {
                Ok(Some(shot)) => shot,
                Ok(None) => {
                    if !self.repeat || lap_frames == 0 {
                        break;
                    }
                    // The last frame is shown for the mean duration of the frames before it.
                    let mean = if lap_frames > 1 {
                        (last - lap_start) / (lap_frames - 1) as u32
                    } else {
                        Duration::from_secs(1)
                    };
                    lap_start = last + mean;
                    // A single picture that is played again is no cut.
                    cut = lap_frames > 1;
                    lap_frames = 0;
                    if let Err(error) = self.source.rewind() {
                        end.failure = Some(error.to_string());
                        return end;
                    }
                    continue;
                }
                Err(VideoError::Interrupted { .. }) => continue,
                Err(error) => {
                    let reason = error.to_string();
                    if reported_since.elapsed() >= REPORT_INTERVAL {
                        (reported, reported_since) = (0, Instant::now());
                    }
                    if at_once && reported < MAX_REPORTED {
                        reported += 1;
                        shared.emit(Event::FrameSkipped { reason: reason.clone() });
                    }
                    failures.push(reason);
                    if failures.len() >= MAX_FAILURES {
                        break;
                    }
                    continue;
                }
            };
            // A picture follows the failures, so they did not end the source.
            skip(&mut end, failures.drain(..), at_once, shared);
            let mut playing = self.source.playing();
            playing.mirrored |= self.mirror;
            shared.set_playing(playing);
            lap_frames += 1;
            last = lap_start + shot.at;
            if std::mem::take(&mut cut) || shot.cut {
                sequence += 1;
            }
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
            let is_live = shared.params.pacing == Pacing::Live && self.source.info().pace == Pace::Own;
            let wall_time = is_live.then(SystemTime::now);
            let frame =
                Frame { wall_time, sequence, shrunk: shot.shrunk, ..Frame::new(end.frames, captured_at, picture) };
            end.frames += 1;
            // To the controller first, which shows the frame; then to detection.
            if messages.send(Message::Grabbed(frame.clone())).is_err() || !shared.buffer.push(frame.seq, frame) {
                break;
            }
        }
        // No picture follows the failures: the last one ended the source.
        if !shared.clock.is_stopped() {
            end.failure = failures.pop();
        }
        skip(&mut end, failures.into_iter(), at_once, shared);
        end
    }
}

//! Reads a film from an MP4 and decodes it with OpenH264.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use mp4_atom::Trex;
use openh264::decoder::Decoder;
use visavis_image::{Picture, PicturePool, Resizer};

use super::boxes::top_boxes;
use super::edits::Edits;
use super::fragment;
use super::track::Track;
use super::turn;
use crate::h264::decoder::{self, check, picture, too_large};
use crate::h264::{self, SequenceHeader};
use crate::yuv::{Colours, Scratch, ToRgb};
use crate::{Pace, Shot, Source, SourceInfo, VideoError};

/// Maximum size of a `moov` or `moof` in bytes. The index of 24 hours at 60 pictures per second has 100 MB.
const MOST_INDEX: u64 = 256 << 20;
/// Maximum size of an encoded picture in bytes. A raw 4K picture has 12 MB.
const MOST_SAMPLE: u32 = 64 << 20;
/// In H.264 at most 16 pictures wait for others (A.3.1): older times without a picture belong to lost pictures.
const MOST_WAITING: usize = 17;
/// Most samples in a row that should be shown and give no picture. More are damage, or samples without data, of which an index can
/// name millions.
const MOST_SILENT: usize = 64;
/// Spare buffers: one that is being filled, and those that a viewer and a recogniser usually hold.
const SPARE_PICTURES: usize = 12;

/// A film.
pub(crate) struct Mp4Source {
    info: SourceInfo,
    file: BufReader<File>,
    track: Track,
    max_pixels: u64,
    decoder: Decoder,
    /// The next sample to decode.
    next: usize,
    /// Times of pictures that the decoder still holds, with the number of their sample.
    waiting: BTreeSet<(i64, usize)>,
    /// Pictures that the decoder returned at the end.
    ready: VecDeque<Shot>,
    ended: bool,
    colours: Colours,
    /// Pixel aspect ratio: width divided by height.
    aspect: f64,
    pool: PicturePool,
    scratch: Scratch,
    resizer: Resizer,
    sample: Vec<u8>,
    stream: Vec<u8>,
}

impl Mp4Source {
    pub(crate) fn open(path: &Path, max_pixels: u64) -> Result<Self, VideoError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(VideoError::reading(&name))?;
        let file_len = file.metadata().map_err(VideoError::reading(&name))?.len();
        let mut file = BufReader::with_capacity(64 << 10, file);
        let track = read_index(&mut file, file_len, &name)?;

        let header = track.avc.sequence_parameter_sets.first().and_then(|unit| SequenceHeader::parse(unit));
        let (width, height) = match &header {
            Some(header) => check(header, max_pixels, &name)?,
            None => (0, 0),
        };
        let aspect = pixel_aspect(&track, header.as_ref());
        let (width, height) = track.turn.size(turn::square((width, height), aspect));
        too_large((width, height), max_pixels, &name)?;
        let seconds = track.samples.ticks as f64 / f64::from(track.timescale);
        let named = track.samples.named;
        let hidden =
            track.samples.list.iter().filter(|sample| track.edits.shown_at(sample.shown).is_none()).count() as u64;
        let info = SourceInfo {
            name,
            width,
            height,
            frame_rate: (seconds > 0.0).then(|| named as f64 / seconds),
            frames: Some(named - hidden),
            pace: Pace::Timeline,
        };
        Ok(Self {
            decoder: decoder::start(&info.name)?,
            colours: header.map_or(Colours::usual(height), |header| header.colours),
            aspect,
            info,
            file,
            track,
            max_pixels,
            next: 0,
            waiting: BTreeSet::new(),
            ready: VecDeque::new(),
            ended: false,
            pool: PicturePool::new(SPARE_PICTURES),
            scratch: Scratch::default(),
            resizer: Resizer::new(),
            sample: Vec::new(),
            stream: Vec::new(),
        })
    }

    /// Reads the next sample and converts it to a byte stream.
    fn fetch(&mut self) -> Result<(), VideoError> {
        let number = self.next;
        let sample = self.track.samples.list[number];
        self.next += 1;
        let failed = |reason: String| VideoError::Frame { name: self.info.name.clone(), frame: number as u64, reason };
        if sample.size > MOST_SAMPLE {
            return Err(failed(format!("{} bytes are more than a picture can have", sample.size)));
        }
        self.sample.resize(sample.size as usize, 0);
        self.file
            .seek(SeekFrom::Start(sample.offset))
            .and_then(|_| self.file.read_exact(&mut self.sample))
            .map_err(VideoError::reading(&self.info.name))?;
        self.stream.clear();
        if number == 0 {
            for unit in self.track.avc.sequence_parameter_sets.iter().chain(&self.track.avc.picture_parameter_sets) {
                h264::push_annex_b(&mut self.stream, unit);
            }
        }
        for unit in h264::units(&self.sample, usize::from(self.track.avc.length_size)) {
            let unit = unit.map_err(failed)?;
            // The size and the colours may change within the film.
            if h264::unit_type(unit) == h264::SPS
                && let Some(header) = SequenceHeader::parse(unit)
            {
                check(&header, self.max_pixels, &self.info.name)?;
                self.colours = header.colours;
                self.aspect = pixel_aspect(&self.track, Some(&header));
            }
            h264::push_annex_b(&mut self.stream, unit);
        }
        self.waiting.insert((sample.shown, number));
        if self.waiting.len() > MOST_WAITING {
            self.waiting.pop_first();
        }
        Ok(())
    }

    /// Decodes one sample. The decoder may return no picture, or that of another sample.
    fn decode(&mut self) -> Result<Option<Shot>, VideoError> {
        let number = self.next;
        self.fetch()?;
        let to_rgb = ToRgb::new(self.colours);
        let decoded = match self.decoder.decode(&self.stream) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.waiting.remove(&(self.track.samples.list[number].shown, number));
                let (name, frame) = (self.info.name.clone(), number as u64);
                return Err(VideoError::Frame { name, frame, reason: error.to_string() });
            }
        };
        let Some(decoded) = decoded else { return Ok(None) };
        let picture = picture(&decoded, to_rgb, &self.pool, &mut self.scratch);
        let at = time(&mut self.waiting, &self.track.edits, self.track.timescale);
        match picture {
            Some(picture) => at.map(|at| self.shot(picture, at)).transpose(),
            None => {
                let (name, frame) = (self.info.name.clone(), number as u64);
                Err(VideoError::Frame { name, frame, reason: "the decoder returned an odd picture".into() })
            }
        }
    }

    /// A decoded picture as it is shown: with square pixels, and upright. Refuses one that is too large then, since the shape of the
    /// pixels may change within the film.
    fn shot(&mut self, picture: Picture, at: Duration) -> Result<Shot, VideoError> {
        let size = turn::square((picture.width(), picture.height()), self.aspect);
        too_large(size, self.max_pixels, &self.info.name)?;
        let picture = turn::stretched(picture, size, &self.pool, &mut self.resizer);
        Ok(Shot::new(self.track.turn.apply(picture, &self.pool), at))
    }

    /// Takes the pictures that the decoder held back for reordering.
    fn flush(&mut self) -> Result<(), VideoError> {
        let to_rgb = ToRgb::new(self.colours);
        let held = self.decoder.flush_remaining().map_err(|error| VideoError::Frame {
            name: self.info.name.clone(),
            frame: self.next as u64,
            reason: error.to_string(),
        })?;
        let mut pictures = Vec::new();
        for decoded in &held {
            let at = time(&mut self.waiting, &self.track.edits, self.track.timescale);
            let picture = picture(decoded, to_rgb, &self.pool, &mut self.scratch);
            pictures.extend(picture.zip(at));
        }
        drop(held);
        for (picture, at) in pictures {
            let shot = self.shot(picture, at)?;
            self.ready.push_back(shot);
        }
        Ok(())
    }
}

impl Source for Mp4Source {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn read(&mut self) -> Result<Option<Shot>, VideoError> {
        let mut silent = 0;
        while self.next < self.track.samples.list.len() {
            let hidden = self.track.edits.shown_at(self.track.samples.list[self.next].shown).is_none();
            if let Some(shot) = self.decode()? {
                return Ok(Some(shot));
            }
            silent += usize::from(!hidden);
            if silent == MOST_SILENT {
                let (name, frame) = (self.info.name.clone(), self.next as u64);
                return Err(VideoError::Frame {
                    name,
                    frame,
                    reason: format!("{MOST_SILENT} samples gave no picture"),
                });
            }
        }
        if !self.ended {
            self.ended = true;
            self.flush()?;
        }
        if let Some(shot) = self.ready.pop_front() {
            return Ok(Some(shot));
        }
        let (frame, named) = (self.track.samples.list.len() as u64, self.track.samples.named);
        // Returned once, since `next` is moved beyond the list.
        if frame < named && self.next as u64 == frame {
            self.next += 1;
            return Err(VideoError::CutShort { name: self.info.name.clone(), frame, of: Some(named) });
        }
        Ok(None)
    }

    fn rewind(&mut self) -> Result<(), VideoError> {
        // A new decoder takes a millisecond to start and has no state from the end.
        self.decoder = decoder::start(&self.info.name)?;
        self.next = 0;
        self.ended = false;
        self.waiting.clear();
        self.ready.clear();
        Ok(())
    }
}

/// Finds the index or its fragments, and the video track in it.
fn read_index(file: &mut BufReader<File>, file_len: u64, name: &str) -> Result<Track, VideoError> {
    let damaged = |reason: String| VideoError::Damaged { name: name.to_owned(), reason };
    let boxes = top_boxes(file, file_len).map_err(VideoError::reading(name))?;
    let mut body_of = |start: u64, end: u64| -> Result<Vec<u8>, VideoError> {
        if end - start > MOST_INDEX {
            return Err(damaged(format!("its index has {} bytes", end - start)));
        }
        let mut body = vec![0; (end - start) as usize];
        file.seek(SeekFrom::Start(start))
            .and_then(|_| file.read_exact(&mut body))
            .map_err(VideoError::reading(name))?;
        Ok(body)
    };
    let moov = boxes
        .iter()
        .find(|found| &found.kind == b"moov" && found.end <= file_len)
        .ok_or_else(|| VideoError::NoIndex { path: name.to_owned() })?;
    let moov = body_of(moov.body, moov.end)?;
    let mut track = Track::find(&moov, file_len, name)?;
    let defaults =
        fragment::defaults(&moov, track.id).unwrap_or_else(|| Trex { track_id: track.id, ..Trex::default() });
    for moof in boxes.iter().filter(|found| &found.kind == b"moof") {
        if moof.end > file_len {
            // A further fragment was begun. Its number of pictures is unknown, but at least one.
            track.samples.named += 1;
            break;
        }
        let body = body_of(moof.body, moof.end)?;
        fragment::append(&mut track.samples, &body, moof.start, track.id, &defaults, file_len).map_err(damaged)?;
    }
    if track.samples.named == 0 {
        return Err(VideoError::NoPictureTrack { path: name.to_owned() });
    }
    track.settle_times(name)?;
    Ok(track)
}

/// The container has priority over the coded pictures.
fn pixel_aspect(track: &Track, header: Option<&SequenceHeader>) -> f64 {
    let coded = || header.map(|header| turn::aspect(header.pixel_aspect.0, header.pixel_aspect.1));
    track.aspect.or_else(coded).unwrap_or(1.0)
}

/// The earliest of the waiting times, since pictures come out in the order in which they are shown. `None` for a picture
/// that is not shown.
fn time(waiting: &mut BTreeSet<(i64, usize)>, edits: &Edits, timescale: u32) -> Option<Duration> {
    let ticks = match waiting.pop_first() {
        Some((ticks, _)) => edits.shown_at(ticks)?.max(0) as u64,
        None => 0,
    };
    let scale = u64::from(timescale);
    Some(Duration::from_secs(ticks / scale) + Duration::from_nanos(ticks % scale * 1_000_000_000 / scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_time() {
        let mut waiting = BTreeSet::from([(90_001, 1), (45_000, 2)]);
        let edits = Edits::none(0);
        assert_eq!(time(&mut waiting, &edits, 90_000), Some(Duration::from_millis(500)));
        assert_eq!(time(&mut waiting, &edits, 90_000), Some(Duration::from_nanos(1_000_011_111)));
        let mut waiting = BTreeSet::from([(5, 3)]);
        assert_eq!(time(&mut waiting, &Edits::none(6), 90_000), None);
    }
}

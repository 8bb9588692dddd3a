//! A film from an MP4, decoded with OpenH264.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use mp4_atom::Trex;
use openh264::OpenH264API;
use openh264::decoder::{DecodedYUV, Decoder, DecoderConfig, Flush};
use openh264::formats::YUVSource;
use visavis_image::{Picture, PicturePool};

use super::boxes::top_boxes;
use super::fragment;
use super::track::{Track, Turn};
use crate::h264::{self, SequenceHeader};
use crate::yuv::{Colours, Planes, Scratch, ToRgb, planes_to_rgb};
use crate::{Pace, Shot, Source, SourceInfo, VideoError};

/// Largest `moov` or `moof` that is read into memory, in bytes. The index of 24 hours at 60 a second has 100 MB.
const MOST_INDEX: u64 = 256 << 20;
/// Largest encoded picture, in bytes. A raw 4K picture has 12 MB.
const MOST_SAMPLE: u32 = 64 << 20;
/// H.264 lets at most 16 pictures wait for others (A.3.1): older times without a picture belong to lost ones.
const MOST_WAITING: usize = 17;
/// Spare buffers: one being filled, and those that a viewer and a recogniser commonly still hold.
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
    /// Times of pictures that the decoder still holds, with their sample's number.
    waiting: BTreeSet<(i64, usize)>,
    /// Pictures that came out all at once, at the end.
    ready: VecDeque<Shot>,
    ended: bool,
    colours: Colours,
    pool: PicturePool,
    scratch: Scratch,
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
        let (width, height) =
            if matches!(track.turn, Turn::Left | Turn::Right) { (height, width) } else { (width, height) };
        let seconds = track.samples.ticks as f64 / f64::from(track.timescale);
        let named = track.samples.named;
        let info = SourceInfo {
            name,
            width,
            height,
            frame_rate: (seconds > 0.0).then(|| named as f64 / seconds),
            frames: Some(named),
            pace: Pace::Timeline,
        };
        Ok(Self {
            decoder: new_decoder(&info.name)?,
            colours: header.map_or(Colours::usual(height), |header| header.colours),
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
            sample: Vec::new(),
            stream: Vec::new(),
        })
    }

    /// Reads the next sample and turns it into a byte stream.
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
            // The size and the colours may change midway.
            if h264::unit_type(unit) == h264::SPS
                && let Some(header) = SequenceHeader::parse(unit)
            {
                check(&header, self.max_pixels, &self.info.name)?;
                self.colours = header.colours;
            }
            h264::push_annex_b(&mut self.stream, unit);
        }
        self.waiting.insert((sample.shown, number));
        if self.waiting.len() > MOST_WAITING {
            self.waiting.pop_first();
        }
        Ok(())
    }

    /// Decodes one sample; a picture may or may not come out, and need not be that sample's.
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
        let at = time(&mut self.waiting, self.track.timescale);
        match picture {
            Some(picture) => Ok(Some(Shot { picture: upright(picture, self.track.turn), at })),
            None => {
                let (name, frame) = (self.info.name.clone(), number as u64);
                Err(VideoError::Frame { name, frame, reason: "the decoder returned an odd picture".into() })
            }
        }
    }

    /// Takes what the decoder held back for the sake of order.
    fn flush(&mut self) -> Result<(), VideoError> {
        let to_rgb = ToRgb::new(self.colours);
        let held = self.decoder.flush_remaining().map_err(|error| VideoError::Frame {
            name: self.info.name.clone(),
            frame: self.next as u64,
            reason: error.to_string(),
        })?;
        for decoded in &held {
            let at = time(&mut self.waiting, self.track.timescale);
            if let Some(picture) = picture(decoded, to_rgb, &self.pool, &mut self.scratch) {
                self.ready.push_back(Shot { picture: upright(picture, self.track.turn), at });
            }
        }
        Ok(())
    }
}

impl Source for Mp4Source {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn read(&mut self) -> Result<Option<Shot>, VideoError> {
        while self.next < self.track.samples.list.len() {
            if let Some(shot) = self.decode()? {
                return Ok(Some(shot));
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
        // Said once: `next` moves behind the list.
        if frame < named && self.next as u64 == frame {
            self.next += 1;
            return Err(VideoError::CutShort { name: self.info.name.clone(), frame, of: Some(named) });
        }
        Ok(None)
    }

    fn rewind(&mut self) -> Result<(), VideoError> {
        // A fresh decoder costs a millisecond and has no memory of the end.
        self.decoder = new_decoder(&self.info.name)?;
        self.next = 0;
        self.ended = false;
        self.waiting.clear();
        self.ready.clear();
        Ok(())
    }
}

/// Finds the index, or its fragments, and the picture track in it.
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
            // One more fragment was begun: how many pictures it has, nobody knows, but one at least.
            track.samples.named += 1;
            break;
        }
        let body = body_of(moof.body, moof.end)?;
        fragment::append(&mut track.samples, &body, moof.start, track.id, &defaults, file_len).map_err(damaged)?;
    }
    if track.samples.named == 0 {
        return Err(VideoError::NoPictureTrack { path: name.to_owned() });
    }
    track.samples.start_at_zero();
    Ok(track)
}

fn new_decoder(name: &str) -> Result<Decoder, VideoError> {
    // Flushing after every picture would break the order where pictures depend on later ones.
    let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
    Decoder::with_api_config(OpenH264API::from_source(), config).map_err(|error| VideoError::Damaged {
        name: name.to_owned(),
        reason: format!("the decoder did not start: {error}"),
    })
}

/// Refuses what cannot be decoded or is too large; the size otherwise.
fn check(header: &SequenceHeader, max_pixels: u64, name: &str) -> Result<(u32, u32), VideoError> {
    let (width, height) = (header.width, header.height);
    if let Some(codec) = header.obstacle() {
        return Err(VideoError::UnsupportedCodec { path: name.to_owned(), codec });
    }
    if u64::from(width) * u64::from(height) > max_pixels {
        return Err(VideoError::TooLarge { name: name.to_owned(), width, height, most: max_pixels });
    }
    Ok((width, height))
}

/// The earliest of the times that wait: pictures come out in the order in which they are shown.
fn time(waiting: &mut BTreeSet<(i64, usize)>, timescale: u32) -> Duration {
    let ticks = waiting.pop_first().map_or(0, |(ticks, _)| ticks.max(0) as u64);
    let scale = u64::from(timescale);
    Duration::from_secs(ticks / scale) + Duration::from_nanos(ticks % scale * 1_000_000_000 / scale)
}

/// `None` where the planes do not cover the size, which the decoder rules out.
fn picture(decoded: &DecodedYUV<'_>, to_rgb: ToRgb, pool: &PicturePool, scratch: &mut Scratch) -> Option<Picture> {
    let ((width, height), (y_stride, uv_stride, _)) = (decoded.dimensions(), decoded.strides());
    let planes = Planes { y: decoded.y(), u: decoded.u(), v: decoded.v(), y_stride, uv_stride };
    if !planes.cover(width, height) {
        return None;
    }
    let mut picture = pool.take(width as u32, height as u32);
    planes_to_rgb(planes, to_rgb, scratch, &mut picture);
    Some(picture)
}

fn upright(picture: Picture, turn: Turn) -> Picture {
    let (width, height) = (picture.width(), picture.height());
    if turn == Turn::None {
        return picture;
    }
    let sideways = matches!(turn, Turn::Left | Turn::Right);
    let mut out = if sideways { Picture::new(height, width) } else { Picture::new(width, height) };
    for y in 0..height {
        for (x, pixel) in picture.row(y).chunks_exact(3).enumerate() {
            let x = x as u32;
            let (to_x, to_y) = match turn {
                Turn::Right => (height - 1 - y, x),
                Turn::Left => (y, width - 1 - x),
                _ => (width - 1 - x, height - 1 - y),
            };
            out.set_pixel(to_x, to_y, [pixel[0], pixel[1], pixel[2]]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns() {
        let source = Picture::from_rgb(3, 2, (0..6).flat_map(|value| [value; 3]).collect()).unwrap();
        let reds = |turn| {
            let out = upright(source.clone(), turn);
            (out.width(), out.pixels().iter().step_by(3).copied().collect::<Vec<_>>())
        };
        assert_eq!(reds(Turn::Right), (2, vec![3, 0, 4, 1, 5, 2]));
        assert_eq!(reds(Turn::Left), (2, vec![2, 5, 1, 4, 0, 3]));
        assert_eq!(reds(Turn::Half), (3, vec![5, 4, 3, 2, 1, 0]));
    }

    #[test]
    fn ticks_become_time() {
        let mut waiting = BTreeSet::from([(90_001, 1), (45_000, 2)]);
        assert_eq!(time(&mut waiting, 90_000), Duration::from_millis(500));
        assert_eq!(time(&mut waiting, 90_000), Duration::from_nanos(1_000_011_111));
    }
}

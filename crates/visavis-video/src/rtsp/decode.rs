//! The thread that decodes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use openh264::decoder::{DecodeOptions, Decoder, Flush};
use visavis_image::{Picture, PicturePool, Resizer, codec};

use super::queue::{Queue, Unit};
use super::{Child, Codec};
use crate::ffmpeg::Elementary;
use crate::h264::decoder::{self, check, too_large};
use crate::h264::{self, SequenceHeader};
use crate::mp4::turn;
use crate::network::{Newest, OLD};
use crate::yuv::{Colours, Scratch, ToRgb};
use crate::{OpenOptions, VideoError};

/// Spare buffers: one that is being filled, and those that a viewer and a recogniser usually hold.
const SPARE_PICTURES: usize = 12;
/// In H.264 and H.265 at most 16 pictures wait for others: older times without a picture belong to lost pictures.
const MOST_WAITING: usize = 17;

/// The output of decoded pictures.
pub(super) struct Output {
    name: String,
    max_pixels: u64,
    newest: Arc<Newest>,
    child: Child,
}

impl Output {
    pub(super) fn new(name: String, options: &OpenOptions, newest: Arc<Newest>, child: Child) -> Self {
        Self { name, max_pixels: options.max_pixels, newest, child }
    }
}

/// Outputs a picture unless it is too old.
fn show(newest: &Newest, picture: Picture, Came { arrived, late }: Came, cut: &mut bool) {
    if late + arrived.elapsed() > OLD {
        log::debug!("a picture that is {:.1} s old is not shown", (late + arrived.elapsed()).as_secs_f64());
        return;
    }
    newest.put(picture, arrived, std::mem::take(cut));
}

/// When a picture arrived.
#[derive(Debug, Clone, Copy)]
struct Came {
    arrived: Instant,
    late: Duration,
}

impl Came {
    fn of(unit: &Unit) -> Self {
        Self { arrived: unit.arrived, late: unit.late }
    }
}

/// Decodes until the queue is closed.
pub(super) fn run(queue: &Queue, output: Output) {
    let (mut session, mut decoding) = (0, None);
    // Decoding cannot begin before the next key frame.
    let mut needs_key = true;
    // The last reported failure of this connection: without it, a camera whose pictures cannot be decoded would report each
    // one.
    let mut told = String::new();
    while let Some(unit) = queue.pop() {
        if unit.session != session {
            (session, decoding, needs_key) = (unit.session, None, true);
            told.clear();
        }
        // Pictures that refer to a lost one would be smeared.
        needs_key = (needs_key || unit.lost > 0) && !unit.key;
        if needs_key {
            continue;
        }
        let done = match &mut decoding {
            Some(decoding) => Ok(decoding),
            None => Decoding::start(&unit, &output).map(|started| decoding.insert(started)),
        };
        let lost = unit.lost;
        let done = done.and_then(|decoding| decoding.decode(unit, &output, queue.has_more()));
        match done {
            Ok(()) => told.clear(),
            Err(error) => {
                // Continue with a new decoder from the next key frame on.
                (decoding, needs_key) = (None, true);
                let reason = error.to_string();
                log::debug!("{reason} ({lost} packets were lost before it)");
                if told != reason {
                    told = reason;
                    output.newest.fail(error);
                }
            }
        }
    }
}

/// Decodes coded pictures of H.264 in our own decoder, which is started again after each error. Returns the number of those that could
/// be decoded. For the fuzz targets.
pub(super) fn h264_pictures(pictures: &[&[u8]], max_pixels: u64) -> usize {
    let options = OpenOptions { max_pixels, ..OpenOptions::default() };
    let output = Output::new("fuzzing".into(), &options, Arc::default(), Child::default());
    let (mut own, mut decoded) = (None, 0);
    for (number, picture) in (0..).zip(pictures) {
        let unit = Unit {
            session: 1,
            codec: Codec::H264,
            data: picture.to_vec(),
            key: true,
            lost: 0,
            arrived: Instant::now(),
            late: Duration::ZERO,
            media_ms: number * 40,
        };
        let started = match own.take() {
            Some(started) => Ok(started),
            None => OwnH264::start(&output),
        };
        let done = started.and_then(|mut started| started.decode(&unit, &output, false).map(|()| started));
        decoded += usize::from(done.is_ok());
        own = done.ok();
    }
    decoded
}

/// The decoder of one connection.
enum Decoding {
    H264(Box<OwnH264>),
    Ffmpeg(Box<Piped>),
    Jpeg { cut: bool },
}

impl Decoding {
    /// The decoder for a stream that begins with this key frame.
    fn start(unit: &Unit, output: &Output) -> Result<Self, VideoError> {
        let header = |unit: &Unit| {
            let sets = h264::annex_b_units(&unit.data).find(|unit| h264::unit_type(unit) == h264::SPS);
            sets.and_then(SequenceHeader::parse)
        };
        match unit.codec {
            Codec::Jpeg => Ok(Self::Jpeg { cut: true }),
            Codec::H265 => Ok(Self::Ffmpeg(Box::new(Piped::start(unit, output, false)?))),
            Codec::H264 => {
                let Some((header, obstacle)) = header(unit).and_then(|header| Some((header, header.obstacle()?)))
                else {
                    return Ok(Self::H264(Box::new(OwnH264::start(output)?)));
                };
                too_large((header.width, header.height), output.max_pixels, &output.name)?;
                if crate::Ffmpeg::installed().is_none() {
                    log::debug!("{header:?}");
                    return Err(VideoError::StreamNeedsFfmpeg { name: output.name.clone(), format: obstacle });
                }
                Ok(Self::Ffmpeg(Box::new(Piped::start(unit, output, header.interlaced)?)))
            }
        }
    }

    /// Decodes one picture. `overtaken`: a newer one waits, so this one need not be shown.
    fn decode(&mut self, unit: Unit, output: &Output, overtaken: bool) -> Result<(), VideoError> {
        match self {
            Self::H264(own) => own.decode(&unit, output, overtaken),
            Self::Ffmpeg(piped) => piped.feed(&unit, output),
            Self::Jpeg { cut } => {
                if !overtaken {
                    let picture = codec::decode(&unit.data, output.max_pixels);
                    let picture = picture.map_err(VideoError::picture(&output.name))?;
                    show(&output.newest, picture, Came::of(&unit), cut);
                }
                Ok(())
            }
        }
    }
}

/// H.264 in our own decoder.
struct OwnH264 {
    decoder: Decoder,
    colours: Colours,
    aspect: f64,
    /// Times of the pictures in the decoder, by the time at which they are shown.
    waiting: BTreeMap<u64, Came>,
    /// Whether pictures arrive in another order than they are shown. Until that is seen, each is shown at once.
    reordered: bool,
    last_ms: u64,
    /// Number of consecutive pictures that were not shown because a newer one waited.
    passed: u32,
    cut: bool,
    pool: PicturePool,
    scratch: Scratch,
    resizer: Resizer,
}

/// Maximum number of consecutive pictures that are not shown, so that something is shown even if newer ones always wait.
const MOST_PASSED: u32 = 5;

impl OwnH264 {
    fn start(output: &Output) -> Result<Self, VideoError> {
        Ok(Self {
            decoder: decoder::start(&output.name)?,
            colours: Colours::usual(0),
            aspect: 1.0,
            waiting: BTreeMap::new(),
            reordered: false,
            last_ms: 0,
            passed: 0,
            cut: true,
            pool: PicturePool::new(SPARE_PICTURES),
            scratch: Scratch::default(),
            resizer: Resizer::new(),
        })
    }

    fn decode(&mut self, unit: &Unit, output: &Output, overtaken: bool) -> Result<(), VideoError> {
        // Also if this is no key frame: the decoder would use the size of a header in any picture.
        for set in h264::annex_b_units(&unit.data).filter(|unit| h264::unit_type(unit) == h264::SPS) {
            let Some(header) = SequenceHeader::parse(set) else { continue };
            check(&header, output.max_pixels, &output.name)?;
            self.colours = header.colours;
            self.aspect = turn::aspect(header.pixel_aspect.0, header.pixel_aspect.1);
        }
        self.reordered |= unit.media_ms < self.last_ms;
        self.last_ms = unit.media_ms;
        self.waiting.insert(unit.media_ms, Came::of(unit));
        if self.waiting.len() > MOST_WAITING {
            self.waiting.pop_first();
        }
        let flush = if self.reordered { Flush::NoFlush } else { Flush::Flush };
        let decoded = self.decoder.decode_with_options(&unit.data, DecodeOptions::new().flush_after_decode(flush));
        let broken = |reason: String| VideoError::Stream {
            name: output.name.clone(),
            reason: format!("a picture could not be decoded: {reason}; waiting for the next key frame"),
        };
        let Some(decoded) = decoded.map_err(|error| broken(error.to_string()))? else { return Ok(()) };
        let came = if self.reordered {
            self.waiting.pop_first().map(|(_, came)| came)
        } else {
            self.waiting.clear();
            Some(Came::of(unit))
        };
        if overtaken && self.passed < MOST_PASSED {
            self.passed += 1;
            return Ok(());
        }
        self.passed = 0;
        let to_rgb = ToRgb::new(self.colours);
        let picture = decoder::picture(&decoded, to_rgb, &self.pool, &mut self.scratch);
        let picture = picture.ok_or_else(|| broken("the decoder returned an odd picture".into()))?;
        let size = turn::square((picture.width(), picture.height()), self.aspect);
        too_large(size, output.max_pixels, &output.name)?;
        let picture = turn::stretched(picture, size, &self.pool, &mut self.resizer);
        if let Some(came) = came {
            show(&output.newest, picture, came, &mut self.cut);
        }
        Ok(())
    }
}

/// H.264 or H.265, decoded by ffmpeg.
struct Piped {
    ffmpeg: Elementary,
    /// When the pictures passed to it arrived, by the time at which they are shown.
    waiting: Arc<Mutex<BTreeMap<u64, Came>>>,
    child: Child,
}

/// Maximum number of pictures in ffmpeg, before the oldest is forgotten.
const MOST_PIPED: usize = 256;

fn lock(waiting: &Mutex<BTreeMap<u64, Came>>) -> MutexGuard<'_, BTreeMap<u64, Came>> {
    waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Piped {
    fn start(unit: &Unit, output: &Output, interlaced: bool) -> Result<Self, VideoError> {
        let waiting = Arc::new(Mutex::new(BTreeMap::<u64, Came>::new()));
        let (came, newest, origin) = (Arc::clone(&waiting), Arc::clone(&output.newest), unit.media_ms);
        let mut cut = true;
        let show_one = move |picture: Picture, since_first: Duration| {
            // ffmpeg counts times from its first picture.
            let at = origin + since_first.as_millis() as u64;
            let mut waiting = lock(&came);
            let found = waiting.range(..=at + 2).next_back().map(|(&at, &came)| (at, came));
            let Some((at, when)) = found else { return };
            *waiting = waiting.split_off(&at);
            drop(waiting);
            show(&newest, picture, when, &mut cut);
        };
        let ffmpeg = Elementary::start(unit.codec == Codec::H265, interlaced, output.max_pixels, show_one);
        let ffmpeg =
            ffmpeg.map_err(|error| VideoError::Ffmpeg { name: output.name.clone(), reason: error.to_string() })?;
        *output.child.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(ffmpeg.killer());
        Ok(Self { ffmpeg, waiting, child: Arc::clone(&output.child) })
    }

    fn feed(&mut self, unit: &Unit, output: &Output) -> Result<(), VideoError> {
        {
            let mut waiting = lock(&self.waiting);
            waiting.insert(unit.media_ms, Came::of(unit));
            if waiting.len() > MOST_PIPED {
                waiting.pop_first();
            }
        }
        self.ffmpeg.feed(unit.media_ms, unit.key, &unit.data).map_err(|error| VideoError::Ffmpeg {
            name: output.name.clone(),
            reason: self.ffmpeg.said().unwrap_or_else(|| error.to_string()),
        })
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        // The next ffmpeg is registered only after this one was dropped.
        *self.child.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = None;
    }
}

//! A film into an MP4, encoded with OpenH264.

use std::ffi::c_int;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mp4_atom::{
    Avc1, Avcc, AvccExt, Co64, Dinf, Dref, Encode, Ftyp, Hdlr, Mdhd, Mdia, Minf, Moov, Mvhd, Stbl, Stsc, StscEntry,
    Stsd, Stss, Stsz, StszSamples, Stts, SttsEntry, Tkhd, Trak, Url, Visual, Vmhd,
};
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, QpRange, RateControlMode,
    UsageType, VuiConfig,
};
use openh264::formats::YUVSlices;
use openh264::{OpenH264API, Timestamp};
use openh264_sys2::{ENCODER_OPTION_TRACE_LEVEL, WELS_LOG_QUIET};
use tempfile::NamedTempFile;
use visavis_image::Picture;

use crate::VideoError;
use crate::h264::{PPS, SPS, unit_type, without_start_code};
use crate::source::FRAME_RATES;
use crate::yuv::Film;

/// Ticks a second. 90,000 is what MPEG systems use: the usual frame times are whole numbers of it.
const TIMESCALE: u32 = 90_000;
/// Three thousand years: no sum of times overflows.
const MOST_TICKS: u64 = 1 << 53;
/// Bits per pixel and picture: 5 Mbit/s at 1280×720 and 30 a second, where faces and small print stay clean.
const BITS_PER_PIXEL: f64 = 0.18;
/// Bits a second. Small pictures have relatively more detail; the largest that OpenH264 takes stay below the upper limit.
const LEAST_RATE: f64 = 500_000.0;
const MOST_RATE: f64 = 50_000_000.0;
/// Seconds between pictures that need no other: how exactly a player can seek.
const KEY_INTERVAL: f64 = 2.0;
/// Pictures in a row in the file, so that the index stays small.
const SAMPLES_PER_CHUNK: usize = 30;
/// OpenH264's limits, the longer and the shorter side.
const MOST_SIDES: (u32, u32) = (3840, 2160);
const LEAST_SIDE: u32 = 16;

/// Writes a film: MP4 with H.264, as browsers play it.
///
/// The film grows in a temporary file beside `path` and takes its name in [`finish`](Self::finish). Dropped before that,
/// it leaves nothing behind.
pub struct Mp4Writer {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
    encoder: Encoder,
    film: Film,
    size: (u32, u32),
    frame_ticks: u32,
    /// Where the contents of `mdat` start.
    body: u64,
    written: u64,
    parameters: Option<(Vec<u8>, Vec<u8>)>,
    first_at: Option<Duration>,
    samples: Vec<Sample>,
    units: Vec<u8>,
}

struct Sample {
    size: u32,
    /// Since the first, in ticks.
    at: u64,
    key: bool,
}

impl std::fmt::Debug for Mp4Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mp4Writer({}, {} frames)", self.path.display(), self.samples.len())
    }
}

impl Mp4Writer {
    /// Starts a film of `width` × `height` pixels. `frame_rate` guides the encoder and tells how long the last frame is
    /// shown; the times of the others are those they are written with. An odd side is rounded up, its last pixels shown
    /// twice.
    ///
    /// # Errors
    /// [`VideoError::Encode`] for a size that the encoder does not take (16 to 3840 × 2160) or a rate not above 0;
    /// [`VideoError::Write`] if the folder cannot be written to.
    pub fn create(path: &Path, width: u32, height: u32, frame_rate: f64) -> Result<Self, VideoError> {
        let name = path.display().to_string();
        let refused = |reason: String| VideoError::Encode { path: name.clone(), reason };
        let (longer, shorter) = (width.max(height), width.min(height));
        if shorter < LEAST_SIDE || longer > MOST_SIDES.0 || shorter > MOST_SIDES.1 {
            let (across, down) = MOST_SIDES;
            return Err(refused(format!(
                "{width}x{height} pixels; H.264 is written from {LEAST_SIDE}x{LEAST_SIDE} to {across}x{down}"
            )));
        }
        if !FRAME_RATES.contains(&frame_rate) {
            return Err(refused(format!("a frame rate of {frame_rate}; it must lie between 0.001 and 1000")));
        }
        let film = Film::new(width, height);
        let rate = (f64::from(width) * f64::from(height) * frame_rate * BITS_PER_PIXEL).clamp(LEAST_RATE, MOST_RATE);
        let config = EncoderConfig::new()
            .bitrate(BitRate::from_bps(rate as u32))
            .max_frame_rate(FrameRate::from_hz(frame_rate.clamp(1.0, 60.0) as f32))
            .rate_control_mode(RateControlMode::Bitrate)
            // Every frame written is a frame of the film.
            .skip_frames(false)
            .qp(QpRange::new(10, 40))
            .usage_type(UsageType::CameraVideoRealTime)
            .complexity(Complexity::Low)
            .num_threads(1)
            .intra_frame_period(IntraFramePeriod::from_num_frames((frame_rate * KEY_INTERVAL).ceil() as u32))
            .vui(VuiConfig::bt709());
        let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config)
            .map_err(|error| refused(format!("the encoder did not start: {error}")))?;
        silence(&mut encoder);

        let failed = |source: io::Error| VideoError::Write { path: name.clone(), source };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = temporary(folder).map_err(failed)?;
        let mut writer = Self {
            path: path.to_owned(),
            file: BufWriter::with_capacity(256 << 10, file),
            encoder,
            film,
            size: (width, height),
            frame_ticks: (f64::from(TIMESCALE) / frame_rate).round().max(1.0) as u32,
            body: 0,
            written: 0,
            parameters: None,
            first_at: None,
            samples: Vec::new(),
            units: Vec::new(),
        };
        writer.begin().map_err(failed)?;
        Ok(writer)
    }

    /// Appends a frame that is shown at `at` and until the next. Times are counted from the first frame's; one that does
    /// not lie behind its predecessor's is moved just behind it.
    ///
    /// # Errors
    /// [`VideoError::Encode`] for a picture of another size, [`VideoError::Write`] if the disk is full or fails.
    pub fn write(&mut self, picture: &Picture, at: Duration) -> Result<(), VideoError> {
        if (picture.width(), picture.height()) != self.size {
            let (width, height) = self.size;
            return Err(self.refused(format!(
                "a frame of {}x{} pixels in a film of {width}x{height}",
                picture.width(),
                picture.height()
            )));
        }
        let since = at.saturating_sub(*self.first_at.get_or_insert(at));
        let ticks = (since.as_nanos() * u128::from(TIMESCALE) + 500_000_000) / 1_000_000_000;
        let least = self.samples.last().map_or(0, |last| last.at + 1);
        let at = u64::try_from(ticks).unwrap_or(MOST_TICKS).min(MOST_TICKS).max(least);

        self.film.fill(picture);
        let (size, (y, u, v)) = (self.film.size(), self.film.planes());
        let slices = YUVSlices::new((y, u, v), size, (size.0, size.0 / 2, size.0 / 2));
        let encoded = self
            .encoder
            .encode_at(&slices, Timestamp::from_millis(at * 1000 / u64::from(TIMESCALE)))
            .map_err(|error| VideoError::Encode { path: self.path.display().to_string(), reason: error.to_string() })?;
        let key = encoded.frame_type() == FrameType::IDR;
        self.units.clear();
        let (mut sps, mut pps) = (None, None);
        for layer in (0..encoded.num_layers()).filter_map(|index| encoded.layer(index)) {
            for unit in (0..layer.nal_count()).filter_map(|index| layer.nal_unit(index)) {
                let unit = without_start_code(unit);
                match unit_type(unit) {
                    SPS => sps = Some(unit.to_vec()),
                    PPS => pps = Some(unit.to_vec()),
                    _ => {
                        self.units.extend_from_slice(&(unit.len() as u32).to_be_bytes());
                        self.units.extend_from_slice(unit);
                    }
                }
            }
        }
        if let (Some(sps), Some(pps)) = (sps, pps) {
            self.parameters.get_or_insert((sps, pps));
        }
        if self.units.is_empty() {
            return Err(self.refused(format!("the encoder left out frame {}", self.samples.len())));
        }
        self.file.write_all(&self.units).map_err(|error| self.failed(error))?;
        self.written += self.units.len() as u64;
        self.samples.push(Sample { size: self.units.len() as u32, at, key });
        Ok(())
    }

    /// Writes the index and gives the film its name, in place of a file that may be there.
    ///
    /// # Errors
    /// [`VideoError::Encode`] if there is no frame; [`VideoError::Write`].
    pub fn finish(mut self) -> Result<(), VideoError> {
        let moov = self.index()?;
        self.end(&moov).map_err(|error| self.failed(error))?;
        let failed = |source: io::Error| VideoError::Write { path: self.path.display().to_string(), source };
        let file = self.file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.persist(&self.path).map(drop).map_err(|error| failed(error.error))
    }

    /// `ftyp`, and the head of an `mdat` whose size is filled in at the end.
    fn begin(&mut self) -> io::Result<()> {
        let brands = [b"isom", b"iso2", b"avc1", b"mp41"];
        let ftyp = Ftyp {
            major_brand: b"isom".into(),
            minor_version: 512,
            compatible_brands: brands.iter().map(|&brand| brand.into()).collect(),
        };
        let mut head = Vec::new();
        ftyp.encode(&mut head).map_err(io::Error::other)?;
        // A size of 1 announces a 64-bit one: a long film exceeds 4 GB.
        head.extend_from_slice(&[0, 0, 0, 1]);
        head.extend_from_slice(b"mdat");
        head.extend_from_slice(&[0; 8]);
        self.body = head.len() as u64;
        self.file.write_all(&head)
    }

    fn end(&mut self, moov: &Moov) -> io::Result<()> {
        let mut tail = Vec::new();
        moov.encode(&mut tail).map_err(io::Error::other)?;
        self.file.write_all(&tail)?;
        self.file.seek(SeekFrom::Start(self.body - 8))?;
        self.file.write_all(&(self.written + 16).to_be_bytes())?;
        self.file.flush()?;
        self.file.get_ref().as_file().sync_all()
    }

    fn index(&self) -> Result<Moov, VideoError> {
        let Some((sps, pps)) = &self.parameters else {
            return Err(self.refused("not a single frame was written".into()));
        };
        let mut avcc = Avcc::new(sps, pps).map_err(|error| self.refused(error.to_string()))?;
        // ISO/IEC 14496-15, 5.3.3.1.2: these profiles state the format once more.
        if matches!(sps[1], 100 | 110 | 122 | 144) {
            avcc.ext = Some(AvccExt::default());
        }
        let duration = self.samples.last().map_or(0, |last| last.at) + u64::from(self.frame_ticks);
        let (width, height) = self.film.size();
        let visual =
            Visual { data_reference_index: 1, width: width as u16, height: height as u16, ..Visual::default() };
        let codec = Avc1 { visual, avcc, btrt: None, colr: None, pasp: None, taic: None, fiel: None, spatial: None };
        Ok(Moov {
            mvhd: Mvhd {
                timescale: TIMESCALE,
                duration,
                rate: 1.into(),
                volume: 1.into(),
                next_track_id: 2,
                ..Mvhd::default()
            },
            trak: vec![Trak {
                tkhd: Tkhd {
                    track_id: 1,
                    duration,
                    enabled: true,
                    in_movie: true,
                    width: (width as u16).into(),
                    height: (height as u16).into(),
                    ..Tkhd::default()
                },
                mdia: Mdia {
                    mdhd: Mdhd { timescale: TIMESCALE, duration, language: "und".into(), ..Mdhd::default() },
                    hdlr: Hdlr { handler: b"vide".into(), name: "visavis".into() },
                    minf: Minf {
                        vmhd: Some(Vmhd::default()),
                        dinf: Dinf { dref: Dref { entries: vec![Url::default().into()] } },
                        stbl: self.table(codec),
                        ..Minf::default()
                    },
                },
                ..Trak::default()
            }],
            ..Moov::default()
        })
    }

    fn table(&self, codec: Avc1) -> Stbl {
        let mut durations: Vec<SttsEntry> = Vec::new();
        let ends = self.samples.iter().skip(1).map(|next| Some(next.at)).chain([None]);
        for (sample, end) in self.samples.iter().zip(ends) {
            let ticks = end.map_or(u64::from(self.frame_ticks), |end| end - sample.at);
            let sample_delta = u32::try_from(ticks).unwrap_or(u32::MAX);
            match durations.last_mut() {
                Some(run) if run.sample_delta == sample_delta => run.sample_count += 1,
                _ => durations.push(SttsEntry { sample_count: 1, sample_delta }),
            }
        }
        let mut offset = self.body;
        let mut chunks = Vec::new();
        for chunk in self.samples.chunks(SAMPLES_PER_CHUNK) {
            chunks.push(offset);
            offset += chunk.iter().map(|sample| u64::from(sample.size)).sum::<u64>();
        }
        let run = |first_chunk: usize, samples_per_chunk: usize| StscEntry {
            first_chunk: first_chunk as u32,
            samples_per_chunk: samples_per_chunk as u32,
            sample_description_index: 1,
        };
        let (whole, rest) = (self.samples.len() / SAMPLES_PER_CHUNK, self.samples.len() % SAMPLES_PER_CHUNK);
        let mut runs = Vec::new();
        if whole > 0 {
            runs.push(run(1, SAMPLES_PER_CHUNK));
        }
        if rest > 0 {
            runs.push(run(whole + 1, rest));
        }
        let keys = self.samples.iter().enumerate().filter(|(_, sample)| sample.key);
        Stbl {
            stsd: Stsd { codecs: vec![codec.into()] },
            stts: Stts { entries: durations },
            stss: Some(Stss { entries: keys.map(|(index, _)| index as u32 + 1).collect() }),
            stsc: Stsc { entries: runs },
            stsz: Stsz {
                samples: StszSamples::Different { sizes: self.samples.iter().map(|sample| sample.size).collect() },
            },
            co64: Some(Co64 { entries: chunks }),
            ..Stbl::default()
        }
    }

    fn failed(&self, source: io::Error) -> VideoError {
        VideoError::Write { path: self.path.display().to_string(), source }
    }

    fn refused(&self, reason: String) -> VideoError {
        VideoError::Encode { path: self.path.display().to_string(), reason }
    }
}

/// Keeps the encoder from writing to standard error. Its own configuration takes effect only after it has warned, each
/// time, that the bit rate is not exact where no frame may be left out.
fn silence(encoder: &mut Encoder) {
    let mut level: c_int = WELS_LOG_QUIET;
    // SAFETY: the encoder has been created; this option is taken before it is initialised, reads one int and keeps no
    // pointer. Nothing that the wrapper relies on changes.
    let taken = unsafe { encoder.raw_api().set_option(ENCODER_OPTION_TRACE_LEVEL, (&raw mut level).cast()) };
    if taken != 0 {
        log::debug!("OpenH264 keeps talking: {taken}");
    }
}

/// A temporary file with the rights of an ordinary one, since it becomes one.
fn temporary(folder: &Path) -> io::Result<NamedTempFile<File>> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".visavis-").suffix(".mp4.part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

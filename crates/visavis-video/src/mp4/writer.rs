//! Writes a film to an MP4, encoded with OpenH264.

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
use visavis_image::{Picture, Resizer};

use crate::h264::{PPS, SPS, unit_type, without_start_code};
use crate::source::FRAME_RATES;
use crate::yuv::Film;
use crate::{VideoError, display_name};

/// Ticks per second. MPEG systems use 90,000, in which the usual frame times are integers.
const TIMESCALE: u32 = 90_000;
/// Three thousand years: no sum of times overflows.
const MOST_TICKS: u64 = 1 << 53;
/// Bits per pixel: 5 Mbit/s at 1280×720 and 30 pictures per second, with which faces and small text stay sharp.
const BITS_PER_PIXEL: f64 = 0.18;
/// Limits of the bit rate. Small pictures have relatively more detail; the largest that OpenH264 takes stay below the upper
/// limit.
const LEAST_RATE: f64 = 500_000.0;
const MOST_RATE: f64 = 50_000_000.0;
/// Seconds between key frames, to which a player can seek.
const KEY_INTERVAL: f64 = 2.0;
/// Number of consecutive pictures in a chunk, so that the index stays small.
const SAMPLES_PER_CHUNK: usize = 30;
/// At most so many bytes has the index of a film: without pictures, and for each picture.
const INDEX_BYTES: (u64, u64) = (4096, 32);
/// The limits of OpenH264 for the longer and the shorter side.
const MOST_SIDES: (u32, u32) = (3840, 2160);
const LEAST_SIDE: u32 = 16;

/// Writes a film: MP4 with H.264, as browsers play it.
///
/// The film is written to a temporary file beside `path`, which is renamed by [`finish`](Self::finish), also after an error. If it is
/// dropped before, the file is deleted.
pub struct Mp4Writer {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
    encoder: Encoder,
    film: Film,
    /// Width and height of the film in pixels.
    size: (u32, u32),
    fitting: Fitting,
    frame_ticks: u32,
    /// Start of the contents of `mdat`.
    body: u64,
    written: u64,
    parameters: Option<(Vec<u8>, Vec<u8>)>,
    first_at: Option<Duration>,
    samples: Vec<Sample>,
    units: Vec<u8>,
    /// Whether a picture was written only in part, so that no other can follow.
    broken: bool,
}

struct Sample {
    size: u32,
    /// Time since the first frame, in ticks.
    at: u64,
    key: bool,
}

impl std::fmt::Debug for Mp4Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mp4Writer({}, {} frames)", self.path.display(), self.samples.len())
    }
}

impl Mp4Writer {
    /// Starts a film of `width` × `height` pixels; if that exceeds the limit of the encoder (3840 × 2160), of the largest
    /// size with this shape. `frame_rate` guides the encoder and sets how long the last frame is shown; the others have the
    /// times with which they are written. An odd side is rounded up, and its last pixels are repeated.
    ///
    /// # Errors
    /// [`VideoError::Encode`] for a side of less than 16 pixels or a rate not above 0;
    /// [`VideoError::Write`] if the folder cannot be written to.
    pub fn create(path: &Path, width: u32, height: u32, frame_rate: f64) -> Result<Self, VideoError> {
        let name = display_name(&path.display().to_string());
        let refused = |reason: String| VideoError::Encode { path: name.clone(), reason };
        let (asked, (width, height)) = ((width, height), film_size(width, height));
        if width.min(height) < LEAST_SIDE {
            let (width, height) = asked;
            return Err(refused(format!(
                "{width}x{height} pixels; H.264 is written from {LEAST_SIDE}x{LEAST_SIDE} pixels on"
            )));
        }
        if asked != (width, height) {
            log::info!("{name}: {}x{} pixels are scaled to {width}x{height}", asked.0, asked.1);
        }
        if !FRAME_RATES.contains(&frame_rate) {
            return Err(refused(format!("the frame rate is {frame_rate}, but must be between 0.001 and 1000")));
        }
        let film = Film::new(width, height);
        let rate = (f64::from(width) * f64::from(height) * frame_rate * BITS_PER_PIXEL).clamp(LEAST_RATE, MOST_RATE);
        let config = EncoderConfig::new()
            .bitrate(BitRate::from_bps(rate as u32))
            .max_frame_rate(FrameRate::from_hz(frame_rate.clamp(1.0, 60.0) as f32))
            .rate_control_mode(RateControlMode::Bitrate)
            // The encoder must not drop frames.
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
            fitting: Fitting::default(),
            frame_ticks: (f64::from(TIMESCALE) / frame_rate).round().max(1.0) as u32,
            body: 0,
            written: 0,
            parameters: None,
            first_at: None,
            samples: Vec::new(),
            units: Vec::new(),
            broken: false,
        };
        writer.begin().map_err(failed)?;
        Ok(writer)
    }

    /// Appends a frame that is shown from `at` until the next one. Times are relative to the first frame; one that is not
    /// after its predecessor is moved just after it. A picture of another size is fitted in, on black.
    ///
    /// # Errors
    /// [`VideoError::Encode`] for a picture without pixels or that the encoder refuses; further frames can be written after it.
    /// [`VideoError::Write`] if the disk is full or fails, and for each frame after that.
    pub fn write(&mut self, picture: &Picture, at: Duration) -> Result<(), VideoError> {
        if picture.width() == 0 || picture.height() == 0 {
            return Err(self.refused("the frame has no pixels".into()));
        }
        if self.broken {
            return Err(self.failed(io::Error::other("an earlier frame could not be written")));
        }
        let since = at.saturating_sub(*self.first_at.get_or_insert(at));
        let ticks = (since.as_nanos() * u128::from(TIMESCALE) + 500_000_000) / 1_000_000_000;
        let least = self.samples.last().map_or(0, |last| last.at + 1);
        let at = u64::try_from(ticks).unwrap_or(MOST_TICKS).min(MOST_TICKS).max(least);

        self.film.fill(self.fitting.fit(picture, self.size));
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
            return Err(self.refused(format!("the encoder dropped frame {}", self.samples.len())));
        }
        if let Err(error) = self.file.write_all(&self.units) {
            self.broken = true;
            return Err(self.failed(error));
        }
        self.written += self.units.len() as u64;
        self.samples.push(Sample { size: self.units.len() as u32, at, key });
        Ok(())
    }

    /// Writes the index and renames the file, replacing an existing one. If the disk is full, the film ends earlier, so that there is
    /// room for the index.
    ///
    /// # Errors
    /// [`VideoError::Encode`] if there is no frame. [`VideoError::Write`] if the film cannot be written, or if it had to end earlier
    /// because of an error that [`write`](Self::write) has not returned.
    pub fn finish(mut self) -> Result<(), VideoError> {
        let moov = self.index()?;
        if self.broken {
            return self.keep_beginning();
        }
        if let Err(error) = self.end(&moov) {
            let error = self.failed(error);
            return self.keep_beginning().and(Err(error));
        }
        let failed = |source: io::Error| VideoError::Write { path: self.path.display().to_string(), source };
        let file = self.file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.persist(&self.path).map(drop).map_err(|error| failed(error.error))
    }

    /// Gives up as many of the last pictures as the index needs room, and writes the index there.
    fn keep_beginning(mut self) -> Result<(), VideoError> {
        let length = self.file.get_ref().as_file().metadata().map_err(|error| self.failed(error))?.len();
        let end = length.saturating_sub(INDEX_BYTES.0 + INDEX_BYTES.1 * self.samples.len() as u64);
        let mut size = self.body;
        let fits = |sample: &&Sample| {
            size += u64::from(sample.size);
            size <= end
        };
        let kept = self.samples.iter().take_while(fits).count();
        self.samples.truncate(kept);
        if self.samples.is_empty() {
            return Err(self.refused("no frame was written".into()));
        }
        self.written = self.samples.iter().map(|sample| u64::from(sample.size)).sum();
        let moov = self.index()?;
        let failed = |source: io::Error| VideoError::Write { path: self.path.display().to_string(), source };
        // What is still in the buffer belongs to the pictures that are given up.
        let (mut file, _) = self.file.into_parts();
        let film = file.as_file_mut();
        let closed = film.set_len(self.body + self.written).and_then(|()| film.seek(SeekFrom::End(0)));
        closed.and_then(|_| close(film, &moov, self.body, self.written)).map_err(failed)?;
        file.persist(&self.path).map(drop).map_err(|error| failed(error.error))
    }

    /// Writes `ftyp`, and the header of an `mdat` whose size is filled in at the end.
    fn begin(&mut self) -> io::Result<()> {
        let brands = [b"isom", b"iso2", b"avc1", b"mp41"];
        let ftyp = Ftyp {
            major_brand: b"isom".into(),
            minor_version: 512,
            compatible_brands: brands.iter().map(|&brand| brand.into()).collect(),
        };
        let mut head = Vec::new();
        ftyp.encode(&mut head).map_err(io::Error::other)?;
        // A size of 1 means that a 64-bit size follows: a long film exceeds 4 GB.
        head.extend_from_slice(&[0, 0, 0, 1]);
        head.extend_from_slice(b"mdat");
        head.extend_from_slice(&[0; 8]);
        self.body = head.len() as u64;
        self.file.write_all(&head)
    }

    fn end(&mut self, moov: &Moov) -> io::Result<()> {
        close(&mut self.file, moov, self.body, self.written)?;
        self.file.get_ref().as_file().sync_all()
    }

    fn index(&self) -> Result<Moov, VideoError> {
        let Some((sps, pps)) = &self.parameters else {
            return Err(self.refused("no frame was written".into()));
        };
        let mut avcc = Avcc::new(sps, pps).map_err(|error| self.refused(error.to_string()))?;
        // ISO/IEC 14496-15, 5.3.3.1.2: these profiles repeat the format here.
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

/// The size of a film: the requested one, or the largest of that shape that the encoder supports.
fn film_size(width: u32, height: u32) -> (u32, u32) {
    let (longer, shorter) = (f64::from(width.max(height)), f64::from(width.min(height)));
    let scale = (f64::from(MOST_SIDES.0) / longer).min(f64::from(MOST_SIDES.1) / shorter);
    if scale >= 1.0 {
        return (width, height);
    }
    let side = |side: u32| (f64::from(side) * scale) as u32 & !1;
    (side(width), side(height))
}

/// Fits pictures to the size of the film.
#[derive(Default)]
struct Fitting {
    resizer: Resizer,
    scaled: Option<Picture>,
    canvas: Option<Picture>,
}

impl Fitting {
    fn fit<'a>(&'a mut self, picture: &'a Picture, (width, height): (u32, u32)) -> &'a Picture {
        if (picture.width(), picture.height()) == (width, height) {
            return picture;
        }
        let scale =
            (f64::from(width) / f64::from(picture.width())).min(f64::from(height) / f64::from(picture.height()));
        let side = |side: u32, most: u32| ((f64::from(side) * scale).round() as u32).clamp(1, most);
        let (across, down) = (side(picture.width(), width), side(picture.height(), height));
        let scaled = self.scaled.get_or_insert_with(|| Picture::new(across, down));
        scaled.reshape(across, down);
        self.resizer.stretch(picture, scaled);
        if (across, down) == (width, height) {
            return scaled;
        }
        let canvas = self.canvas.get_or_insert_with(|| Picture::new(width, height));
        canvas.reshape(width, height);
        canvas.pixels_mut().fill(0);
        let (left, top) = ((width - across) / 2, (height - down) / 2);
        for y in 0..down {
            let at = ((top + y) * width + left) as usize * 3;
            let row = scaled.row(y);
            canvas.pixels_mut()[at..at + row.len()].copy_from_slice(row);
        }
        canvas
    }
}

/// Stops the encoder from writing to standard error. Its own configuration takes effect only after it has warned, each time,
/// that the bit rate is not exact if no frame may be dropped.
fn silence(encoder: &mut Encoder) {
    let mut level: c_int = WELS_LOG_QUIET;
    // SAFETY: the encoder exists; this option is accepted before initialisation, reads one int and keeps no pointer. The
    // wrapper does not rely on anything that it changes.
    let taken = unsafe { encoder.raw_api().set_option(ENCODER_OPTION_TRACE_LEVEL, (&raw mut level).cast()) };
    if taken != 0 {
        log::debug!("the log level of OpenH264 could not be set: {taken}");
    }
}

/// Appends the index, and writes the size of the contents into the header of their `mdat`.
fn close(film: &mut (impl Write + Seek), moov: &Moov, body: u64, written: u64) -> io::Result<()> {
    let mut tail = Vec::new();
    moov.encode(&mut tail).map_err(io::Error::other)?;
    film.write_all(&tail)?;
    film.seek(SeekFrom::Start(body - 8))?;
    film.write_all(&(written + 16).to_be_bytes())?;
    film.flush()
}

/// A temporary file with the permissions of an ordinary one, since it becomes one.
fn temporary(folder: &Path) -> io::Result<NamedTempFile<File>> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".visavis-").suffix(".mp4.part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    // The message contains the path, which may be an address with a password.
    builder.tempfile_in(folder).map_err(|error| io::Error::new(error.kind(), display_name(&error.to_string())))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_film_for_which_the_disk_is_too_small_keeps_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("film.mp4");
        let mut writer = Mp4Writer::create(&path, 64, 64, 25.0).unwrap();
        let mut noise = Picture::new(64, 64);
        for at in 0..200u32 {
            for (index, value) in noise.pixels_mut().iter_mut().enumerate() {
                *value = (index as u32).wrapping_mul(2_654_435_761).wrapping_add(at.wrapping_mul(97) * 31) as u8;
            }
            writer.write(&noise, Duration::from_millis(u64::from(at) * 40)).unwrap();
        }
        writer.file.flush().unwrap();
        writer.broken = true;
        assert!(matches!(writer.write(&noise, Duration::from_secs(60)), Err(VideoError::Write { .. })));
        let whole = writer.file.get_ref().as_file().metadata().unwrap().len();
        writer.finish().unwrap();
        assert!(fs::metadata(&path).unwrap().len() <= whole, "the film needs no more room than was there");
        let mut film = crate::open_path(&path, &crate::OpenOptions::default()).unwrap();
        let frames = film.info().frames.unwrap();
        assert!((20..200).contains(&frames), "{frames}");
        let mut read = 0;
        while film.read().unwrap().is_some() {
            read += 1;
        }
        assert_eq!(read, frames);
    }

    #[test]
    fn large_films_keep_their_shape() {
        assert_eq!(film_size(3840, 2160), (3840, 2160));
        assert_eq!(film_size(2160, 3840), (2160, 3840));
        assert_eq!(film_size(641, 361), (641, 361));
        assert_eq!(film_size(7680, 4320), (3840, 2160));
        assert_eq!(film_size(4000, 3000), (2880, 2160));
        assert_eq!(film_size(12_000, 300), (3840, 96));
    }

    #[test]
    fn another_shape_is_put_on_black() {
        let mut fitting = Fitting::default();
        let white = Picture::filled(30, 60, [255; 3]);
        let fitted = fitting.fit(&white, (40, 40));
        assert_eq!((fitted.width(), fitted.height()), (40, 40));
        let row: Vec<u8> = (0..40).map(|x| fitted.pixel(x, 20)[0]).collect();
        assert_eq!(row, [[0; 10].as_slice(), &[255; 20], &[0; 10]].concat());
        // The previous picture must not remain visible.
        let grey = Picture::filled(80, 40, [90; 3]);
        let fitted = fitting.fit(&grey, (40, 40));
        assert_eq!((fitted.pixel(20, 5)[0], fitted.pixel(20, 20)[0], fitted.pixel(0, 20)[0]), (0, 90, 90));
        let same = Picture::filled(40, 40, [7; 3]);
        assert_eq!(fitting.fit(&same, (40, 40)), &same);
    }
}

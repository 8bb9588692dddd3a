//! Films, photos and streams that our own decoders do not support, decoded by an installed `ffmpeg`.
//!
//! `ffmpeg` and `ffprobe` run as child processes. `ffprobe` describes the file; `ffmpeg` decodes it, applies rotation, pixel
//! aspect ratio, deinterlacing and colour range, and writes RGB frames with their timestamps to a pipe. The format of the
//! pipe is fragmented QuickTime, one fragment per frame: the only container that every ffmpeg writes for raw RGB with exact
//! timestamps in the time base of the input.
//!
//! A child process never outlives this one: it is killed when its source is dropped, and on Linux by the kernel if this
//! process is killed.

mod child;
mod elementary;
mod film;
mod frames;
mod matroska;
mod probe;
mod still;
mod stream;

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::VideoError;

pub(crate) use child::Killer;
pub(crate) use elementary::Elementary;
pub(crate) use film::FfmpegSource;
pub(crate) use still::load;
pub(crate) use stream::open as open_stream;

/// Whether there is a film in what `ffprobe` printed; for [`crate::fuzzing`].
#[must_use]
pub fn has_picture(json: &[u8]) -> bool {
    probe::first_picture(json).is_some()
}

/// The programs of FFmpeg on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ffmpeg {
    /// The first line that `ffmpeg -version` prints, such as `ffmpeg version 5.1.9`.
    pub version: String,
    /// Path of `ffmpeg`.
    pub ffmpeg: PathBuf,
    /// Path of `ffprobe`.
    pub ffprobe: PathBuf,
    /// Whether it supports `-fps_mode`; older versions call it `-vsync`.
    has_fps_mode: bool,
}

impl Ffmpeg {
    /// The installed FFmpeg, searched once on the `PATH`; `None` if `ffmpeg` or `ffprobe` is missing or does not run.
    #[must_use]
    pub fn installed() -> Option<&'static Self> {
        static FOUND: OnceLock<Option<Ffmpeg>> = OnceLock::new();
        FOUND.get_or_init(Self::find).as_ref()
    }

    fn find() -> Option<Self> {
        let (ffmpeg, ffprobe) = (on_path("ffmpeg")?, on_path("ffprobe")?);
        let told = Command::new(&ffmpeg).arg("-version").stdin(std::process::Stdio::null()).output().ok()?;
        if !told.status.success() {
            log::warn!("{} does not run: {}", ffmpeg.display(), told.status);
            return None;
        }
        let text = String::from_utf8_lossy(&told.stdout);
        let version = text.lines().next().unwrap_or_default();
        let version = version.split(" Copyright").next().unwrap_or_default().to_owned();
        Some(Self { version, ffmpeg, ffprobe, has_fps_mode: has_fps_mode(&text) })
    }

    /// The common formats: the name of each, and whether this FFmpeg decodes it.
    ///
    /// # Errors
    /// [`VideoError::Ffmpeg`] if its list of decoders cannot be read.
    pub fn formats(&self) -> Result<Vec<(&'static str, bool)>, VideoError> {
        let mut command = Command::new(&self.ffmpeg);
        command.args(["-hide_banner", "-decoders"]);
        let (text, ..) = child::output(command, 1 << 20, Duration::from_secs(20)).map_err(|error| {
            VideoError::Ffmpeg { name: self.ffmpeg.display().to_string(), reason: error.to_string() }
        })?;
        let text = String::from_utf8_lossy(&text);
        let decoders: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
        let has = |names: &[&str]| names.iter().any(|name| decoders.contains(name));
        Ok(DECODERS.iter().map(|(format, names)| (*format, has(names))).collect())
    }

    /// The flag, with its value, that passes every frame with its own time.
    fn every_frame(&self) -> [&'static str; 2] {
        [if self.has_fps_mode { "-fps_mode" } else { "-vsync" }, "passthrough"]
    }
}

/// Formats and the decoders of FFmpeg for them, one of which is enough.
const DECODERS: [(&str, &[&str]); 11] = [
    ("H.264", &["h264"]),
    ("H.265 and HEIC", &["hevc"]),
    ("AV1 and AVIF", &["libdav1d", "libaom-av1", "av1"]),
    ("VP8", &["vp8", "libvpx"]),
    ("VP9", &["vp9", "libvpx-vp9"]),
    ("MPEG-2", &["mpeg2video"]),
    ("MPEG-4", &["mpeg4"]),
    ("ProRes", &["prores"]),
    ("Motion JPEG", &["mjpeg"]),
    ("JPEG XL", &["libjxl", "jpegxl"]),
    ("TIFF", &["tiff"]),
];

/// `-fps_mode` was added in FFmpeg 5.1, whose libavformat is 59.27. A version that cannot be parsed is assumed to be newer.
fn has_fps_mode(version_text: &str) -> bool {
    let numbers = version_text.lines().find_map(|line| line.strip_prefix("libavformat")).and_then(|rest| {
        let mut numbers = rest.split(['.', '/']).map(|number| number.trim().parse::<u32>());
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    numbers.is_none_or(|version| version >= (59, 27))
}

fn on_path(program: &str) -> Option<PathBuf> {
    let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(&file)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_follows_the_version() {
        let text =
            |numbers: &str| format!("ffmpeg version N\nlibavutil 57. 1.1\nlibavformat    {numbers} / {numbers}\n");
        assert!(has_fps_mode(&text("59. 27.100")) && has_fps_mode(&text("62.  3.100")));
        assert!(!has_fps_mode(&text("58. 76.100")) && !has_fps_mode(&text("59. 16.100")));
        assert!(has_fps_mode("something else"));
    }
}

//! The contents of a file, as reported by `ffprobe`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use super::{Ffmpeg, child};
use crate::{FileKind, VideoError};

/// Maximum size of its JSON in bytes; a film with many tracks has some ten thousand.
pub(super) const MOST_JSON: u64 = 4 << 20;
/// Time limit; searching a large broken file takes long.
const PATIENCE: Duration = Duration::from_secs(60);
/// A pixel aspect ratio larger than this, or smaller than its inverse, is an error in the file.
const MOST_ASPECT: f64 = 8.0;

/// The video track of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Probed {
    /// The track's number in the file.
    pub(super) index: u32,
    /// Name of the codec, such as `hevc`.
    pub(super) codec: String,
    /// Coded width and height in pixels.
    pub(super) coded: (u32, u32),
    /// Width and height in pixels, upright and with square pixels.
    pub(super) size: (u32, u32),
    /// Whether a picture may consist of two interlaced fields.
    pub(super) interlaced: bool,
    /// Whether the file specifies its colour space.
    pub(super) has_colour_space: bool,
    /// Whether the file specifies its rotation.
    pub(super) has_matrix: bool,
    /// Pictures per second.
    pub(super) frame_rate: Option<f64>,
    /// Number of pictures, if the container has it.
    pub(super) frames: Option<u64>,
}

#[derive(Deserialize, Default)]
struct Told {
    #[serde(default)]
    streams: Vec<Stream>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(default)]
struct Stream {
    index: u32,
    codec_type: String,
    codec_name: String,
    width: u32,
    height: u32,
    sample_aspect_ratio: String,
    field_order: String,
    color_space: String,
    pix_fmt: String,
    avg_frame_rate: String,
    r_frame_rate: String,
    nb_frames: String,
    disposition: Disposition,
    side_data_list: Vec<SideData>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(default)]
struct Disposition {
    attached_pic: u8,
}

#[derive(Deserialize, Default, Clone)]
#[serde(default)]
struct SideData {
    displaymatrix: Option<String>,
    rotation: Option<f64>,
}

/// Returns the first video track of a file that is not the cover picture of a sound file.
pub(super) fn probe(tools: &Ffmpeg, path: &Path) -> Result<Probed, VideoError> {
    let name = path.display().to_string();
    let failed = |reason: String| VideoError::Ffmpeg { name: name.clone(), reason };
    if is_text(path).map_err(|error| failed(error.to_string()))? {
        return Err(failed("it is a text, not a film; the files that a playlist names are not opened".into()));
    }
    let mut command = Command::new(&tools.ffprobe);
    command.args(["-v", "error", "-of", "json", "-show_streams"]);
    add_input(&mut command, path);
    let (json, _, messages) =
        child::output(command, MOST_JSON, PATIENCE).map_err(|error| failed(format!("ffprobe: {error}")))?;
    first_picture(&json).ok_or_else(|| {
        let about = format!("{}: ", url(path).to_string_lossy());
        match messages.lines.last() {
            Some(line) => failed(line.strip_prefix(&about).unwrap_or(line).to_owned()),
            None => VideoError::NoPictureTrack { path: name.clone() },
        }
    })
}

/// Whether the file begins like a text and not like a picture, which may be written in letters (PGM). ffmpeg takes some texts
/// for playlists, and would open the files that they name.
fn is_text(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(1024).read_to_end(&mut start)?;
    if matches!(FileKind::of(&start), FileKind::OtherStill(_)) {
        return Ok(false);
    }
    let start = match std::str::from_utf8(&start) {
        Ok(start) => start,
        // The last letter may be cut off.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return Ok(false),
    };
    Ok(start.chars().all(|letter| !letter.is_control() || letter.is_whitespace()))
}

/// The first video track in the output of `ffprobe -of json -show_streams`.
pub(super) fn first_picture(json: &[u8]) -> Option<Probed> {
    let told: Told = serde_json::from_slice(json).unwrap_or_default();
    let pictures = || told.streams.iter().filter(|stream| stream.is_picture());
    let first = pictures().next()?;
    // An icon is the same picture in several sizes, each coded as PNG or BMP: the largest counts.
    let is_icon = matches!(first.codec_name.as_str(), "png" | "bmp");
    let largest = pictures().rev().max_by_key(|stream| u64::from(stream.width) * u64::from(stream.height));
    Some(largest.filter(|_| is_icon).unwrap_or(first).probed())
}

/// Adds a file as the input of ffmpeg or ffprobe, which may open nothing else.
pub(super) fn add_input(command: &mut Command, path: &Path) {
    command.args(["-protocol_whitelist", if is_pattern(path) { "file,pipe,concat" } else { "file,pipe" }]);
    command.arg("-i").arg(url(path));
}

/// A path as ffmpeg names it: with the protocol before it, no name is taken for a flag or an address.
///
/// If it contains `%` and ends like a picture (`photo%d.tif`), ffmpeg would read the files with a number in this place. As the only
/// part of a concatenation it has no such ending.
pub(super) fn url(path: &Path) -> OsString {
    let (before, after) = if is_pattern(path) { ("concat:file:", "|") } else { ("file:", "") };
    let mut url = OsString::from(before);
    url.push(path);
    url.push(after);
    url
}

/// Whether ffmpeg may take a path for a pattern. A `|` would separate the parts of a concatenation.
fn is_pattern(path: &Path) -> bool {
    let path = path.to_string_lossy();
    path.contains('%') && !path.contains('|')
}

impl Stream {
    fn is_picture(&self) -> bool {
        self.codec_type == "video" && self.disposition.attached_pic == 0 && self.width > 0 && self.height > 0
    }

    fn probed(&self) -> Probed {
        let aspect = ratio(&self.sample_aspect_ratio, ':')
            .filter(|aspect| (1.0 / MOST_ASPECT..=MOST_ASPECT).contains(aspect))
            .unwrap_or(1.0);
        let (mut width, mut height) = (self.width, self.height);
        // Only enlarged, as by the filter in `film.rs`.
        if aspect >= 1.0 {
            width = scaled(width, aspect);
        } else {
            height = scaled(height, 1.0 / aspect);
        }
        let rotation = self.side_data_list.iter().find_map(|data| data.rotation).unwrap_or(0.0);
        if (rotation.abs() / 90.0).round() % 2.0 == 1.0 {
            (width, height) = (height, width);
        }
        let rate = ratio(&self.avg_frame_rate, '/').or_else(|| ratio(&self.r_frame_rate, '/'));
        Probed {
            index: self.index,
            codec: self.codec_name.clone(),
            coded: (self.width, self.height),
            size: (width, height),
            interlaced: !matches!(self.field_order.as_str(), "progressive" | ""),
            has_colour_space: !matches!(self.color_space.as_str(), "" | "unknown") || !self.pix_fmt.starts_with("yuv"),
            has_matrix: self.side_data_list.iter().any(|data| data.displaymatrix.is_some()),
            frame_rate: rate.filter(|rate| crate::source::FRAME_RATES.contains(rate)),
            frames: self.nb_frames.parse().ok().filter(|&frames| frames > 0),
        }
    }
}

fn scaled(side: u32, factor: f64) -> u32 {
    (f64::from(side) * factor).round() as u32
}

/// `4:3` or `30000/1001` as a number above 0.
fn ratio(text: &str, between: char) -> Option<f64> {
    let (over, under) = text.split_once(between)?;
    let value = over.parse::<f64>().ok()? / under.parse::<f64>().ok()?;
    (value.is_finite() && value > 0.0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(json: &str) -> Probed {
        serde_json::from_str::<Stream>(json).unwrap().probed()
    }

    #[test]
    fn what_ffprobe_tells() {
        let plain = stream(
            r#"{"index": 1, "codec_type": "video", "codec_name": "hevc", "width": 1280, "height": 720, "pix_fmt": "yuv420p",
                "sample_aspect_ratio": "1:1", "field_order": "progressive", "avg_frame_rate": "30000/1001", "nb_frames": "7"}"#,
        );
        let expected = Probed {
            index: 1,
            codec: "hevc".into(),
            coded: (1280, 720),
            size: (1280, 720),
            interlaced: false,
            has_colour_space: false,
            has_matrix: false,
            frame_rate: Some(30000.0 / 1001.0),
            frames: Some(7),
        };
        assert_eq!(plain, expected);
    }

    #[test]
    fn pixels_become_square_and_the_picture_upright() {
        let size = |more: &str| stream(&format!(r#"{{"width": 320, "height": 360{more}}}"#)).size;
        assert_eq!(size(r#", "sample_aspect_ratio": "2:1""#), (640, 360));
        assert_eq!(size(r#", "sample_aspect_ratio": "1:2""#), (320, 720));
        assert_eq!(size(r#", "sample_aspect_ratio": "1000:1""#), (320, 360), "nonsense is left out");
        assert_eq!(size(r#", "sample_aspect_ratio": "0:1""#), (320, 360));
        let turned =
            r#", "side_data_list": [{"side_data_type": "Display Matrix", "displaymatrix": "m", "rotation": -90}]"#;
        assert_eq!(size(turned), (360, 320));
        assert!(stream(&format!(r#"{{"width": 3{turned}}}"#)).has_matrix);
    }

    #[test]
    fn the_largest_picture_of_an_icon_counts() {
        let streams = |codec: &str| {
            let stream = |index: u32, side: u32| {
                format!(
                    r#"{{"index": {index}, "codec_type": "video", "codec_name": "{codec}", "width": {side}, "height": {side}}}"#
                )
            };
            let json = format!(r#"{{"streams": [{}, {}, {}]}}"#, stream(0, 16), stream(1, 48), stream(2, 32));
            first_picture(json.as_bytes()).unwrap().index
        };
        assert_eq!((streams("png"), streams("h264")), (1, 0));
    }

    #[test]
    fn a_path_with_a_percent_sign_is_no_pattern() {
        assert_eq!(url(Path::new("a b.mkv")), "file:a b.mkv");
        assert_eq!(url(Path::new("photo%d.tif")), "concat:file:photo%d.tif|");
        assert_eq!(url(Path::new("a|%d.tif")), "file:a|%d.tif");
    }

    #[test]
    fn a_cover_is_no_film() {
        let cover: Stream = serde_json::from_str(
            r#"{"codec_type": "video", "width": 600, "height": 600, "disposition": {"attached_pic": 1, "default": 0}}"#,
        )
        .unwrap();
        assert!(!cover.is_picture());
    }
}

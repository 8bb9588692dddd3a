//! Flags that several commands share.

use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use visavis_face::NetworkNames;
use visavis_infer::{Device, EngineChoice, EngineOptions, Precision};
use visavis_video::{CameraCredentials, FRAME_RATES, OpenOptions, RawFormat, StreamParams, Transport};

use crate::credentials::CredentialsFile;
use crate::place::GalleryPlace;
pub use crate::terminal::complain;

/// Where the networks are, and which engine and device run them.
#[derive(Args, Clone, Debug)]
pub struct EngineArgs {
    /// Additional folder with networks; may be given more than once
    ///
    /// The networks of the program and of the user's model folder are always available. The environment variable
    /// VISAVIS_MODELS names one folder.
    #[arg(long = "models", value_name = "DIR", env = "VISAVIS_MODELS", hide_env = true, help_heading = "Networks")]
    pub models: Vec<PathBuf>,
    /// Engine of the networks: auto, tract, onnxruntime
    ///
    /// `auto` is ONNX Runtime if it is installed, else tract, which is part of the program.
    #[arg(long, default_value = "auto", value_parser = EngineChoice::from_str, help_heading = "Performance")]
    pub engine: EngineChoice,
    /// Device for detection: cpu, cuda, tensorrt, openvino, coreml or directml
    ///
    /// A number selects one of several devices, such as `cuda:1` for the second GPU. Devices other than the CPU need an ONNX
    /// Runtime that was built for them.
    #[arg(
        long,
        default_value = "cpu",
        value_name = "DEVICE",
        value_parser = Device::from_str,
        help_heading = "Performance",
        hide_short_help = true
    )]
    pub detection_device: Device,
    /// Device for recognition, such as cpu or cuda
    ///
    /// The values are those of --detection-device.
    #[arg(
        long,
        default_value = "cpu",
        value_name = "DEVICE",
        value_parser = Device::from_str,
        help_heading = "Performance",
        hide_short_help = true
    )]
    pub recognition_device: Device,
    /// Path of the ONNX Runtime library or its folder [default: see `visavis runtime status`]
    #[arg(long, value_name = "PATH", help_heading = "Performance", hide_short_help = true)]
    pub onnxruntime: Option<PathBuf>,
    /// Numbers that networks calculate with: auto or single
    ///
    /// `auto`: 8-bit numbers in ONNX Runtime on the CPU for networks that have such a version, which take about half the time; else
    /// 32-bit floats. `single`: 32-bit floats always.
    #[arg(
        long,
        default_value_t,
        value_name = "PRECISION",
        value_parser = Precision::from_str,
        help_heading = "Performance",
        hide_short_help = true
    )]
    pub precision: Precision,
    /// Number of threads that each network uses
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = parse_workers, help_heading = "Performance", hide_short_help = true)]
    pub threads: usize,
}

impl EngineArgs {
    /// Engine options of detectors.
    #[must_use]
    pub fn detection(&self) -> EngineOptions {
        self.on(self.detection_device)
    }

    /// Engine options of all other networks.
    #[must_use]
    pub fn recognition(&self) -> EngineOptions {
        self.on(self.recognition_device)
    }

    fn on(&self, device: Device) -> EngineOptions {
        EngineOptions {
            engine: self.engine,
            device,
            precision: self.precision,
            threads: self.threads,
            library: self.onnxruntime.clone(),
        }
    }
}

/// The network for each task.
#[derive(Args, Clone, Debug, Default)]
pub struct NetworkArgs {
    /// Network that detects faces [default: yunet]
    ///
    /// `visavis models list` shows all networks, and which ones are the defaults.
    #[arg(long, help_heading = "Networks", value_name = "NETWORK")]
    pub detector: Option<String>,
    /// Network that locates keypoints, or `detector`: use the keypoints of the detector
    #[arg(long, help_heading = "Networks", value_name = "NETWORK", hide_short_help = true)]
    pub keypoints: Option<String>,
    /// Network that estimates ages, or `none`
    #[arg(long, help_heading = "Networks", value_name = "NETWORK", hide_short_help = true)]
    pub age: Option<String>,
    /// Network that estimates genders, or `none`
    #[arg(long, help_heading = "Networks", value_name = "NETWORK", hide_short_help = true)]
    pub gender: Option<String>,
    /// Network that recognises smiles, or `none`
    #[arg(long, help_heading = "Networks", value_name = "NETWORK", hide_short_help = true)]
    pub smile: Option<String>,
    /// Network that recognises expressions [default: none]
    ///
    /// Expressions are, for example, anger and fear. In the EU, inferring emotions at work or in education is prohibited
    /// except for medical or safety reasons (AI Act, Article 5(1)(f)).
    #[arg(long, help_heading = "Networks", value_name = "NETWORK")]
    pub expression: Option<String>,
    /// Network that estimates head poses, or `none`
    ///
    /// By default, a network that is used for another task and also has this task.
    #[arg(long, help_heading = "Networks", value_name = "NETWORK", hide_short_help = true)]
    pub head_pose: Option<String>,
    /// Network that compares faces with the gallery, or `none`
    ///
    /// By default, the network that made the gallery.
    #[arg(long, help_heading = "Networks", value_name = "NETWORK")]
    pub similarity: Option<String>,
    /// Detector input size in pixels, such as 320x192 [default: automatic]
    ///
    /// By default, the size depends on the size of the picture, and for a camera also on the time that detection takes. Photos
    /// are searched at several sizes.
    #[arg(long, help_heading = "Networks", value_name = "WxH", value_parser = parse_size)]
    pub detector_size: Option<[u32; 2]>,
    /// Minimum score of a face, 0 to 1 [default: given by the detector's manifest]
    #[arg(long, help_heading = "Networks", value_name = "SCORE", value_parser = parse_share, hide_short_help = true)]
    pub score: Option<f32>,
    /// Minimum width of a face, in pixels of the picture
    #[arg(long, help_heading = "Networks", default_value_t = 0.0, value_name = "PIXELS", value_parser = parse_pixels, hide_short_help = true)]
    pub smallest_face: f32,
    /// Gallery of people to compare faces with: a file or a database
    ///
    /// The address of a database is `postgres://USER@HOST/DATABASE`.
    #[arg(long, value_name = "PLACE", value_parser = GalleryPlace::parser(), help_heading = "Gallery")]
    pub gallery: Option<GalleryPlace>,
    /// Share of strangers that may be identified [default: 0.01]
    ///
    /// The share of strangers, 0.000001 to 0.5, that may be identified as a person of the gallery, whatever its size. A
    /// smaller share identifies fewer strangers, and also fewer people of the gallery.
    #[arg(long, value_name = "SHARE", value_parser = parse_rate, help_heading = "Gallery")]
    pub false_matches: Option<f64>,
}

impl NetworkArgs {
    /// The networks that are named.
    #[must_use]
    pub fn names(&self) -> NetworkNames {
        let Self { detector, keypoints, age, gender, smile, expression, head_pose, similarity, .. } = self.clone();
        NetworkNames { detector, keypoints, age, gender, smile, expression, head_pose, similarity }
    }
}

/// How a source is read.
#[derive(Args, Clone, Debug)]
pub struct SourceArgs {
    /// Read raw RGB pictures of this size in pixels from standard input or a named pipe, instead of JPEG pictures
    #[arg(long, help_heading = "Source", value_name = "WxH", value_parser = parse_size, hide_short_help = true)]
    pub raw: Option<[u32; 2]>,
    /// Picture size in pixels that is requested from a webcam or made by virtual:PATH, such as 1280x720
    #[arg(long, help_heading = "Source", value_name = "WxH", value_parser = parse_size, hide_short_help = true)]
    pub camera_size: Option<[u32; 2]>,
    /// Pictures per second that are requested from a webcam or made by virtual:PATH, or the rate of a pipe or of a film of JPEG
    /// pictures [default for raw pictures: 30]
    #[arg(long, help_heading = "Source", value_name = "FPS", value_parser = parse_frame_rate, hide_short_help = true)]
    pub fps: Option<f64>,
    /// Seconds for which virtual:PATH shows each photo [default: 4]
    #[arg(long, help_heading = "Source", value_name = "SECONDS", value_parser = parse_seconds, hide_short_help = true)]
    pub virtual_seconds: Option<f64>,
    /// Let ffmpeg decode films on the GPU, if it can
    #[arg(long, help_heading = "Source", hide_short_help = true)]
    pub hardware_decoding: bool,
    /// Transport of rtsp:// cameras: tcp or udp [default: tcp, or udp if the camera refuses tcp]
    #[arg(long, help_heading = "Source", value_name = "TRANSPORT", value_parser = parse_transport, hide_short_help = true)]
    pub rtsp_transport: Option<Transport>,
    /// Reopen a network stream after this many seconds without a picture, 1 to 86400
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = StreamParams::default().silent_after.as_secs_f64(),
        value_parser = parse_pause,
        hide_short_help = true,
        help_heading = "Source"
    )]
    pub stream_timeout: f64,
    /// File with user names and passwords of network cameras (.netrc format)
    ///
    /// Each line is `machine HOST login USER password PASSWORD`. A user name and password in the URL have priority over the
    /// file. Cameras that the file does not name get those of the environment variables VISAVIS_CAMERA_USER and
    /// VISAVIS_CAMERA_PASSWORD, if they are set.
    #[arg(
        long,
        help_heading = "Source",
        value_name = "FILE",
        env = "VISAVIS_CAMERA_CREDENTIALS",
        hide_short_help = true
    )]
    pub camera_credentials: Option<CredentialsFile>,
}

/// The user name and the password of the environment, for every camera.
fn credentials_of_environment() -> Option<CameraCredentials> {
    let user = std::env::var("VISAVIS_CAMERA_USER").ok()?;
    let password = std::env::var("VISAVIS_CAMERA_PASSWORD").unwrap_or_default();
    Some(CameraCredentials { host: None, user, password })
}

fn parse_transport(text: &str) -> Result<Transport> {
    match text {
        "tcp" => Ok(Transport::Tcp),
        "udp" => Ok(Transport::Udp),
        _ => bail!("`{text}` is neither tcp nor udp"),
    }
}

/// Parses a number of seconds from 1 to 86400.
pub fn parse_pause(text: &str) -> Result<f64> {
    let seconds: f64 = text.parse().with_context(|| format!("`{text}` is not a number"))?;
    if !(1.0..=86_400.0).contains(&seconds) {
        bail!("{seconds} is not between 1 and 86400");
    }
    Ok(seconds)
}

impl SourceArgs {
    /// The options for [`visavis_video::open`].
    #[must_use]
    pub fn open_options(&self) -> OpenOptions {
        let mut options =
            OpenOptions { frame_rate: self.fps, hardware_decoding: self.hardware_decoding, ..OpenOptions::default() };
        if let Some([width, height]) = self.raw {
            options.raw = Some(RawFormat { width, height, frame_rate: self.fps.unwrap_or(30.0) });
        }
        if let Some([width, height]) = self.camera_size {
            options.camera_size = (width, height);
            (options.virtual_camera.width, options.virtual_camera.height) = (width, height);
        }
        let virtual_camera = &mut options.virtual_camera;
        virtual_camera.frame_rate = self.fps.unwrap_or(virtual_camera.frame_rate);
        virtual_camera.seconds_per_photo = self.virtual_seconds.unwrap_or(virtual_camera.seconds_per_photo);
        options.stream.transport = self.rtsp_transport.unwrap_or_default();
        options.stream.silent_after = Duration::from_secs_f64(self.stream_timeout);
        let CredentialsFile(mut credentials) = self.camera_credentials.clone().unwrap_or_default();
        credentials.extend(credentials_of_environment());
        options.stream.credentials = credentials;
        options
    }
}

/// Parses `320x192` as width and height.
pub fn parse_size(text: &str) -> Result<[u32; 2]> {
    let (width, height) = text.split_once(['x', 'X', '×']).context("give width and height as 320x192")?;
    let side = |text: &str| text.trim().parse::<u32>().ok().filter(|side| (1..=16_384).contains(side));
    match (side(width), side(height)) {
        (Some(width), Some(height)) => Ok([width, height]),
        _ => bail!("`{text}` is not a size: give width and height as 320x192, each from 1 to 16384"),
    }
}

/// Parses a share from 0 to 1.
pub fn parse_share(text: &str) -> Result<f32> {
    let share: f32 = text.parse().with_context(|| format!("`{text}` is not a number"))?;
    if !(0.0..=1.0).contains(&share) {
        bail!("{share} is not between 0 and 1");
    }
    Ok(share)
}

/// Number of CPU cores.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Prints a line on standard output.
pub fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// Prints a value as one line of JSON.
pub fn say_json(value: &impl serde::Serialize) -> Result<()> {
    say(&serde_json::to_string(value)?)
}

/// Parses a number of seconds above 0.
pub fn parse_seconds(text: &str) -> Result<f64> {
    let seconds: f64 = text.parse().with_context(|| format!("`{text}` is not a number"))?;
    if !(seconds > 0.0 && seconds.is_finite()) {
        bail!("{seconds} is not a number of seconds above 0");
    }
    Ok(seconds)
}

/// Parses a number of pixels from 0 on.
fn parse_pixels(text: &str) -> Result<f32> {
    let pixels: f32 = text.parse().with_context(|| format!("`{text}` is not a number"))?;
    if !(pixels >= 0.0 && pixels.is_finite()) {
        bail!("{pixels} is not a number of pixels");
    }
    Ok(pixels)
}

/// Parses pictures per second.
fn parse_frame_rate(text: &str) -> Result<f64> {
    let rate: f64 = text.parse().with_context(|| format!("`{text}` is not a number"))?;
    if !FRAME_RATES.contains(&rate) {
        bail!("{rate} is not between {} and {}", FRAME_RATES.start(), FRAME_RATES.end());
    }
    Ok(rate)
}

/// Parses a number of threads or recognition workers. More only cost memory, since no machine has as many cores.
pub fn parse_workers(text: &str) -> Result<usize> {
    let count: usize = text.parse().with_context(|| format!("`{text}` is not a whole number"))?;
    if !(1..=256).contains(&count) {
        bail!("{count} is not between 1 and 256");
    }
    Ok(count)
}

/// Parses a rate between 0.000001 and 0.5.
pub fn parse_rate(text: &str) -> Result<f64> {
    let rate: f64 = text.parse().with_context(|| format!("`{text}` is not a number"))?;
    if !(1e-6..=0.5).contains(&rate) {
        bail!("{rate} is not between 0.000001 and 0.5");
    }
    Ok(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("320x192").unwrap(), [320, 192]);
        for bad in ["320", "0x3", "-1x3", "99999x3", "ax3", ""] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        for bad in ["nan", "inf", "0", "-1", "x"] {
            assert!(parse_seconds(bad).is_err(), "{bad}");
            assert!(parse_workers(bad).is_err(), "{bad}");
            assert!(parse_frame_rate(bad).is_err(), "{bad}");
        }
        assert!(parse_pixels("nan").is_err() && parse_pixels("-1").is_err() && parse_workers("3000").is_err());
        assert_eq!((parse_seconds("0.5").unwrap(), parse_workers("2").unwrap()), (0.5, 2));
        assert_eq!((parse_pixels("0").unwrap(), parse_frame_rate("12.5").unwrap()), (0.0, 12.5));
    }
}

//! Flags that several commands share.

use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;
use std::thread;

use anyhow::{Context, Result, bail};
use clap::Args;
use visavis_infer::{Device, EngineChoice, EngineOptions};
use visavis_video::{OpenOptions, RawFormat};

use crate::place::GalleryPlace;

/// Where the networks are and what runs them.
#[derive(Args, Clone, Debug)]
pub(crate) struct EngineArgs {
    /// Folder of networks besides the user's own; may be given more than once
    #[arg(long = "models", value_name = "DIR", env = "VISAVIS_MODELS")]
    pub models: Vec<PathBuf>,
    /// What runs the networks: auto, tract or onnxruntime
    #[arg(long, default_value = "auto", value_parser = EngineChoice::from_str)]
    pub engine: EngineChoice,
    /// Where detection runs: cpu, cuda, tensorrt, openvino, coreml or directml (cuda:1 for the second one)
    #[arg(long, default_value = "cpu", value_name = "DEVICE", value_parser = Device::from_str)]
    pub detection_device: Device,
    /// Where recognition runs
    #[arg(long, default_value = "cpu", value_name = "DEVICE", value_parser = Device::from_str)]
    pub recognition_device: Device,
    /// The library of ONNX Runtime, or its folder; otherwise it is looked for (`visavis runtime status`)
    #[arg(long, value_name = "PATH")]
    pub onnxruntime: Option<PathBuf>,
    /// Threads that one run of a network uses
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub threads: usize,
}

impl EngineArgs {
    pub(crate) fn detection(&self) -> EngineOptions {
        self.on(self.detection_device)
    }

    pub(crate) fn recognition(&self) -> EngineOptions {
        self.on(self.recognition_device)
    }

    fn on(&self, device: Device) -> EngineOptions {
        EngineOptions { engine: self.engine, device, threads: self.threads, library: self.onnxruntime.clone() }
    }
}

/// Which networks do what.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct NetworkArgs {
    /// Network that finds the faces
    #[arg(long, value_name = "NETWORK")]
    pub detector: Option<String>,
    /// Network that finds the keypoints; `detector` takes those of the detector
    #[arg(long, value_name = "NETWORK")]
    pub keypoints: Option<String>,
    /// Network that tells ages, or `none`
    #[arg(long, value_name = "NETWORK")]
    pub age: Option<String>,
    /// Network that tells genders, or `none`
    #[arg(long, value_name = "NETWORK")]
    pub gender: Option<String>,
    /// Network that tells smiles, or `none`
    #[arg(long, value_name = "NETWORK")]
    pub smile: Option<String>,
    /// Network that compares faces with the gallery, or `none`
    #[arg(long, value_name = "NETWORK")]
    pub similarity: Option<String>,
    /// The gallery of people to compare with: a file, or a database (`postgres://USER@HOST/DATABASE`)
    #[arg(long, value_name = "PLACE", value_parser = GalleryPlace::parser())]
    pub gallery: Option<GalleryPlace>,
    /// Input size of the detector, such as 320x192
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    pub detector_size: Option<[u32; 2]>,
    /// Least score of a face, 0 to 1
    #[arg(long, value_name = "SCORE", value_parser = parse_share)]
    pub score: Option<f32>,
    /// Least width of a face, in pixels of the picture
    #[arg(long, default_value_t = 0.0, value_name = "PIXELS")]
    pub smallest_face: f32,
}

/// How a source is read.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SourceArgs {
    /// Standard input (`-`) carries bare RGB pictures of this size instead of JPEG ones
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    pub raw: Option<[u32; 2]>,
    /// Wished picture size of a camera
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    pub camera_size: Option<[u32; 2]>,
    /// Wished pictures per second of a camera, or the rate of standard input
    #[arg(long, value_name = "FPS")]
    pub fps: Option<f64>,
}

impl SourceArgs {
    pub(crate) fn open_options(&self) -> OpenOptions {
        let mut options = OpenOptions { frame_rate: self.fps, ..OpenOptions::default() };
        if let Some([width, height]) = self.raw {
            options.raw = Some(RawFormat { width, height, frame_rate: self.fps.unwrap_or(30.0) });
        }
        if let Some([width, height]) = self.camera_size {
            options.camera_size = (width, height);
        }
        options
    }
}

/// `320x192` as width and height.
pub(crate) fn parse_size(text: &str) -> Result<[u32; 2]> {
    let (width, height) = text.split_once(['x', 'X', '×']).context("give width and height as 320x192")?;
    let side = |text: &str| text.trim().parse::<u32>().ok().filter(|side| (1..=16_384).contains(side));
    match (side(width), side(height)) {
        (Some(width), Some(height)) => Ok([width, height]),
        _ => bail!("`{text}` is no size: give width and height as 320x192, each from 1 to 16384"),
    }
}

fn parse_share(text: &str) -> Result<f32> {
    let share: f32 = text.parse().with_context(|| format!("`{text}` is no number"))?;
    if !(0.0..=1.0).contains(&share) {
        bail!("{share} is not between 0 and 1");
    }
    Ok(share)
}

/// Cores of this machine.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// A line for people, on standard error. A closed standard error stops nothing.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A line of output.
pub(crate) fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// A value as one line of JSON.
pub(crate) fn say_json(value: &impl serde::Serialize) -> Result<()> {
    say(&serde_json::to_string(value)?)
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
}

//! `visavis runtime`: shows which engine runs the networks, and installs the faster one.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use visavis_infer::runtime::{self, Finding};
use visavis_infer::{Device, EngineChoice, EngineOptions, Runtime};

use visavis_video::Ffmpeg;

use visavis_cli::options::{complain, say, say_json};

/// Show which engine runs the networks and what films and photos can be read, or install ONNX Runtime
#[derive(Parser)]
#[command(after_help = "Examples:\n  visavis runtime status --json\n  visavis runtime install")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show which engine and device would run, and why, and which films and photos can be read
    Status {
        /// Engine: auto, tract or onnxruntime
        #[arg(long, default_value = "auto")]
        engine: EngineChoice,
        /// Device: cpu, cuda, tensorrt, openvino, coreml or directml
        #[arg(long, default_value = "cpu")]
        device: Device,
        /// Path of the ONNX Runtime library or its folder
        #[arg(long, value_name = "PATH")]
        onnxruntime: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Download ONNX Runtime with pip into the user's cache folder (its hash is checked; nothing else is changed)
    Install,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::Status { engine, device, onnxruntime, json } => {
            let found = Runtime::discover(onnxruntime.as_deref());
            let options = EngineOptions {
                engine: *engine,
                device: *device,
                library: onnxruntime.clone(),
                ..EngineOptions::default()
            };
            let chosen = found.choose(&options);
            if *json {
                say_json(&serde_json::json!({
                    "engine": chosen.as_ref().ok(),
                    "device": device.to_string(),
                    "error": chosen.as_ref().err().map(ToString::to_string),
                    "search": found.report(),
                    "media": media_json(),
                }))?;
            } else {
                for candidate in &found.report().candidates {
                    let found = match &candidate.finding {
                        Finding::Absent => "not found".to_owned(),
                        Finding::Unusable { reason } => format!("not usable: {reason}"),
                        Finding::Used { version } => format!("ONNX Runtime {version}, used"),
                        Finding::Skipped => "not examined, since another one is used".to_owned(),
                    };
                    say(&format!("{}: {found}", candidate.path.display()))?;
                }
                if let Ok(engine) = &chosen {
                    say(&format!("{engine} on {device} would run: {}", found.report().reason))?;
                }
                if let Some(library) = &found.report().library {
                    say(&format!("execution providers of this library: {}", library.providers.join(", ")))?;
                }
                say_media()?;
            }
            chosen?;
            Ok(())
        }
        Command::Install => {
            let cache = runtime::cache().context("this user has no cache folder: set XDG_CACHE_HOME or HOME")?;
            let library = runtime::install(&cache, &mut |line| complain(line))?;
            say(&format!("ONNX Runtime {} is installed: {}", runtime::INSTALLED_VERSION, library.display()))
        }
    }
}

/// Formats that are read without FFmpeg.
const BUILT_IN: &str = "JPEG, PNG, WebP, BMP, GIF, MP4 with H.264 (8 bits, 4:2:0, progressive)";

fn say_media() -> Result<()> {
    say(&format!("films and photos read by visavis itself: {BUILT_IN}"))?;
    let Some(ffmpeg) = Ffmpeg::installed() else {
        return say(
            "ffmpeg: not installed (both ffmpeg and ffprobe are needed); other films and photos cannot be read: install it, for \
             example with `apt-get install ffmpeg`",
        );
    };
    say(&format!("{}: {}", ffmpeg.ffmpeg.display(), ffmpeg.version))?;
    let (reads, lacks): (Vec<_>, Vec<_>) = ffmpeg.formats()?.into_iter().partition(|(_, reads)| *reads);
    let names = |formats: Vec<(&str, bool)>| formats.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
    say(&format!("films and photos read by ffmpeg: {}, and others", names(reads)))?;
    if !lacks.is_empty() {
        say(&format!("this ffmpeg was built without: {}", names(lacks)))?;
    }
    Ok(())
}

fn media_json() -> serde_json::Value {
    let ffmpeg = Ffmpeg::installed().map(|ffmpeg| {
        let formats: serde_json::Map<String, serde_json::Value> = ffmpeg
            .formats()
            .unwrap_or_default()
            .into_iter()
            .map(|(name, reads)| (name.to_owned(), reads.into()))
            .collect();
        serde_json::json!({ "path": ffmpeg.ffmpeg, "version": ffmpeg.version, "reads": formats })
    });
    serde_json::json!({ "built_in": BUILT_IN, "ffmpeg": ffmpeg })
}

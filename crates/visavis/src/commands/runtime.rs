//! `visavis runtime`: which engine would run, and how to get the faster one.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use visavis_infer::runtime::{self, Finding};
use visavis_infer::{Device, EngineChoice, EngineOptions, Runtime};

use crate::options::{complain, say, say_json};

/// Show which engine runs the networks, or install ONNX Runtime
#[derive(Parser)]
#[command(after_help = "Examples:\n  visavis runtime status --json\n  visavis runtime install")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Which engine and device would run, and why
    Status {
        /// auto, tract or onnxruntime
        #[arg(long, default_value = "auto")]
        engine: EngineChoice,
        /// cpu, cuda, tensorrt, openvino, coreml or directml
        #[arg(long, default_value = "cpu")]
        device: Device,
        /// The library of ONNX Runtime, or its folder
        #[arg(long, value_name = "PATH")]
        onnxruntime: Option<PathBuf>,
        /// As JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Fetch ONNX Runtime with pip into the user's cache (hash-checked; nothing else is touched)
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
                }))?;
            } else {
                for candidate in &found.report().candidates {
                    let found = match &candidate.finding {
                        Finding::Absent => "nothing there".to_owned(),
                        Finding::Unusable { reason } => format!("not usable: {reason}"),
                        Finding::Used { version } => format!("ONNX Runtime {version}, taken"),
                        Finding::Skipped => "not looked at, one was found before".to_owned(),
                    };
                    say(&format!("{}: {found}", candidate.path.display()))?;
                }
                if let Ok(engine) = &chosen {
                    say(&format!("{engine} on {device} would run: {}", found.report().reason))?;
                }
                if let Some(library) = &found.report().library {
                    say(&format!("execution providers of this library: {}", library.providers.join(", ")))?;
                }
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

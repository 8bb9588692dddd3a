//! `visavis-lab evaluate speed`: speed of networks.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;
use visavis_eval::speed::{NetworkSpeed, SpeedParams, locator, network};
use visavis_face::Locate;
use visavis_infer::manifest::FileKind;
use visavis_infer::{Device, EngineChoice, EngineOptions, Precision, Registry, Runtime};
use visavis_live::{Loader, RegistryLoader};

use super::machine;
use super::text_table::TextTable;
use visavis_cli::options::{complain, say, say_json};

/// Measure the speed of networks, one picture at a time
///
/// A network is timed alone, after a warm-up; a regression forest together with reading the picture.
#[derive(Parser)]
#[command(
    after_help = "Example:\n  visavis-lab evaluate speed --network yunet_n,mtcnn_onet --engine tract --threads 1,2"
)]
pub(super) struct Args {
    /// Networks to time
    #[arg(long, required = true, value_delimiter = ',', value_name = "NETWORK,…")]
    network: Vec<String>,
    /// Folder of networks besides the user's own; may be given more than once
    #[arg(long = "models", value_name = "DIR", env = "VISAVIS_MODELS")]
    models: Vec<PathBuf>,
    #[command(flatten)]
    timing: TimingArgs,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// Engines, device and duration.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct TimingArgs {
    /// Engines to run on, one or several of: tract, onnxruntime [default: all that are available]
    #[arg(long, value_delimiter = ',', value_name = "ENGINE,…", value_parser = EngineChoice::from_str)]
    engine: Vec<EngineChoice>,
    /// Device: cpu, cuda, tensorrt, openvino, coreml or directml
    #[arg(long, default_value = "cpu", value_name = "DEVICE", value_parser = Device::from_str)]
    device: Device,
    /// Threads per run, one or several numbers
    #[arg(long, value_delimiter = ',', default_value = "1", value_name = "N,…")]
    threads: Vec<usize>,
    /// Numbers to calculate with, one or both of: auto (8-bit numbers in ONNX Runtime, for networks that have such a version),
    /// single (32-bit floats)
    #[arg(long, value_delimiter = ',', default_value = "auto", value_name = "PRECISION,…", value_parser = Precision::from_str)]
    precision: Vec<Precision>,
    /// The library of ONNX Runtime, or its folder
    #[arg(long, value_name = "PATH")]
    pub(super) onnxruntime: Option<PathBuf>,
    /// Least duration of each measurement in seconds
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS")]
    seconds: f64,
}

impl TimingArgs {
    pub(super) fn params(&self) -> Result<SpeedParams> {
        if !(0.0..=3600.0).contains(&self.seconds) {
            bail!("--seconds {}: give a number from 0 to 3600", self.seconds);
        }
        let defaults = SpeedParams::default();
        let least = Duration::from_secs_f64(self.seconds);
        Ok(SpeedParams { least, most: defaults.most.max(least), ..defaults })
    }

    /// Every requested engine with every number of threads; if none is requested, all engines that are available.
    pub(super) fn engines(&self, runtime: &Runtime) -> Vec<EngineOptions> {
        let asked = !self.engine.is_empty();
        let engines = if asked { &self.engine[..] } else { &[EngineChoice::Tract, EngineChoice::OnnxRuntime] };
        let mut all = Vec::new();
        for &engine in engines {
            let combinations = self
                .threads
                .iter()
                .flat_map(|&threads| self.precision.iter().map(move |&precision| (threads, precision)));
            for (threads, precision) in combinations {
                let library = self.onnxruntime.clone();
                let options = EngineOptions { engine, device: self.device, precision, threads, library };
                // tract always runs on one thread: it is timed once.
                let again =
                    engine == EngineChoice::Tract && all.iter().any(|other: &EngineOptions| other.engine == engine);
                if !again && (asked || runtime.choose(&options).is_ok()) {
                    all.push(options);
                }
            }
        }
        all
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    let registry = Registry::open(&args.models)?;
    for problem in registry.problems() {
        complain(&format!("warning: {problem}"));
    }
    let runtime = Runtime::discover(args.timing.onnxruntime.as_deref());
    let mut loader = RegistryLoader::new(registry, runtime);
    let engines = args.timing.engines(&loader.runtime);
    if engines.is_empty() {
        bail!("no engine of this machine runs on {}: `visavis runtime status` shows what there is", args.timing.device);
    }
    let params = args.timing.params()?;
    let mut rows = Vec::new();
    for name in &args.network {
        if loader.registry.get(name)?.manifest.file_kind() == FileKind::Forest {
            rows.push(time_locator(&mut loader, name, &EngineOptions::default(), &params)?);
            continue;
        }
        for options in &engines {
            rows.push(network(loader.registry.get(name)?, &loader.runtime, options, &params)?);
        }
    }
    if args.json {
        return say_json(&serde_json::json!({ "machine": machine::describe(), "speeds": rows }));
    }
    say(&format!("{}. Medians with 95 % intervals.", machine::describe()))?;
    let mut table =
        TextTable::new(&["network", "input", "engine", "device", "threads", "runs", "ms", "p95 ms", "per second"]);
    for NetworkSpeed { network, input, engine, device, threads, speed } in &rows {
        table.row([
            network.clone(),
            if *input == [0, 0] { "–".into() } else { format!("{}x{}", input[0], input[1]) },
            engine.clone(),
            device.clone(),
            threads.to_string(),
            speed.median_ms.n.to_string(),
            speed.median_ms.text(2),
            format!("{:.2}", speed.p95_ms),
            speed.per_second.text(1),
        ]);
    }
    table.print()
}

/// Times a keypoint network or a forest, including cropping.
pub(super) fn time_locator(
    loader: &mut RegistryLoader,
    name: &str,
    options: &EngineOptions,
    params: &SpeedParams,
) -> Result<NetworkSpeed> {
    loader.recognition = options.clone();
    let mut found: Box<dyn Locate> = loader.locator(name)?;
    let input = loader.registry.get(name)?.manifest.input.size;
    Ok(locator(name, input, found.as_mut(), params)?)
}

//! `visavis-lab train quantise`: the 8-bit version of a network.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use visavis_cli::options::{EngineArgs, say};
use visavis_cli::output::write_file;
use visavis_data::pack::Pack;
use visavis_infer::manifest::{Quantised, sha256};
use visavis_infer::{EngineChoice, EngineOptions, Manifest, Registry, Runtime};
use visavis_train::quantise::{QuantiseParams, calibration_inputs, quantise};

/// Make the 8-bit version of a face network, which ONNX Runtime runs instead of it
///
/// Writes NAME.int8.onnx, the weights and a manifest that names both. What the version loses is measured with
/// `visavis-lab evaluate … --precision auto` beside `--precision single`, and how fast it is with `visavis-lab evaluate speed`.
#[derive(Parser)]
#[command(after_help = "Example:
  visavis-lab train quantise similarity_mobilefacenet --data packs/celeba packs/utkface --out quantised
  visavis-lab evaluate similarity --data packs/celebrities --network similarity_mobilefacenet --models quantised")]
pub(super) struct Args {
    /// The network
    #[arg(value_name = "NETWORK")]
    network: String,
    /// Packs of faces whose training parts show the ranges of the numbers in the network
    #[arg(long, required = true, num_args = 1.., value_name = "PACK")]
    data: Vec<PathBuf>,
    /// Number of faces
    #[arg(long, default_value_t = 256, value_name = "N")]
    faces: usize,
    /// Bits of a weight, 2 to 8
    ///
    /// With 8, CPUs without VNNI instructions calculate wrongly where sums overflow 16 bits.
    #[arg(long, default_value_t = QuantiseParams::default().weight_bits, value_name = "BITS")]
    weight_bits: u32,
    /// Folder for the results
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    engines: EngineArgs,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let registry = Registry::open(&args.engines.models)?;
    let entry = registry.get(&args.network)?;
    if entry.manifest.crop.is_none() {
        bail!("{} is no face network: only networks that get crops of faces can be quantised", args.network);
    }
    let packs: Vec<Pack> = args.data.iter().map(|folder| Pack::open(folder)).collect::<Result<_, _>>()?;
    let tract = EngineOptions { engine: EngineChoice::Tract, ..EngineOptions::default() };
    let model = entry.load(&Runtime::discover(None), &tract)?;
    let inputs = calibration_inputs(&packs, &entry.manifest, model, args.faces)?;
    let single = entry.read()?;
    let params = QuantiseParams { weight_bits: args.weight_bits, ..QuantiseParams::default() };
    let bytes = quantise(&single, &inputs, &params)?;
    let file = format!("{}.int8.onnx", args.network);
    let version = Quantised { file: file.clone(), sha256: sha256(&bytes), figures: Vec::new() };
    let manifest = Manifest { quantised: Some(version), ..entry.manifest.clone() };
    std::fs::create_dir_all(&args.out).with_context(|| format!("{} cannot be made", args.out.display()))?;
    let place = |name: &str| args.out.join(name);
    write_file(&place(&manifest.file), &single)?;
    write_file(&place(&file), &bytes)?;
    write_file(&place(&format!("{}.toml", args.network)), toml::to_string_pretty(&manifest)?.as_bytes())?;
    say(&format!("{}: {} KiB, calibrated on {} faces", place(&file).display(), bytes.len() / 1024, inputs.len()))
}

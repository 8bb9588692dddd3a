//! `visavis-lab train untrained`: networks with random weights, for measuring speeds.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use visavis_train::export::{write_untrained, write_untrained_detectors, write_untrained_embedding};
use visavis_train::network::Backbone;

use visavis_cli::options::say;

/// Write networks with random weights: their speed is that of trained ones
///
/// Multitask networks with every backbone, the detectors, and the paper's embeddings. `visavis-lab tables --untrained DIR`
/// measures their speeds for rows without a trained network.
#[derive(Parser)]
#[command(after_help = "Example:
  visavis-lab train untrained --out untrained && visavis-lab tables --untrained untrained")]
pub(super) struct Args {
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Only the multitask network on this backbone; may be given more than once
    #[arg(long, value_name = "BACKBONE")]
    backbone: Vec<Backbone>,
    /// Side of the picture in pixels: 224 in the paper
    #[arg(long, default_value_t = 224, value_name = "PIXELS")]
    side: usize,
}

/// The backbones in the paper's Table III, and a faster one.
const EMBEDDINGS: [Backbone; 4] = [Backbone::MobileNetV1(1.0), Backbone::Vgg16, Backbone::ResNet50, Backbone::ResNet18];

pub(super) fn run(args: &Args) -> Result<()> {
    let all = if args.backbone.is_empty() { &Backbone::ALL[..] } else { &args.backbone };
    for backbone in all {
        say(&write_untrained(*backbone, args.side, &args.out)?.display().to_string())?;
    }
    if args.backbone.is_empty() {
        for path in write_untrained_detectors(&args.out)? {
            say(&path.display().to_string())?;
        }
        for backbone in EMBEDDINGS {
            say(&write_untrained_embedding(backbone, args.side, &args.out)?.display().to_string())?;
        }
    }
    Ok(())
}

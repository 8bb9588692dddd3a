//! `visavis-lab train`: train networks and forests, export and quantise them.

mod export;
mod forest;
mod network;
mod preview;
mod quantise;
mod untrained;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Train on packed faces (`visavis-lab data pack`)
#[derive(Parser)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Forest(forest::Args),
    Network(network::Args),
    Preview(preview::Args),
    Quantise(quantise::Args),
    Export(export::Args),
    Untrained(untrained::Args),
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::Forest(args) => forest::run(args),
        Command::Network(args) => network::run(args),
        Command::Preview(args) => preview::run(args),
        Command::Quantise(args) => quantise::run(args),
        Command::Export(args) => export::run(args),
        Command::Untrained(args) => untrained::run(args),
    }
}

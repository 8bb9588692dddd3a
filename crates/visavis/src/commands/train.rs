//! `visavis train`: make networks and forests of one's own. Behind the cargo feature `train`.

#[cfg(feature = "train")]
mod export;
#[cfg(feature = "train")]
mod forest;
#[cfg(feature = "train")]
mod network;
#[cfg(feature = "train")]
mod preview;
#[cfg(feature = "train")]
mod untrained;

#[cfg(feature = "train")]
pub(crate) use with_training::{Args, run};
#[cfg(not(feature = "train"))]
pub(crate) use without_training::{Args, run};

#[cfg(feature = "train")]
mod with_training {
    use anyhow::Result;
    use clap::{Parser, Subcommand};

    use super::{export, forest, network, preview, untrained};

    /// Train on packed faces (`visavis data pack`)
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
        Export(export::Args),
        Untrained(untrained::Args),
    }

    pub(crate) fn run(args: &Args) -> Result<()> {
        match &args.command {
            Command::Forest(args) => forest::run(args),
            Command::Network(args) => network::run(args),
            Command::Preview(args) => preview::run(args),
            Command::Export(args) => export::run(args),
            Command::Untrained(args) => untrained::run(args),
        }
    }
}

#[cfg(not(feature = "train"))]
mod without_training {
    use std::ffi::OsString;

    use anyhow::{Result, bail};
    use clap::Parser;

    /// Train on packed faces: not in this build
    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    pub(crate) struct Args {
        #[arg(hide = true, allow_hyphen_values = true, trailing_var_arg = true)]
        _words: Vec<OsString>,
    }

    pub(crate) fn run(_: &Args) -> Result<()> {
        bail!(
            "this visavis was built without training; build one with it from the sources: \
             cargo build --release -p visavis --features train"
        )
    }
}

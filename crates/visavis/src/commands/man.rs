//! `visavis man`: manual pages, for packages.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

/// Write a manual page of the program and of each command, made from the flags
#[derive(Parser)]
#[command(after_help = "Example:\n  visavis man --out man/ && man man/visavis-live.1")]
pub(crate) struct Args {
    /// Folder for the pages; created if it does not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes the pages of `program`.
pub(crate) fn run(args: &Args, program: clap::Command) -> Result<()> {
    let folder = args.out.display();
    std::fs::create_dir_all(&args.out).with_context(|| format!("{folder} cannot be created"))?;
    clap_mangen::generate_to(program, &args.out)
        .with_context(|| format!("the manual pages cannot be written to {folder}"))
}

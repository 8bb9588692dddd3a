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
    clap_mangen::generate_to(complete(program), &args.out)
        .with_context(|| format!("the manual pages cannot be written to {folder}"))
}

/// Shows the help of all flags: a page leaves out the help of flags that the short help does not show.
fn complete(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| arg.hide_short_help(false)).mut_subcommands(complete)
}

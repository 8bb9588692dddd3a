//! `visavis completions`: scripts with which a shell completes commands and flags.

use std::io::Write;

use anyhow::Result;
use clap::Parser;
use clap_complete::{Shell, generate};

/// Print the script with which a shell completes the commands and flags of visavis
#[derive(Parser)]
#[command(after_help = "Examples:
  source <(visavis completions bash)                                       for this shell
  visavis completions bash > ~/.local/share/bash-completion/completions/visavis
  visavis completions zsh > ~/.zfunc/_visavis                              with ~/.zfunc in $fpath
  visavis completions fish > ~/.config/fish/completions/visavis.fish")]
pub(crate) struct Args {
    /// The shell: bash, elvish, fish, powershell or zsh
    #[arg(hide_possible_values = true)]
    shell: Shell,
}

/// Prints the script for `program`.
pub(crate) fn run(args: &Args, mut program: clap::Command) -> Result<()> {
    // `generate` panics if it cannot write, for example when the reader has ended.
    let mut script = Vec::new();
    generate(args.shell, &mut program, "visavis", &mut script);
    Ok(std::io::stdout().write_all(&script)?)
}

//! `visavis config`: configuration files of `visavis live`.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::{FromArgMatches, Parser, Subcommand};
use visavis_cli::options::say;

use super::live;
use crate::config_file;

/// Check a configuration file of `visavis live`, or print one with all settings
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis config example > visavis.toml
  visavis config check visavis.toml
  visavis live --config visavis.toml")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check a file: its keys, its values, which settings need others, and whether the files and folders exist
    ///
    /// Every error is printed with its line and with what to do. A file or folder that does not exist is a warning: it may be made
    /// before the program is started, and a relative path is looked for in the folder in which the check is started. Secrets are not
    /// printed. Cameras, streams, galleries and networks are not opened.
    Check {
        /// The file, such as visavis.toml
        file: PathBuf,
    },
    /// Print a file with all settings as comments, and with their defaults
    Example {
        /// Set this setting; may be given more than once, also for several values of a list
        ///
        /// For example `--set gallery=people.gallery --set sources=camera:0 --set sources=camera:1`.
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<OsString>,
    },
}

/// Runs the command. `program` describes the flags of the whole program.
pub(crate) fn run(args: &Args, program: &clap::Command) -> Result<()> {
    match &args.command {
        Command::Check { file } => {
            let checked = config_file::check(program, file)?;
            let missing = live::Args::from_arg_matches(&checked.matches)?.missing_paths();
            for (key, what) in &missing {
                checked.warn(key, what);
            }
            let counted = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
            let mut told = format!("{}: {}, no errors", file.display(), counted(checked.count(), "setting"));
            if !missing.is_empty() {
                told.push_str(&format!(", {}", counted(missing.len(), "warning")));
            }
            say(&told)
        }
        Command::Example { set } => {
            let values = set.iter().map(|text| config_file::split_setting(text)).collect::<Result<Vec<_>>>()?;
            say(config_file::example(program, &values)?.trim_end())
        }
    }
}

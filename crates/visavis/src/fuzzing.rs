//! Entry points for the fuzz targets in `visavis-fuzz`.
//!
//! Not part of the API.

use std::sync::OnceLock;

use clap::{Command, CommandFactory};

use crate::{Cli, config_file};

/// Checks the text of a configuration file, as `visavis config check` does. Returns the number of errors.
#[must_use]
pub fn config_problems(text: &str) -> usize {
    static PROGRAM: OnceLock<Command> = OnceLock::new();
    config_file::problem_count(PROGRAM.get_or_init(Cli::command), text)
}

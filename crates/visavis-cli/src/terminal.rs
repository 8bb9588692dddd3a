//! Messages on the terminal.

use std::io::Write;

/// Prints a line on standard error. A closed standard error is ignored.
pub fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

//! Messages on standard error: lines for people, or JSON objects for other programs.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use serde_json::{Map, Value, json};
use visavis_live::rfc3339;

/// The format of messages and of the log on standard error.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object for each message: timestamp (RFC 3339), level, target, message, fields.
    Json,
}

/// Flags about messages.
#[derive(clap::Args, Debug, Clone, Default)]
pub struct LogArgs {
    /// Format of messages on standard error: text or json
    ///
    /// `json` writes one JSON object on each line, with timestamp (RFC 3339), level, target, message and fields, and no status line.
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        hide_short_help = true
    )]
    pub log_format: LogFormat,
}

static JSON: AtomicBool = AtomicBool::new(false);

/// Sets the format of all further messages.
pub(crate) fn set_format(format: LogFormat) {
    JSON.store(format == LogFormat::Json, Ordering::Relaxed);
}

/// Whether messages are JSON objects.
pub fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// An error with its causes, without those that it names itself.
#[must_use]
pub fn with_causes(error: &anyhow::Error) -> String {
    error.chain().skip(1).map(ToString::to_string).fold(error.to_string(), |text, cause| match text.contains(&cause) {
        true => text,
        false => format!("{text}: {cause}"),
    })
}

/// Prints a line on standard error. A closed standard error is ignored.
pub fn complain(line: &str) {
    if !is_json() {
        let _ = writeln!(std::io::stderr(), "{line}");
    } else if !line.is_empty() {
        report(log::Level::Info, line, Map::new());
    }
}

/// Prints a message as a JSON object, with these fields.
pub fn report(level: log::Level, message: &str, fields: Map<String, Value>) {
    let line = json_line(level, "visavis", message, fields);
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// A message as a line of JSON.
pub(crate) fn json_line(level: log::Level, target: &str, message: &str, fields: Map<String, Value>) -> String {
    let mut line = json!({
        "timestamp": rfc3339(SystemTime::now()),
        "level": level.as_str().to_ascii_lowercase(),
        "target": target,
        "message": message,
    });
    if let Some(line) = line.as_object_mut().filter(|_| !fields.is_empty()) {
        line.insert("fields".into(), fields.into());
    }
    format!("{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cause_is_named_twice() {
        let full = || std::io::Error::other("No space left on device");
        let named = anyhow::Error::new(full()).context("f.mp4 cannot be written: No space left on device");
        assert_eq!(with_causes(&named), "f.mp4 cannot be written: No space left on device");
        let unnamed = anyhow::Error::new(full()).context("f.mp4 cannot be written");
        assert_eq!(with_causes(&unnamed), "f.mp4 cannot be written: No space left on device");
    }

    #[test]
    fn a_message_is_one_line() {
        let fields = Map::from_iter([("camera".to_owned(), Value::from("door"))]);
        let line = json_line(log::Level::Warn, "visavis", "a \"b\"\nc", fields);
        assert_eq!(line.matches('\n').count(), 1);
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["level"], &line["message"]), (&json!("warn"), &json!("a \"b\"\nc")));
        assert_eq!(line["fields"]["camera"], "door");
        assert!(line["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    }
}

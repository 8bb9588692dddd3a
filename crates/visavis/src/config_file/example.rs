//! A configuration file with every setting as a comment, made from the help of the flags.

use std::fmt::Write;

use anyhow::{Result, bail};
use clap::Command;

use super::setting::{Kind, Setting, settings};

/// Characters of a line, at most.
const WIDTH: usize = 100;

const HEAD: &str = "\
# Settings of `visavis live`, used by `visavis live --config FILE`.
#
# The keys are the flags of `visavis live`. A flag that is typed has priority over an environment
# variable, and this over the file. To use a setting, remove the `#` before it: what is written here
# is the default, or a word in capitals in place of a value of your own. Paths are relative to the
# folder in which the program is started. `visavis config check FILE` finds errors.
";

/// The text of a file with all settings. Those in `values` are set to these values, the others are comments.
///
/// # Errors
/// If `values` contains a key that does not exist, or a switch that is neither `true` nor `false`.
pub(crate) fn example(program: &Command, values: &[(String, String)]) -> Result<String> {
    let command = super::built(program)?;
    let known = settings(&command);
    if let Some((key, _)) = values.iter().find(|(key, _)| !known.iter().any(|setting| setting.key == *key)) {
        bail!("{}", super::reading::unknown(key, &known));
    }
    let heading = |setting: &Setting<'_>| setting.arg.get_help_heading().unwrap_or("Other").to_owned();
    let mut headings: Vec<String> = Vec::new();
    for setting in &known {
        let heading = heading(setting);
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    // The flags without a heading are about the program, not about the analysis.
    headings.sort_by_key(|heading| heading == "Other");
    let mut text = HEAD.to_owned();
    for part in &headings {
        let rule = "-".repeat(WIDTH - part.len() - 6);
        let _ = writeln!(text, "\n# -- {part} {rule}");
        for setting in known.iter().filter(|setting| heading(setting) == *part) {
            text.push('\n');
            describe(setting, &mut text);
            let mine: Vec<&str> =
                values.iter().filter(|(key, _)| *key == setting.key).map(|(_, value)| value.as_str()).collect();
            let key = &setting.key;
            let _ = match mine.is_empty() {
                true => writeln!(text, "#{key} = {}", default(setting)),
                false => writeln!(text, "{key} = {}", value(setting, &mine)?),
            };
        }
    }
    Ok(text)
}

/// Writes the help of the flag as comments.
fn describe(setting: &Setting<'_>, text: &mut String) {
    let help = setting.arg.get_long_help().or(setting.arg.get_help()).map(ToString::to_string).unwrap_or_default();
    for paragraph in help.split("\n\n") {
        wrap(&paragraph.split_whitespace().collect::<Vec<_>>().join(" "), text);
    }
    if let Some(variable) = setting.arg.get_env().and_then(|name| name.to_str()).filter(|name| !help.contains(name)) {
        wrap(&format!("Environment variable: {variable}"), text);
    }
}

/// Writes a paragraph as lines of a comment.
fn wrap(paragraph: &str, text: &mut String) {
    let mut line = String::from("#");
    for word in paragraph.split(' ').filter(|word| !word.is_empty()) {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(text, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    if line.len() > 1 {
        let _ = writeln!(text, "{line}");
    }
}

/// The default value in TOML, or the name of the value in capitals if there is none.
fn default(setting: &Setting<'_>) -> String {
    let default = setting.arg.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
    let name = setting.arg.get_value_names().and_then(<[_]>::first).map(ToString::to_string);
    let name = name.unwrap_or_else(|| setting.arg.get_id().as_str().to_uppercase());
    match setting.kind {
        Kind::Switch => "false".to_owned(),
        Kind::Count => "0".to_owned(),
        Kind::List => format!("[{}]", quoted(setting, &name)),
        Kind::Single => default.map_or_else(|| quoted(setting, &name), |value| quoted(setting, &value)),
    }
}

/// Values that the user has chosen, in TOML.
fn value(setting: &Setting<'_>, values: &[&str]) -> Result<String> {
    let key = &setting.key;
    Ok(match (setting.kind, values) {
        (Kind::Switch, ["true" | "false"]) => values[0].to_owned(),
        (Kind::Switch, _) => bail!("`{key}` must be true or false"),
        (Kind::List, values) => {
            let items: Vec<_> = values.iter().map(|value| quoted(setting, value)).collect();
            format!("[{}]", items.join(", "))
        }
        (Kind::Count | Kind::Single, [one]) => quoted(setting, one),
        (Kind::Count | Kind::Single, _) => bail!("`{key}` takes one value, and was set twice"),
    })
}

/// A value in TOML: bare if it is a number or a truth, else in quotes.
fn quoted(setting: &Setting<'_>, value: &str) -> String {
    if setting.is_number() || setting.is_truth() || setting.kind == Kind::Count {
        value.to_owned()
    } else {
        toml::Value::String(value.to_owned()).to_string()
    }
}

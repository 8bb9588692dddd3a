//! Reads a configuration file: finds the settings that it gives, and the errors that need no parsing of values.

use clap::Command;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::setting::{Kind, Setting, settings};
use super::{Given, Problem};

/// Reads the text of a file with settings of `command`.
pub(super) fn read(text: &str, command: &Command) -> (Vec<Given>, Vec<Problem>) {
    let line = |offset: usize| text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1;
    let known = settings(command);
    let (mut given, mut problems) = (Vec::new(), Vec::new());
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        // The text of the line is not repeated, since it may hold a secret.
        let line = error.span().map(|span| line(span.start));
        problems.push(Problem { line, text: format!("this is no TOML: {}", error.message()) });
    }
    // After an error of the syntax, the rest is a guess.
    if !problems.is_empty() {
        return (given, problems);
    }
    for (key, value) in table.get_ref() {
        let line = line(key.span().start);
        let key = key.get_ref();
        let found = known.iter().find(|setting| setting.key == **key);
        let words = match (found, value.get_ref()) {
            (None, DeValue::Table(_)) => {
                Err(format!("`{key}` is a table: a configuration file has no tables, only lines `key = value`"))
            }
            (None, _) => Err(unknown(key, &known)),
            (Some(setting), value) => words(setting, value),
        };
        match (words, found) {
            (Ok(words), Some(setting)) => given.push(Given {
                id: setting.arg.get_id().clone(),
                key: setting.key.clone(),
                line,
                positional: setting.arg.is_positional(),
                secret: setting.is_secret() || words.iter().any(|word| holds_password(word)),
                words,
            }),
            (Err(text), _) => problems.push(Problem { line: Some(line), text }),
            (Ok(_), None) => {}
        }
    }
    given.sort_by_key(|given| given.line);
    problems.sort_by_key(|problem| problem.line);
    (given, problems)
}

/// Says that a key is unknown, and which known one is most similar to it.
pub(super) fn unknown(key: &str, known: &[Setting<'_>]) -> String {
    let plain = |key: &str| key.replace('_', "-").to_lowercase();
    let near = known.iter().map(|setting| (strsim::jaro_winkler(&plain(key), &setting.key), &setting.key));
    let nearest = near.filter(|(likeness, _)| *likeness > 0.7).max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((_, nearest)) => format!("there is no setting `{key}`: did you mean `{nearest}`?"),
        None => format!("there is no setting `{key}`: `visavis config example` prints all settings"),
    }
}

/// The arguments of the command line that mean the same as the value; else what is wrong with it.
fn words(setting: &Setting<'_>, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let key = &setting.key;
    match (setting.kind, value) {
        (Kind::Switch, DeValue::Boolean(on)) => Ok(on.then(|| format!("--{key}")).into_iter().collect()),
        (Kind::Switch, _) => Err(format!("`{key}` must be true or false")),
        (Kind::Count, DeValue::Integer(count)) => match count.as_str().parse::<u8>() {
            Ok(count) => Ok(vec![format!("--{key}"); usize::from(count)]),
            Err(_) => Err(format!("`{key}` must be a number from 0 to 255")),
        },
        (Kind::Count, _) => Err(format!("`{key}` must be a number from 0 to 255")),
        (Kind::List, DeValue::Array(items)) => {
            items.iter().map(Spanned::get_ref).map(|item| Ok(setting.word(&scalar(key, item)?))).collect()
        }
        (Kind::Single, DeValue::Array(_)) => Err(format!("`{key}` takes one value: leave out the brackets")),
        (Kind::Single | Kind::List, value) => Ok(vec![setting.word(&scalar(key, value)?)]),
    }
}

/// A value as it is written on a command line.
fn scalar(key: &str, value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            parsed.map(|number| number.to_string()).map_err(|_| format!("`{key}`: {number} is too large"))
        }
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Ok(truth.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            Err(format!("`{key}` must be a number or a text in quotes, or a list of these"))
        }
    }
}

/// Whether an address in this text contains a password: `scheme://user:password@host`.
fn holds_password(text: &str) -> bool {
    let Some((_, address)) = text.split_once("://") else { return false };
    let authority = address.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_addresses() {
        assert!(holds_password("door=rtsp://ada:l0ve@10.0.0.7/1"));
        assert!(holds_password("--gallery=postgres://ada:x@db/faces"));
        for harmless in ["rtsp://ada@10.0.0.7/1", "film.mp4", "http://10.0.0.7:80/a@b:c"] {
            assert!(!holds_password(harmless), "{harmless}");
        }
    }
}

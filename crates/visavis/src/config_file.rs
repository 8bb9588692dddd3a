//! The configuration file of `visavis live`, in TOML.
//!
//! There is no list of the settings: the keys are the names of the flags, and a value is given to the parser of its flag. A file
//! becomes arguments of the command line; those that the user has typed, or set by an environment variable, are left out. So a new
//! flag is a setting at once, and everything that is checked for a flag is checked for the file.

mod example;
mod reading;
mod setting;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, Id, value_parser};
use visavis_cli::options::complain;

pub(crate) use example::example;

/// The command that reads a configuration file.
const COMMAND: &str = "live";

/// The flag of this command that names the file.
const FLAG: &str = "config";

/// A configuration file.
pub(crate) struct ConfigFile {
    path: PathBuf,
    given: Vec<Given>,
    problems: Vec<Problem>,
}

/// A setting that a file gives.
struct Given {
    id: Id,
    key: String,
    line: usize,
    positional: bool,
    /// Whether the value must not be shown.
    secret: bool,
    /// The arguments of the command line that mean the same; none for a switch that is off.
    words: Vec<String>,
}

/// What is wrong in a file, and what to do.
#[derive(Debug)]
pub(crate) struct Problem {
    /// Number of the line, from 1; `None` if it is about several lines.
    line: Option<usize>,
    text: String,
}

/// Arguments of the command line, completed from a configuration file.
pub(crate) struct Completed {
    pub(crate) words: Vec<OsString>,
    /// The file, if there is one.
    pub(crate) file: Option<ConfigFile>,
}

/// Completes what was typed with the settings of the file that `--config` or its environment variable names. Arguments without such
/// a file, and those that are wrong anyway, are returned as they are.
///
/// # Errors
/// If the file cannot be read or has a key or a type of value that does not exist.
pub(crate) fn complete(program: &Command, typed: Vec<OsString>) -> Result<Completed> {
    let unchanged = |words| Ok(Completed { words, file: None });
    // Flags of other commands are not parsed twice: a parser may read a file and print a warning.
    if !typed.iter().any(|word| word == COMMAND) {
        return unchanged(typed);
    }
    // Here, a parser that accepts every value: only the names of the flags matter.
    let names_only = program.clone().mut_subcommand(COMMAND, |command| {
        command.mut_args(|arg| match arg.get_action().takes_values() {
            true => arg.value_parser(value_parser!(OsString)),
            false => arg,
        })
    });
    let matches = match names_only.clone().try_get_matches_from(&typed) {
        Ok(matches) => Some(matches),
        // The flag that another flag needs may be in the file.
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => {
            names_only.ignore_errors(true).try_get_matches_from(&typed).ok()
        }
        // The caller parses the same arguments and prints the error or the help.
        Err(_) => None,
    };
    let Some((COMMAND, matches)) = matches.as_ref().and_then(ArgMatches::subcommand) else { return unchanged(typed) };
    let Some(path) = matches.get_one::<OsString>(FLAG) else { return unchanged(typed) };
    let command = built(program)?;
    let file = ConfigFile::read(Path::new(path), &command)?;
    file.refuse_problems(&file.problems)?;
    file.warn_of_readers();
    let is_set = |given: &&Given| {
        let source = matches.value_source(given.id.as_str());
        matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    };
    let (positional, flags): (Vec<_>, Vec<_>) =
        file.given.iter().filter(|given| !is_set(given)).partition(|given| given.positional);
    fn words<'a>(given: Vec<&'a Given>) -> impl Iterator<Item = OsString> + 'a {
        given.into_iter().flat_map(|given| &given.words).map(OsString::from)
    }
    // Flags must stand before a `--`, and sources may follow one.
    let end = typed.iter().position(|word| word == "--").unwrap_or(typed.len());
    let mut completed = typed[..end].to_vec();
    completed.extend(words(flags));
    completed.push(OsString::from("--"));
    completed.extend(typed.iter().skip(end + 1).cloned());
    completed.extend(words(positional));
    Ok(Completed { words: completed, file: Some(file) })
}

/// The command that reads configuration files, with the flags that it has from the program.
fn built(program: &Command) -> Result<Command> {
    let mut program = program.clone();
    program.build();
    program.find_subcommand(COMMAND).cloned().with_context(|| format!("the program has no command {COMMAND}"))
}

/// A file without errors.
pub(crate) struct Checked {
    file: ConfigFile,
    /// The flags of the command as the file sets them, without the environment.
    pub(crate) matches: ArgMatches,
}

/// Reads a file and checks all its settings.
///
/// # Errors
/// If the file cannot be read. If it has errors: they are printed, one on each line, and the returned error says how many.
pub(crate) fn check(program: &Command, path: &Path) -> Result<Checked> {
    let mut file = ConfigFile::read(path, &built(program)?)?;
    file.warn_of_readers();
    let (matches, mut problems) = match file.values(program) {
        Ok(matches) => (Some(matches), Vec::new()),
        Err(problems) => (None, problems),
    };
    problems.append(&mut file.problems);
    problems.sort_by_key(|problem| problem.line);
    file.refuse_problems(&problems)?;
    let command = matches.and_then(|mut matches| matches.remove_subcommand());
    let (_, matches) = command.with_context(|| format!("the program has no command {COMMAND}"))?;
    Ok(Checked { file, matches })
}

impl Checked {
    /// Number of settings that the file gives.
    pub(crate) fn count(&self) -> usize {
        self.file.given.len()
    }

    /// Prints a warning about a setting of the file.
    pub(crate) fn warn(&self, key: &str, text: &str) {
        if let Some(given) = self.file.given.iter().find(|given| given.key == key) {
            complain(&format!("warning: {}:{}: `{key}`: {text}", self.file.path.display(), given.line));
        }
    }
}

/// The number of errors in the text of a file; for [`crate::fuzzing`].
pub(crate) fn problem_count(program: &Command, text: &str) -> usize {
    let Ok(command) = built(program) else { return 0 };
    let (given, problems) = reading::read(text, &command);
    if !problems.is_empty() {
        return problems.len();
    }
    ConfigFile { path: PathBuf::new(), given, problems }.value_problems(program).len()
}

impl ConfigFile {
    fn read(path: &Path, command: &Command) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the configuration file {} cannot be read", path.display()))?;
        let (given, problems) = reading::read(&text, command);
        Ok(Self { path: path.to_owned(), given, problems })
    }

    /// Prints the problems and fails, if there are any.
    fn refuse_problems(&self, problems: &[Problem]) -> Result<()> {
        for problem in problems {
            complain(&match problem.line {
                Some(line) => format!("{}:{line}: {}", self.path.display(), problem.text),
                None => format!("{}: {}", self.path.display(), problem.text),
            });
        }
        match problems.len() {
            0 => Ok(()),
            1 => bail!("{} has an error", self.path.display()),
            count => bail!("{} has {count} errors", self.path.display()),
        }
    }

    /// Checks the values: each one by itself, then all together.
    ///
    /// # Errors
    /// If there are errors; they are printed.
    pub(crate) fn refuse_values(&self, program: &Command) -> Result<()> {
        self.refuse_problems(&self.value_problems(program))
    }

    fn value_problems(&self, program: &Command) -> Vec<Problem> {
        self.values(program).err().unwrap_or_default()
    }

    /// Parses the values: each one by itself, then all together. Returns the matches of the program.
    ///
    /// # Errors
    /// What is wrong with them.
    fn values(&self, program: &Command) -> Result<ArgMatches, Vec<Problem>> {
        // The variables of this environment are not those of the environment in which the file will be used.
        let program =
            program.clone().mut_subcommand(COMMAND, |command| command.mut_args(|arg| arg.env(None::<&'static str>)));
        let parse = |words: Vec<&String>| {
            let name = [OsString::from(program.get_name()), OsString::from(COMMAND)];
            program.clone().try_get_matches_from(name.into_iter().chain(words.into_iter().map(OsString::from)))
        };
        let mut problems = Vec::new();
        for given in &self.given {
            // A list must be parsed as a whole, since a value may be refused beside another.
            if let Err(error) = parse(given.words.iter().collect()) {
                problems.extend(self.problem(given, &error));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let all = parse(self.given.iter().flat_map(|given| &given.words).collect());
        all.map_err(|error| vec![Problem { line: None, text: first_line(&error) }])
    }

    /// What the parser's error about one setting means; `None` if another setting of the file corrects it.
    fn problem(&self, given: &Given, error: &clap::Error) -> Option<Problem> {
        let key = &given.key;
        let strings = |kind| match error.get(kind) {
            Some(ContextValue::Strings(strings)) => strings.clone(),
            Some(ContextValue::String(string)) => vec![string.clone()],
            _ => Vec::new(),
        };
        let text = match error.kind() {
            ErrorKind::MissingRequiredArgument => {
                let needed = strings(ContextKind::InvalidArg);
                let name = |flag: &String| flag.trim_start_matches('-').split([' ', '=']).next().map(str::to_owned);
                let missing =
                    |key: &String| !self.given.iter().any(|other| other.key == *key && !other.words.is_empty());
                let missing: Vec<_> =
                    needed.iter().filter_map(name).filter(missing).map(|key| format!("`{key}`")).collect();
                if missing.is_empty() {
                    return None;
                }
                format!("`{key}` is only valid together with {}: add it, or remove `{key}`", missing.join(" and "))
            }
            ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
                let value = strings(ContextKind::InvalidValue).concat();
                let shown = if given.secret { "the value".to_owned() } else { format!("`{value}`") };
                let reason = match std::error::Error::source(error) {
                    Some(reason) => chain(reason),
                    None if value.is_empty() => "a value is missing".to_owned(),
                    None => format!("it must be one of: {}", strings(ContextKind::ValidValue).join(", ")),
                };
                let reason = if given.secret && !value.is_empty() { reason.replace(&value, "…") } else { reason };
                format!("`{key}`: {shown} is not valid: {reason}")
            }
            _ if given.secret => format!("`{key}` is not valid"),
            _ => format!("`{key}`: {}", first_line(error)),
        };
        Some(Problem { line: Some(given.line), text })
    }

    /// Warns if the file holds secrets and every user of the machine may read it.
    fn warn_of_readers(&self) {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&self.path).map_or(0, |found| found.permissions().mode());
            if mode & 0o004 != 0
                && let Some(secret) = self.given.iter().find(|given| given.secret)
            {
                complain(&format!(
                    "warning: {}:{}: all users can read `{}`: change the mode of the file with `chmod o-r`",
                    self.path.display(),
                    secret.line,
                    secret.key
                ));
            }
        }
    }
}

/// An error and its causes, on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What the parser says, without its advice about flags.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect::<Vec<_>>().join(" ");
    lines.trim_start_matches("error:").trim().to_owned()
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: &dyn fmt::Debug = if self.secret { &"…" } else { &self.words };
        f.debug_struct("Given").field("key", &self.key).field("line", &self.line).field("words", words).finish()
    }
}

/// A setting and its value for an example file.
pub(crate) fn split_setting(text: &OsStr) -> Result<(String, String)> {
    let text = text.to_str().context("a setting must be valid UTF-8")?;
    let (key, value) = text.split_once('=').with_context(|| format!("`{text}` is no setting: give KEY=VALUE"))?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests;

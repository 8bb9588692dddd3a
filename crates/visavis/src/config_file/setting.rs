//! The settings of a configuration file, derived from the flags of a command.

use std::any::TypeId;

use clap::{Arg, ArgAction, Command};

/// A setting: a flag of the command, or its list of positional arguments.
pub(super) struct Setting<'a> {
    /// The key in the file: the long name of the flag. A list of positional arguments has their name in the plural.
    pub(super) key: String,
    pub(super) kind: Kind,
    pub(super) arg: &'a Arg,
}

/// Which values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `true` or `false`; the flag has no value.
    Switch,
    /// How often the flag is given.
    Count,
    /// One number or text.
    Single,
    /// An array of numbers or texts.
    List,
}

/// The settings of a command that was built, in the order of its flags. Flags that name a configuration file or print help are no
/// settings.
pub(super) fn settings(command: &Command) -> Vec<Setting<'_>> {
    command.get_arguments().filter_map(Setting::of).collect()
}

impl<'a> Setting<'a> {
    fn of(arg: &'a Arg) -> Option<Self> {
        if arg.is_hide_set() || arg.get_id() == super::FLAG {
            return None;
        }
        let many = arg.get_num_args().is_some_and(|count| count.max_values() > 1);
        let kind = match arg.get_action() {
            ArgAction::SetTrue | ArgAction::SetFalse => Kind::Switch,
            ArgAction::Count => Kind::Count,
            ArgAction::Set if !many => Kind::Single,
            ArgAction::Set | ArgAction::Append => Kind::List,
            // Help and version.
            _ => return None,
        };
        let key = match arg.get_long() {
            Some(long) => long.to_owned(),
            None if arg.is_positional() && kind == Kind::List => format!("{}s", arg.get_id()),
            None => arg.get_id().to_string(),
        };
        Some(Self { key, kind, arg })
    }

    /// The argument of the command line that gives the setting this value.
    pub(super) fn word(&self, value: &str) -> String {
        if self.arg.is_positional() { value.to_owned() } else { format!("--{}={value}", self.key) }
    }

    /// Whether the value is a secret, which no message may show.
    pub(super) fn is_secret(&self) -> bool {
        self.arg.is_hide_env_values_set()
    }

    /// Whether the values are numbers.
    pub(super) fn is_number(&self) -> bool {
        let parsed = self.arg.get_value_parser().type_id();
        let numbers = [
            TypeId::of::<f32>(),
            TypeId::of::<f64>(),
            TypeId::of::<u8>(),
            TypeId::of::<u16>(),
            TypeId::of::<u32>(),
            TypeId::of::<u64>(),
            TypeId::of::<usize>(),
            TypeId::of::<i32>(),
            TypeId::of::<i64>(),
        ];
        numbers.iter().any(|number| parsed == *number)
    }

    /// Whether the value is `true` or `false`, although the flag has a value.
    pub(super) fn is_truth(&self) -> bool {
        self.arg.get_value_parser().type_id() == TypeId::of::<bool>()
    }
}

//! The fields of a list of labels, and errors that name the place in the list.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

use crate::{DataError, Gender};

/// Largest accepted age in years: the greatest age that is known for certain is 122.
pub(super) const GREATEST_AGE: f32 = 122.0;

/// A line of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The list.
    pub path: &'a Path,
    /// Line number, from 1.
    pub line: u64,
}

impl Place<'_> {
    /// An error for this line.
    pub(super) fn bad(&self, reason: impl Into<String>) -> DataError {
        DataError::Label { path: self.path.to_owned(), line: self.line, reason: reason.into() }
    }

    /// A number of any kind within `range`.
    pub(super) fn number<T>(&self, what: &str, text: &str, range: RangeInclusive<T>) -> Result<T, DataError>
    where
        T: FromStr + PartialOrd + Display,
    {
        let value = text.parse::<T>().ok().filter(|value| range.contains(value));
        let (low, high) = range.into_inner();
        value.ok_or_else(|| self.bad(format!("{what} `{text}` is not a number from {low} to {high}")))
    }

    /// A position or an angle: any finite number.
    pub(super) fn finite(&self, what: &str, text: &str) -> Result<f32, DataError> {
        let value = text.parse::<f32>().ok().filter(|value| value.is_finite());
        value.ok_or_else(|| self.bad(format!("{what} `{text}` is not a number")))
    }

    /// Years.
    pub(super) fn age(&self, what: &str, text: &str) -> Result<f32, DataError> {
        self.number(what, text, 0.0..=GREATEST_AGE)
    }

    /// A flag in the spellings that data sets use; CelebA writes −1 for false.
    pub(super) fn flag(&self, what: &str, text: &str) -> Result<bool, DataError> {
        match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" => Ok(true),
            "0" | "-1" | "false" | "no" => Ok(false),
            _ => Err(self.bad(format!("{what} `{text}` is neither 1 nor 0"))),
        }
    }

    /// A gender as a word.
    pub(super) fn gender(&self, what: &str, text: &str) -> Result<Gender, DataError> {
        match text.to_ascii_lowercase().as_str() {
            "female" | "f" => Ok(Gender::Female),
            "male" | "m" => Ok(Gender::Male),
            _ => Err(self.bad(format!("{what} `{text}` is neither female nor male"))),
        }
    }

    /// A file named in a list: a path relative to the set's folder, with `/` as separator.
    pub(super) fn file(&self, text: &str) -> Result<String, DataError> {
        let file = text.replace('\\', "/");
        if file.is_empty() {
            return Err(self.bad("no file is named"));
        }
        Ok(file.trim_start_matches("./").to_owned())
    }
}

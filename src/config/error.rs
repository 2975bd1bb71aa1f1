//! Configuration problems: collected all at once, each with its field and the layer that set it.
//!
//! A problem's text never quotes a value that may be a secret; its author has to see to that.

use std::collections::BTreeMap;
use std::fmt;

use super::section::log::LogConfig;

/// A problem of a configuration, with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key as `section.key`, or the name of the file or variable that is not understood.
    pub field: String,
    /// The problem, and what to do about it.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.text)
    }
}

/// All problems of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The problems in the order they were found, never empty.
    pub problems: Vec<Problem>,
    /// The settings of the log, as far as they can be used: the problems belong into it.
    pub log: Option<LogConfig>,
}

impl ConfigError {
    /// Creates an error of a single problem.
    pub(crate) fn one(field: impl Into<String>, text: impl Into<String>) -> ConfigError {
        Self::of(vec![Problem { field: field.into(), text: text.into() }])
    }

    /// Creates an error of problems.
    pub(crate) fn of(problems: Vec<Problem>) -> ConfigError {
        ConfigError { problems, log: None }
    }

    /// Returns the error on one line.
    pub fn line(&self) -> String {
        let problems: Vec<String> = self.problems.iter().map(ToString::to_string).collect();
        format!("the configuration is not valid: {}", problems.join("; "))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration is not valid")?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for ConfigError {}

/// The marker that a problem has been collected, so that no other is added for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported;

/// A parsed value, or the knowledge that its problem is in the collection.
pub(super) type Checked<T> = Result<T, Reported>;

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, field: impl Into<String>, text: impl Into<String>) {
        self.0.push(Problem { field: field.into(), text: text.into() });
    }

    /// Collects the text of a failed parse at its field.
    pub(super) fn check<T>(&mut self, field: &str, result: Result<T, impl Into<String>>) -> Checked<T> {
        result.map_err(|text| {
            self.add(field, text);
            Reported
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends the collection, adding to each problem who set the key, as far as that is not the default.
    pub(super) fn into_error(self, origins: &BTreeMap<String, String>) -> ConfigError {
        let with_origin = |problem: Problem| match origins.get(&problem.field) {
            Some(origin) => Problem { text: format!("{} (set by {origin})", problem.text), ..problem },
            None => problem,
        };
        ConfigError::of(self.0.into_iter().map(with_origin).collect())
    }
}

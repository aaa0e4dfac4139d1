//! What is wrong with a configuration: everything at once.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Path of the key; empty where the error is about a whole source.
    pub key: String,
    /// Where the value came from: a file, a variable, a flag.
    pub origin: String,
    /// What is wrong. Never holds a secret.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.key.as_str(), self.origin.as_str()) {
            ("", origin) => writeln!(out, "{origin}")?,
            (key, "") => writeln!(out, "{key}")?,
            (key, origin) => writeln!(out, "{key} ({origin})")?,
        }
        writeln!(out, "    {}", self.problem)?;
        write!(out, "    To do: {}", self.remedy)
    }
}

impl std::error::Error for ConfigError {}

/// Everything that is wrong. There is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// The errors, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }

    /// `value`, unless something is wrong.
    pub(super) fn unless_empty<T>(mut errors: Vec<ConfigError>, value: Option<T>) -> Result<T, Self> {
        errors.sort_by(|one, other| (&one.key, &one.origin).cmp(&(&other.key, &other.origin)));
        match value {
            Some(value) if errors.is_empty() => Ok(value),
            _ => {
                assert!(!errors.is_empty(), "a setting is missing and nothing says why");
                Err(Self(errors))
            }
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(out, "the configuration has 1 error:")?,
            count => write!(out, "the configuration has {count} errors:")?,
        }
        for error in &self.0 {
            write!(out, "\n\n  {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// What is wrong with a value, before it is known whose value it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) problem: String,
    pub(super) remedy: String,
}

impl Fault {
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    pub(super) fn at(self, key: &str, origin: &str) -> ConfigError {
        ConfigError {
            key: key.to_owned(),
            origin: origin.to_owned(),
            problem: self.problem,
            remedy: self.remedy,
        }
    }
}

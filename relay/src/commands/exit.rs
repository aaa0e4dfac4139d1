//! How a command ends when it could not do what was asked.

use std::process::ExitCode;

use crate::config::ConfigErrors;
use crate::fault::Fault;

/// A message for people and a code for machines; the codes are listed in `--help`.
#[derive(Debug)]
pub struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    pub(super) const GENERAL: u8 = 1;
    pub(super) const NOT_LIVE: u8 = 2;
    pub(super) const UNDRAINED: u8 = 75;
    pub(super) const CONFIGURATION: u8 = 78;

    pub(super) fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code,
        }
    }

    pub(super) fn general(what: impl std::fmt::Display, next: impl std::fmt::Display) -> Self {
        Self::new(Self::GENERAL, format!("{what}\n  next: {next}"))
    }

    pub(super) fn configuration(errors: &ConfigErrors) -> Self {
        Self::new(Self::CONFIGURATION, errors.to_string())
    }

    /// Prints the message and gives the code.
    pub fn report(&self) -> ExitCode {
        eprintln!("outbox-relay: {}", self.message);
        ExitCode::from(self.code)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::general(fault.message, fault.hint)
    }
}

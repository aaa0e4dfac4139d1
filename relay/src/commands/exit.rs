//! How a command ends when it could not do what was asked.

use std::process::ExitCode;

use crate::config::ConfigErrors;
use crate::fault::Fault;

/// What `--help` says of the codes below.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0    done; `run`: stopped by a signal, everything taken was confirmed
  1    the command could not do what was asked; the message says why,
       and what to do next
  2    `healthcheck`: the relay is not live
  64   the command line is wrong
  75   `run`: stopped before everything was confirmed; that repeats after
       the next start, and nothing is lost
  78   the configuration is wrong; every error is listed
  130  left at once, at a second signal

`run` never exits because PostgreSQL or Kafka is away or something there is
wrong: it says so and tries again.";

/// A message for people and a code for machines.
#[derive(Debug)]
pub struct Failure {
    /// `None` when the log has said it.
    message: Option<String>,
    code: u8,
}

impl Failure {
    pub(super) const GENERAL: u8 = 1;
    pub(super) const NOT_LIVE: u8 = 2;
    /// `EX_USAGE` of sysexits.h.
    pub const USAGE: u8 = 64;
    /// `EX_TEMPFAIL`.
    pub(super) const UNDRAINED: u8 = 75;
    /// `EX_CONFIG`.
    pub(super) const CONFIGURATION: u8 = 78;
    /// 128 + SIGINT, as shells say it.
    pub(super) const LEFT_AT_ONCE: u8 = 130;

    pub(super) fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            message: Some(message.into()),
            code,
        }
    }

    /// What is to be said stands in the log, in its format.
    pub(super) fn logged(code: u8) -> Self {
        Self { message: None, code }
    }

    pub(super) fn general(what: impl std::fmt::Display, next: impl std::fmt::Display) -> Self {
        Self::new(Self::GENERAL, format!("{what}\n  next: {next}"))
    }

    pub(super) fn configuration(errors: &ConfigErrors) -> Self {
        Self::new(Self::CONFIGURATION, errors.to_string())
    }

    /// Prints the message and gives the code.
    pub fn report(&self) -> ExitCode {
        if let Some(message) = &self.message {
            eprintln!("outbox-relay: {message}");
        }
        ExitCode::from(self.code)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::general(fault.message, fault.hint)
    }
}

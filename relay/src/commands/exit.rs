//! How a command ends when it could not do what was asked.

use std::io::Write;

use super::refusal::Refusal;
use crate::config::ConfigErrors;
use crate::fault::Fault;
use crate::kafka::StartError;
use crate::telemetry::finish_logging;

/// What `--help` says of the codes below.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0    done; `run`: stopped by a signal, everything taken was confirmed
  1    the command could not do what was asked; the message says why,
       and what to do next
  2    `healthcheck`: the relay is not live
  64   the command line is wrong, or lacks a reason or a choice
  70   `run`: its own loop stood still for admin.stuck_after_ms
  75   `run`: stopped before everything was confirmed; that repeats after
       the next start, and nothing is lost
  78   the configuration is wrong; every error is listed
  130  interrupted; `run`: left at once, at a second signal

`run` never exits because PostgreSQL or Kafka is away or something there is
wrong: it says so and tries again.";

/// A message for people, a name and a code for machines.
#[derive(Debug)]
pub struct Failure {
    /// `None` when the log has said it.
    message: Option<String>,
    /// A [`Refusal`]'s name or a fault's.
    name: &'static str,
    exit: u8,
}

impl Failure {
    pub(super) fn new(refusal: Refusal, what: impl std::fmt::Display, next: impl std::fmt::Display) -> Self {
        Self {
            message: Some(format!("{what}\n  next: {next}")),
            ..Self::logged(refusal)
        }
    }

    /// What is to be said stands in the log, in its format.
    pub(super) const fn logged(refusal: Refusal) -> Self {
        Self {
            message: None,
            name: refusal.entry().name,
            exit: refusal.entry().exit,
        }
    }

    pub(super) fn configuration(errors: &ConfigErrors) -> Self {
        Self {
            message: Some(errors.to_string()),
            ..Self::logged(Refusal::ConfigurationWrong)
        }
    }

    /// librdkafka refused what every single property was right for.
    pub(super) fn not_accepted_by_kafka(error: &StartError) -> Self {
        Self::new(
            Refusal::PropertyRefused,
            format!("kafka: {error}"),
            "correct kafka.properties",
        )
    }

    /// The code for machines.
    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// Prints message and name, and gives the code.
    pub fn report(&self) -> u8 {
        if let Some(message) = &self.message {
            eprintln!("outbox-relay: {message}\n  code: {}", self.name);
        }
        self.exit
    }
}

/// A command does not wait for what stands in its way to pass.
impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self {
            message: Some(format!("{}\n  next: {}", fault.message, fault.hint)),
            name: fault.code.name(),
            exit: Refusal::FAULT_EXIT,
        }
    }
}

/// Ends the process, without the exit handlers of C libraries: OpenSSL's would take away what librdkafka's threads, which
/// end in their own time, still use (seen: a segmentation fault in one of a hundred exits).
pub fn leave(code: u8) -> ! {
    finish_logging();
    let _ = std::io::stdout().flush();
    #[allow(
        unsafe_code,
        reason = "the standard library has no exit without exit handlers; it takes a number, and cannot fail"
    )]
    // SAFETY: `_exit` has no preconditions.
    unsafe {
        nix::libc::_exit(code.into())
    }
}

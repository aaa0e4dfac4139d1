//! Any other relay, given as a command line.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::connection;
use super::placeholders::{self, Values};
use crate::backlog::AGGREGATE_TYPE;
use crate::carrier::Carrier;
use crate::child::Child;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

const STOP_LIMIT: Duration = Duration::from_mins(1);

/// How to start it.
#[derive(Debug)]
pub(super) struct Other {
    command: String,
    log: PathBuf,
    values: Vec<(&'static str, String)>,
}

impl Other {
    /// `command` is a line for the shell with the placeholders of [`connection`] in it.
    ///
    /// # Errors
    /// A placeholder that stands for nothing.
    pub(super) fn new(command: &str, folder: &Path, values: &Values) -> Result<Other, Failure> {
        let other = Other {
            command: command.to_owned(),
            log: folder.join("other.log"),
            values: values.to_vec(),
        };
        // Now rather than after the rows are filled in.
        other.line("a_slot")?;
        Ok(other)
    }

    /// Where its records have to go.
    pub(super) fn topic() -> String {
        format!("other.event.{AGGREGATE_TYPE}")
    }

    fn line(&self, slot: &str) -> Result<String, Failure> {
        let values = connection::with_own(&self.values, slot, &Other::topic());
        let filled = placeholders::fill(&self.command, &values);
        filled.map_err(|name| Failure::CommandLine {
            command: self.command.clone(),
            reason: format!(
                "{{{name}}} stands for nothing; there are {}",
                placeholders::names(&values)
            ),
        })
    }
}

impl Carrier for Other {
    fn name(&self) -> &'static str {
        "the other relay"
    }

    fn start(&self, slot: &str) -> Result<Child, Failure> {
        let mut command = Command::new("sh");
        // The process that is measured is to be the relay, not a shell that waits for it.
        command.arg("-c").arg(format!("exec {}", self.line(slot)?));
        Child::spawn(command, self.name(), &self.log)
    }

    fn stop(&self, running: Child, interrupt: &Interrupt) -> Result<(), Failure> {
        running.stop_anyhow(STOP_LIMIT, interrupt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other(command: &str) -> Result<Other, Failure> {
        Other::new(command, Path::new("/tmp"), &connection::example())
    }

    #[test]
    fn the_command_line_is_filled_in() {
        let other = other("relay --pg {host}:{port}/{database} --slot {slot} --to {topic}").expect("a command");
        let line = other.line("drain").expect("a line");
        assert_eq!(
            line,
            "relay --pg 127.0.0.1:5432/bench --slot drain --to other.event.order"
        );
    }

    #[test]
    fn a_wrong_placeholder_is_refused_with_the_right_ones() {
        let message = other("relay {db}").expect_err("an error").to_string();
        assert!(message.contains("{db} stands for nothing") && message.contains("{database}"));
    }
}

//! The relay's program, as its users run it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use outbox_relay_tests::program::forget_configuration;

use crate::child::Child;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

const PACKAGE: &str = "outbox-relay";
const COMMAND_LIMIT: Duration = Duration::from_mins(2);
/// Longer than the relay gives itself.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// The slot that the relay's configuration names when nothing else is said.
pub(crate) const SLOT: &str = "outbox_relay";
/// The publication of the same kind.
pub(crate) const PUBLICATION: &str = "outbox_relay";

/// How to start the relay.
#[derive(Debug)]
pub(crate) struct Relay {
    program: PathBuf,
    config: PathBuf,
    log: PathBuf,
    overrides: Vec<String>,
    admin_port: u16,
}

impl Relay {
    /// `overrides` are `KEY=VALUE` pairs of its configuration, for experiments.
    pub(crate) fn new(
        program: PathBuf,
        config: PathBuf,
        admin_port: u16,
        folder: &Path,
        overrides: &[String],
    ) -> Relay {
        Relay {
            program,
            config,
            log: folder.join("relay.log"),
            overrides: overrides.to_vec(),
            admin_port,
        }
    }

    /// Where it answers while it runs.
    pub(crate) fn admin_port(&self) -> u16 {
        self.admin_port
    }

    /// Gives a program the relay's configuration, with these keys on top.
    pub(crate) fn configure(&self, command: &mut Command, settings: &[String]) {
        forget_configuration(command);
        command.arg("--config").arg(&self.config);
        for pair in settings.iter().chain(&self.overrides) {
            command.arg("--set").arg(pair);
        }
    }

    /// Runs a command that ends by itself.
    pub(crate) fn command(&self, arguments: &[&str], interrupt: &Interrupt) -> Result<(), Failure> {
        self.spawn(arguments, &[])?.wait(COMMAND_LIMIT, interrupt)
    }

    /// Starts relaying from a slot, with these keys on top.
    pub(crate) fn run(&self, slot: &str, settings: &[String]) -> Result<Child, Failure> {
        let slot = format!("postgres.slot={slot}");
        self.spawn(&["run", "--set", &slot], settings)
    }

    /// Stops it and waits until it says that everything is confirmed.
    pub(crate) fn stop(running: Child, interrupt: &Interrupt) -> Result<(), Failure> {
        running.stop(STOP_LIMIT, interrupt)
    }

    fn spawn(&self, arguments: &[&str], settings: &[String]) -> Result<Child, Failure> {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        self.configure(&mut command, settings);
        Child::spawn(command, &format!("outbox-relay {}", arguments[0]), &self.log)
    }
}

/// The program to measure: the one that was named, or else the release build of this workspace as it is now.
pub(crate) fn program(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let program = match named {
        Some(named) => named.to_owned(),
        None => build()?,
    };
    if program.is_file() {
        return Ok(program);
    }
    let remedy = "build it with `cargo build --release -p outbox-relay`, or name another with --relay";
    Err(Failure::Missing { program, remedy })
}

/// Measuring yesterday's build by mistake is worse than waiting for today's.
fn build() -> Result<PathBuf, Failure> {
    let own = env::current_exe().map_err(Failure::file("find", Path::new("this program")))?;
    let target = own.ancestors().nth(2).unwrap_or(Path::new("target"));
    // Set by `cargo run`; without it nobody promised that there is a workspace around.
    if let Some(cargo) = env::var_os("CARGO") {
        let mut command = Command::new(&cargo);
        command
            .args(["build", "--release", "--package", PACKAGE, "--target-dir"])
            .arg(target);
        command.current_dir(env!("CARGO_MANIFEST_DIR")).stdout(Stdio::null());
        let status = command.status().map_err(Failure::file("run", Path::new(&cargo)))?;
        if !status.success() {
            let (program, tail) = (format!("{command:?}"), "see above".to_owned());
            return Err(Failure::Ended { program, status, tail });
        }
    }
    Ok(target.join("release").join(PACKAGE))
}

//! The relay's program: where it is, and its commands that end by themselves.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use outbox_relay::commands::Refusal;
use outbox_relay::fault::FaultCode;

use crate::failure::{Failure, Outcome, ensure};
use crate::wait::wait_for;

/// Names another build of the relay, such as an optimised one or one with a mistake put in on purpose.
pub const BINARY_VARIABLE: &str = "OUTBOX_RELAY_BINARY";

/// How a command ended and what it wrote.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Both outputs, standard output first.
    pub output: String,
}

impl Ended {
    /// It ended with this code and said all of this.
    ///
    /// # Errors
    /// It did not; with what it said.
    #[track_caller]
    pub fn must(&self, code: i32, said: &[&str]) -> Outcome {
        ensure(self.code == Some(code), || format!("not {code}: {self:?}"))?;
        ensure(said.iter().all(|said| self.output.contains(said)), || {
            format!("{said:?} is not all in:\n{}", self.output)
        })
    }

    /// It refused by this code, of the faults or the refusals, with the exit code that belongs to it, and said all of
    /// this.
    ///
    /// # Errors
    /// It did not; with what it said.
    #[track_caller]
    pub fn must_refuse(&self, code: &str, said: &[&str]) -> Outcome {
        let line = format!("\n  code: {code}\n");
        self.must(exit_code(code)?, &[said, &[&line]].concat())
    }

    /// It said nothing of this.
    ///
    /// # Errors
    /// It did; with what it said.
    #[track_caller]
    pub fn must_not_say(&self, unsaid: &[&str]) -> Outcome {
        ensure(!unsaid.iter().any(|unsaid| self.output.contains(unsaid)), || {
            format!("one of {unsaid:?} is in:\n{}", self.output)
        })
    }
}

/// How a command ends that refuses by this code.
///
/// # Errors
/// There is no such code.
#[track_caller]
pub fn exit_code(code: &str) -> Outcome<i32> {
    if let Some(refusal) = Refusal::find(code) {
        return Ok(refusal.entry().exit.into());
    }
    let fault = FaultCode::find(code).map(|_| Refusal::FAULT_EXIT.into());
    fault.ok_or_else(|| Failure::new(format!("there is no code {code}")))
}

/// The program, without any configuration from the surroundings.
///
/// # Errors
/// It was not built.
pub fn program() -> Outcome<Command> {
    let mut command = Command::new(path()?);
    forget_configuration(&mut command);
    Ok(command)
}

/// Takes the caller's own configuration out of a command's environment, where it would win over the command's file, and
/// libpq's variables, which the stack sets for psql and which fill what the file leaves open.
pub fn forget_configuration(command: &mut Command) {
    let is_configuration = |name: &str| ["OUTBOX_RELAY_", "PG"].iter().any(|prefix| name.starts_with(prefix));
    for (variable, _) in env::vars_os() {
        if is_configuration(&variable.to_string_lossy()) {
            command.env_remove(variable);
        }
    }
}

/// Runs a command to its end.
///
/// # Errors
/// It was not built or cannot be started. That it fails is no error here.
pub fn run(config: &Path, arguments: &[&str]) -> Outcome<Ended> {
    let output = program()?.arg("--config").arg(config).args(arguments).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ended {
        code: output.status.code(),
        output: text(&output.stdout) + &text(&output.stderr),
    })
}

/// A command under way, which can be stopped in the middle.
#[derive(Debug)]
pub struct UnderWay {
    child: Child,
    output: PathBuf,
}

impl UnderWay {
    /// Starts a command; both of its outputs go to a file.
    ///
    /// # Errors
    /// It was not built or cannot be started.
    pub fn start(config: &Path, arguments: &[&str], output: PathBuf) -> Outcome<UnderWay> {
        let file = File::create(&output)?;
        let mut command = program()?;
        command.arg("--config").arg(config).args(arguments);
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn()?;
        Ok(UnderWay { child, output })
    }

    /// What it has written by now.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> Outcome {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        Ok(nix::sys::signal::kill(pid, signal)?)
    }

    /// Waits until it has said this.
    ///
    /// # Errors
    /// It ends before, or never says it; with what it said.
    #[track_caller]
    pub fn wait_until_it_says(&mut self, text: &str) -> Outcome {
        let said = wait_for(&format!("{text:?}"), || {
            let (said, has_ended) = (self.said(), self.child.try_wait().ok().flatten().is_some());
            match (said.contains(text), has_ended) {
                (true, _) => Ok(Ok(())),
                (false, true) => Ok(Err(said)),
                (false, false) => Err(said),
            }
        })?;
        said.map_err(|said| Failure::new(format!("it ended without {text:?}:\n{said}")))
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// It does not end.
    #[track_caller]
    pub fn wait(&mut self) -> Outcome<Ended> {
        let status = wait_for("the command to end", || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}: {}", self.said())),
        })?;
        Ok(Ended {
            code: status.code(),
            output: self.said(),
        })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Beside the test's own program: `target/<profile>/deps/scenarios-…` belongs to `target/<profile>/outbox-relay`.
fn path() -> Outcome<PathBuf> {
    if let Some(path) = env::var_os(BINARY_VARIABLE) {
        return Ok(PathBuf::from(path));
    }
    let own = env::current_exe()?;
    let beside = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("outbox-relay"));
    let found = beside.into_iter().find(|path| path.is_file());
    found.ok_or_else(|| Failure::new("the relay is not built; run: cargo build -p outbox-relay"))
}

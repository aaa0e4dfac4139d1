//! A program under measurement. Dropped, it is killed.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use crate::failure::Failure;
use crate::interrupt::Interrupt;

const TAIL_LINES: usize = 15;
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// A running program with its output in a file.
#[derive(Debug)]
pub(crate) struct Child {
    name: String,
    log: PathBuf,
    process: std::process::Child,
    spawned_at: Instant,
}

impl Child {
    /// Starts a program in a process group of its own: a terminal's Ctrl-C is for the benchmark, which decides then.
    pub(crate) fn spawn(command: Command, name: &str, log: &Path) -> Result<Child, Failure> {
        let both = File::create(log).map_err(Failure::file("create", log))?;
        let out = both.try_clone().map_err(Failure::file("open", log))?;
        Child::spawn_with(command, name, log, out, both)
    }

    /// The same with its output in a file of its own; what it says otherwise is in the log.
    pub(crate) fn spawn_to(command: Command, name: &str, output: &Path, log: &Path) -> Result<Child, Failure> {
        let out = File::create(output).map_err(Failure::file("create", output))?;
        let said = File::create(log).map_err(Failure::file("create", log))?;
        Child::spawn_with(command, name, log, out, said)
    }

    fn spawn_with(mut command: Command, name: &str, log: &Path, out: File, said: File) -> Result<Child, Failure> {
        command.stdin(Stdio::null()).stdout(out).stderr(said).process_group(0);
        let spawned_at = Instant::now();
        let process = command
            .spawn()
            .map_err(Failure::file("run", Path::new(command.get_program())))?;
        Ok(Child {
            name: name.to_owned(),
            log: log.to_owned(),
            process,
            spawned_at,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn spawned_at(&self) -> Instant {
        self.spawned_at
    }

    /// The exit status of a program that has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>, Failure> {
        self.process.try_wait().map_err(Failure::file("wait for", &self.log))
    }

    /// An error when it has ended, or when it should be done since `limit`.
    pub(crate) fn expect_running(&mut self, what: &'static str, limit: Duration) -> Result<(), Failure> {
        if let Some(status) = self.ended()? {
            return Err(self.ended_with(status));
        }
        self.expect_in_time(what, limit)
    }

    /// An error when it should be done since `limit`.
    pub(crate) fn expect_in_time(&self, what: &'static str, limit: Duration) -> Result<(), Failure> {
        if self.spawned_at.elapsed() > limit {
            return Err(self.late(what, limit));
        }
        Ok(())
    }

    /// Waits until it ends by itself, well.
    pub(crate) fn wait(&mut self, limit: Duration, interrupt: &Interrupt) -> Result<(), Failure> {
        let begin = Instant::now();
        loop {
            match self.ended()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(self.ended_with(status)),
                None if begin.elapsed() > limit => return Err(self.late("end", limit)),
                None => interrupt.pass(ASK_AGAIN)?,
            }
        }
    }

    /// Asks it to stop, and waits until it has done so well.
    pub(crate) fn stop(mut self, limit: Duration, interrupt: &Interrupt) -> Result<(), Failure> {
        self.terminate();
        self.wait(limit, interrupt)
    }

    /// Like [`Child::stop`], for programs that tell how they were ended rather than whether all is well.
    pub(crate) fn stop_anyhow(mut self, limit: Duration, interrupt: &Interrupt) -> Result<(), Failure> {
        self.terminate();
        match self.wait(limit, interrupt) {
            Err(Failure::Ended { status, .. }) if is_of_sigterm(status) => Ok(()),
            other => other,
        }
    }

    fn terminate(&self) {
        if let Ok(pid) = i32::try_from(self.pid()) {
            // It may have ended meanwhile; the wait tells.
            let _ = signal::kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }

    /// The error for a program that ended.
    pub(crate) fn ended_with(&self, status: ExitStatus) -> Failure {
        Failure::Ended {
            program: self.name.clone(),
            status,
            tail: self.tail(),
        }
    }

    fn late(&self, what: &'static str, limit: Duration) -> Failure {
        Failure::Late {
            program: self.name.clone(),
            what,
            limit_s: limit.as_secs(),
            tail: self.tail(),
        }
    }

    /// Where everything that it says is kept.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Everything that it has said so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn tail(&self) -> String {
        let text = self.said();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

/// Ended by the signal, or by itself with the status that shells give to that.
fn is_of_sigterm(status: ExitStatus) -> bool {
    const SIGTERM: i32 = Signal::SIGTERM as i32;
    status.signal() == Some(SIGTERM) || status.code() == Some(128 + SIGTERM)
}

impl Drop for Child {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            // Both fail only when it has ended by now.
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

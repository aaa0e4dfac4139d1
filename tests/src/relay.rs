//! A relay that runs: the real program as a process of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use crate::admin::{self, Figures};
use crate::failure::{Failure, Outcome};
use crate::program::program;
use crate::scraper::Scraper;
use crate::stack::{ProcessRecord, free_port};
use crate::wait::wait_for;

const LOG_TAIL_LINES: usize = 40;

/// A thread that has something to write does it sooner, also on a busy machine.
const LOG_SETTLES: Duration = Duration::from_millis(300);

/// A running relay. Dropped, it is killed.
#[derive(Debug)]
pub struct Relay {
    child: Child,
    admin_port: u16,
    log: PathBuf,
    expected: Vec<String>,
    scraper: Scraper,
}

/// The answer of `/readyz`.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// HTTP status.
    pub status: u16,
    /// The phase, then each fault with what to do next.
    pub body: String,
}

impl Readiness {
    /// The phase: `connecting`, `standby`, `streaming`, `halted` or `draining`.
    pub fn phase(&self) -> &str {
        self.body.lines().next().unwrap_or_default()
    }

    /// Whether a fault with this code is shown.
    pub fn has(&self, code: &str) -> bool {
        self.body.lines().any(|line| line.starts_with(&format!("{code}: ")))
    }
}

impl Relay {
    /// Starts the program with a configuration file and variables; the log goes to a file.
    ///
    /// # Errors
    /// It is not built or cannot be started.
    pub fn start(config: &Path, log: PathBuf, environment: &[(&str, &str)]) -> Outcome<Relay> {
        let admin_port = free_port()?;
        let child = program()?
            .envs(environment.iter().copied())
            .arg("--config")
            .arg(config)
            .args(["--set", &format!("admin.listen=127.0.0.1:{admin_port}"), "run"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        Ok(Relay {
            child,
            admin_port,
            log,
            expected: Vec::new(),
            scraper: Scraper::start(admin_port),
        })
    }

    /// The port of its admin listener.
    pub fn admin_port(&self) -> u16 {
        self.admin_port
    }

    /// Everything it has logged, once its writer, which is a thread of its own, has nothing more to write.
    pub fn log(&self) -> String {
        let mut said = self.log_so_far();
        // One that has ended has written everything before.
        while !self.has_ended() {
            thread::sleep(LOG_SETTLES);
            let now = self.log_so_far();
            if now == said {
                return now;
            }
            said = now;
        }
        self.log_so_far()
    }

    /// Also of one that nobody has waited for yet.
    fn has_ended(&self) -> bool {
        let stat = fs::read_to_string(self.proc_file("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('Z'))
    }

    /// Nothing of a pipe, which would be taken out of it.
    fn log_so_far(&self) -> String {
        if !self.log.is_file() {
            return String::new();
        }
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Warnings and errors in its log about nothing that a test waited for.
    pub fn unexpected_lines(&self) -> Vec<String> {
        let log = self.log();
        let loud = log
            .lines()
            .filter(|line| line.contains(" WARN ") || line.contains(" ERROR "));
        // That an event is set aside is what a scenario asks for.
        let is_expected = |line: &&str| {
            line.contains("an event is set aside") || self.expected.iter().any(|code| line.contains(code))
        };
        loud.filter(|line| !is_expected(line)).map(str::to_owned).collect()
    }

    /// What was wrong with its metrics, which are scraped all along.
    pub fn complaints(&self) -> Vec<String> {
        self.scraper.complaints()
    }

    /// The end of its log, for messages.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n");
        format!("the relay's log {}:\n{tail}", self.log.display())
    }

    /// What `/readyz` says; `Err` while nobody answers.
    ///
    /// # Errors
    /// It does not listen yet, or has ended.
    pub fn readiness(&self) -> Outcome<Readiness> {
        let (status, body) = admin::ask(self.admin_port, "/readyz")?;
        Ok(Readiness { status, body })
    }

    /// Status code of `/livez`.
    ///
    /// # Errors
    /// It does not listen yet, or has ended.
    pub fn liveness(&self) -> Outcome<u16> {
        Ok(admin::ask(self.admin_port, "/livez")?.0)
    }

    /// One scrape of `/metrics`.
    ///
    /// # Errors
    /// It does not listen yet, or has ended.
    pub fn figures(&self) -> Outcome<Figures> {
        Ok(Figures::parse(&admin::ask(self.admin_port, "/metrics")?.1))
    }

    /// Waits for a phase.
    ///
    /// # Errors
    /// It ends before, or never comes to it; with the end of its log.
    #[track_caller]
    pub fn wait_for_phase(&mut self, phase: &str) -> Outcome<Readiness> {
        self.wait_for_readiness(&format!("the phase {phase}"), |readiness| readiness.phase() == phase)
    }

    /// A fault that may be logged whether a test waits for it or not.
    pub fn may_show(&mut self, code: &str) {
        self.expected.push(code.to_owned());
    }

    /// Waits until a fault is shown. Log lines about it are expected from then on.
    ///
    /// # Errors
    /// It ends before, or never shows it; with the end of its log.
    #[track_caller]
    pub fn wait_for_fault(&mut self, code: &str) -> Outcome<Readiness> {
        self.may_show(code);
        self.wait_for_readiness(&format!("the fault {code}"), |readiness| readiness.has(code))
    }

    /// Waits until `/readyz` is as wanted.
    ///
    /// # Errors
    /// It ends before, or never is; with the end of its log.
    #[track_caller]
    pub fn wait_for_readiness(&mut self, what: &str, reached: impl Fn(&Readiness) -> bool) -> Outcome<Readiness> {
        self.wait_until(what, |relay| {
            let readiness = relay.readiness().map_err(|failure| failure.to_string())?;
            if reached(&readiness) {
                Ok(readiness)
            } else {
                Err(readiness.body)
            }
        })
    }

    /// Waits until a figure is as wanted.
    ///
    /// # Errors
    /// It ends before, or the figure never is; with the end of its log.
    #[track_caller]
    pub fn wait_for_figure(&mut self, name: &str, wanted: impl Fn(f64) -> bool) -> Outcome {
        self.wait_until(&format!("the figure {name}"), |relay| {
            let figures = relay.figures().map_err(|failure| failure.to_string())?;
            let value = figures.get(name);
            if wanted(value) { Ok(()) } else { Err(value.to_string()) }
        })
    }

    /// Waits until the log holds a text.
    ///
    /// # Errors
    /// It ends before, or never says it; with the end of its log.
    #[track_caller]
    pub fn wait_for_log(&mut self, text: &str) -> Outcome {
        self.wait_until(&format!("{text:?} in the log"), |relay| {
            if relay.log_so_far().contains(text) {
                Ok(())
            } else {
                Err("not there".to_owned())
            }
        })
    }

    #[track_caller]
    fn wait_until<T>(&mut self, what: &str, mut question: impl FnMut(&Relay) -> Result<T, String>) -> Outcome<T> {
        let answer = wait_for(what, || match self.exit_status() {
            None => question(self).map(Ok),
            Some(status) => Ok(Err(format!("the relay ended ({status}) instead of {what}"))),
        });
        let answer = answer.and_then(|answer| answer.map_err(Failure::new));
        answer.map_err(|failure| Failure::new(format!("{failure}\n{}", self.log_tail())))
    }

    /// How it ended; `None` while it runs.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> Outcome {
        if !matches!(signal, Signal::SIGSTOP | Signal::SIGCONT) {
            self.scraper.stop();
        }
        Ok(signal::kill(self.pid()?, signal)?)
    }

    /// Stops it from running without ending it (SIGSTOP), and waits until it stands still.
    ///
    /// # Errors
    /// It has ended.
    pub fn freeze(&self) -> Outcome {
        let process = ProcessRecord::of(self.child.id(), "the relay", "");
        let process = process.ok_or_else(|| Failure::new("the relay has ended"))?;
        Ok(process.freeze()?)
    }

    /// Lets it run again (SIGCONT).
    ///
    /// # Errors
    /// It has ended.
    pub fn thaw(&self) -> Outcome {
        self.signal(Signal::SIGCONT)
    }

    /// Asks it to stop and waits for its exit code; `None` after a signal.
    ///
    /// # Errors
    /// It does not end.
    #[track_caller]
    pub fn terminate(&mut self) -> Outcome<Option<i32>> {
        self.signal(Signal::SIGTERM)?;
        self.wait_for_exit()
    }

    /// Waits until it ends and returns its exit code; `None` after a signal.
    ///
    /// # Errors
    /// It does not end.
    #[track_caller]
    pub fn wait_for_exit(&mut self) -> Outcome<Option<i32>> {
        let status = wait_for("the relay to end", || {
            self.exit_status().ok_or_else(|| "it runs".to_owned())
        });
        let status = status.map_err(|failure| Failure::new(format!("{failure}\n{}", self.log_tail())))?;
        Ok(status.code())
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill(&mut self) -> Outcome {
        self.scraper.stop();
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// What the system says of it under this name (proc(5)).
    pub fn proc_file(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(name)
    }

    /// The most memory it ever had resident, in KiB (`VmHWM`).
    ///
    /// # Errors
    /// It has ended.
    pub fn peak_memory_kib(&self) -> Outcome<u64> {
        let status = fs::read_to_string(self.proc_file("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kib.ok_or_else(|| Failure::new("no VmHWM in the process status"))
    }

    /// How many of its threads have this name.
    ///
    /// # Errors
    /// It has ended.
    pub fn threads(&self, name: &str) -> Outcome<usize> {
        let tasks = fs::read_dir(self.proc_file("task"))?;
        // A thread may end between the two looks.
        let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
        Ok(names.filter(|found| found.trim_end() == name).count())
    }

    fn pid(&self) -> Outcome<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.child.id())?))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

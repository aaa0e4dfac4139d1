//! Server processes: starting, recognising, signalling and waiting for them.
//!
//! A process is recognised by its id, its start time and its command line together. An id alone may have been given to
//! somebody else's process since; such a process is never signalled.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::StackError;

/// How often a process or a server is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(10);
/// How long a leftover may take to tidy up.
const TIDY_LIMIT: Duration = Duration::from_secs(5);
/// Nothing survives SIGKILL for long, unless the kernel itself hangs.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// What is needed to recognise a server process later, from another process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// The server, for messages: `PostgreSQL`, `Kafka node 1`.
    pub server: String,
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since the machine started.
    pub started_at: u64,
    /// A text that occurs in the process's command line: the path of its data or configuration.
    pub marker: String,
}

impl ProcessRecord {
    /// Describes the process that has this id now; `None` when there is none.
    pub fn of(pid: u32, server: &str, marker: &str) -> Option<ProcessRecord> {
        let stat = Stat::read(pid)?;
        Some(ProcessRecord {
            server: server.to_owned(),
            pid,
            started_at: stat.started_at,
            marker: marker.to_owned(),
        })
    }

    /// Whether this very process is running. A zombie is not, nor is another process that got the same id.
    pub fn is_alive(&self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| {
            let same_command = may_be(&command_line(self.pid), &self.marker);
            !stat.is_zombie() && stat.started_at == self.started_at && same_command
        })
    }

    /// Sends a signal if this very process is running, otherwise does nothing.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), StackError> {
        if !self.is_alive() {
            return Ok(());
        }
        let Ok(pid) = i32::try_from(self.pid) else {
            return Ok(());
        };
        match signal::kill(Pid::from_raw(pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(StackError::Command {
                command: format!("kill -{} {}", signal.as_str(), self.pid),
                status: errno.to_string(),
                output: format!("{} was started by another user", self.server),
                remedy: "Run this as the user who started the stack, or as root.",
            }),
        }
    }

    /// Waits until this very process is gone; `false` when it is still there after `limit`.
    pub(crate) fn wait_gone(&self, limit: Duration) -> bool {
        poll(limit, || (!self.is_alive()).then_some(())).is_some()
    }

    /// Stops the process from running without ending it, and waits until all of its threads stand still.
    pub(crate) fn freeze(&self) -> Result<(), StackError> {
        self.signal(Signal::SIGSTOP)?;
        let still = || {
            Stat::read(self.pid)
                .is_none_or(|stat| stat.state == 'T' || stat.is_zombie())
                .then_some(())
        };
        poll(KILL_LIMIT, still).ok_or_else(|| self.still_running("SIGSTOP", KILL_LIMIT))
    }

    /// Stops the process and its children from running, the process first, so that it makes no more of them.
    pub(crate) fn freeze_family(&self) -> Result<(), StackError> {
        self.freeze()?;
        children_of(self).iter().try_for_each(ProcessRecord::freeze)
    }

    /// Lets the process and its children run again.
    pub(crate) fn thaw_family(&self) -> Result<(), StackError> {
        let mut family = children_of(self);
        family.push(self.clone());
        family.iter().try_for_each(|process| process.signal(Signal::SIGCONT))
    }

    /// Kills the process and its children, as a machine that loses power would, and waits until all are gone. A
    /// `PostgreSQL` whose children live on would refuse to start again.
    pub(crate) fn kill(&self) -> Result<(), StackError> {
        let mut family = children_of(self);
        family.insert(0, self.clone());
        for process in &family {
            process.signal(Signal::SIGKILL)?;
        }
        match family.iter().find(|process| !process.wait_gone(KILL_LIMIT)) {
            None => Ok(()),
            Some(process) => Err(process.still_running("SIGKILL", KILL_LIMIT)),
        }
    }

    /// Ends a process for good: first with SIGQUIT, on which `PostgreSQL` gives its shared memory back,
    /// then with SIGKILL.
    pub(crate) fn end(&self) -> Result<(), StackError> {
        if program(self.pid) == "postgres" {
            self.signal(Signal::SIGQUIT)?;
            self.wait_gone(TIDY_LIMIT);
        }
        self.kill()
    }

    pub(crate) fn still_running(&self, signal: &'static str, waited: Duration) -> StackError {
        StackError::StillRunning {
            server: self.server.clone(),
            pid: self.pid,
            signal,
            waited,
        }
    }
}

/// A server process that this process started.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    record: ProcessRecord,
    child: Child,
    log_file: PathBuf,
}

impl ServerProcess {
    /// Starts a server in a process group of its own, so that Ctrl-C in a terminal does not reach it, with its output
    /// appended to `log_file`.
    pub(crate) fn spawn(
        mut command: Command,
        server: &str,
        marker: &str,
        log_file: &Path,
    ) -> Result<ServerProcess, StackError> {
        let log = File::options().create(true).append(true).open(log_file);
        let log = log.map_err(StackError::file("open", log_file))?;
        let second = log.try_clone().map_err(StackError::file("open", log_file))?;
        command.stdin(Stdio::null()).stdout(log).stderr(second).process_group(0);
        let mut child = command
            .spawn()
            .map_err(StackError::file("run", Path::new(command.get_program())))?;
        let Some(record) = ProcessRecord::of(child.id(), server, marker) else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(StackError::missing(
                "/proc",
                "the stack recognises its processes there; mount it (Linux only)",
            ));
        };
        Ok(ServerProcess {
            record,
            child,
            log_file: log_file.to_owned(),
        })
    }

    pub(crate) fn record(&self) -> &ProcessRecord {
        &self.record
    }

    /// The exit status if the process has ended; asking also frees its process id.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for the end that was asked for before; `false` when it has not come after `limit`.
    pub(crate) fn wait_ended(&mut self, limit: Duration) -> bool {
        poll(limit, || self.ended()).is_some()
    }

    /// Kills the process and its children and waits until all are gone.
    pub(crate) fn kill(&mut self) -> Result<(), StackError> {
        let killed = self.record.kill();
        // Also frees the process id, which `kill` leaves to a zombie.
        if self.wait_ended(KILL_LIMIT) {
            killed
        } else {
            Err(self.record.still_running("SIGKILL", KILL_LIMIT))
        }
    }

    /// Asks a starting server until it is ready.
    ///
    /// `ask` answers with the reason why it is not ready yet.
    pub(crate) fn wait_ready(
        &mut self,
        limit: Duration,
        mut ask: impl FnMut() -> Result<(), String>,
    ) -> Result<(), StackError> {
        let (server, log) = (self.record.server.clone(), self.log_file.clone());
        let mut reason = String::new();
        let outcome = poll(limit, || {
            if let Some(status) = self.ended() {
                return Some(Err(status));
            }
            ask().map_err(|answer| reason = answer).ok().map(Ok)
        });
        match outcome {
            Some(Ok(())) => Ok(()),
            Some(Err(status)) => Err(StackError::Ended {
                server,
                status: status.to_string(),
                tail: tail(&log),
                log,
            }),
            None => Err(StackError::NotReady {
                server,
                waited: limit,
                reason,
                tail: tail(&log),
                log,
            }),
        }
    }
}

/// Asks every few milliseconds until there is an answer or the time is over.
pub(crate) fn poll<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(ASK_AGAIN);
    }
}

/// Server processes whose data lie under `data`, whoever started them.
///
/// Found by an argument that points there or, for the children of a dead `postgres`, by their working directory. Only
/// `postgres` and `java` count: an editor or a shell in that folder is somebody at work.
pub(crate) fn servers_under(data: &Path) -> Vec<ProcessRecord> {
    let Some(prefix) = data.to_str().map(|data| format!("{}/", data.trim_end_matches('/'))) else {
        return Vec::new();
    };
    let servers = all_pids().filter(|pid| {
        let program = program(*pid);
        let inside = || fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(data));
        match program.as_str() {
            "postgres" => inside() || command_line(*pid).contains(&prefix),
            "java" => command_line(*pid).contains(&prefix),
            _ => false,
        }
    });
    servers
        .filter_map(|pid| ProcessRecord::of(pid, &program(pid), ""))
        .filter(ProcessRecord::is_alive)
        .collect()
}

/// The last lines of a log, for messages.
pub(crate) fn tail(log: &Path) -> String {
    const LINES: usize = 15;
    let text = fs::read(log)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

fn children_of(parent: &ProcessRecord) -> Vec<ProcessRecord> {
    if !parent.is_alive() {
        return Vec::new();
    }
    all_pids()
        .filter(|pid| Stat::read(*pid).is_some_and(|stat| stat.parent == parent.pid))
        .filter_map(|pid| ProcessRecord::of(pid, &parent.server, ""))
        .collect()
}

/// The ids of all processes that this user may look into.
fn all_pids() -> impl Iterator<Item = u32> {
    let own = fs::metadata("/proc/self")
        .map(|metadata| metadata.uid())
        .unwrap_or_default();
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(move |entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            (own == 0 || entry.metadata().ok()?.uid() == own).then_some(pid)
        })
}

fn program(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm"))
        .map(|name| name.trim_end().to_owned())
        .unwrap_or_default()
}

/// For a moment after it was started a process has no command line yet; it must not be taken for another one then.
fn may_be(command_line: &str, marker: &str) -> bool {
    command_line.is_empty() || command_line.contains(marker)
}

fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// The interesting part of `/proc/<pid>/stat`.
struct Stat {
    state: char,
    parent: u32,
    started_at: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Stat> {
        Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(line: &str) -> Option<Stat> {
        // The second field is the program's name in parentheses, which may itself contain spaces and parentheses.
        let mut fields = line.get(line.rfind(')')? + 1..)?.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let started_at = fields.nth(17)?.parse().ok()?;
        Some(Stat {
            state,
            parent,
            started_at,
        })
    }

    fn is_zombie(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    /// Ends with the test, however that ends.
    struct Sleeper(Child);

    impl Sleeper {
        fn start(folder: &Path) -> std::io::Result<Sleeper> {
            let mut command = Command::new("sleep");
            command
                .arg("1000")
                .current_dir(folder)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let sleeper = Sleeper(command.spawn()?);
            let named = poll(KILL_LIMIT, || {
                command_line(sleeper.0.id()).contains("sleep").then_some(())
            });
            named
                .map(|()| sleeper)
                .ok_or_else(|| std::io::ErrorKind::TimedOut.into())
        }

        fn record(&self) -> Result<ProcessRecord, std::io::Error> {
            ProcessRecord::of(self.0.id(), "sleeper", "sleep").ok_or_else(|| std::io::ErrorKind::NotFound.into())
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_recycled_process_id_is_not_taken_for_the_recorded_process() -> Outcome {
        let mut sleeper = Sleeper::start(Path::new("/"))?;
        let record = sleeper.record()?;
        assert!(record.is_alive());
        let started_earlier = ProcessRecord {
            started_at: record.started_at - 1,
            ..record.clone()
        };
        let other_command = ProcessRecord {
            marker: "/elsewhere/data".to_owned(),
            ..record.clone()
        };
        for stranger in [&started_earlier, &other_command] {
            assert!(!stranger.is_alive());
            stranger.kill()?;
        }
        assert!(
            sleeper.0.try_wait()?.is_none(),
            "a process that only shares the id was killed"
        );
        Ok(())
    }

    #[test]
    fn a_zombie_counts_as_gone() -> Outcome {
        let mut sleeper = Sleeper::start(Path::new("/"))?;
        let record = sleeper.record()?;
        sleeper.0.kill()?;
        assert!(record.wait_gone(Duration::from_secs(5)), "not reaped, yet ended");
        assert!(Stat::read(record.pid).is_some(), "the zombie is still listed");
        Ok(())
    }

    #[test]
    fn a_process_that_has_no_command_line_yet_is_not_taken_for_another_one() {
        assert!(may_be("", "/data/kafka-1"));
        assert!(may_be(
            "java kafka.Kafka /data/kafka-1/server.properties",
            "/data/kafka-1"
        ));
        assert!(!may_be("vim", "/data/kafka-1"));
    }

    #[test]
    fn a_program_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let line = "42 (odd) name (x) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 2";
        let stat = Stat::parse(line);
        assert_eq!(
            stat.map(|stat| (stat.state, stat.parent, stat.started_at)),
            Some(('S', 7, 987_654))
        );
        assert!(Stat::parse("garbage").is_none());
    }

    #[test]
    fn a_shell_at_work_in_the_data_folder_is_not_a_server() -> Outcome {
        let folder = tempfile::tempdir()?;
        let sleeper = Sleeper::start(folder.path())?;
        assert_eq!(servers_under(folder.path()), []);
        drop(sleeper);
        Ok(())
    }
}

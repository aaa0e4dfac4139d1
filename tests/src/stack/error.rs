//! What can go wrong with the local stack. Each message says what happened, why, and what to do next.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A failure of the local stack.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// A program or package the stack needs is not on this machine.
    #[error("{what} is missing: {remedy}")]
    Missing {
        /// The missing thing, as one would name it to a colleague.
        what: String,
        /// The way to get it.
        remedy: String,
    },
    /// A setting from the environment or from the options is not understood.
    #[error("{setting}={value} is not understood: {expected}")]
    Setting {
        /// The name of the setting.
        setting: &'static str,
        /// What was given.
        value: String,
        /// What would be understood.
        expected: &'static str,
    },
    /// A file or folder could not be read, written or removed.
    #[error("cannot {action} {path}: {source}; check the permissions and the free space there")]
    File {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The reason given by the operating system.
        source: io::Error,
    },
    /// A command of the stack (not a server) failed.
    #[error("{command} failed ({status}): {output}\n{remedy}")]
    Command {
        /// The command line.
        command: String,
        /// The exit status.
        status: String,
        /// The end of what it wrote.
        output: String,
        /// What to do next.
        remedy: &'static str,
    },
    /// A server ended while it was expected to become ready.
    #[error("{server} ended while starting ({status}); the end of its log {log}:\n{tail}")]
    Ended {
        /// The server.
        server: String,
        /// The exit status.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// A server neither ended nor became ready in time.
    #[error(
        "{server} was not ready after {} s: {reason}; the end of its log {log}:\n{tail}", .waited.as_secs()
    )]
    NotReady {
        /// The server.
        server: String,
        /// How long it was asked.
        waited: Duration,
        /// The last answer.
        reason: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// A process did not end in time after it was asked to.
    #[error(
        "{server} (pid {pid}) did not end within {} s of {signal}; a fast stop waits for connected replication \
         clients: disconnect them, or stop it with a stronger mode", .waited.as_secs()
    )]
    StillRunning {
        /// The server.
        server: String,
        /// Its process id.
        pid: u32,
        /// The signal it was sent.
        signal: &'static str,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The server is not running (it was stopped or killed before).
    #[error("{server} is not running; start it again first")]
    NotRunning {
        /// The server.
        server: String,
    },
    /// The server is running already.
    #[error("{server} is running already; stop it first")]
    Running {
        /// The server.
        server: String,
    },
    /// Another living process has a stack of this name.
    #[error("the stack `{name}` belongs to another running process{owner}; wait for it, or choose another name")]
    InUse {
        /// The name of the stack.
        name: String,
        /// ` (pid N)` when known, otherwise empty.
        owner: String,
    },
    /// No stack is running.
    #[error("no local stack is running ({reason}); run `make test`, or start one with `stack up`")]
    NoStack {
        /// Why none was found.
        reason: String,
    },
    /// A name that cannot be used for files.
    #[error("`{name}` cannot name a stack: use 1 to 40 of a-z, 0-9, `-` and `_`")]
    Name {
        /// The refused name.
        name: String,
    },
    /// No free port was found.
    #[error("no free port was found on 127.0.0.1 between {lowest} and {highest}; stop something that listens there")]
    NoPort {
        /// The lowest port tried.
        lowest: u16,
        /// The highest port tried.
        highest: u16,
    },
    /// Kafka refused an administrative request or did not answer it.
    #[error("Kafka did not {action}: {reason}; see the brokers' logs")]
    Admin {
        /// What was asked for.
        action: String,
        /// The answer.
        reason: String,
    },
}

impl StackError {
    /// For `map_err` on an [`io::Error`] about `path`.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StackError {
        let path = path.to_owned();
        move |source| StackError::File { action, path, source }
    }

    pub(crate) fn missing(what: impl Into<String>, remedy: impl Into<String>) -> StackError {
        StackError::Missing {
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

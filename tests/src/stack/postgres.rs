//! One `PostgreSQL` server of one's own.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::StackError;
use super::claim::Claim;
use super::layout::{Account, Layout};
use super::packages::{PostgresVersion, postgres_bin_dir, postgres_major};
use super::ports::free_port;
use super::process::{ProcessRecord, ServerProcess};
use super::state::PostgresFacts;

/// The name and the password of the superuser.
pub const SUPERUSER: &str = "postgres";

const SERVER: &str = "PostgreSQL";
const READY_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// What every server of the stack is started with; [`PostgresOptions::settings`] come after and win.
const SETTINGS: [(&str, &str); 9] = [
    ("listen_addresses", "127.0.0.1"),
    ("wal_level", "logical"),
    ("max_replication_slots", "100"),
    ("max_wal_senders", "100"),
    ("max_connections", "300"),
    ("password_encryption", "scram-sha-256"),
    ("log_line_prefix", "%m [%p] %q%u@%d %a: "),
    ("timezone", "UTC"),
    // In files of the data directory, which go away with it; a killed server would leave the usual kind behind.
    ("dynamic_shared_memory_type", "mmap"),
];

/// The socket is closed to other accounts, hence `trust`; TCP, which anybody on the machine can reach, is not.
const CLIENT_AUTHENTICATION: &str = "\
local all         postgres              trust
local replication postgres              trust
local all         all                   scram-sha-256
local replication all                   scram-sha-256
host  all         all      127.0.0.1/32 scram-sha-256
host  replication all      127.0.0.1/32 scram-sha-256
";

/// What to start.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// Which version. [`PostgresVersion::from_environment`] reads the developer's choice.
    pub version: PostgresVersion,
    /// Server settings (`postgresql.conf`) beside or instead of the stack's.
    pub settings: Vec<(String, String)>,
    /// Where the data directory is made, instead of among the stack's own files.
    pub disk: Option<PathBuf>,
    /// The name of the data folder and of the state file; one living process at a time may use a name.
    pub name: String,
}

impl PostgresOptions {
    /// Options with the version that the environment chooses.
    ///
    /// # Errors
    ///
    /// [`StackError::Setting`] when the environment names no version.
    pub fn named(name: &str) -> Result<PostgresOptions, StackError> {
        let version = PostgresVersion::from_environment()?;
        Ok(PostgresOptions {
            version,
            settings: Vec::new(),
            disk: None,
            name: name.to_owned(),
        })
    }

    /// Adds a server setting.
    #[must_use]
    pub fn set(mut self, parameter: &str, value: &str) -> PostgresOptions {
        self.settings.push((parameter.to_owned(), value.to_owned()));
        self
    }
}

/// How to stop a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Roll back, disconnect, write a checkpoint; waits until replication clients have received everything.
    Fast,
    /// Abort at once; the next start recovers.
    Immediate,
    /// SIGKILL to the server and its children, as on a loss of power (without the loss of the page cache).
    Kill,
}

/// A `PostgreSQL` server. Dropped, it is stopped and its data are removed.
#[derive(Debug)]
pub struct Postgres {
    claim: Arc<Claim>,
    facts: PostgresFacts,
    process: Option<ServerProcess>,
}

impl Postgres {
    /// Makes a data directory, starts a server on it and waits until it answers.
    ///
    /// # Errors
    ///
    /// [`StackError::InUse`] when another process uses the name, [`StackError::Missing`] without a server program,
    /// [`StackError::Ended`] with the end of the log when the server refuses to start.
    pub fn start(options: &PostgresOptions) -> Result<Postgres, StackError> {
        let layout = Layout::of_workspace()?;
        Postgres::start_in(Arc::new(Claim::take(&layout, &options.name)?), options)
    }

    pub(crate) fn start_in(claim: Arc<Claim>, options: &PostgresOptions) -> Result<Postgres, StackError> {
        let postgres = Postgres::without_data(claim, options.version, options.disk.as_deref())?;
        postgres.initialise()?;
        postgres.run_on_data(&options.settings)
    }

    /// A server whose folders are made and empty.
    pub(super) fn without_data(
        claim: Arc<Claim>,
        version: PostgresVersion,
        disk: Option<&Path>,
    ) -> Result<Postgres, StackError> {
        let layout = claim.layout();
        let bin_dir = postgres_bin_dir(layout, version)?;
        let major_version = postgres_major(&bin_dir).ok_or_else(|| {
            let program = bin_dir.join("postgres").display().to_string();
            StackError::missing(
                "a PostgreSQL that runs",
                format!("`{program} --version` fails; install it again"),
            )
        })?;
        let facts = PostgresFacts {
            port: free_port()?,
            socket_dir: Layout::socket_dir(claim.data()),
            superuser: SUPERUSER.to_owned(),
            password: SUPERUSER.to_owned(),
            data_dir: disk.unwrap_or_else(|| claim.data()).join("postgres"),
            log_file: claim.log_file("postgres"),
            bin_dir,
            major_version,
        };
        layout.make_private(&facts.socket_dir)?;
        layout.make_private(&facts.data_dir)?;
        Ok(Postgres {
            claim,
            facts,
            process: None,
        })
    }

    /// Configures the server, whose data are there, and starts it.
    pub(super) fn run_on_data(mut self, settings: &[(String, String)]) -> Result<Postgres, StackError> {
        self.configure(settings)?;
        self.claim.change(|state| state.postgres = Some(self.facts.clone()))?;
        self.start_again()?;
        Ok(self)
    }

    /// Starts a stopped server again: same port, same data.
    ///
    /// # Errors
    ///
    /// [`StackError::Running`] when it was not stopped, otherwise those of [`Postgres::start`].
    pub fn start_again(&mut self) -> Result<(), StackError> {
        if self.is_running() {
            return Err(StackError::Running {
                server: SERVER.to_owned(),
            });
        }
        self.forget_process()?;
        let data_dir = self.facts.data_dir.display().to_string();
        let mut command = self.command("postgres");
        command.arg("-D").arg(&self.facts.data_dir);
        let process = ServerProcess::spawn(command, SERVER, &data_dir, &self.facts.log_file)?;
        self.claim.started(process.record())?;
        let socket = self.facts.socket_dir.join(format!(".s.PGSQL.{}", self.facts.port));
        self.process.insert(process).wait_ready(READY_LIMIT, || ask(&socket))
    }

    /// Stops the server and waits until it is gone.
    ///
    /// # Errors
    ///
    /// [`StackError::NotRunning`], or [`StackError::StillRunning`] when it has not ended after a minute.
    pub fn stop(&mut self, mode: StopMode) -> Result<(), StackError> {
        let running = || StackError::NotRunning {
            server: SERVER.to_owned(),
        };
        if mode == StopMode::Kill {
            self.process.as_mut().ok_or_else(running)?.kill()?;
        } else {
            let signal = self.request_stop(mode)?;
            let process = self.process.as_mut().ok_or_else(running)?;
            if !process.wait_ended(STOP_LIMIT) {
                return Err(process.record().still_running(signal.as_str(), STOP_LIMIT));
            }
        }
        self.forget_process()
    }

    /// Asks the server to stop without waiting for it; see [`Postgres::is_running`]. Returns the signal sent.
    ///
    /// # Errors
    ///
    /// [`StackError::NotRunning`].
    pub fn request_stop(&mut self, mode: StopMode) -> Result<Signal, StackError> {
        let signal = match mode {
            StopMode::Fast => Signal::SIGINT,
            StopMode::Immediate => Signal::SIGQUIT,
            StopMode::Kill => Signal::SIGKILL,
        };
        let process = self
            .process
            .as_mut()
            .and_then(|process| process.ended().is_none().then_some(process));
        let process = process.ok_or_else(|| StackError::NotRunning {
            server: SERVER.to_owned(),
        })?;
        process.record().signal(signal)?;
        Ok(signal)
    }

    /// Stops the server and its sessions from running without ending them (SIGSTOP): they keep their connections and
    /// answer nothing.
    ///
    /// # Errors
    ///
    /// [`StackError::NotRunning`].
    pub fn freeze(&self) -> Result<(), StackError> {
        self.running()?.freeze_family()
    }

    /// Lets a frozen server run again (SIGCONT).
    ///
    /// # Errors
    ///
    /// [`StackError::NotRunning`].
    pub fn thaw(&self) -> Result<(), StackError> {
        self.running()?.thaw_family()
    }

    /// Whether the server process is there, ready or not.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.ended().is_none())
    }

    /// How to reach the server.
    pub fn facts(&self) -> &PostgresFacts {
        &self.facts
    }

    /// TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.facts.port
    }

    /// Folder of the Unix socket.
    pub fn socket_dir(&self) -> &Path {
        &self.facts.socket_dir
    }

    /// Data directory.
    pub fn data_dir(&self) -> &Path {
        &self.facts.data_dir
    }

    /// The server's log, kept after it stops.
    pub fn log_file(&self) -> &Path {
        &self.facts.log_file
    }

    /// Folder of the server's programs.
    pub fn bin_dir(&self) -> &Path {
        &self.facts.bin_dir
    }

    /// Major version, 14 to 18.
    pub fn major_version(&self) -> u32 {
        self.facts.major_version
    }

    /// Process id of the server; 0 while it is stopped.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, |process| process.record().pid)
    }

    pub(super) fn account(&self) -> Option<&Account> {
        self.claim.layout().account()
    }

    /// Sends the server a signal.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), StackError> {
        self.running()?.signal(signal)
    }

    fn running(&self) -> Result<&ProcessRecord, StackError> {
        let process = self.process.as_ref().ok_or_else(|| StackError::NotRunning {
            server: SERVER.to_owned(),
        })?;
        Ok(process.record())
    }

    /// Leaves the server running when this value is dropped and returns its state file.
    ///
    /// # Errors
    ///
    /// [`StackError::File`] when the state file cannot be written.
    pub fn into_detached(mut self) -> Result<PathBuf, StackError> {
        self.claim.detach()?;
        self.process = None;
        Ok(self.claim.state_file().to_owned())
    }

    fn forget_process(&mut self) -> Result<(), StackError> {
        self.process
            .take()
            .map_or(Ok(()), |process| self.claim.ended(process.record()))
    }

    fn initialise(&self) -> Result<(), StackError> {
        // Inside the private socket folder: nobody else can read it there.
        let password = self.facts.socket_dir.join("password");
        fs::write(&password, SUPERUSER).map_err(StackError::file("write", &password))?;
        let mut command = self.command("initdb");
        command.args([
            "--username",
            SUPERUSER,
            "--encoding=UTF8",
            "--locale=C",
            "--auth=scram-sha-256",
            "--no-sync",
        ]);
        command
            .arg("--pwfile")
            .arg(&password)
            .arg("--pgdata")
            .arg(&self.facts.data_dir);
        let output = command
            .output()
            .map_err(StackError::file("run", &self.facts.bin_dir.join("initdb")))?;
        fs::remove_file(&password).map_err(StackError::file("remove", &password))?;
        if output.status.success() {
            return Ok(());
        }
        Err(StackError::Command {
            command: format!("{command:?}"),
            status: output.status.to_string(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
            remedy: "Check that the programs of this PostgreSQL run on this machine.",
        })
    }

    fn configure(&self, settings: &[(String, String)]) -> Result<(), StackError> {
        let file = self.facts.data_dir.join("postgresql.conf");
        let port = self.facts.port.to_string();
        let socket_dir = self.facts.socket_dir.display().to_string();
        let own = [
            ("port", port.as_str()),
            ("unix_socket_directories", socket_dir.as_str()),
        ];
        let asked = settings
            .iter()
            .map(|(parameter, value)| (parameter.as_str(), value.as_str()));
        let mut text = String::from("\n# The local stack; of a parameter given twice the last value counts.\n");
        for (parameter, value) in SETTINGS.into_iter().chain(own).chain(asked) {
            text.push_str(&setting_line(parameter, value));
        }
        let opened = fs::File::options().append(true).open(&file);
        let mut out = opened.map_err(StackError::file("open", &file))?;
        out.write_all(text.as_bytes())
            .map_err(StackError::file("write", &file))?;
        let file = self.facts.data_dir.join("pg_hba.conf");
        fs::write(&file, CLIENT_AUTHENTICATION).map_err(StackError::file("write", &file))
    }

    /// A program of this `PostgreSQL`, run under the right account and away from the caller's libpq variables.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.facts.bin_dir.join(program));
        for (variable, _) in std::env::vars_os() {
            if variable
                .to_str()
                .is_some_and(|name| name.starts_with("PG") || name.starts_with("LC_"))
            {
                command.env_remove(variable);
            }
        }
        // A version that was downloaded has its own libpq, which a standby's walreceiver must not take from the system.
        let libraries = self.facts.bin_dir.join("../lib");
        if libraries.join("libpq.so.5").is_file() {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command.env("LANG", "C").current_dir(&self.facts.data_dir);
        if let Some(account) = self.claim.layout().account() {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.is_running()
            && let Err(error) = self.stop(StopMode::Immediate)
        {
            eprintln!("{error}");
        }
    }
}

fn setting_line(parameter: &str, value: &str) -> String {
    format!("{parameter} = '{}'\n", value.replace('\\', r"\\").replace('\'', "''"))
}

/// Opens a session as the superuser over the socket; `Err` says why the server is not ready yet.
fn ask(socket: &Path) -> Result<(), String> {
    const PROTOCOL: u32 = 196_608;
    const PARAMETERS: &[u8] = b"user\0postgres\0database\0postgres\0\0";
    let mut stream = UnixStream::connect(socket).map_err(|error| format!("connecting: {error}"))?;
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .map_err(|error| error.to_string())?;
    let mut startup = Vec::from(PROTOCOL.to_be_bytes());
    startup.extend_from_slice(PARAMETERS);
    let length = u32::try_from(startup.len() + 4).map_err(|error| error.to_string())?;
    let sent = stream
        .write_all(&length.to_be_bytes())
        .and_then(|()| stream.write_all(&startup));
    sent.map_err(|error| format!("asking: {error}"))?;
    loop {
        let (kind, body) = message(&mut stream).map_err(|error| format!("waiting for an answer: {error}"))?;
        match kind {
            b'Z' => break,
            b'E' => return Err(String::from_utf8_lossy(&body).replace('\0', " ")),
            _ => {}
        }
    }
    // A polite end; without it the log would tell of a broken connection.
    let _ = stream.write_all(&[b'X', 0, 0, 0, 4]);
    Ok(())
}

fn message(stream: &mut UnixStream) -> std::io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]).saturating_sub(4);
    let mut body = Vec::new();
    stream.take(u64::from(length)).read_to_end(&mut body)?;
    Ok((head[0], body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_with_quotes_and_backslashes_keeps_its_value() {
        assert_eq!(
            setting_line("search_path", r"it's a \ b"),
            "search_path = 'it''s a \\\\ b'\n"
        );
    }
}

//! The real relay as a child process: set up, run, watched and drained.

use std::fmt::Display;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use super::error::DemoError;
use super::tether;
use super::writer::DATABASE;
use crate::admin::ask;
use crate::program::forget_configuration;
use crate::stack::{Stack, free_port, is_free};

/// The relay's usual port, taken when it is free: an address that can be remembered.
const ADMIN_PORT: u16 = 9464;

/// The relay's program and files.
#[derive(Debug)]
pub(super) struct Relay {
    program: PathBuf,
    config_file: PathBuf,
    password_file: PathBuf,
    pub(super) log_file: PathBuf,
    pub(super) admin: SocketAddr,
}

impl Relay {
    /// Writes the configuration for this stack beside the servers' logs.
    pub(super) fn install(stack: &Stack) -> Result<Relay, DemoError> {
        let facts = stack.postgres.facts();
        let folder = facts.log_file.parent().unwrap_or(Path::new("."));
        let port = if is_free(ADMIN_PORT) { ADMIN_PORT } else { free_port()? };
        let relay = Relay {
            program: program()?,
            config_file: folder.join("relay.toml"),
            password_file: folder.join("superuser-password"),
            log_file: folder.join("relay.log"),
            admin: (Ipv4Addr::LOCALHOST, port).into(),
        };
        let config = config(facts.port, stack.kafka.bootstrap_servers(), relay.admin);
        write_private(&relay.config_file, &config)?;
        write_private(&relay.password_file, &facts.password)?;
        Ok(relay)
    }

    /// Runs `outbox-relay migrate` as the superuser.
    pub(super) fn migrate(&self) -> Result<(), DemoError> {
        let password_file = self.password_file.display().to_string();
        let arguments = ["migrate", "--user", "postgres", "--set-password", "--password-file"];
        self.command(&[arguments.as_slice(), &[&password_file]].concat())
    }

    /// Runs `outbox-relay slot create`.
    pub(super) fn create_slot(&self) -> Result<(), DemoError> {
        self.command(&["slot", "create"])
    }

    /// Starts `outbox-relay run`. It must be called on a thread that lives as long as the process does.
    pub(super) fn run(&self) -> Result<RunningRelay, DemoError> {
        let log = File::create(&self.log_file).map_err(DemoError::file("create", &self.log_file))?;
        let second = log.try_clone().map_err(DemoError::file("open", &self.log_file))?;
        let mut command = tether::command(&self.program).map_err(DemoError::file("run", &self.program))?;
        forget_configuration(&mut command);
        command.args(["run", "--config"]).arg(&self.config_file);
        command.stdin(Stdio::null()).stdout(log).stderr(second);
        let child = command.spawn().map_err(DemoError::file("run", &self.program))?;
        Ok(RunningRelay {
            child,
            admin: self.admin,
        })
    }

    /// The error for a relay that did not do what it should.
    pub(super) fn failed(&self, what: &str, status: impl Display) -> DemoError {
        DemoError::Relay {
            what: what.to_owned(),
            status: status.to_string(),
            words: self.last_words(),
        }
    }

    /// The end of the relay's log.
    pub(super) fn last_words(&self) -> String {
        const LINES: usize = 15;
        let log = fs::read_to_string(&self.log_file).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    fn command(&self, arguments: &[&str]) -> Result<(), DemoError> {
        let mut command = Command::new(&self.program);
        forget_configuration(&mut command);
        command.args(arguments).arg("--config").arg(&self.config_file);
        let output = command.stdin(Stdio::null()).output();
        let output = output.map_err(DemoError::file("run", &self.program))?;
        if output.status.success() {
            return Ok(());
        }
        Err(DemoError::Relay {
            what: arguments.join(" "),
            status: output.status.to_string(),
            words: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// The relay at work. Dropped, it is killed, unless it was drained before.
#[derive(Debug)]
pub(super) struct RunningRelay {
    child: Child,
    admin: SocketAddr,
}

impl RunningRelay {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its phase by its own account, such as `streaming`; `None` while it does not answer.
    pub(super) fn phase(&self) -> Option<String> {
        let (_, body) = ask(self.admin.port(), "/readyz").ok()?;
        body.lines().next().map(str::to_owned)
    }

    /// Resident memory in bytes.
    pub(super) fn resident_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    }

    /// The exit status when it has ended.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends SIGTERM, on which the relay finishes what it has taken.
    pub(super) fn ask_to_drain(&self) {
        if let Ok(pid) = i32::try_from(self.pid()) {
            // The child is not reaped yet, so the id is still its own.
            let _ = signal::kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
}

impl Drop for RunningRelay {
    fn drop(&mut self) {
        if self.ended().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The relay's program lies beside this one.
fn program() -> Result<PathBuf, DemoError> {
    let own = std::env::current_exe().map_err(DemoError::file("find", Path::new("this program")))?;
    let program = own.with_file_name("outbox-relay");
    if program.is_file() {
        return Ok(program);
    }
    Err(DemoError::NotBuilt { program })
}

fn config(postgres_port: u16, bootstrap_servers: &str, admin: SocketAddr) -> String {
    format!(
        r#"# Written by the demo; deploy/outbox-relay.toml has every key.

[postgres]
host = "127.0.0.1"
port = {postgres_port}
tls_mode = "disable"
database = "{DATABASE}"
password = "outbox_relay"

[outbox.shop]
metadata_headers = ["correlation_id", "traceparent"]

[kafka]
bootstrap_servers = "{bootstrap_servers}"
properties."security.protocol" = "plaintext"

[admin]
listen = "{admin}"
"#
    )
}

fn write_private(file: &Path, text: &str) -> Result<(), DemoError> {
    let write = || {
        let mut out = File::create(file)?;
        out.set_permissions(Permissions::from_mode(0o600))?;
        out.write_all(text.as_bytes())
    };
    write().map_err(DemoError::file("write", file))
}

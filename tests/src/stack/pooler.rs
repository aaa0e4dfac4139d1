//! A `PgBouncer` of one's own in front of a `PostgreSQL`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::StackError;
use super::claim::Claim;
use super::layout::Layout;
use super::packages::pgbouncer;
use super::ports::{free_port, is_open};
use super::process::ServerProcess;
use super::state::PostgresFacts;

const READY_LIMIT: Duration = Duration::from_secs(30);

/// Who logs in through a pooler, and by it to the server.
#[derive(Debug, Clone, Copy)]
pub struct PoolerUser<'a> {
    /// The role.
    pub name: &'a str,
    /// Its password.
    pub password: &'a str,
}

/// A running `PgBouncer`. Dropped, it is stopped and its files are removed.
#[derive(Debug)]
pub struct Pooler {
    port: u16,
    process: ServerProcess,
    claim: Claim,
}

impl Pooler {
    /// Starts one in front of a server, with these lines in its configuration.
    ///
    /// # Errors
    ///
    /// [`StackError::Missing`] without the program, [`StackError::Ended`] when it refuses its configuration.
    pub fn start(
        name: &str,
        server: &PostgresFacts,
        user: PoolerUser<'_>,
        settings: &str,
    ) -> Result<Pooler, StackError> {
        let layout = Layout::of_workspace()?;
        let claim = Claim::take_numbered(&layout, name)?;
        let port = free_port()?;
        let users = claim.data().join("users.txt");
        write(&users, &format!("\"{}\" \"{}\"\n", user.name, user.password))?;
        let configuration = claim.data().join("pgbouncer.ini");
        write(
            &configuration,
            &format!(
                "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
                 unix_socket_dir =\nauth_type = trust\nauth_file = {}\n{settings}\n",
                server.port,
                users.display()
            ),
        )?;
        let mut command = Command::new(pgbouncer()?);
        command.arg(&configuration);
        if let Some(account) = layout.account() {
            command.uid(account.uid).gid(account.gid);
        }
        let log = claim.log_file("pgbouncer");
        let marker = configuration.display().to_string();
        let mut process = ServerProcess::spawn(command, "PgBouncer", &marker, &log)?;
        claim.started(process.record())?;
        let listens = || {
            is_open(port)
                .then_some(())
                .ok_or_else(|| "it does not listen".to_owned())
        };
        process.wait_ready(READY_LIMIT, listens)?;
        Ok(Pooler { port, process, claim })
    }

    /// TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its log, kept after it stops.
    pub fn log_file(&self) -> PathBuf {
        self.claim.log_file("pgbouncer")
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        if let Err(error) = self.process.kill() {
            eprintln!("{error}");
        }
    }
}

fn write(file: &Path, text: &str) -> Result<(), StackError> {
    fs::write(file, text).map_err(StackError::file("write", file))?;
    fs::set_permissions(file, Permissions::from_mode(0o644)).map_err(StackError::file("open up", file))
}

//! A standby of a running server.

use std::sync::Arc;

use super::StackError;
use super::claim::Claim;
use super::layout::Layout;
use super::packages::PostgresVersion;
use super::postgres::{Postgres, SUPERUSER};

impl Postgres {
    /// Copies this server and starts the copy as its standby, which can be asked and can be promoted.
    ///
    /// # Errors
    ///
    /// [`StackError::Command`] when it cannot be copied, otherwise those of [`Postgres::start`].
    pub fn start_standby(&self, name: &str) -> Result<Postgres, StackError> {
        let claim = Claim::take_numbered(&Layout::of_workspace()?, name)?;
        let version = PostgresVersion::Major(self.major_version());
        let standby = Postgres::without_data(Arc::new(claim), version, None)?;
        let mut command = standby.command("pg_basebackup");
        command.arg("--host").arg(self.socket_dir());
        command.arg("--port").arg(self.port().to_string());
        command.arg("--pgdata").arg(standby.data_dir());
        command.args([
            "--username",
            SUPERUSER,
            "--checkpoint=fast",
            "--no-sync",
            "--write-recovery-conf",
        ]);
        let output = command
            .output()
            .map_err(StackError::file("run", &self.bin_dir().join("pg_basebackup")))?;
        if output.status.success() {
            return standby.run_on_data(&[]);
        }
        Err(StackError::Command {
            command: format!("{command:?}"),
            status: output.status.to_string(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
            remedy: "Look into the log of the server that was to be copied.",
        })
    }
}

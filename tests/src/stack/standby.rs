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
        self.start_standby_with(name, &[], &[])
    }

    /// Copies this server and starts the copy as a standby that keeps copies of its logical slots (PostgreSQL 17 and later),
    /// and streams by the physical slot `standby`.
    ///
    /// # Errors
    ///
    /// Those of [`Postgres::start_standby`].
    pub fn start_standby_with_slots(&self, name: &str) -> Result<Postgres, StackError> {
        let settings =
            ["sync_replication_slots", "hot_standby_feedback"].map(|name| (name.to_owned(), "on".to_owned()));
        self.start_standby_with(name, &["--create-slot", "--slot", "standby"], &settings)
    }

    fn start_standby_with(
        &self,
        name: &str,
        options: &[&str],
        settings: &[(String, String)],
    ) -> Result<Postgres, StackError> {
        let options = [&["--write-recovery-conf"], options].concat();
        self.copy_running(name, &options)?.run_on_data(settings)
    }

    /// Copies this server, while it runs, with `pg_basebackup`.
    pub(super) fn copy_running(&self, name: &str, options: &[&str]) -> Result<Postgres, StackError> {
        let claim = Claim::take_numbered(&Layout::of_workspace()?, name)?;
        let version = PostgresVersion::Major(self.major_version());
        let copy = Postgres::without_data(Arc::new(claim), version, None)?;
        let mut command = copy.command("pg_basebackup");
        // With a database, which the copying of slots needs and nothing else minds.
        command.arg("--dbname").arg(format!(
            "host={} port={} user={SUPERUSER} dbname=postgres",
            self.socket_dir().display(),
            self.port()
        ));
        command.arg("--pgdata").arg(copy.data_dir());
        command.args(["--checkpoint=fast", "--no-sync"]);
        command.args(options);
        let output = command
            .output()
            .map_err(StackError::file("run", &self.bin_dir().join("pg_basebackup")))?;
        if output.status.success() {
            return Ok(copy);
        }
        Err(StackError::Command {
            command: format!("{command:?}"),
            status: output.status.to_string(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
            remedy: "Look into the log of the server that was to be copied.",
        })
    }
}

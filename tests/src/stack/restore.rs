//! A backup of a running server, and a server restored from it to a point in time.

use std::fs;

use super::StackError;
use super::postgres::Postgres;

/// What a server is started with that keeps its WAL, in its own data directory.
pub const ARCHIVING: [(&str, &str); 2] = [
    ("archive_mode", "on"),
    (
        "archive_command",
        "mkdir -p archive && test ! -f archive/%f && cp %p archive/%f",
    ),
];

/// A copy of a server's data as of the time when it was made, without its slots.
#[derive(Debug)]
pub struct Backup(Postgres);

impl Postgres {
    /// Makes a backup of this server, which has to be started with [`ARCHIVING`].
    ///
    /// # Errors
    ///
    /// [`StackError::Command`] when it cannot be copied.
    pub fn back_up(&self, name: &str) -> Result<Backup, StackError> {
        self.copy_running(name, &["--wal-method=fetch"]).map(Backup)
    }
}

impl Backup {
    /// Restores it to a restore point of the server that it is of, and starts it; it becomes a primary once it is there.
    ///
    /// # Errors
    ///
    /// Those of [`Postgres::start`].
    pub fn restore(self, of: &Postgres, restore_point: &str) -> Result<Postgres, StackError> {
        let Backup(copy) = self;
        let signal = copy.data_dir().join("recovery.signal");
        fs::write(&signal, "").map_err(StackError::file("write", &signal))?;
        let from_archive = format!("cp {}/archive/%f %p", of.data_dir().display());
        let settings = [
            ("archive_mode", "off"),
            ("restore_command", &from_archive),
            ("recovery_target_name", restore_point),
            ("recovery_target_action", "promote"),
        ];
        copy.run_on_data(&settings.map(|(name, value)| (name.to_owned(), value.to_owned())))
    }
}

//! Who may come in to a `PostgreSQL` of one's own, and how it proves who it is.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};

use nix::sys::signal::Signal;

use super::StackError;
use super::postgres::Postgres;
use crate::certificates::{Authority, Identity};
use crate::failure::Outcome;

impl Postgres {
    /// Shows this certificate from now on, and accepts clients that one of the authorities has signed.
    ///
    /// # Errors
    /// The files cannot be written, or the server cannot be told.
    pub fn show_certificate(&mut self, own: &Identity, clients: &Authority) -> Outcome {
        let (certificate, key) = own.pem()?;
        for (name, text) in [
            ("server.crt", certificate),
            ("server.key", key),
            ("clients.crt", clients.pem()?),
        ] {
            self.write_private(name, &text)?;
        }
        self.set("ssl", "on")?;
        self.set("ssl_ca_file", "clients.crt")?;
        Ok(self.reload()?)
    }

    /// Replaces the rules of `pg_hba.conf` for connections over TCP, except for the superuser.
    ///
    /// # Errors
    /// The file cannot be written, or the server cannot be told.
    pub fn allow_tcp(&mut self, rules: &str) -> Outcome {
        let text = format!("local all postgres trust\nhost all postgres 127.0.0.1/32 scram-sha-256\n{rules}\n");
        self.write_private("pg_hba.conf", text.as_bytes())?;
        Ok(self.reload()?)
    }

    /// Changes a setting, for the next [`Postgres::reload`] or start.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set(&self, parameter: &str, value: &str) -> Outcome {
        let file = self.data_dir().join("postgresql.auto.conf");
        let before = fs::read_to_string(&file)?;
        fs::write(&file, format!("{before}{parameter} = '{value}'\n"))?;
        Ok(())
    }

    /// Makes the server read its files again. What it says from then on may be the old for a moment.
    ///
    /// # Errors
    /// The server is not there.
    pub fn reload(&self) -> Result<(), StackError> {
        self.signal(Signal::SIGHUP)
    }

    fn write_private(&self, name: &str, text: &[u8]) -> Outcome {
        let file = self.data_dir().join(name);
        fs::write(&file, text)?;
        fs::set_permissions(&file, Permissions::from_mode(0o600))?;
        if let Some(account) = self.account() {
            chown(&file, Some(account.uid), Some(account.gid))?;
        }
        Ok(())
    }
}

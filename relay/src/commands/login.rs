//! The login of a command that asks the server something and ends: its refusals speak of what that command was given.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, Refusal};
use crate::config::{PostgresSettings, Secret};
use crate::fault::Fault;
use crate::postgres::{Control, PostgresError, fault, place};

/// Where a command's role and password come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    /// From the configuration: the relay's own role.
    Configured,
    /// The same, for a command that could be given another role by flags.
    ConfiguredForWantOfFlags,
    /// From `--user` and `--password-file`.
    Flags,
}

/// Who a command logs in as.
#[derive(Debug, Args)]
pub(super) struct LoginFlags {
    /// Role to connect as; without it, postgres.user
    #[arg(long, global = true, value_name = "ROLE")]
    user: Option<String>,
    /// File with its password
    #[arg(long, global = true, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl LoginFlags {
    /// The login, and the settings with it.
    pub(super) fn over(&self, postgres: &PostgresSettings) -> (Login, PostgresSettings) {
        Login::over(postgres, self.user.as_deref(), self.password_file.clone())
    }
}

impl Login {
    /// What flags say, where they say something: another role has not the configured one's password.
    pub(super) fn over(
        postgres: &PostgresSettings,
        user: Option<&str>,
        password_file: Option<PathBuf>,
    ) -> (Self, PostgresSettings) {
        let mut postgres = postgres.clone();
        if user.is_none() && password_file.is_none() {
            return (Self::ConfiguredForWantOfFlags, postgres);
        }
        if let Some(user) = user {
            user.clone_into(&mut postgres.user);
        }
        postgres.password = password_file.map(Secret::File);
        (Self::Flags, postgres)
    }

    /// Connects for SQL.
    pub(super) async fn connect(self, postgres: &PostgresSettings, purpose: &str) -> Result<Control, Failure> {
        let connected = Control::connect(postgres, purpose).await;
        connected.map_err(|error| self.refused(&error, postgres))
    }

    /// What a failed login means.
    pub(super) fn refused(self, error: &PostgresError, postgres: &PostgresSettings) -> Failure {
        let PostgresSettings { database, user, .. } = postgres;
        if matches!(error.innermost(), PostgresError::NoPassword) {
            let what = format!(
                "PostgreSQL {} asks for the password of role {user}, and no password is {}",
                place(postgres),
                if self == Self::Flags { "given" } else { "configured" }
            );
            return Failure::new(Refusal::PasswordMissing, what, self.where_a_password_goes());
        }
        let found = fault(error, postgres);
        match (self, error.sqlstate()) {
            (Self::Flags, _) if matches!(error.innermost(), PostgresError::Secret(_)) => Fault {
                hint: "name a file with --password-file that you can read and that holds the password of --user"
                    .to_owned(),
                ..found
            }
            .into(),
            (Self::Flags, Some("28P01" | "28000")) => Failure::new(
                Refusal::LoginRefused,
                found.message,
                format!(
                    "check --user, the password in --password-file, and pg_hba.conf (a line for role {user} and \
                     database {database})"
                ),
            ),
            _ => found.into(),
        }
    }

    const fn where_a_password_goes(self) -> &'static str {
        match self {
            Self::Configured => "set postgres.password_file",
            Self::ConfiguredForWantOfFlags => {
                "set postgres.password_file, or connect with --user ROLE --password-file FILE"
            }
            Self::Flags => "name the file with the password of --user: --password-file FILE",
        }
    }
}

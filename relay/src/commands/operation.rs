//! A command of an operator, an auditor or the janitor on a database that fits this program. What the database's functions
//! refuse is told in one line.

use clap::Args;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::actor::Actor;
use super::login::LoginFlags;
use super::{Failure, Refusal, migrate, reason};
use crate::config::{PostgresSettings, Settings};
use crate::fault::{Fault, FaultCode};
use crate::postgres::{Control, PostgresError, fault};

/// Who acts, and with whose rights.
#[derive(Debug, Args)]
pub(super) struct Who {
    #[command(flatten)]
    pub(super) login: LoginFlags,
    #[command(flatten)]
    pub(super) actor: Actor,
}

/// Whose work a command is: what to say to those who may not do it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    /// Decides about letters, pauses and skips.
    Operator,
    /// Reads letters: an auditor may too.
    Reader,
    /// Reads the audit trail.
    Auditor,
    /// Empties what is over.
    Janitor,
}

/// A connection to a database that was migrated to what this program knows.
pub(super) struct Operation<'s> {
    pub(super) settings: &'s Settings,
    postgres: PostgresSettings,
    control: Control,
    work: Work,
}

/// Refuses a database that a newer program has migrated to a version that this one does not know.
pub(super) fn refuse_newer(found: i32, database: &str) -> Result<(), Failure> {
    let known = migrate::newest();
    if found <= known {
        return Ok(());
    }
    Err(Failure::new(
        Refusal::DatabaseNewer,
        format!(
            "database {database} was migrated to version {found} by a newer outbox-relay; this one knows {known} versions, and \
             changes nothing that it does not know"
        ),
        "use the program that migrated it, or a newer one",
    ))
}

impl<'s> Operation<'s> {
    /// Connects, and looks whether program and database fit.
    pub(super) async fn begin(settings: &'s Settings, login: &LoginFlags, work: Work) -> Result<Self, Failure> {
        let (login, postgres) = login.over(&settings.postgres);
        let control = login.connect(&postgres, "operator").await?;
        let operation = Self {
            settings,
            postgres,
            control,
            work,
        };
        operation.check_version().await?;
        let bounded = operation.control.let_go_when_gone().await;
        bounded.map_err(|error| fault(&error, &operation.postgres))?;
        Ok(operation)
    }

    async fn check_version(&self) -> Result<(), Failure> {
        let newest = "SELECT coalesce(max(version), 0) FROM outbox_relay.migrations";
        let row = self.row(newest, &[]).await?;
        let found: i32 = self.read(|| row.try_get(0))?;
        let known = migrate::newest();
        refuse_newer(found, &self.postgres.database)?;
        if found < known {
            return Err(self.not_migrated(&format!("it is at version {found}, and this program needs {known}")));
        }
        Ok(())
    }

    pub(super) fn client(&self) -> &Client {
        self.control.client()
    }

    /// The connection itself, once it is known that program and database fit.
    pub(super) fn into_control(self) -> Control {
        self.control
    }

    pub(super) const fn slot(&self) -> &String {
        &self.settings.postgres.slot
    }

    /// The rows that a statement gives.
    pub(super) async fn rows(
        &self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, Failure> {
        let rows = self.client().query(statement, parameters).await;
        rows.map_err(|error| self.refused(error))
    }

    /// The one row that a statement gives.
    pub(super) async fn row(
        &self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<tokio_postgres::Row, Failure> {
        let row = self.client().query_one(statement, parameters).await;
        row.map_err(|error| self.refused(error))
    }

    /// What stands in a row.
    pub(super) fn read<T>(&self, read: impl FnOnce() -> Result<T, tokio_postgres::Error>) -> Result<T, Failure> {
        read().map_err(|error| self.refused(error))
    }

    /// What a refusal of the database means. Its functions have codes of their own, and words that can be shown as they are.
    pub(super) fn refused(&self, error: tokio_postgres::Error) -> Failure {
        let said = error.as_db_error().map(|said| {
            let hint = said.hint().map(str::to_owned);
            (said.code().code().to_owned(), said.message().to_owned(), hint)
        });
        let Some((sqlstate, message, hint)) = said else {
            return self.failed(&error.into());
        };
        let refusal = match sqlstate.as_str() {
            "OR001" => Refusal::DeadLetterUnknown,
            "OR002" => Refusal::WrongState,
            "OR003" => Refusal::EarlierDeadLetter,
            "OR004" => return reason::missing(&message),
            "OR005" => Refusal::DeadLetterWithoutTopic,
            "OR009" => Refusal::AuditTrailKept,
            "42501" => return self.not_permitted(&message),
            "3F000" | "42P01" | "42883" | "42703" => return self.not_migrated(&message),
            _ => return self.failed(&error.into()),
        };
        let next = hint.unwrap_or_else(|| refusal.entry().remedy.replace('`', ""));
        Failure::new(refusal, message, next)
    }

    pub(super) fn failed(&self, error: &PostgresError) -> Failure {
        fault(error, &self.postgres).into()
    }

    fn not_migrated(&self, why: &str) -> Failure {
        let database = &self.postgres.database;
        Fault::new(
            FaultCode::SchemaNotMigrated,
            format!("database {database} is not migrated: {why}"),
            "run `outbox-relay migrate`",
        )
        .into()
    }

    fn not_permitted(&self, said: &str) -> Failure {
        let (roles, user) = (&self.settings.roles, &self.postgres.user);
        let (operator, auditor) = (&roles.operator, &roles.auditor);
        let member = match self.work {
            Work::Operator => operator.clone(),
            Work::Reader => format!("{operator} or {auditor}"),
            Work::Auditor => auditor.clone(),
            Work::Janitor => roles.janitor.clone(),
        };
        Failure::new(
            Refusal::RoleNotPermitted,
            format!("role {user} may not do this: {said}"),
            format!("connect with --user ROLE --password-file FILE as a member of {member}"),
        )
    }
}

/// Says which row of the audit trail notes what was done, and the hash up to it: whoever keeps it can prove the trail.
pub(super) fn show_head(seq: i64, head: &str) {
    eprintln!("audit: {seq}:{head}");
}

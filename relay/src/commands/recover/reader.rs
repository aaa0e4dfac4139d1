//! The session that reads the outbox tables: the relay's own role may not.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::super::login::Login;
use super::super::{Failure, Refusal};
use super::Arguments;
use crate::config::{PostgresSettings, Secret};
use crate::fault::{Fault, FaultCode};
use crate::postgres::{Control, PostgresError, fault};
use crate::replay::RowsError;

const NOT_PERMITTED: &str = "42501";
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A policy that hides rows is an error, and reading takes as long as Kafka does.
const SESSION: &str = "SET row_security = off; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";

/// A session for reading.
pub(super) struct Reader {
    control: Control,
    postgres: PostgresSettings,
    operator: String,
}

impl Reader {
    pub(super) async fn connect(
        postgres: &PostgresSettings,
        operator: &str,
        arguments: &Arguments,
    ) -> Result<Self, Failure> {
        let mut postgres = postgres.clone();
        let mut login = Login::ConfiguredForWantOfFlags;
        if let Some(user) = &arguments.user {
            postgres.user.clone_from(user);
            postgres.password = arguments.password_file.clone().map(Secret::File);
            login = Login::Flags;
        }
        let control = Control::connect_for_rows(&postgres, "recover rows").await;
        let control = control.map_err(|error| login.refused(&error, &postgres))?;
        let operator = operator.to_owned();
        let reader = Self {
            control,
            postgres,
            operator,
        };
        reader.run(SESSION).await?;
        Ok(reader)
    }

    pub(super) fn client(&self) -> &Client {
        self.control.client()
    }

    /// From now on this session sees what a slot's snapshot shows.
    pub(super) async fn see(&self, snapshot: &str) -> Result<(), Failure> {
        let snapshot = postgres_protocol::escape::escape_literal(snapshot);
        self.run(&format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {snapshot}"
        ))
        .await
    }

    /// From now on this session sees what is committed now, and everything that any transaction has done that is running
    /// now.
    pub(super) async fn see_what_runs_now(&self, wait_ms: u64) -> Result<(), Failure> {
        let until = Instant::now() + Duration::from_millis(wait_ms);
        let newest = self
            .number("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int8")
            .await?;
        while self
            .number("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::int8")
            .await?
            < newest
        {
            if Instant::now() > until {
                return Err(Failure::new(
                    Refusal::SlotCreationWaits,
                    format!("the rows cannot be read yet: a transaction has been open for {wait_ms} ms"),
                    "look for it in pg_stat_activity; end it, and try again",
                ));
            }
            sleep(LOOK_EVERY).await;
        }
        self.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT")
            .await
    }

    async fn run(&self, statements: &str) -> Result<(), Failure> {
        let done = self.client().batch_execute(statements).await;
        done.map_err(|error| fault(&error.into(), &self.postgres).into())
    }

    async fn number(&self, statement: &str) -> Result<i64, Failure> {
        let row = self.client().query_one(statement, &[]).await;
        let number = row.and_then(|row| row.try_get(0));
        number.map_err(|error| fault(&error.into(), &self.postgres).into())
    }

    /// What it means that rows of a table cannot be read.
    pub(super) fn failed(&self, table: &str, error: RowsError) -> Failure {
        let error = match error {
            RowsError::Postgres(error) => error,
            other => {
                return Fault::new(
                    FaultCode::SchemaNotMigrated,
                    other.to_string(),
                    "run `outbox-relay migrate`",
                )
                .into();
            }
        };
        self.refused(table, &error)
    }

    pub(super) fn refused(&self, table: &str, error: &PostgresError) -> Failure {
        if error.sqlstate() != Some(NOT_PERMITTED) {
            return fault(error, &self.postgres).into();
        }
        let (user, operator) = (&self.postgres.user, &self.operator);
        Fault::new(
            FaultCode::PostgresNotPermitted,
            format!("role {user} may not read table {table}: {error}"),
            format!(
                "name a role that may with --user ROLE --password-file FILE, such as the table's owner or a member of \
                 {operator}"
            ),
        )
        .into()
    }
}

//! `outbox-relay migrate` on a connection.

use std::error::Error;

use tokio_postgres::Client;

use super::{Failure, HISTORY, Refusal, SCHEMA, SESSION_LOCK, TRY_SESSION_LOCK, embedded, statements};
use crate::config::Settings;
use crate::fault::Fault;
use crate::postgres::{PostgresError, check_publication};

const OWNER: &str = "connect with --user as the owner of the database and of the outbox tables, able to create roles with \
                     REPLICATION: before PostgreSQL 16 a superuser, from then on CREATEROLE and REPLICATION are enough";
const AGAIN: &str = "correct what it says and run migrate again; it can be run at any time";

/// Returns what was done, for the audit trail.
pub(super) async fn apply(client: &mut Client, settings: &Settings) -> Result<String, Failure> {
    wait_for_turn(client).await.map_err(refused)?;
    client.batch_execute(SCHEMA).await.map_err(refused)?;
    let mut runner = embedded::migrations::runner();
    runner.set_migration_table_name(HISTORY);
    let report = runner.run_async(client).await.map_err(|error| not_migrated(&error))?;
    for migration in report.applied_migrations() {
        eprintln!("applied {migration}");
    }
    for statement in statements(settings) {
        client.batch_execute(&statement).await.map_err(refused)?;
    }
    eprintln!(
        "roles, outbox tables and publication {} are as configured",
        settings.postgres.publication
    );
    let applied: Vec<String> = report.applied_migrations().iter().map(ToString::to_string).collect();
    Ok(match applied.as_slice() {
        [] => "nothing new; roles, tables and publication as configured".to_owned(),
        applied => format!(
            "applied {}; roles, tables and publication as configured",
            applied.join(", ")
        ),
    })
}

/// The lock ends with the session.
async fn wait_for_turn(client: &Client) -> Result<(), tokio_postgres::Error> {
    let is_ours: bool = client.query_one(TRY_SESSION_LOCK, &[]).await?.try_get(0)?;
    if is_ours {
        return Ok(());
    }
    eprintln!("waiting for another migrate, or its printed script, in this database to end");
    client.batch_execute(SESSION_LOCK).await
}

/// What is in the way of a relay and no business of `migrate`'s to change, such as a table that no outbox is mapped to.
pub(super) async fn warn_of_what_halts(client: &Client, settings: &Settings) {
    if let Err(fault) = check_publication(client, settings).await {
        let Fault { code, message, hint } = fault;
        eprintln!("warning: a relay would be held back: {message}\n  next: {hint}\n  code: {code}");
    }
}

fn refused(error: tokio_postgres::Error) -> Failure {
    let error = PostgresError::from(error);
    let next = match error.sqlstate() {
        Some("42501") => OWNER,
        Some("42P01" | "3F000" | "42704") => {
            "migrate makes outbox tables with the standard columns only: make the table before, or correct the \
             [outbox] sections"
        }
        _ => AGAIN,
    };
    Failure::new(
        Refusal::MigrationRefused,
        format!("the database refused: {error}"),
        next,
    )
}

/// The library says only "db error"; what the server said is its cause.
fn not_migrated(error: &refinery::Error) -> Failure {
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<tokio_postgres::Error>());
    let Some(said) = cause.and_then(tokio_postgres::Error::as_db_error) else {
        return Failure::new(Refusal::MigrationRefused, format!("a migration failed: {error}"), AGAIN);
    };
    let next = if said.code().code() == "42501" { OWNER } else { AGAIN };
    Failure::new(Refusal::MigrationRefused, format!("a migration failed: {said}"), next)
}

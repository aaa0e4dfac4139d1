//! `outbox-relay migrate`: what the relay needs in the database, versioned and repeatable.
//!
//! Versioned SQL makes the schema `outbox_relay` with functions in it; each run then calls them for the roles, outboxes
//! and the publication of the configuration, so that a new outbox is one more run and no new migration.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use postgres_protocol::escape::{escape_identifier, escape_literal};
use secrecy::ExposeSecret;
use tokio_postgres::Client;

use super::{Failure, block_on};
use crate::config::{PostgresSettings, Secret, Settings};
use crate::postgres::{Control, fault};
use outbox_decoder::Columns;

mod embedded {
    refinery::embed_migrations!("../migrations");
}

/// Where the applied versions are noted; it cannot be made by a migration.
const SCHEMA: &str = "CREATE SCHEMA IF NOT EXISTS outbox_relay";
const HISTORY: &str = "outbox_relay.migrations";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print the SQL and change nothing
    #[arg(long)]
    print: bool,
    /// Role to connect as: the owner of the outbox tables, able to create roles; without it, postgres.user
    #[arg(long, value_name = "ROLE")]
    user: Option<String>,
    /// File with the password of --user
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Give the relay's role the configured postgres.password
    #[arg(long)]
    set_password: bool,
}

pub(super) fn migrate(settings: &Settings, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.print {
        print!("{}", script(settings));
        return Ok(());
    }
    let postgres = connect_as(&settings.postgres, arguments);
    block_on(async {
        let control = Control::connect(&postgres, "migrate")
            .await
            .map_err(|error| fault(&error, &postgres))?;
        let mut client = control
            .into_client()
            .ok_or_else(|| Failure::general("the connection is shared", "try again"))?;
        apply(&mut client, settings).await?;
        if arguments.set_password {
            set_password(&client, &settings.postgres).await?;
        }
        Ok(())
    })
}

fn connect_as(postgres: &PostgresSettings, arguments: &Arguments) -> PostgresSettings {
    let mut postgres = postgres.clone();
    if let Some(user) = &arguments.user {
        postgres.user.clone_from(user);
        postgres.password = arguments.password_file.clone().map(Secret::File);
    }
    postgres
}

async fn apply(client: &mut Client, settings: &Settings) -> Result<(), Failure> {
    let refused = |error: tokio_postgres::Error| {
        let error = crate::postgres::PostgresError::from(error);
        Failure::general(
            format!("the database refused: {error}"),
            "connect with --user as the owner of the database and of the outbox tables, able to create roles",
        )
    };
    client.batch_execute(SCHEMA).await.map_err(refused)?;
    let mut runner = embedded::migrations::runner();
    runner.set_migration_table_name(HISTORY);
    let report = runner.run_async(client).await.map_err(|error| {
        Failure::general(
            format!("a migration failed: {error}"),
            "correct what it says and run migrate again",
        )
    })?;
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
    eprintln!("next: outbox-relay slot create");
    Ok(())
}

/// The whole of it as a script.
fn script(settings: &Settings) -> String {
    let mut script = format!("BEGIN;\n\n{SCHEMA};\n\n");
    for migration in embedded::migrations::runner().get_migrations() {
        let _ = writeln!(script, "-- {migration}\n{}", migration.sql().unwrap_or_default());
    }
    for statement in statements(settings) {
        let _ = writeln!(script, "{statement};");
    }
    script.push_str("\nCOMMIT;\n");
    script
}

/// The calls that make the database fit the configuration, in their order.
fn statements(settings: &Settings) -> Vec<String> {
    let roles = &settings.roles;
    let application = escape_literal(&roles.application);
    let operator = escape_literal(&roles.operator);
    let relay = escape_literal(&settings.postgres.user);
    let publication = escape_literal(&settings.postgres.publication);
    let mut statements = vec![format!(
        "SELECT outbox_relay.ensure_roles({relay}, {application}, {operator})"
    )];
    for outbox in settings.outbox.values() {
        let (schema, table) = (escape_literal(&outbox.schema), escape_literal(&outbox.table));
        // A table with other columns is the application's own and has to be there already.
        if outbox.columns == Columns::standard() {
            statements.push(format!(
                "SELECT outbox_relay.ensure_outbox({schema}, {table}, {application}, {operator})"
            ));
        }
        statements.push(format!(
            "SELECT outbox_relay.ensure_publication({publication}, {schema}, {table})"
        ));
    }
    statements
}

/// Sends a SCRAM verifier, never the password itself, which statement logs would keep.
async fn set_password(client: &Client, postgres: &PostgresSettings) -> Result<(), Failure> {
    let secret = postgres.password.as_ref().ok_or_else(|| {
        Failure::general(
            "--set-password needs a configured password",
            "set postgres.password_file",
        )
    })?;
    let password = secret
        .reveal()
        .map_err(|error| Failure::general(error, "make the file readable"))?;
    let verifier = postgres_protocol::password::scram_sha_256(password.expose_secret().as_bytes());
    let role = escape_identifier(&postgres.user);
    let statement = format!("ALTER ROLE {role} PASSWORD {}", escape_literal(&verifier));
    client.batch_execute(&statement).await.map_err(|error| {
        Failure::general(
            format!(
                "the password of {} could not be set: {}",
                postgres.user,
                crate::postgres::PostgresError::from(error)
            ),
            "connect with --user as a role that may alter it",
        )
    })?;
    eprintln!("role {} has the configured password", postgres.user);
    Ok(())
}

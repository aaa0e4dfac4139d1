//! `outbox-relay migrate`: what the relay needs in the database, versioned and repeatable.
//!
//! Versioned SQL makes the schema `outbox_relay` with functions in it; each run then calls them for the roles, outboxes
//! and the publication of the configuration, so that a new outbox is one more run and no new migration.

mod apply;
mod password;
mod retention;
mod script;

use std::path::PathBuf;

use clap::Args;
use outbox_decoder::Columns;
use postgres_protocol::escape::escape_literal;

use super::actor::Actor;
use super::audit::note::{Deed, note};
use super::login::Login;
use super::{Failure, Refusal, block_on};
use crate::config::Settings;
use crate::retention::JanitorSession;

mod embedded {
    refinery::embed_migrations!("../migrations");
}

/// Where the applied versions are noted; it cannot be made by a migration.
const SCHEMA: &str = "CREATE SCHEMA IF NOT EXISTS outbox_relay";
/// Replicas of an application may all migrate at their start, one after the other.
const TRY_SESSION_LOCK: &str = "SELECT pg_try_advisory_lock(hashtext('outbox_relay'), hashtext('migrate'))";
/// The same, and waits for it.
const SESSION_LOCK: &str = "SELECT pg_advisory_lock(hashtext('outbox_relay'), hashtext('migrate'))";
/// The same until the end of the transaction: whoever runs the script may keep the session.
const TRANSACTION_LOCK: &str = "SELECT pg_advisory_xact_lock(hashtext('outbox_relay'), hashtext('migrate'))";
const HISTORY: &str = "outbox_relay.migrations";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print the SQL, for review and for psql, and change nothing
    #[arg(long)]
    print: bool,
    /// Role to connect as; without it, postgres.user
    ///
    /// The owner of the database and of the outbox tables, able to create roles
    /// and to give one REPLICATION: before PostgreSQL 16 a superuser, from then
    /// on CREATEROLE and REPLICATION are enough.
    #[arg(long, value_name = "ROLE")]
    user: Option<String>,
    /// File with the password of --user
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Give the relay's role its configured password
    #[arg(long)]
    set_password: bool,
    #[command(flatten)]
    actor: Actor,
}

/// The newest version that this program knows.
pub(super) fn newest() -> i32 {
    let runner = embedded::migrations::runner();
    let versions = runner.get_migrations().iter().map(refinery::Migration::version);
    versions.max().unwrap_or(0)
}

pub(super) fn migrate(settings: &Settings, arguments: &Arguments) -> Result<(), Failure> {
    let relay = &settings.postgres;
    // Before anything is changed: a password that cannot be read is no reason to stop half way.
    let password = arguments.set_password.then(|| password::statement(relay)).transpose()?;
    let janitor = JanitorSession::login(settings);
    let is_own_login = settings.retention.login.is_some() && janitor.password.is_some();
    let janitors_password = (arguments.set_password && is_own_login)
        .then(|| password::statement(&janitor))
        .transpose()?;
    if arguments.print {
        let statements: Vec<String> = password.into_iter().chain(janitors_password).collect();
        let statements = (!statements.is_empty()).then(|| statements.join(";\n"));
        print!("{}", script::script(settings, statements.as_deref()));
        return Ok(());
    }
    let (login, owner) = Login::over(relay, arguments.user.as_deref(), arguments.password_file.clone());
    block_on(async {
        let control = login.connect(&owner, "migrate").await?;
        let mut client = control
            .into_client()
            .ok_or_else(|| Failure::new(Refusal::SystemRefused, "the connection is shared", "try again"))?;
        let applied = apply::apply(&mut client, settings).await?;
        let deed = Deed {
            action: "migrate",
            resource: format!("database {}", relay.database),
            why: None,
            result: applied,
        };
        note(&client, &deed, &arguments.actor.as_json(None)).await;
        match password {
            Some(statement) => password::set(&client, &relay.user, &statement).await?,
            None if owner.user == relay.user => {}
            None => eprintln!("{}", password::advice(&client, &relay.user).await),
        }
        if let Some(statement) = janitors_password {
            password::set(&client, &janitor.user, &statement).await?;
        }
        eprintln!(
            "next: GRANT {} TO your application's login; then outbox-relay slot create",
            settings.roles.application
        );
        apply::warn_of_what_halts(&client, settings).await;
        Ok(())
    })
}

/// The calls that make the database fit the configuration, in their order.
fn statements(settings: &Settings) -> Vec<String> {
    let roles = &settings.roles;
    let application = escape_literal(&roles.application);
    let operator = escape_literal(&roles.operator);
    let auditor = escape_literal(&roles.auditor);
    let janitor = escape_literal(&roles.janitor);
    let relay = escape_literal(&settings.postgres.user);
    let publication = escape_literal(&settings.postgres.publication);
    let mut statements = vec![
        format!("SELECT outbox_relay.ensure_roles({relay}, {application}, {operator})"),
        format!("SELECT outbox_relay.ensure_connect({relay})"),
        format!("SELECT outbox_relay.ensure_operating_roles({relay}, {operator}, {auditor}, {janitor})"),
        format!("SELECT outbox_relay.ensure_recovery({relay})"),
    ];
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
    statements.extend(retention::statements(settings));
    statements
}

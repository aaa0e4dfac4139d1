//! How the relay's role gets its password.

use postgres_protocol::escape::{escape_identifier, escape_literal};
use secrecy::ExposeSecret;
use tokio_postgres::Client;

use super::{Failure, Refusal};
use crate::config::PostgresSettings;
use crate::postgres::PostgresError;

/// Sets a SCRAM verifier, never the password itself, which statement logs would keep.
pub(super) fn statement(postgres: &PostgresSettings) -> Result<String, Failure> {
    let secret = postgres.password.as_ref().ok_or_else(|| {
        Failure::new(
            Refusal::PasswordMissing,
            "--set-password needs a configured password, and there is none",
            "set postgres.password_file",
        )
    })?;
    let password = secret
        .reveal()
        .map_err(|error| Failure::new(Refusal::PasswordMissing, error, "make the file readable"))?;
    let verifier = postgres_protocol::password::scram_sha_256(password.expose_secret().as_bytes());
    let role = escape_identifier(&postgres.user);
    Ok(format!("ALTER ROLE {role} PASSWORD {}", escape_literal(&verifier)))
}

pub(super) async fn set(client: &Client, role: &str, statement: &str) -> Result<(), Failure> {
    client.batch_execute(statement).await.map_err(|error| {
        let error = PostgresError::from(error);
        Failure::new(
            Refusal::MigrationRefused,
            format!("the password of {role} could not be set: {error}"),
            "connect with --user as a role that may alter it",
        )
    })?;
    eprintln!("role {role} has the configured password");
    Ok(())
}

/// What is left to do when no password was set.
pub(super) async fn advice(client: &Client, role: &str) -> String {
    let remedy = "`outbox-relay migrate` with --set-password gives it the configured one (postgres.password_file)";
    match has_password(client, role).await {
        Some(true) => format!("role {role} keeps the password that it has"),
        Some(false) => format!("role {role} has no password; where pg_hba.conf asks for one, {remedy}"),
        None => format!("whether role {role} has a password only a superuser can see; {remedy}"),
    }
}

/// `None` when this connection may not know.
async fn has_password(client: &Client, role: &str) -> Option<bool> {
    let may_look = "SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT')";
    if !client.query_one(may_look, &[]).await.ok()?.try_get(0).ok()? {
        return None;
    }
    let look = "SELECT rolpassword IS NOT NULL FROM pg_catalog.pg_authid WHERE rolname = $1";
    client.query_one(look, &[&role]).await.ok()?.try_get(0).ok()
}

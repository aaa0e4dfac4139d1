//! The janitor's connection: its own, with the rights of its role and no others, whoever logs in.

use postgres_protocol::escape::{escape_identifier, escape_literal};
use tokio_postgres::Client;

use super::RetentionError;
use crate::config::{PostgresSettings, RoleSettings, Settings};
use crate::postgres::Control;

/// Longer waits for a lock would queue applications up behind the janitor.
const LOCK_TIMEOUT_MS: u64 = 1_000;
const STATEMENT_TIMEOUT_MS: u64 = 600_000;

/// A connection on which at most one janitor works for the slot.
#[derive(Debug)]
pub(crate) struct JanitorSession {
    control: Control,
    /// Who it is, for the audit trail, as JSON.
    actor: String,
}

impl JanitorSession {
    /// The login that the configuration gives the janitor.
    pub(crate) fn login(settings: &Settings) -> PostgresSettings {
        let mut postgres = settings.postgres.clone();
        if let Some(login) = &settings.retention.login {
            postgres.user.clone_from(&login.user);
            postgres.password.clone_from(&login.password);
        }
        postgres
    }

    /// Becomes the janitor on a connection.
    ///
    /// # Errors
    /// The login is no member of the janitor's role, or another janitor works for the slot.
    pub(crate) async fn begin(
        control: Control,
        roles: &RoleSettings,
        slot: &str,
        actor: String,
    ) -> Result<Self, RetentionError> {
        let janitor = escape_identifier(&roles.janitor);
        control
            .client()
            .batch_execute(&format!(
                "SET ROLE {janitor}; SET search_path = pg_catalog; SET lock_timeout = {LOCK_TIMEOUT_MS};
                 SET statement_timeout = {STATEMENT_TIMEOUT_MS}; SET default_transaction_isolation = 'read committed'"
            ))
            .await?;
        control.let_go_when_gone().await?;
        let lock = format!(
            "SELECT pg_try_advisory_lock(hashtext('outbox_relay retention'), hashtext({}))",
            escape_literal(slot)
        );
        if !control.client().query_one(&lock, &[]).await?.try_get::<_, bool>(0)? {
            return Err(RetentionError::Busy(slot.to_owned()));
        }
        Ok(Self { control, actor })
    }

    /// For SQL.
    pub(super) fn client(&self) -> &Client {
        self.control.client()
    }

    /// Who it is.
    pub(super) fn actor(&self) -> &str {
        &self.actor
    }

    /// Whether the connection has not ended, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        !self.control.client().is_closed()
    }
}

//! The control connection: ordinary SQL beside the stream. It also hears of a shutdown that the stream does not.

use std::sync::Arc;

use secrecy::ExposeSecret;
use tokio::sync::oneshot;
use tokio_postgres::{Client, NoTls};

use crate::config::PostgresSettings;
use crate::postgres::error::PostgresError;
use crate::postgres::startup::reveal_password;
use crate::telemetry::{Metrics, SlotFigures};

/// A connection for SQL.
#[derive(Debug)]
pub struct Control {
    client: Arc<Client>,
    ended: Option<oneshot::Receiver<PostgresError>>,
}

impl Control {
    /// Connects and logs in.
    ///
    /// # Errors
    /// See [`PostgresError`].
    pub async fn connect(settings: &PostgresSettings, purpose: &str) -> Result<Self, PostgresError> {
        let password = reveal_password(settings)?;
        let mut config = tokio_postgres::Config::new();
        config
            .host(&settings.host)
            .port(settings.port)
            .dbname(&settings.database)
            .user(&settings.user)
            .application_name(format!("{} {purpose}", settings.application_name))
            .connect_timeout(std::time::Duration::from_millis(settings.connect_timeout_ms));
        if let Some(password) = &password {
            config.password(password.expose_secret());
        }
        let (client, connection) = config.connect(NoTls).await?;
        let (tell, ended) = oneshot::channel();
        tokio::spawn(async move {
            let error = connection
                .await
                .err()
                .map_or(PostgresError::Closed, PostgresError::Control);
            // Nobody listens any more when the session is over.
            let _ = tell.send(error);
        });
        Ok(Self {
            client: Arc::new(client),
            ended: Some(ended),
        })
    }

    /// The SQL client.
    pub const fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// The SQL client alone, for a library that runs transactions on it; `None` while it is shared.
    pub fn into_client(self) -> Option<Client> {
        Arc::into_inner(self.client)
    }

    /// Waits for the end of the connection, once; then for ever. A fast shutdown ends it at once, while the walsender
    /// waits for the relay.
    pub async fn ended(&mut self) -> PostgresError {
        match &mut self.ended {
            Some(ended) => {
                let error = ended.await.unwrap_or(PostgresError::Closed);
                self.ended = None;
                error
            }
            None => std::future::pending().await,
        }
    }
}

/// Shows as metrics what the server says of a slot.
///
/// # Errors
/// The statement failed.
pub async fn show_slot(client: &Client, slot: &str, metrics: &Metrics) -> Result<(), PostgresError> {
    if let Some(figures) = slot_figures(client, slot).await? {
        metrics.show_slot(&figures);
    }
    Ok(())
}

/// What the server says of a slot; `None` when it does not exist.
///
/// # Errors
/// The statement failed.
pub async fn slot_figures(client: &Client, slot: &str) -> Result<Option<SlotFigures>, PostgresError> {
    let row = client
        .query_opt(
            "SELECT coalesce(wal_status, ''), safe_wal_size::float8, active,
                    coalesce(pg_wal_lsn_diff(here, confirmed_flush_lsn), 0)::float8,
                    coalesce(pg_wal_lsn_diff(here, restart_lsn), 0)::float8, confirmed_flush_lsn::text
             FROM pg_replication_slots,
                  LATERAL (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
                                       ELSE pg_current_wal_lsn() END) AS wal (here)
             WHERE slot_name = $1",
            &[&slot],
        )
        .await?;
    row.map(|row| {
        let confirmed: Option<&str> = row.try_get(5)?;
        Ok(SlotFigures {
            confirmed: confirmed.and_then(|lsn| lsn.parse().ok()),
            wal_status: row.try_get(0)?,
            safe_wal_bytes: row.try_get(1)?,
            active: row.try_get(2)?,
            lag_bytes: row.try_get::<_, f64>(3)?.max(0.0),
            retained_wal_bytes: row.try_get::<_, f64>(4)?.max(0.0),
        })
    })
    .transpose()
}

//! One session with the server: both connections, checked and ready to stream.

use crate::config::Settings;
use crate::fault::Fault;
use crate::postgres::advisory::{Advisory, AdvisoryRow};
use crate::postgres::checks::{CheckedSlot, check_identity};
use crate::postgres::control::Control;
use crate::postgres::error::PostgresError;
use crate::postgres::policy;
use crate::postgres::replication::{Identity, ReplicationConnection};
use crate::postgres::startup::reveal_password;
use crate::postgres::stream::ReplicationStream;

/// Both connections, checked.
#[derive(Debug)]
pub struct Session {
    /// For SQL.
    pub control: Control,
    /// Who the server is.
    pub identity: Identity,
    /// What the last relay on this slot knew.
    pub known: Option<AdvisoryRow>,
    replication: ReplicationConnection,
    slot: CheckedSlot,
}

/// Connects, and checks everything that has to be true before streaming.
///
/// # Errors
/// The first fault. `slot_active` means: stand by.
pub async fn open_session(settings: &Settings) -> Result<Session, Fault> {
    let postgres = &settings.postgres;
    let failed = |error: PostgresError| policy::fault(&error, postgres);
    let control = Control::connect(postgres, "control").await.map_err(failed)?;
    let slot = CheckedSlot::check(control.client(), settings).await?;
    let known = Advisory::read(control.client(), &postgres.slot).await.map_err(failed)?;
    let password = reveal_password(postgres).map_err(failed)?;
    let mut replication = ReplicationConnection::connect(postgres, password.as_ref())
        .await
        .map_err(failed)?;
    let identity = replication.identify_system().await.map_err(failed)?;
    if let Some(known) = &known {
        check_identity(&mut replication, &identity, known, settings).await?;
    }
    Ok(Session {
        control,
        identity,
        known,
        replication,
        slot,
    })
}

impl Session {
    /// Starts streaming from the slot's own position.
    ///
    /// # Errors
    /// `slot_active` when another relay was faster.
    pub async fn start(self, settings: &Settings) -> Result<(ReplicationStream, Control), Fault> {
        let started = self.replication.start(self.slot.name(), self.slot.publication()).await;
        let stream = started.map_err(|error| match error.sqlstate() {
            Some("55006") => Fault::transient(
                "slot_active",
                format!("replication slot {} is in use: {error}", self.slot.name()),
                "nothing: this relay takes over when the other one is gone",
            ),
            _ => policy::fault(&error, &settings.postgres),
        })?;
        Ok((stream, self.control))
    }
}

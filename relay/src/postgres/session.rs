//! One session with the server: both connections, checked and ready to stream.

use std::time::Duration;

use tokio::time::timeout;

use crate::config::Settings;
use crate::fault::{Fault, FaultCode};
use crate::postgres::advisory::{Advisory, AdvisoryRow, Remembered};
use crate::postgres::checks::{CheckedSlot, check_cluster, check_identity};
use crate::postgres::control::{Control, show_slot};
use crate::postgres::error::PostgresError;
use crate::postgres::policy;
use crate::postgres::replication::{Identity, ReplicationConnection};
use crate::postgres::slot::slot_active;
use crate::postgres::stream::ReplicationStream;
use crate::telemetry::Metrics;

/// Opening a session takes two logins and a few questions: together at most so many times the limit of one.
const SESSION_TIMEOUTS: u64 = 3;

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

/// Connects, and checks everything that has to be true before streaming. `remembered` is what this process knows from
/// its connection before this one; it counts until the operator has the slot's memory forgotten.
///
/// # Errors
/// The first fault; [`FaultKind::Standby`](crate::fault::FaultKind) while another relay holds the slot.
pub async fn open_session(
    settings: &Settings,
    remembered: Option<Remembered>,
    metrics: &Metrics,
) -> Result<Session, Fault> {
    let others = settings.postgres.hosts.len().saturating_sub(1);
    let timeouts = SESSION_TIMEOUTS + u64::try_from(others).unwrap_or(0);
    let timeout_ms = settings.postgres.connect_timeout_ms.saturating_mul(timeouts);
    let opened = timeout(Duration::from_millis(timeout_ms), open(settings, remembered, metrics)).await;
    opened.unwrap_or_else(|_| {
        let error = PostgresError::TimedOut {
            what: "connecting and checking",
            timeout_ms,
        };
        Err(policy::fault(&error, &settings.postgres))
    })
}

async fn open(settings: &Settings, remembered: Option<Remembered>, metrics: &Metrics) -> Result<Session, Fault> {
    let postgres = &settings.postgres;
    let failed = |error: PostgresError| policy::fault(&error, postgres);
    let control = Control::connect(postgres, "control").await.map_err(failed)?;
    let mut replication = ReplicationConnection::connect(postgres, control.host(), control.address())
        .await
        .map_err(failed)?;
    // Before the checks: while one of them holds the relay back, the figures say how long that can last.
    show_slot(control.client(), &postgres.slot, metrics)
        .await
        .map_err(failed)?;
    let slot = CheckedSlot::check(control.client(), settings).await;
    if let Err(fault) = &slot
        && fault.code != FaultCode::SlotMissing
    {
        return Err(fault.clone());
    }
    let known = Advisory::read(control.client(), &postgres.slot).await.map_err(failed)?;
    let identity = replication.identify_system().await.map_err(failed)?;
    let mut is_same = Ok(());
    if let Some(known) = &known {
        for remembered in std::iter::once(&known.remembered).chain(&remembered) {
            is_same = is_same.and(check_identity(&mut replication, &identity, remembered, settings).await);
        }
    }
    let slot = slot.map_err(|fault| missing_slot(fault, known.as_ref(), is_same.as_ref().err()))?;
    is_same?;
    refuse_stranger(&identity, known.as_ref(), remembered.as_ref())?;
    Advisory::begin(control.client(), &postgres.slot, &identity)
        .await
        .map_err(failed)?;
    Ok(Session {
        control,
        identity,
        known,
        replication,
        slot,
    })
}

/// A slot that a relay has worked on is no slot that was not made yet: what it had not confirmed is only in the table now.
fn missing_slot(fault: Fault, known: Option<&AdvisoryRow>, another_server: Option<&Fault>) -> Fault {
    let Some(known) = known else { return fault };
    let AdvisoryRow {
        remembered: Remembered { confirmed, .. },
        written_at,
        ..
    } = known;
    let besides = another_server.map_or(String::new(), |besides| format!("; {}", besides.message));
    Fault {
        message: format!(
            "{}, and a relay worked on it: {confirmed} was confirmed at {written_at}{besides}",
            fault.message
        ),
        hint: "`outbox-relay recover --dry-run` says what is only in the outbox table now, and what only Kafka has; \
               `outbox-relay recover` makes the slot anew and publishes the former"
            .to_owned(),
        ..fault
    }
}

/// A cluster without a memory of this slot may be one whose memory was forgotten, but not another one than before.
fn refuse_stranger(
    identity: &Identity,
    known: Option<&AdvisoryRow>,
    remembered: Option<&Remembered>,
) -> Result<(), Fault> {
    match (known, remembered) {
        (None, Some(before)) => check_cluster(
            identity,
            before,
            "find out which server this is; if it is meant, restart the relay",
        ),
        _ => Ok(()),
    }
}

impl Session {
    /// Starts streaming from the slot's own position.
    ///
    /// # Errors
    /// `slot_active` when another relay was faster.
    pub async fn start(self, settings: &Settings) -> Result<(ReplicationStream, Control), Fault> {
        let started = ReplicationStream::start(self.replication, self.slot.name(), self.slot.publication()).await;
        let stream = started.map_err(|error| match error.sqlstate() {
            Some("55006") => slot_active(self.slot.name(), &error.to_string()),
            _ => policy::fault(&error, &settings.postgres),
        })?;
        Ok((stream, self.control))
    }
}

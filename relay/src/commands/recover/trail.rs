//! What is kept in the database of a recovery: that it has begun, until it has reached its end, and what the audit trail says
//! of it.

use outbox_decoder::Timestamp;
use serde::Serialize;
use tokio_postgres::Row;

use super::super::Failure;
use super::super::operation::refuse_newer;
use super::super::slot::Slot;
use super::since::Since;
use super::situation::Unfinished;
use crate::fault::{Fault, FaultCode};
use crate::postgres::{PostgresError, place};

/// A row of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Noted {
    pub(super) seq: i64,
    pub(super) head: String,
}

/// Whether the database has what a recovery needs.
pub(super) async fn check_migrated(slot: &Slot<'_>) -> Result<(), Failure> {
    // The right to tell of deliveries comes with the first outbox that keeps them.
    let statement = "SELECT to_regprocedure('outbox_relay.recovery_left_out(text)') IS NOT NULL AND (NOT $1 OR coalesce(
        has_function_privilege(to_regprocedure('outbox_relay.recovery_delivered(text,text,text[],timestamptz)'), 'EXECUTE'), false))";
    let keeps_deliveries = slot.settings.outbox.values().any(|outbox| outbox.delivery_state);
    let row = slot.control.client().query_one(statement, &[&keeps_deliveries]).await;
    let is_there: bool = row
        .and_then(|row| row.try_get(0))
        .map_err(|error| failed(slot, error))?;
    if is_there {
        let newest = "SELECT coalesce(max(version), 0) FROM outbox_relay.migrations";
        let row = slot.control.client().query_one(newest, &[]).await;
        let newest = row
            .and_then(|row| row.try_get(0))
            .map_err(|error| failed(slot, error))?;
        return refuse_newer(newest, &slot.settings.postgres.database);
    }
    let place = place(&slot.settings.postgres);
    Err(Fault::new(
        FaultCode::SchemaNotMigrated,
        format!("PostgreSQL {place}: schema outbox_relay has nothing for a recovery"),
        "run `outbox-relay migrate`",
    )
    .into())
}

/// The recovery that did not reach its end.
pub(super) async fn unfinished(slot: &Slot<'_>) -> Result<Option<Unfinished>, Failure> {
    let statement = "SELECT (extract(epoch FROM since) * 1000000)::int8, nullif(by_column, ''),
            (extract(epoch FROM begun_at) * 1000000)::int8
         FROM outbox_relay.recovery_unfinished($1)";
    let row = slot.control.client().query_opt(statement, &[&slot.name()]).await;
    let read = |row: Row| {
        Ok(Unfinished {
            since: Timestamp::from_unix_us(row.try_get(0)?),
            by: row.try_get(1)?,
            begun_at: Timestamp::from_unix_us(row.try_get(2)?),
        })
    };
    let read = row.and_then(|row| row.map(read).transpose());
    read.map_err(|error| failed(slot, error))
}

/// Events that somebody has decided about.
pub(super) async fn left_out(slot: &Slot<'_>) -> Result<Vec<String>, Failure> {
    let statement = "SELECT * FROM outbox_relay.recovery_left_out($1)";
    let rows = slot.control.client().query(statement, &[&slot.name()]).await;
    let ids = rows.and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect());
    ids.map_err(|error| failed(slot, error))
}

pub(super) async fn begin(
    slot: &Slot<'_>,
    since: Since,
    by: Option<&str>,
    what: &str,
    why: &str,
) -> Result<(), Failure> {
    let statement = "SELECT FROM outbox_relay.recovery_begin(
        $1, timestamptz 'epoch' + $2::int8 * interval '1 microsecond', $3, $4, $5, $6::text::jsonb)";
    let (since_us, by) = (since.at.as_unix_us(), by.unwrap_or_default());
    let begun = slot
        .control
        .client()
        .execute(statement, &[&slot.name(), &since_us, &by, &what, &why, &slot.actor])
        .await;
    begun.map(drop).map_err(|error| failed(slot, error))
}

/// Notes what came of it; one that is not done can be gone on with.
pub(super) async fn end(slot: &Slot<'_>, is_done: bool, result: &str, why: &str) -> Result<Noted, Failure> {
    let statement = "SELECT audit_seq, audit_head FROM outbox_relay.recovery_end($1, $2, $3, $4, $5::text::jsonb)";
    let row = slot
        .control
        .client()
        .query_one(statement, &[&slot.name(), &is_done, &result, &why, &slot.actor])
        .await;
    let noted = row.and_then(|row| {
        Ok(Noted {
            seq: row.try_get(0)?,
            head: row.try_get(1)?,
        })
    });
    noted.map_err(|error| failed(slot, error))
}

fn failed(slot: &Slot<'_>, error: tokio_postgres::Error) -> Failure {
    slot.failed(&PostgresError::from(error))
}

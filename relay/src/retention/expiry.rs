//! What else has its time: resolved dead letters, what is told of deliveries, the audit trail.

use super::RetentionError;
use super::mark::Mark;
use super::pace::Pace;
use super::session::JanitorSession;
use super::table::Table;
use crate::config::Settings;

/// Of the table of delivery states that one statement looks through.
const BLOCKS: i64 = 256;

/// Removes resolved letters of the mark, and says how many.
pub(super) async fn letters(
    session: &JanitorSession,
    settings: &Settings,
    mark: &Mark,
    pace: &mut Pace<'_>,
) -> Result<u64, RetentionError> {
    let remove = "SELECT removed, audit_seq, audit_head
         FROM outbox_relay.retention_letters($1, $2::text::pg_lsn, $3, $4::text::jsonb)";
    let (slot, mark, most) = (
        &settings.postgres.slot,
        mark.lsn.to_string(),
        i64::from(settings.retention.batch_rows),
    );
    let mut all = 0;
    loop {
        let row = session
            .client()
            .query_one(remove, &[slot, &mark, &most, &session.actor()])
            .await?;
        let removed: i64 = row.try_get(0)?;
        if let (Some(audit_seq), Some(audit_head)) =
            (row.try_get::<_, Option<i64>>(1)?, row.try_get::<_, Option<&str>>(2)?)
        {
            tracing::info!(
                letters = removed,
                audit_seq,
                audit_head,
                "removed resolved dead letters"
            );
        }
        let letters = u64::try_from(removed).unwrap_or(0);
        all += letters;
        pace.breathe(session.client(), letters).await?;
        if removed < most {
            return Ok(all);
        }
    }
}

/// Removes what is told of events of a table that was swept up to the mark.
pub(super) async fn delivery_state(
    session: &JanitorSession,
    table: &Table<'_>,
    mark: &Mark,
    pace: &mut Pace<'_>,
) -> Result<(), RetentionError> {
    if !table.settings.delivery_state {
        return Ok(());
    }
    let size = "SELECT pg_relation_size('outbox_relay.delivery_state') / current_setting('block_size')::bigint";
    let blocks: i64 = session.client().query_one(size, &[]).await?.try_get(0)?;
    let remove = "SELECT outbox_relay.retention_delivery_state($1, $2, $3::text::pg_lsn, $4, $5)";
    let mark = mark.lsn.to_string();
    let mut from = 0;
    while from < blocks {
        let to = from + BLOCKS;
        let row = session
            .client()
            .query_one(remove, &[&table.slot, &table.outbox, &mark, &from, &to])
            .await?;
        let removed: i64 = row.try_get(0)?;
        pace.breathe(session.client(), u64::try_from(removed).unwrap_or(0))
            .await?;
        from = to;
    }
    Ok(())
}

/// Empties what is old of the audit trail, which notes that itself, and says how many rows that are.
pub(super) async fn audit(session: &JanitorSession, settings: &Settings) -> Result<u64, RetentionError> {
    let empty = "SELECT emptied, audit_seq, audit_head
         FROM outbox_relay.audit_expire($1, now() - make_interval(days => $2), $3::text::jsonb)";
    let retention = &settings.retention;
    let mut all = 0;
    for (kind, days) in [
        ("operation", retention.audit_operation_days),
        ("administration", retention.audit_administration_days),
    ] {
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        let row = session
            .client()
            .query_one(empty, &[&kind, &days, &session.actor()])
            .await?;
        let emptied: i64 = row.try_get(0)?;
        if let (Some(audit_seq), Some(audit_head)) =
            (row.try_get::<_, Option<i64>>(1)?, row.try_get::<_, Option<&str>>(2)?)
        {
            tracing::info!(
                kind,
                rows = emptied,
                audit_seq,
                audit_head,
                "emptied rows of the audit trail"
            );
        }
        all += u64::try_from(emptied).unwrap_or(0);
    }
    Ok(all)
}

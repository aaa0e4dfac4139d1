//! What else has its time: resolved dead letters, the audit trail.

use super::RetentionError;
use super::mark::Mark;
use super::pace::Pace;
use super::session::JanitorSession;
use crate::config::Settings;

/// Removes resolved letters of the mark, and says how many.
pub(super) async fn letters(
    session: &JanitorSession,
    settings: &Settings,
    mark: &Mark,
    pace: &mut Pace<'_>,
) -> Result<u64, RetentionError> {
    let remove = "SELECT outbox_relay.retention_letters($1, $2::text::pg_lsn, $3, $4::text::jsonb)";
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
        let letters = u64::try_from(removed).unwrap_or(0);
        all += letters;
        pace.breathe(session.client(), letters).await?;
        if removed < most {
            return Ok(all);
        }
    }
}

/// Empties what is old of the audit trail, which notes that itself, and says how many rows that are.
pub(super) async fn audit(session: &JanitorSession, settings: &Settings) -> Result<u64, RetentionError> {
    let empty = "SELECT (outbox_relay.audit_expire($1, now() - make_interval(days => $2), $3::text::jsonb)).emptied";
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
        all += u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0);
    }
    Ok(all)
}

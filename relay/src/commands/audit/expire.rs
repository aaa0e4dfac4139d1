//! `outbox-relay audit expire`.

use clap::Args;

use super::super::actor::Actor;
use super::super::operation::{Operation, show_head};
use super::super::output;
use super::Failure;

/// About a century: more is no retention.
const DAYS_MAX: i64 = 36_500;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How long operations are kept: redrives, discards, pauses, skips, and what the relay decided
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(i32).range(1..=DAYS_MAX))]
    operations_days: i32,
    /// How long administration is kept: migrations, slots, and what this command did
    #[arg(long, value_name = "DAYS", default_value_t = 1_095, value_parser = clap::value_parser!(i32).range(1..=DAYS_MAX))]
    administration_days: i32,
    #[command(flatten)]
    actor: Actor,
}

/// Both kinds in one transaction; the database notes each in the trail itself, if there was anything to empty.
pub(super) async fn expire(operation: &Operation<'_>, arguments: &Arguments) -> Result<(), Failure> {
    let statement = "SELECT k.kind, k.days, e.emptied, e.audit_seq, e.audit_head
         FROM (VALUES (1, 'operation', $1::int4), (2, 'administration', $2::int4)) AS k (place, kind, days),
             LATERAL outbox_relay.audit_expire(k.kind, now() - make_interval(days => k.days), $3::text::jsonb) AS e
         ORDER BY k.place";
    let (actor, operations) = (arguments.actor.as_json(None), arguments.operations_days);
    let rows = operation
        .rows(statement, &[&operations, &arguments.administration_days, &actor])
        .await?;
    for row in &rows {
        let (kind, days, emptied): (&str, i32, i64) =
            operation.read(|| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))?;
        let (seq, head): (Option<i64>, Option<String>) = operation.read(|| Ok((row.try_get(3)?, row.try_get(4)?)))?;
        output::write(&format!("{kind}: {emptied} rows older than {days} days emptied\n"))?;
        if let (Some(seq), Some(head)) = (seq, head) {
            show_head(seq, &head);
        }
    }
    Ok(())
}

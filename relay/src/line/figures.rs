//! Shows the pipeline's figures as metrics.

use crate::clock::unix_seconds;
use crate::pipeline::Pipeline;
use crate::telemetry::{Metrics, lsn_bytes};

/// Everything that is read from the pipeline; called now and then, never per record. `received_before` is
/// what pipelines before this one took.
pub(super) fn show(metrics: &Metrics, pipeline: &Pipeline, received_before: u64) {
    let ledger = pipeline.ledger();
    let received = received_before + pipeline.counts().received;
    metrics
        .events_received
        .inc_by(received.saturating_sub(metrics.events_received.get()));
    metrics
        .in_flight_events
        .set(i64::try_from(ledger.in_flight_records()).unwrap_or(i64::MAX));
    metrics
        .in_flight_bytes
        .set(i64::try_from(ledger.in_flight_bytes()).unwrap_or(i64::MAX));
    metrics
        .delivery_states_waiting
        .set(i64::try_from(ledger.unnoted()).unwrap_or(i64::MAX));
    metrics
        .dead_letters_parked_keys
        .set(i64::try_from(pipeline.parking().parked_keys()).unwrap_or(i64::MAX));
    metrics.acknowledged_lsn.set(lsn_bytes(ledger.acknowledged_end()));
    metrics
        .oldest_unacknowledged_commit
        .set(ledger.oldest_unacknowledged().map_or(0.0, unix_seconds));
    if let Some(at) = pipeline.newest_commit_received_at() {
        metrics.last_received_commit.set(unix_seconds(at));
    }
}

//! The wall clock: what PostgreSQL's times are compared with. Everything that waits uses the monotonic one.

use std::time::{SystemTime, UNIX_EPOCH};

use outbox_decoder::Timestamp;

/// Now.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_us(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

/// Seconds since the Unix epoch, for a metric.
#[allow(
    clippy::cast_precision_loss,
    reason = "a metric: microseconds are exact up to the year 2255"
)]
pub fn unix_seconds(at: Timestamp) -> f64 {
    at.as_unix_us() as f64 / 1e6
}

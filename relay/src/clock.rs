//! The wall clock: what PostgreSQL's times are compared with. Everything that waits uses the monotonic one.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

/// Less than this is no setting of the clock, but its keeping.
const SETTING: Duration = Duration::from_secs(1);

/// A moment on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    system: SystemTime,
    monotonic: Instant,
}

impl Moment {
    /// This one.
    pub fn now() -> Self {
        Self {
            system: SystemTime::now(),
            monotonic: Instant::now(),
        }
    }

    /// Whether somebody has set the system clock back since.
    pub fn was_clock_set_back(&self) -> bool {
        let now = Self::now();
        let expected = self.system.checked_add(now.monotonic.duration_since(self.monotonic));
        expected.is_some_and(|expected| expected.duration_since(now.system).is_ok_and(|back| back >= SETTING))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_told_from_one_that_is_kept() {
        let now = Moment::now();
        let of_a_clock_that_was_ahead_by = |ahead_ms| Moment {
            system: now.system + Duration::from_millis(ahead_ms),
            ..now
        };
        assert!(!now.was_clock_set_back());
        assert!(!of_a_clock_that_was_ahead_by(500).was_clock_set_back());
        assert!(of_a_clock_that_was_ahead_by(60_000).was_clock_set_back());
        let set_forward = Moment {
            system: now.system - Duration::from_mins(1),
            ..now
        };
        assert!(!set_forward.was_clock_set_back());
    }
}

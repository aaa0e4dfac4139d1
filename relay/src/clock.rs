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

/// How far ahead of the monotonic clock the system clock has been.
#[derive(Debug)]
pub struct Ahead {
    /// When it was looked at first, on both.
    began: (SystemTime, Instant),
    /// What it had gained since, at most.
    most: Duration,
}

impl Ahead {
    /// From now on.
    pub fn watch() -> Self {
        Self {
            began: (SystemTime::now(), Instant::now()),
            most: Duration::ZERO,
        }
    }

    /// Whether somebody has set the system clock back, from wherever it was at one of the looks before.
    pub fn was_set_back(&mut self) -> bool {
        self.look(SystemTime::now(), Instant::now())
    }

    fn look(&mut self, system: SystemTime, monotonic: Instant) -> bool {
        let (system_began, monotonic_began) = self.began;
        let expected = system_began + monotonic.duration_since(monotonic_began);
        let gained = system.duration_since(expected).unwrap_or_default();
        let lost = expected.duration_since(system).unwrap_or_default();
        self.most = self.most.max(gained);
        self.most.saturating_sub(gained) + lost >= SETTING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    /// Looks an hour apart, each with what the system clock is ahead then, in milliseconds.
    fn was_set_back(ahead_ms: &[i64]) -> Vec<bool> {
        let mut ahead = Ahead::watch();
        let (mut system, mut monotonic) = ahead.began;
        let mut looks = Vec::new();
        for &ms in ahead_ms {
            (system, monotonic) = (system + HOUR, monotonic + HOUR);
            let off = Duration::from_millis(ms.unsigned_abs());
            let shown = if ms < 0 { system - off } else { system + off };
            looks.push(ahead.look(shown, monotonic));
        }
        looks
    }

    #[test]
    fn a_clock_that_was_set_back_is_told_from_one_that_is_kept_or_set_forward() {
        assert_eq!(was_set_back(&[0, 300, -300, 0]), [false; 4]);
        assert_eq!(was_set_back(&[-60_000]), [true]);
        assert_eq!(was_set_back(&[60_000]), [false]);
    }

    #[test]
    fn a_clock_that_is_right_again_was_set_back_too() {
        assert_eq!(was_set_back(&[3_600_000, 0]), [false, true]);
    }
}

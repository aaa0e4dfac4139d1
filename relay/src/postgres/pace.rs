//! How long to let bytes gather before reading them.
//!
//! The walsender makes one small `send` for each message. A reader that is woken by each of them slows the sender down;
//! one that waits a few milliseconds while much is coming makes it twice as fast (measured; see ARCHITECTURE.md,
//! "Reading lazily"). A wait is latency, so there is none unless many messages and many bytes stream in: large rows make few
//! messages.

use std::time::{Duration, Instant};

/// The longest wait.
const NAP_MAX: Duration = Duration::from_millis(10);
/// As much as one wait should gather: it fits the kernel's receive buffer.
const GATHERED_BYTES: f64 = 1_048_576.0;
/// Below this rate nobody waits: ten thousand small rows a second come live at less.
const LIVE_BYTES_PER_SECOND: f64 = 6_000_000.0;
/// Nor below this one, however large the rows are: what the sender loses by being slowed down, it loses by the message.
const LIVE_ROWS_PER_SECOND: f64 = 8_000.0;
/// A read of at least this much says that more is there already.
const SHORT_READ_BYTES: usize = 65_536;
/// Rates are averaged over about this long.
const MEMORY: Duration = Duration::from_millis(20);

/// Watches how fast bytes arrive and says how long the next read can wait.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_second: f64,
    rows_per_second: f64,
    measured_at: Instant,
    unmeasured_bytes: usize,
    unmeasured_rows: u64,
}

impl Pace {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            bytes_per_second: 0.0,
            rows_per_second: 0.0,
            measured_at: now,
            unmeasured_bytes: 0,
            unmeasured_rows: 0,
        }
    }

    /// Rows were among what was read.
    pub(super) const fn took(&mut self, rows: u64) {
        self.unmeasured_rows += rows;
    }

    /// Notes a read and returns how long to wait before the next.
    pub(super) fn after_read(&mut self, bytes: usize, now: Instant) -> Duration {
        self.unmeasured_bytes += bytes;
        let elapsed = now.duration_since(self.measured_at);
        if elapsed >= MEMORY / 4 {
            let weight = (elapsed.as_secs_f64() / MEMORY.as_secs_f64()).min(1.0);
            let average = |before: &mut f64, rate: f64| *before += weight * (rate / elapsed.as_secs_f64() - *before);
            average(&mut self.bytes_per_second, as_f64(self.unmeasured_bytes as u64));
            average(&mut self.rows_per_second, as_f64(self.unmeasured_rows));
            self.measured_at = now;
            (self.unmeasured_bytes, self.unmeasured_rows) = (0, 0);
        }
        let is_live = self.bytes_per_second < LIVE_BYTES_PER_SECOND || self.rows_per_second < LIVE_ROWS_PER_SECOND;
        if bytes >= SHORT_READ_BYTES || is_live {
            return Duration::ZERO;
        }
        NAP_MAX.min(Duration::from_secs_f64(GATHERED_BYTES / self.bytes_per_second))
    }
}

#[allow(clippy::cast_precision_loss, reason = "a rate: nobody reads 2^53 bytes at once")]
const fn as_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads of `bytes` every `every_us` for a tenth of a second, in rows of 700; the last wait.
    fn wait_at(bytes: usize, every_us: u64) -> Duration {
        wait_for(bytes, every_us, bytes as u64 / 700)
    }

    fn wait_for(bytes: usize, every_us: u64, rows: u64) -> Duration {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        let mut wait = Duration::ZERO;
        for _ in 0..100_000 / every_us {
            now += Duration::from_micros(every_us);
            wait = pace.after_read(bytes, now);
            pace.took(rows);
        }
        wait
    }

    #[test]
    fn live_traffic_is_read_at_once() {
        assert_eq!(wait_at(700, 500), Duration::ZERO, "2,000 rows a second");
    }

    #[test]
    fn large_rows_are_read_at_once_as_long_as_they_are_few() {
        assert_eq!(
            wait_for(11_000, 1_000, 1),
            Duration::ZERO,
            "1,000 rows of 10 KiB a second"
        );
        assert!(wait_for(11_000, 100, 1) > Duration::ZERO, "10,000");
    }

    #[test]
    fn a_backlog_in_small_reads_is_waited_for_and_never_longer_than_ten_milliseconds() {
        assert_eq!(wait_at(700, 50), NAP_MAX, "14 MB/s");
        let fast = wait_at(20_000, 100);
        assert!(fast > Duration::from_millis(2) && fast < NAP_MAX, "200 MB/s: {fast:?}");
    }

    #[test]
    fn a_full_read_is_followed_by_the_next_without_a_wait() {
        assert_eq!(wait_at(SHORT_READ_BYTES, 1000), Duration::ZERO);
    }

    #[test]
    fn a_silence_ends_the_waiting() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..1000 {
            now += Duration::from_micros(50);
            pace.after_read(2000, now);
            pace.took(3);
        }
        now += Duration::from_millis(200);
        assert_eq!(pace.after_read(700, now), Duration::ZERO);
    }
}

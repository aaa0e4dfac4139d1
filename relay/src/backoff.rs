//! How long to wait before the next attempt: doubling, jittered, capped, for ever.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// A series of waits. It starts over when something succeeded.
#[derive(Debug)]
pub struct Backoff {
    builder: ExponentialBuilder,
    waits: ExponentialBackoff,
    max: Duration,
}

impl Backoff {
    /// Waits from about `first_ms` to at most `max_ms`.
    pub fn new(first_ms: u64, max_ms: u64) -> Self {
        let (first, max) = (Duration::from_millis(first_ms), Duration::from_millis(max_ms));
        let builder = ExponentialBuilder::default()
            .with_min_delay(first)
            // Jitter adds up to as much again. Cut off at the cap, it would leave all relays in step there.
            .with_max_delay((max / 2).max(first))
            .without_max_times()
            .with_jitter();
        Self {
            waits: builder.build(),
            builder,
            max,
        }
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        self.waits.next().unwrap_or(self.max).min(self.max)
    }

    /// Something succeeded: the next wait is a first one again.
    pub fn reset(&mut self) {
        self.waits = self.builder.build();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_cap_stay_out_of_step_and_never_end() {
        let mut backoff = Backoff::new(100, 1000);
        let waits: Vec<_> = (0..50).map(|_| backoff.next_wait().as_millis()).collect();
        assert!(waits[0] >= 100 && waits[0] <= 200, "{waits:?}");
        assert!(waits.iter().all(|&wait| wait <= 1000), "{waits:?}");
        let capped = &waits[5..];
        assert!(capped.iter().all(|&wait| wait >= 500), "{waits:?}");
        assert!(capped.iter().any(|wait| wait != &capped[0]), "in step: {waits:?}");
        backoff.reset();
        assert!(backoff.next_wait().as_millis() <= 200);
    }
}

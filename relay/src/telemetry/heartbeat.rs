//! Whether the loop turns. An outage of a server is no reason to be restarted; a loop that is stuck is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The loop beats ten times a second; this long without a beat means that it is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// Beaten by the loop, asked by `/livez`. Clones share the beat.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    started: Instant,
    beaten_ms: Arc<AtomicU64>,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            beaten_ms: Arc::default(),
        }
    }
}

impl Heartbeat {
    /// The loop has turned.
    pub fn beat(&self) {
        self.beaten_ms.store(self.since_start_ms(), Ordering::Relaxed);
    }

    /// For how long it has not; `None` as long as that is nothing to worry about.
    pub fn stuck_for(&self) -> Option<Duration> {
        let silent_ms = self
            .since_start_ms()
            .saturating_sub(self.beaten_ms.load(Ordering::Relaxed));
        let silent = Duration::from_millis(silent_ms);
        (silent > STUCK_AFTER).then_some(silent)
    }

    fn since_start_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_does_not_turn_is_stuck_and_recovers_with_the_next_beat() {
        let Some(long_ago) = Instant::now().checked_sub(Duration::from_secs(100)) else {
            return;
        };
        let heartbeat = Heartbeat {
            started: long_ago,
            beaten_ms: Arc::default(),
        };
        assert!(heartbeat.stuck_for().is_some());
        heartbeat.beat();
        assert_eq!(heartbeat.stuck_for(), None);
    }
}

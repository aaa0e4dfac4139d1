//! Whether the loop turns. An outage of a server is no reason to be restarted; a loop that is stuck is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The loop beats ten times a second; `/livez` complains after this part of the time after which the process ends.
const COMPLAINT: u32 = 4;
const BEAT: Duration = Duration::from_millis(100);
/// So often the watchdog looks in that time. It counts its own looks and not the clock: a process that was stopped, or a
/// machine that slept, has lost time and not its loop.
const LOOKS: u32 = 20;

/// Beaten by the loop, asked by `/livez`. Clones share the beat.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    started: Instant,
    beaten_ms: Arc<AtomicU64>,
    stuck_after: Duration,
}

impl Heartbeat {
    /// Of a loop that is to be given up when it has not turned for so long.
    pub fn new(stuck_after: Duration) -> Self {
        Self {
            started: Instant::now(),
            beaten_ms: Arc::default(),
            stuck_after,
        }
    }

    /// Looks after the loop on a thread of its own, and calls when it has not turned for the whole time. Until the first
    /// beat nobody is called.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn watch(&self, stuck: impl Fn(Duration) + Send + 'static) -> std::io::Result<()> {
        let heartbeat = self.clone();
        let look = move || {
            let (mut seen, mut same) = (0, 0);
            loop {
                thread::sleep(heartbeat.stuck_after / LOOKS);
                let beaten = heartbeat.beaten_ms.load(Ordering::Relaxed);
                same = if beaten == seen && beaten > 0 { same + 1 } else { 0 };
                seen = beaten;
                if same >= LOOKS {
                    stuck(heartbeat.stuck_after);
                    same = 0;
                }
            }
        };
        thread::Builder::new().name("watchdog".to_owned()).spawn(look).map(drop)
    }

    /// The loop has turned.
    pub fn beat(&self) {
        // Never 0, which means that it has not begun.
        self.beaten_ms.store(self.since_start_ms().max(1), Ordering::Relaxed);
    }

    /// Beats while something is waited for that has a limit of its own.
    pub async fn beat_while<T>(&self, work: impl Future<Output = T>) -> T {
        let mut tick = tokio::time::interval(BEAT);
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = tick.tick() => self.beat(),
            }
        }
    }

    /// For how long it has not; `None` as long as that is nothing to worry about.
    pub fn stuck_for(&self) -> Option<Duration> {
        let silent_ms = self
            .since_start_ms()
            .saturating_sub(self.beaten_ms.load(Ordering::Relaxed));
        let silent = Duration::from_millis(silent_ms);
        (silent > self.stuck_after / COMPLAINT).then_some(silent)
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
            ..Heartbeat::new(Duration::from_mins(2))
        };
        assert!(heartbeat.stuck_for().is_some());
        heartbeat.beat();
        assert_eq!(heartbeat.stuck_for(), None);
    }
}

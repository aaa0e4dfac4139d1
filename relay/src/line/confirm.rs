//! When a status update is due. Pure: it is told the time.

use std::time::{Duration, Instant};

use outbox_decoder::Lsn;
use outbox_decoder::stream::StatusUpdate;

use crate::pipeline::Progress;

/// Decides when the server hears from the relay: soon after progress, often enough not to be given up, at once when it
/// asks.
#[derive(Debug)]
pub(crate) struct Confirmation {
    interval: Duration,
    patience: Duration,
    sent: Progress,
    sent_at: Instant,
}

impl Confirmation {
    /// `patience_ms` is `wal_sender_timeout`: a third of it is the longest silence.
    pub(crate) fn new(interval_ms: u64, patience_ms: u64, now: Instant) -> Self {
        Self {
            interval: Duration::from_millis(interval_ms),
            patience: Duration::from_millis(patience_ms),
            sent: Progress {
                received: Lsn::ZERO,
                flushed: Lsn::ZERO,
            },
            sent_at: now,
        }
    }

    /// The status update to send now, if one is due. `heard_at` is when the server was last heard: after a long silence
    /// it is asked for an answer.
    pub(crate) fn due(
        &mut self,
        progress: Progress,
        asked: bool,
        heard_at: Instant,
        now: Instant,
    ) -> Option<StatusUpdate> {
        let since = now.duration_since(self.sent_at);
        let has_progress = progress != self.sent && since >= self.interval;
        let is_silent = since >= self.patience / 3;
        if !(asked || has_progress || is_silent) {
            return None;
        }
        assert!(
            progress.flushed >= self.sent.flushed,
            "the confirmed LSN would move backwards"
        );
        assert!(
            progress.flushed <= progress.received,
            "the confirmed LSN would pass what was received"
        );
        self.sent = progress;
        self.sent_at = now;
        Some(StatusUpdate {
            written: progress.received,
            flushed: progress.flushed,
            sent_at: crate::clock::now(),
            reply_requested: now.duration_since(heard_at) >= self.patience / 3,
        })
    }

    /// What the server was last told.
    pub(crate) const fn confirmed(&self) -> Lsn {
        self.sent.flushed
    }

    /// The server is gone: it was asked and did not answer.
    pub(crate) fn is_overdue(&self, heard_at: Instant, now: Instant) -> bool {
        now.duration_since(heard_at) > self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn progress(received: u64, flushed: u64) -> Progress {
        Progress {
            received: Lsn::new(received),
            flushed: Lsn::new(flushed),
        }
    }

    #[test]
    fn progress_is_confirmed_after_the_interval_and_only_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut confirmation = Confirmation::new(100, 60_000, start);
        assert_eq!(confirmation.due(progress(10, 5), false, start, at(99)), None);
        let sent = confirmation
            .due(progress(10, 5), false, start, at(100))
            .map(|status| status.flushed);
        assert_eq!(sent, Some(Lsn::new(5)));
        assert_eq!(confirmation.due(progress(10, 5), false, start, at(1000)), None);
    }

    #[test]
    fn a_server_that_asks_is_answered_at_once() {
        let start = Instant::now();
        let mut confirmation = Confirmation::new(100, 60_000, start);
        assert!(confirmation.due(progress(0, 0), true, start, start).is_some());
    }

    #[test]
    fn a_silent_server_hears_from_the_relay_and_is_asked_for_an_answer() {
        let start = Instant::now();
        let mut confirmation = Confirmation::new(100, 30_000, start);
        let later = start + Duration::from_secs(10);
        assert_eq!(
            confirmation
                .due(progress(0, 0), false, start, later)
                .map(|status| status.reply_requested),
            Some(true)
        );
        assert!(!confirmation.is_overdue(start, start + Duration::from_secs(30)));
        assert!(confirmation.is_overdue(start, start + Duration::from_secs(31)));
    }

    #[test]
    #[should_panic(expected = "backwards")]
    fn a_confirmation_that_moves_backwards_is_a_bug_and_stops_the_process() {
        let start = Instant::now();
        let mut confirmation = Confirmation::new(0, 30_000, start);
        confirmation.due(progress(10, 10), true, start, start);
        confirmation.due(progress(10, 9), true, start, start);
    }
}

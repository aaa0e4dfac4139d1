//! When a stream counts as up. One that was lost at once has not shown that it works; the next one has to last.

use std::time::{Duration, Instant};

/// A stream that was lost sooner than this is followed by one that has to last as long before it counts as up, and
/// before the waits between attempts start over.
const SETTLED_AFTER: Duration = Duration::from_secs(5);

/// Whether the present stream has shown that it works.
#[derive(Debug, Default)]
pub(super) struct Settle {
    /// How long the next stream has to last.
    probation: Duration,
    /// The present stream, until it counts as up: since when, and how many events the relay had received before it.
    began: Option<(Instant, u64)>,
}

impl Settle {
    /// A stream begins.
    pub(super) const fn begin(&mut self, received: u64, now: Instant) {
        self.began = Some((now, received));
    }

    /// Something stands in the way of events: it has to last anew.
    pub(super) const fn doubt(&mut self, received: u64, now: Instant) {
        self.probation = SETTLED_AFTER;
        self.began = Some((now, received));
    }

    /// The stream is lost.
    pub(super) fn lost(&mut self, lasted: Duration) {
        self.probation = if lasted < SETTLED_AFTER {
            SETTLED_AFTER
        } else {
            Duration::ZERO
        };
        self.began = None;
    }

    /// Whether the stream has just become settled: it has lasted, or brought events.
    pub(super) fn has_settled(&mut self, received: u64, now: Instant) -> bool {
        let probation = self.probation;
        let is_it = |&mut (at, before): &mut (Instant, u64)| now.duration_since(at) >= probation || received > before;
        self.began.take_if(is_it).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stream_counts_at_once_and_one_after_a_short_one_when_it_has_lasted() {
        let (mut settle, start) = (Settle::default(), Instant::now());
        settle.begin(0, start);
        assert!(settle.has_settled(0, start));
        assert!(!settle.has_settled(0, start), "once");
        settle.lost(Duration::from_secs(1));
        settle.begin(0, start);
        assert!(!settle.has_settled(0, start + Duration::from_secs(4)));
        assert!(settle.has_settled(0, start + SETTLED_AFTER));
        settle.lost(SETTLED_AFTER);
        settle.begin(0, start);
        assert!(settle.has_settled(0, start));
    }

    #[test]
    fn events_are_proof_enough() {
        let (mut settle, start) = (Settle::default(), Instant::now());
        settle.begin(7, start);
        settle.doubt(7, start);
        assert!(!settle.has_settled(7, start));
        assert!(settle.has_settled(8, start));
    }
}

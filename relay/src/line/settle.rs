//! When a stream counts as up. One that was lost at once has not shown that it works; the next one has to last.

use std::time::{Duration, Instant};

/// A stream that was lost sooner than this is followed by one that has to last as long before it counts as up, and
/// before the waits between attempts start over.
const SETTLED_AFTER: Duration = Duration::from_secs(5);
/// While the stream is in doubt, the server is asked this often: it answers each status update with its notice, which is also
/// a line in its own log.
const ASK_EVERY: Duration = Duration::from_secs(4);

/// Whether the present stream has shown that it works.
#[derive(Debug, Default)]
pub(super) struct Settle {
    /// How long the next stream has to last.
    probation: Duration,
    /// The present stream, until it counts as up: since when, and how many events the relay had received before it.
    began: Option<(Instant, u64)>,
    /// When a stream in doubt is asked again.
    ask_at: Option<Instant>,
}

impl Settle {
    /// A stream begins.
    pub(super) const fn begin(&mut self, received: u64, now: Instant) {
        self.began = Some((now, received));
    }

    /// Something stands in the way of events: it has to last anew.
    pub(super) fn doubt(&mut self, received: u64, now: Instant) {
        self.probation = SETTLED_AFTER;
        self.began = Some((now, received));
        self.ask_at.get_or_insert(now + ASK_EVERY);
    }

    /// The stream is lost.
    pub(super) fn lost(&mut self, lasted: Duration) {
        self.probation = if lasted < SETTLED_AFTER {
            SETTLED_AFTER
        } else {
            Duration::ZERO
        };
        self.began = None;
        self.ask_at = None;
    }

    /// Whether to ask the server now what stands in the way: without that, it tells only now and then.
    pub(super) fn wants_proof(&mut self, now: Instant) -> bool {
        let is_due = self.ask_at.is_some_and(|at| now >= at);
        if is_due {
            self.ask_at = self.began.map(|_| now + ASK_EVERY);
        }
        is_due
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
    fn a_stream_in_doubt_is_asked_again_and_again_until_it_counts_as_up() {
        let (mut settle, start) = (Settle::default(), Instant::now());
        settle.begin(0, start);
        assert!(!settle.wants_proof(start + SETTLED_AFTER), "nothing is in doubt");
        settle.doubt(0, start);
        assert!(!settle.wants_proof(start));
        assert!(settle.wants_proof(start + ASK_EVERY));
        assert!(!settle.wants_proof(start + ASK_EVERY));
        settle.doubt(0, start + ASK_EVERY);
        assert!(settle.wants_proof(start + ASK_EVERY * 2));
        assert!(settle.has_settled(0, start + ASK_EVERY + SETTLED_AFTER));
        settle.wants_proof(start + Duration::from_mins(1));
        assert!(!settle.wants_proof(start + Duration::from_mins(2)), "it is up");
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

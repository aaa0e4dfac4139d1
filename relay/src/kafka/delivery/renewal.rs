//! When to look whether the files of a refused login have changed.

use std::time::Instant;

use crate::backoff::Backoff;
use crate::fault::Fault;
use crate::pipeline::Ticket;

/// The files are looked at after so long, and then ever more rarely.
const LOOK_AFTER_MS: u64 = 500;
const LOOK_AFTER_MAX_MS: u64 = 5_000;

#[derive(Debug)]
struct Refused {
    /// The first ticket after it.
    before: Ticket,
    look_at: Instant,
    why: Fault,
}

/// A refusal concerns one broker's connection; the others may go on. It counts until the records that were there when
/// it came are acknowledged, or a new producer is made.
#[derive(Debug)]
pub(super) struct Renewal {
    refused: Option<Refused>,
    backoff: Backoff,
}

impl Default for Renewal {
    fn default() -> Self {
        Self {
            refused: None,
            backoff: Backoff::jittered(LOOK_AFTER_MS, LOOK_AFTER_MAX_MS),
        }
    }
}

impl Renewal {
    /// A broker and the relay have refused each other.
    pub(super) fn refused(&mut self, why: Fault, next: Ticket, now: Instant) {
        match &mut self.refused {
            Some(refused) => refused.why = why,
            None => {
                self.refused = Some(Refused {
                    before: next,
                    look_at: now,
                    why,
                });
            }
        }
    }

    /// The refusal that may hold records back although other brokers answer.
    pub(super) fn why(&self) -> Option<&Fault> {
        self.refused.as_ref().map(|refused| &refused.why)
    }

    /// Whether to look now; `oldest` is not acknowledged yet.
    pub(super) fn look_now(&mut self, oldest: Option<Ticket>, are_brokers_up: bool, now: Instant) -> bool {
        let Some(Refused { before, look_at, .. }) = &mut self.refused else {
            return false;
        };
        if are_brokers_up && oldest.is_none_or(|oldest| oldest >= *before) {
            self.refused = None;
            self.backoff.reset();
            return false;
        }
        let is_due = now >= *look_at;
        if is_due {
            *look_at = now + self.backoff.next_wait();
        }
        is_due
    }

    /// There is a new producer.
    pub(super) fn done(&mut self) {
        self.refused = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fault::FaultCode;

    fn why() -> Fault {
        Fault::new(FaultCode::KafkaTlsFailed, "m", "h")
    }

    #[test]
    fn files_are_looked_at_after_a_refusal_and_then_ever_more_rarely() {
        let (mut renewal, now) = (Renewal::default(), Instant::now());
        assert!(!renewal.look_now(None, false, now));
        renewal.refused(why(), Ticket::from_u64(7), now);
        assert!(renewal.look_now(None, false, now));
        assert!(!renewal.look_now(None, false, now + Duration::from_millis(400)));
        assert!(renewal.look_now(None, false, now + Duration::from_secs(3)));
    }

    #[test]
    fn a_refusal_that_passed_by_itself_is_forgotten_and_one_that_holds_a_record_back_is_not() {
        let (mut renewal, now) = (Renewal::default(), Instant::now());
        renewal.refused(why(), Ticket::from_u64(7), now);
        assert!(renewal.look_now(Some(Ticket::from_u64(6)), true, now));
        assert_eq!(renewal.why(), Some(&why()), "it says why the record waits");
        assert!(!renewal.look_now(Some(Ticket::from_u64(7)), true, now + Duration::from_secs(9)));
        assert_eq!(renewal.why(), None);
    }
}

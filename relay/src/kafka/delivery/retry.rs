//! When what has failed is tried again, and when a record that is refused again and again counts as one that can never be
//! accepted.

use std::time::Duration;

use crate::backoff::Backoff;
use crate::config::{OutboxSettings, RetrySettings};
use crate::kafka::reports::Failed;
use crate::pipeline::Ticket;

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decision {
    /// How long to wait.
    pub(super) wait: Duration,
    /// Nobody is told yet: it may pass.
    pub(super) is_early: bool,
}

/// Counts attempts. They start over when the line works again.
#[derive(Debug)]
pub(super) struct Retry {
    /// In the order in which the decoder knows them.
    outboxes: Vec<OutboxSettings>,
    usual: RetrySettings,
    backoff: Backoff,
    /// The record that was refused alone, and how often in a row.
    refused: Option<(Ticket, u32)>,
}

impl Retry {
    pub(super) fn new(outboxes: Vec<OutboxSettings>, usual: RetrySettings) -> Self {
        Self {
            outboxes,
            usual,
            backoff: Backoff::new(usual.schedule),
            refused: None,
        }
    }

    /// Something failed that is no record's own fault: tried again for ever.
    pub(super) fn failed(&mut self, blamed: Option<&Failed>) -> Decision {
        let schedule = self.settings_of(blamed).schedule;
        Decision {
            wait: self.backoff.next_wait_of(schedule),
            is_early: false,
        }
    }

    /// A record was refused alone, for a reason that lies in it.
    pub(super) fn refused(&mut self, record: &Failed) -> Decision {
        let before = self.refused.filter(|(ticket, _)| *ticket == record.ticket);
        let times = before.map_or(1, |(_, times)| times.saturating_add(1));
        self.refused = Some((record.ticket, times));
        if times == 1 {
            self.backoff.reset();
        }
        let RetrySettings { schedule, attempts } = self.settings_of(Some(record));
        if times < attempts {
            let wait = self.backoff.next_wait_of(schedule);
            return Decision { wait, is_early: true };
        }
        Decision {
            wait: schedule.max,
            is_early: false,
        }
    }

    /// The wait before another attempt at what no record has to do with.
    pub(super) fn next_wait(&mut self) -> Duration {
        self.backoff.next_wait()
    }

    /// The line works.
    pub(super) const fn reset(&mut self) {
        self.backoff.reset();
        self.refused = None;
    }

    fn settings_of(&self, blamed: Option<&Failed>) -> RetrySettings {
        let outbox = blamed.and_then(|failed| Some((failed, self.outboxes.get(usize::from(failed.kept?.outbox))?)));
        outbox.map_or(self.usual, |(failed, outbox)| {
            outbox.retry_of(failed.header("event_type").as_deref())
        })
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;
    use rdkafka::error::RDKafkaErrorCode;
    use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};

    use super::*;
    use crate::config::trial::Trial;
    use crate::pipeline::Kept;

    fn retry() -> Retry {
        let text = "retry.policy = 'fixed'\nretry.initial_ms = 10\nretry.max_ms = 1000\n\
                    [outbox.default.retry_rules.money]\nevent_types = ['paid']\ninitial_ms = 70\nattempts = 2";
        let settings = Trial::minimal().and(text).load().expect("no error").settings;
        Retry::new(settings.outbox.into_values().collect(), settings.retry)
    }

    fn failed(ticket: u64, event_type: &str) -> Failed {
        let headers = OwnedHeaders::new().insert(Header {
            key: "event_type",
            value: Some(event_type),
        });
        let record = OwnedMessage::new(None, None, "t".to_owned(), Timestamp::NotAvailable, 0, 0, Some(headers));
        Failed {
            ticket: Ticket::from_u64(ticket),
            code: RDKafkaErrorCode::MessageSizeTooLarge,
            record,
            kept: Some(Kept {
                timestamp_ms: 0,
                outbox: 0,
            }),
        }
    }

    fn waits_ms(wait_ms: u64, is_early: bool) -> Decision {
        Decision {
            wait: Duration::from_millis(wait_ms),
            is_early,
        }
    }

    #[test]
    fn a_record_that_is_refused_alone_is_given_up_after_its_attempts_and_tried_slowly_from_then_on() {
        let mut retry = retry();
        let record = failed(1, "placed");
        let decisions: Vec<Decision> = (0..4).map(|_| retry.refused(&record)).collect();
        let expected = [(10, true), (10, true), (1000, false), (1000, false)];
        assert_eq!(
            decisions,
            expected.map(|(wait_ms, is_early)| waits_ms(wait_ms, is_early))
        );
        assert_eq!(
            retry.refused(&failed(2, "placed")),
            waits_ms(10, true),
            "another record"
        );
    }

    #[test]
    fn an_event_type_has_its_own_attempts_and_waits() {
        let mut retry = retry();
        assert_eq!(retry.refused(&failed(1, "paid")), waits_ms(70, true));
        assert_eq!(retry.refused(&failed(1, "paid")), waits_ms(1000, false));
    }

    #[test]
    fn what_is_no_records_fault_is_told_at_once_and_never_given_up() {
        let mut retry = retry();
        for _ in 0..100 {
            assert_eq!(retry.failed(Some(&failed(1, "paid"))), waits_ms(70, false));
            assert_eq!(retry.failed(None), waits_ms(10, false));
        }
    }
}

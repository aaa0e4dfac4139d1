//! When what has failed is tried again, and when a record that is refused again and again counts as one that can never be
//! accepted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::config::{OutboxSettings, RetrySettings};
use crate::kafka::reports::Failed;
use crate::pipeline::Ticket;

/// Each attempt needs a producer of its own, and the one before it needs some time to end.
const WAIT_MIN: Duration = Duration::from_millis(50);
/// A line that stands for longer is no secret, whatever is left of the attempts.
const SECRET_MAX: Duration = Duration::from_secs(5);
/// Records that are refused by turns. One more than these starts over.
const REFUSED_MAX: usize = 1024;

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decision {
    /// How long to wait.
    pub(super) wait: Duration,
    /// Nobody is told before: it may pass.
    pub(super) told_at: Instant,
    /// The record was refused as often as it may be, since that time, and so often.
    pub(super) gives_up: Option<Attempts>,
}

/// How often something was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attempts {
    pub(super) made: u32,
    pub(super) max: u32,
    pub(super) since: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Refusals {
    times: u32,
    since: Instant,
}

/// Counts attempts. They start over when the line works again.
#[derive(Debug)]
pub(super) struct Retry {
    /// In the order in which the decoder knows them.
    outboxes: Vec<OutboxSettings>,
    usual: RetrySettings,
    backoff: Backoff,
    /// The records that were refused alone since the line worked, and how often.
    refused: BTreeMap<Ticket, Refusals>,
}

impl Retry {
    pub(super) fn new(outboxes: Vec<OutboxSettings>, usual: RetrySettings) -> Self {
        Self {
            outboxes,
            usual,
            backoff: Backoff::new(usual.schedule),
            refused: BTreeMap::new(),
        }
    }

    /// Something failed that is no record's own fault: tried again for ever.
    pub(super) fn failed(&mut self, blamed: Option<&Failed>, now: Instant) -> Decision {
        let schedule = self.settings_of(blamed).schedule;
        Decision {
            wait: self.backoff.next_wait_of(schedule).max(WAIT_MIN),
            told_at: now,
            gives_up: None,
        }
    }

    /// A record was refused alone, for a reason that lies in it.
    pub(super) fn refused(&mut self, record: &Failed, now: Instant) -> Decision {
        if self.refused.is_empty() {
            self.backoff.reset();
        }
        if self.refused.len() >= REFUSED_MAX && !self.refused.contains_key(&record.ticket) {
            self.refused.clear();
        }
        let known = self
            .refused
            .entry(record.ticket)
            .or_insert(Refusals { times: 0, since: now });
        known.times = known.times.saturating_add(1);
        let Refusals { times, since: first } = *known;
        let since = self
            .refused
            .values()
            .map(|refusals| refusals.since)
            .min()
            .unwrap_or(now);
        let RetrySettings { schedule, attempts } = self.settings_of(Some(record));
        if times < attempts {
            return Decision {
                wait: self.backoff.next_wait_of(schedule).max(WAIT_MIN),
                told_at: since + SECRET_MAX,
                gives_up: None,
            };
        }
        Decision {
            wait: schedule.max.max(WAIT_MIN),
            told_at: now,
            gives_up: Some(Attempts {
                made: times,
                max: attempts,
                since: first,
            }),
        }
    }

    /// The record goes elsewhere.
    pub(super) fn forget(&mut self, ticket: Ticket) {
        self.refused.remove(&ticket);
    }

    /// The wait before another attempt at what no record has to do with.
    pub(super) fn next_wait(&mut self) -> Duration {
        self.backoff.next_wait().max(WAIT_MIN)
    }

    /// The line works.
    pub(super) fn reset(&mut self) {
        self.backoff.reset();
        self.refused.clear();
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
        let text = "retry.policy = 'fixed'\nretry.initial_ms = 60\nretry.max_ms = 1000\n\
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
            may_be_persisted: false,
            record,
            kept: Some(Kept {
                timestamp_ms: 0,
                outbox: 0,
            }),
        }
    }

    /// How long it is waited, and when people are told.
    fn decision(wait_ms: u64, told_at: Instant) -> (Duration, Instant) {
        (Duration::from_millis(wait_ms), told_at)
    }

    impl Decision {
        fn times(self) -> (Duration, Instant) {
            (self.wait, self.told_at)
        }
    }

    #[test]
    fn a_record_that_is_refused_alone_is_given_up_after_its_attempts_and_tried_slowly_from_then_on() {
        let (mut retry, now) = (retry(), Instant::now());
        let record = failed(1, "placed");
        let all: Vec<Decision> = (0..4).map(|_| retry.refused(&record, now)).collect();
        let given_up: Vec<Option<u32>> = all.iter().map(|one| Some(one.gives_up?.made)).collect();
        assert_eq!(given_up, [None, None, Some(3), Some(4)]);
        let decisions: Vec<_> = all.into_iter().map(Decision::times).collect();
        let late = now + SECRET_MAX;
        let expected = [(60, late), (60, late), (1000, now), (1000, now)];
        assert_eq!(decisions, expected.map(|(wait_ms, told_at)| decision(wait_ms, told_at)));
    }

    #[test]
    fn records_that_are_refused_by_turns_are_given_up_as_one_alone_would_be() {
        let (mut retry, now) = (retry(), Instant::now());
        let by_turns = [1, 2, 1, 2, 1, 2].map(|ticket| retry.refused(&failed(ticket, "placed"), now).told_at == now);
        assert_eq!(by_turns, [false, false, false, false, true, true]);
    }

    #[test]
    fn a_line_that_stands_is_no_secret_however_many_attempts_are_left() {
        let (mut retry, now) = (retry(), Instant::now());
        retry.refused(&failed(1, "placed"), now);
        let second = retry.refused(&failed(1, "placed"), now + Duration::from_secs(4));
        assert_eq!(second.told_at, now + SECRET_MAX, "since the first refusal");
    }

    #[test]
    fn an_event_type_has_its_own_attempts_and_waits() {
        let (mut retry, now) = (retry(), Instant::now());
        assert_eq!(
            retry.refused(&failed(1, "paid"), now).times(),
            decision(70, now + SECRET_MAX)
        );
        assert_eq!(retry.refused(&failed(1, "paid"), now).times(), decision(1000, now));
    }

    #[test]
    fn what_is_no_records_fault_is_told_at_once_and_never_given_up() {
        let (mut retry, now) = (retry(), Instant::now());
        for _ in 0..100 {
            assert_eq!(retry.failed(Some(&failed(1, "paid")), now).times(), decision(70, now));
            assert_eq!(retry.failed(None, now).times(), decision(60, now));
        }
    }

    #[test]
    fn no_wait_is_so_short_that_producers_pile_up() {
        let settings = Trial::minimal().and("retry.policy = 'fixed'\nretry.initial_ms = 1\nretry.max_ms = 1");
        let settings = settings.load().expect("no error").settings;
        let mut retry = Retry::new(settings.outbox.into_values().collect(), settings.retry);
        assert_eq!(retry.failed(None, Instant::now()).wait, WAIT_MIN);
        assert_eq!(retry.refused(&failed(1, "placed"), Instant::now()).wait, WAIT_MIN);
        assert_eq!(retry.next_wait(), WAIT_MIN);
    }
}

//! A record that brokers refuse alone as often as it may be tried: it goes to the dead letters, where its outbox says so, and
//! so does what came behind it with its key.

use std::time::Instant;

use rdkafka::Message;

use super::retry::Attempts;
use super::{Delivery, State};
use crate::clock;
use crate::dead_letter::{Failure, GivenUp};
use crate::fault::Fault;
use crate::kafka::produce::Producers;
use crate::kafka::properties::Batching;
use crate::kafka::reports::Failed;
use crate::pipeline::{Pipeline, Ticket, TopicKey};

/// What becomes of a record that is refused for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its outbox halts at it.
    Halts,
    /// It would go to the dead letters, and there is no room for one more.
    NoRoom,
    /// It goes to the dead letters.
    GivenUp {
        /// And later events of its key wait behind it.
        parks_key: bool,
    },
}

/// A record that comes from the dead letters always goes back there.
pub(super) fn fate(record: &Failed, pipeline: &Pipeline) -> Fate {
    if pipeline.ledger().is_letter(record.ticket) {
        return Fate::GivenUp { parks_key: true };
    }
    let id = record.header("id").unwrap_or_default();
    let kept = record.kept.unwrap_or_default();
    let parking = pipeline.parking();
    match parking.of_defect(kept.outbox, id.as_bytes()) {
        None => Fate::Halts,
        Some(_) if !parking.has_room(Some(record.record.topic()), record.record.key()) => Fate::NoRoom,
        Some(parks_key) => Fate::GivenUp { parks_key },
    }
}

/// The code stays that of the record: mending what it names is one of the two ways out.
pub(super) fn without_room(cause: Fault) -> Fault {
    let hint = format!(
        "{}; its outbox sets such events aside, but as many are as dead_letters.letters_max and parked_keys_max allow: \
         `outbox-relay dead-letters list`, then redrive or discard some",
        cause.hint
    );
    Fault { hint, ..cause }
}

impl<P: Producers> Delivery<P> {
    /// Takes the record out of what is sent again, and with it what waits for it.
    pub(super) fn give_up(
        &mut self,
        failed: Vec<Failed>,
        ticket: Ticket,
        (cause, attempts, parks_key): (Fault, Attempts, bool),
        (pipeline, now): (&mut Pipeline, Instant),
    ) {
        let head = failed.iter().find(|failed| failed.ticket == ticket);
        let parked = head.and_then(topic_key).filter(|_| parks_key);
        // Behind a letter only letters wait: rows of its key are not on their way, or overtake it on purpose.
        let is_letter = pipeline.ledger().is_letter(ticket);
        let (mut again, mut failure) = (
            Vec::with_capacity(failed.len()),
            Some(failure(&cause, attempts, &failed, ticket)),
        );
        for failed in failed {
            let is_head = failed.ticket == ticket;
            let waits = failed.ticket > ticket
                && parked.is_some()
                && !followers_go_on()
                && topic_key(&failed) == parked
                && (pipeline.ledger().is_letter(failed.ticket) || !is_letter);
            if !is_head && !waits {
                again.push(failed);
                continue;
            }
            let committed_at = pipeline.ledger().committed_at(failed.ticket);
            if pipeline.ledger().is_letter(failed.ticket) {
                pipeline.return_letter(failed.ticket);
            } else {
                pipeline.give_up(failed.ticket, parked.clone(), failed.position());
            }
            if let Some(journal) = &mut self.journal {
                journal.set_aside(failed.ticket);
            }
            self.given_up.push(GivenUp {
                failure: if is_head { failure.take() } else { None },
                parks_key: parked.is_some(),
                committed_at,
                failed,
            });
        }
        self.retry.forget(ticket);
        self.blame = None;
        self.state = State::Waiting {
            batching: Batching::Full,
            failed: again,
            until: now,
            obstacle: None,
        };
    }
}

/// A bug that the simulation plants.
#[cfg(test)]
fn followers_go_on() -> bool {
    FOLLOWERS_GO_ON.get()
}

#[cfg(not(test))]
const fn followers_go_on() -> bool {
    false
}

#[cfg(test)]
thread_local! {
    pub(crate) static FOLLOWERS_GO_ON: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

fn topic_key(failed: &Failed) -> Option<TopicKey> {
    Some((failed.record.topic().to_owned(), failed.record.key()?.to_vec()))
}

fn failure(cause: &Fault, attempts: Attempts, failed: &[Failed], ticket: Ticket) -> Failure {
    let last_at = clock::now();
    let since_us = i64::try_from(attempts.since.elapsed().as_micros()).unwrap_or(i64::MAX);
    let code = failed
        .iter()
        .find(|failed| failed.ticket == ticket)
        .map(|failed| failed.code);
    Failure {
        broker_response: code.map(|code| format!("{code:?}: {code}")),
        attempts: attempts.made,
        attempts_max: attempts.max,
        first_at: outbox_decoder::Timestamp::from_unix_us(last_at.as_unix_us().saturating_sub(since_us)),
        ..Failure::of_fault(cause, code.map(|code| code.to_string()).into_iter().collect(), last_at)
    }
}

//! What is handed to the producer: new records, and those that come from dead letters.

use outbox_decoder::{Envelope, Timestamp, TopicName};
use rdkafka::Message;
use rdkafka::message::OwnedMessage;

use super::{Delivery, Refusal, State};
use crate::clock;
use crate::dead_letter::{GivenUp, Outgoing};
use crate::kafka::policy;
use crate::kafka::produce::{NotTaken, Producers};
use crate::kafka::refused::count_failure;
use crate::pipeline::{SendError, Ticket};

impl<P: Producers> Delivery<P> {
    /// What goes to the dead letters since this was last asked.
    pub(crate) fn take_given_up(&mut self) -> Vec<GivenUp> {
        std::mem::take(&mut self.given_up)
    }

    /// Hands a record to the producer that is ready as it is: one from a dead letter.
    pub(crate) fn send_ready(
        &mut self,
        ticket: Ticket,
        topic: &TopicName,
        message: &OwnedMessage,
    ) -> Result<(), Outgoing> {
        if self.is_halted() {
            return Err(Outgoing::Full);
        }
        let State::Flowing(outlet) = &mut self.state else {
            return Err(Outgoing::Full);
        };
        match outlet.send_ready(ticket, topic, message) {
            Ok(()) => {
                self.metrics.events_published.inc();
                Ok(())
            }
            Err(NotTaken::Full | NotTaken::Fatal) => Err(Outgoing::Full),
            Err(NotTaken::Record(code)) => {
                count_failure(code, &self.metrics);
                let bytes = message.payload().map_or(0, <[u8]>::len);
                let about = format!("a record of {bytes} bytes for topic {topic}");
                Err(Outgoing::Refused(policy::refusal_fault(code, &about)))
            }
        }
    }

    /// Takes a new record; nothing was taken over where that is an error.
    pub(crate) fn send(&mut self, ticket: Ticket, envelope: &Envelope<'_>) -> Result<(), SendError<Refusal>> {
        if self.is_halted() {
            return Err(SendError::Full);
        }
        let State::Flowing(outlet) = &mut self.state else {
            return Err(SendError::Full);
        };
        match outlet.send(ticket, envelope) {
            Ok(()) => {
                self.metrics.events_published.inc();
                if let Some(journal) = &mut self.journal {
                    journal.sent(ticket, envelope);
                }
                if self.replayed_until.is_some_and(|until| envelope.committed_at <= until) {
                    self.metrics.possible_duplicates.inc();
                }
                Ok(())
            }
            Err(NotTaken::Full | NotTaken::Fatal) => Err(SendError::Full),
            Err(NotTaken::Record(code)) => {
                let id = String::from_utf8_lossy(envelope.idempotency_key.as_bytes()).into_owned();
                let bytes = envelope.payload.as_ref().map_or(0, |payload| payload.as_bytes().len());
                let about = format!("event {id} ({bytes} bytes) for topic {}", envelope.topic);
                self.refused.count(ticket, code, &self.metrics);
                Err(SendError::Refused(policy::refusal_fault(code, &about)))
            }
        }
    }

    /// Hears of a transaction whose end came after the acknowledgements of all its records.
    pub(crate) fn completed(&mut self, committed_at: Timestamp) {
        self.metrics.show_acknowledged_commit(committed_at, clock::now());
    }
}

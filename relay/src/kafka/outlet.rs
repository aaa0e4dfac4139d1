//! One producer and what may be handed to it: first what failed before, in order; then what is new; never two records
//! to a partition in which the broker does not know this producer yet.

use std::collections::VecDeque;
use std::time::Instant;

use outbox_decoder::{Envelope, Text, TopicName};
use rdkafka::Message;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::OwnedMessage;

use crate::kafka::introduction::{Introductions, Verdict};
use crate::kafka::produce::{NotTaken, Produce};
use crate::kafka::properties::Batching;
use crate::kafka::reports::Failed;
use crate::pipeline::Ticket;
use crate::telemetry::Metrics;

pub(super) struct Outlet<P> {
    producer: P,
    batching: Batching,
    introductions: Introductions,
    /// What failed before, each with its topic.
    again: VecDeque<(TopicName, Failed)>,
    is_fatal: bool,
    /// Why the first record of `again` was not taken.
    refused: Option<RDKafkaErrorCode>,
}

impl<P: Produce> Outlet<P> {
    /// Nobody knows the producer yet.
    pub(super) fn of(producer: P, batching: Batching, now: Instant) -> Self {
        Self {
            producer,
            batching,
            introductions: Introductions::new(now),
            again: VecDeque::new(),
            is_fatal: false,
            refused: None,
        }
    }

    pub(super) const fn producer(&self) -> &P {
        &self.producer
    }

    /// Takes over what failed in the producer before this one, in the ledger's order.
    pub(super) fn send_again(&mut self, failed: Vec<Failed>) {
        let with_topic = |failed: Failed| {
            let topic = failed.record.topic().parse();
            (topic.expect("the producer before this one took the name"), failed)
        };
        self.again = failed.into_iter().map(with_topic).collect();
    }

    /// Takes new records.
    pub(super) fn is_open(&self) -> bool {
        self.batching == Batching::Full && self.again.is_empty() && !self.is_fatal
    }

    /// Nothing more can be sent through it.
    pub(super) const fn is_fatal(&self) -> bool {
        self.is_fatal
    }

    /// A producer reported an error. It may have been the one before this: reports outlive their producer.
    pub(super) fn look_for_fatal_error(&mut self) {
        self.is_fatal |= self.producer.fatal_error().is_some();
    }

    /// Was opened to find out which record a broker refuses, and has nothing left to send.
    pub(super) fn has_isolated(&self) -> bool {
        self.batching == Batching::Isolating && self.again.is_empty()
    }

    pub(super) fn send(&mut self, ticket: Ticket, envelope: &Envelope<'_>) -> Result<(), NotTaken> {
        if !self.is_open() {
            return Err(NotTaken::Full);
        }
        let key = envelope.key.as_ref().map(Text::as_bytes);
        let verdict = self.introductions.verdict(envelope.topic, key);
        if verdict == Verdict::Wait {
            return Err(NotTaken::Full);
        }
        let sent = self.producer.send(ticket, envelope);
        self.note(sent, verdict, envelope.topic, key, ticket)
    }

    /// A record that is ready as it is.
    pub(super) fn send_ready(
        &mut self,
        ticket: Ticket,
        topic: &TopicName,
        message: &OwnedMessage,
    ) -> Result<(), NotTaken> {
        if !self.is_open() {
            return Err(NotTaken::Full);
        }
        let verdict = self.introductions.verdict(topic, message.key());
        if verdict == Verdict::Wait {
            return Err(NotTaken::Full);
        }
        let timestamp_ms = message.timestamp().to_millis();
        let sent = self.producer.send_again(ticket, message, timestamp_ms);
        self.note(sent, verdict, topic, message.key(), ticket)
    }

    /// Hands on what failed before, as far as it may go.
    pub(super) fn pump(&mut self, metrics: &Metrics) {
        while let Some((topic, failed)) = self.again.front() {
            let verdict = self.introductions.verdict(topic, failed.record.key());
            if verdict == Verdict::Wait || self.is_fatal {
                return;
            }
            let timestamp_ms = failed.kept.map(|kept| kept.timestamp_ms);
            let sent = self.producer.send_again(failed.ticket, &failed.record, timestamp_ms);
            let Some((topic, failed)) = self.again.pop_front() else {
                return;
            };
            if let Err(not_taken) = self.note(sent, verdict, &topic, failed.record.key(), failed.ticket) {
                if let NotTaken::Record(code) = not_taken {
                    // Since it was taken before, the brokers have said something else of its topic.
                    self.refused = Some(code);
                    self.is_fatal = true;
                }
                self.again.push_front((topic, failed));
                return;
            }
            metrics.events_published.inc();
            if failed.may_be_persisted {
                metrics.possible_duplicates.inc();
            }
        }
    }

    fn note(
        &mut self,
        sent: Result<(), NotTaken>,
        verdict: Verdict,
        topic: &TopicName,
        key: Option<&[u8]>,
        ticket: Ticket,
    ) -> Result<(), NotTaken> {
        match &sent {
            Ok(()) => self.introductions.sent(topic, key, ticket),
            Err(not_taken) => self.is_fatal |= *not_taken == NotTaken::Fatal,
        }
        if sent.is_ok() && verdict == Verdict::SendAndCount {
            self.producer.count_partitions(topic.clone());
        }
        sent
    }

    pub(super) fn acknowledged(&mut self, ticket: Ticket) {
        self.introductions.acknowledged(ticket);
    }

    pub(super) fn counted(&mut self, topic: &TopicName, partitions: usize, now: Instant) {
        self.introductions.counted(topic, partitions, now);
    }

    /// Keeps what is known of topics and partitions fresh.
    pub(super) fn renew(&mut self, now: Instant) {
        for topic in self.introductions.renew(now) {
            self.producer.count_partitions(topic);
        }
    }

    /// What decides how it goes on, for the simulation that visits every state.
    #[cfg(test)]
    pub(super) fn digest(&self, hasher: &mut impl std::hash::Hasher) {
        use std::hash::Hash;

        self.introductions.digest(hasher);
        (self.again.len(), self.is_fatal).hash(hasher);
    }

    /// Gives everything up: what is under way comes back as failed reports, what was not handed on yet comes back here.
    pub(super) fn close(self) -> Closed<P> {
        self.producer.purge();
        let refused = self
            .refused
            .into_iter()
            .chain(std::iter::repeat(RDKafkaErrorCode::PurgeQueue));
        let unsent = self
            .again
            .into_iter()
            .zip(refused)
            .map(|((_, failed), code)| Failed { code, ..failed })
            .collect();
        let fatal = self.producer.fatal_error();
        Closed {
            producer: self.producer,
            batching: self.batching,
            unsent,
            fatal,
        }
    }
}

/// What is left of an outlet.
pub(super) struct Closed<P> {
    /// To be kept until its last report has come.
    pub(super) producer: P,
    pub(super) batching: Batching,
    /// What had not been handed to the producer again.
    pub(super) unsent: Vec<Failed>,
    /// Why the producer was beyond repair, if it was.
    pub(super) fatal: Option<RDKafkaErrorCode>,
}

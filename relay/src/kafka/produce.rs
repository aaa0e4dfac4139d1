//! What the delivery needs of a producer. librdkafka's is [`Producer`](super::producer::Producer); the simulation has one that
//! does on purpose what librdkafka does rarely.

use std::sync::Arc;

use outbox_decoder::{Envelope, TopicName};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::OwnedMessage;

use crate::kafka::properties::Batching;
use crate::kafka::reports::Reports;
use crate::kafka::start_error::StartError;
use crate::pipeline::Ticket;

/// Makes producers, one after the other.
pub(crate) trait Producers {
    /// What it makes.
    type Producer: Produce;

    /// A producer that leaves its reports there.
    fn open(&self, batching: Batching, reports: &Arc<Reports>) -> Result<Self::Producer, StartError>;

    /// Whether one that is made now would be made from other files.
    fn is_outdated(&self, producer: &Self::Producer) -> bool;
}

/// One producer. Each record that it takes comes back as one report, acknowledged or failed. Dropped, it gives up.
pub(crate) trait Produce {
    /// Takes a record.
    fn send(&self, ticket: Ticket, envelope: &Envelope<'_>) -> Result<(), NotTaken>;

    /// Takes a record that failed or was purged, as it was.
    fn send_again(&self, ticket: Ticket, message: &OwnedMessage, timestamp_ms: Option<i64>) -> Result<(), NotTaken>;

    /// Asks the brokers how many partitions a topic has; the answer is a report. Without one, ask again.
    fn count_partitions(&self, topic: TopicName);

    /// Why the producer is beyond repair.
    fn fatal_error(&self) -> Option<RDKafkaErrorCode>;

    /// Whether the system clock was set back since it was made. librdkafka waits for times of that clock, and would wait
    /// until they are there again.
    fn is_late(&self) -> bool;

    /// Has everything reported that has happened since the last time.
    fn poll(&self);

    /// Gives up everything that is queued or in flight: each record comes back as a failed report.
    fn purge(&self);
}

/// Why a producer did not take a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// Its queue is full.
    Full,
    /// The producer is beyond repair; its records come back as failed.
    Fatal,
    /// This record, for this reason.
    Record(RDKafkaErrorCode),
}

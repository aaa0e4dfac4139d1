//! Reads topics back, from a time on to their present end. It belongs to no group and commits nothing, so that nobody's
//! position changes by it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outbox_decoder::TopicName;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::config::KafkaSettings;
use crate::fault::FaultKind;
use crate::fault::{Fault, policy as faults};
use crate::kafka::policy;
use crate::kafka::properties::reader_config;
use crate::kafka::reports::{Brokers, Callbacks, Reports};
use crate::kafka::start_error::StartError;

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Brokers that are away for longer are said to be: this is for a command that ends.
const PATIENCE: Duration = Duration::from_secs(30);
const LISTEN_FOR: Duration = Duration::from_millis(100);
/// Each partition that is read holds a buffer of its own.
const PARTITIONS_AT_ONCE: usize = 8;

/// What is read of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) topic: TopicName,
    pub(crate) partition: i32,
    /// The offset of the oldest record that the brokers still have.
    pub(crate) kept_from: i64,
    /// The first offset to read.
    pub(crate) from: i64,
    /// The first offset not to read.
    pub(crate) end: i64,
}

impl Stretch {
    /// Whether older records have been removed that may belong to it too.
    pub(crate) const fn may_be_cut(&self) -> bool {
        self.kept_from > 0 && self.from <= self.kept_from
    }
}

/// A record that was read.
pub(crate) struct ReadBack<'m>(&'m BorrowedMessage<'m>);

impl ReadBack<'_> {
    pub(crate) fn topic(&self) -> &str {
        self.0.topic()
    }

    pub(crate) fn partition(&self) -> i32 {
        self.0.partition()
    }

    pub(crate) fn offset(&self) -> i64 {
        self.0.offset()
    }

    pub(crate) fn timestamp_ms(&self) -> Option<i64> {
        self.0.timestamp().to_millis()
    }

    /// The bytes of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        self.0.headers()?.iter().find(|header| header.key == name)?.value
    }
}

impl ConsumerContext for Callbacks {}

/// A client that only reads. Its functions wait: they belong on a thread of their own.
pub(crate) struct TopicReader {
    consumer: BaseConsumer<Callbacks>,
    reports: Arc<Reports>,
}

impl TopicReader {
    /// Makes a client like the relay's own; it connects when it is asked something.
    pub(crate) fn start(kafka: &KafkaSettings) -> Result<Self, Fault> {
        let config = reader_config(kafka).map_err(|error| StartError::from(error).fault())?;
        let reports = Arc::<Reports>::default();
        let callbacks = Callbacks::of(kafka, &config, Arc::clone(&reports));
        let consumer = config.create_with_context(callbacks);
        let consumer = consumer.map_err(|error| StartError::refused(&error, kafka).fault())?;
        Ok(Self { consumer, reports })
    }

    /// Where in each partition the records are that are as new as this, or newer.
    pub(crate) fn since(&self, topics: &[TopicName], since_ms: i64) -> Result<Vec<Stretch>, Fault> {
        let mut stretches = Vec::new();
        for topic in topics {
            let mut times = TopicPartitionList::new();
            for partition in self.partitions(topic)? {
                let added = times.add_partition_offset(topic.as_str(), partition, Offset::Offset(since_ms));
                added.map_err(|error| unread(&error, topic))?;
            }
            let found = self.ask(topic, |limit| self.consumer.offsets_for_times(times.clone(), limit))?;
            for place in found.elements() {
                place.error().map_err(|error| unread(&error, topic))?;
                stretches.push(self.stretch(topic, place.partition(), place.offset())?);
            }
        }
        Ok(stretches)
    }

    /// The same stretches, from their ends on to what is the end now.
    pub(crate) fn behind(&self, stretches: &[Stretch]) -> Result<Vec<Stretch>, Fault> {
        let behind = |before: &Stretch| self.stretch(&before.topic, before.partition, Offset::Offset(before.end));
        stretches.iter().map(behind).collect()
    }

    /// A time after the newest record has no offset: then there is nothing to read.
    fn stretch(&self, topic: &TopicName, partition: i32, from: Offset) -> Result<Stretch, Fault> {
        let ends = self.ask(topic, |limit| {
            self.consumer.fetch_watermarks(topic.as_str(), partition, limit)
        });
        let (kept_from, end) = ends?;
        let from = match from {
            Offset::Offset(from) => from,
            _ => end,
        };
        Ok(Stretch {
            topic: topic.clone(),
            partition,
            kept_from,
            from,
            end,
        })
    }

    /// The numbers of its partitions.
    pub(crate) fn partitions(&self, topic: &TopicName) -> Result<Vec<i32>, Fault> {
        let metadata = self.ask(topic, |limit| self.consumer.fetch_metadata(Some(topic.as_str()), limit))?;
        let described = metadata.topics().iter().find(|found| found.name() == topic.as_str());
        let missing = || policy::unread_fault(Code::UnknownTopicOrPartition, topic);
        let described = described.ok_or_else(missing)?;
        if let Some(code) = described.error() {
            return Err(policy::unread_fault(code.into(), topic));
        }
        let partitions = described.partitions().iter();
        Ok(partitions.map(rdkafka::metadata::MetadataPartition::id).collect())
    }

    /// Hands over every record of the stretches, those of a partition in their order, until `each` has had enough.
    pub(crate) fn read(
        &self,
        stretches: &[Stretch],
        mut each: impl FnMut(&ReadBack<'_>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        // One topic at a time: that a partition ends is said by its number alone.
        for of_topic in stretches.chunk_by(|one, next| one.topic == next.topic) {
            for some in of_topic.chunks(PARTITIONS_AT_ONCE) {
                if self.read_some(some, &mut each)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn read_some(
        &self,
        stretches: &[Stretch],
        each: &mut impl FnMut(&ReadBack<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Fault> {
        let unread_yet = stretches.iter().filter(|stretch| stretch.from < stretch.end);
        let mut ends: BTreeMap<i32, i64> = unread_yet.clone().map(|part| (part.partition, part.end)).collect();
        let Some(Stretch { topic, .. }) = stretches.first() else {
            return Ok(ControlFlow::Continue(()));
        };
        let mut assigned = TopicPartitionList::new();
        for part in unread_yet {
            let added = assigned.add_partition_offset(topic.as_str(), part.partition, Offset::Offset(part.from));
            added.map_err(|error| unread(&error, topic))?;
        }
        self.consumer.assign(&assigned).map_err(|error| unread(&error, topic))?;
        let (mut heard_at, mut flow) = (Instant::now(), ControlFlow::Continue(()));
        while flow.is_continue() && !ends.is_empty() {
            match self.consumer.poll(LISTEN_FOR) {
                Some(Ok(message)) => {
                    heard_at = Instant::now();
                    flow = take(&message, &mut ends, each);
                }
                // Also where what is in front of the end is no record, but the mark of a transaction.
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(ends.remove(&partition)),
                Some(Err(error)) => self.judge(&error, topic)?,
                None => {}
            }
            if heard_at.elapsed() > PATIENCE {
                return Err(self.silence());
            }
        }
        self.consumer.unassign().map_err(|error| unread(&error, topic))?;
        Ok(flow)
    }

    /// Asks until there is an answer, one that does not change by asking again, or no more patience.
    fn ask<T>(&self, topic: &TopicName, question: impl Fn(Duration) -> KafkaResult<T>) -> Result<T, Fault> {
        let asked_at = Instant::now();
        loop {
            // Nothing is assigned: this is when librdkafka says what happened to its connections, and takes a token.
            while self.consumer.poll(Duration::ZERO).is_some() {}
            match question(ANSWER_WITHIN) {
                Ok(answer) => return Ok(answer),
                Err(error) => self.judge(&error, topic)?,
            }
            if asked_at.elapsed() > PATIENCE {
                return Err(self.silence());
            }
            std::thread::sleep(LISTEN_FOR);
        }
    }

    /// Whether an error is one to give up at.
    fn judge(&self, error: &KafkaError, topic: &TopicName) -> Result<(), Fault> {
        if let Some(refusal) = self.reports.take_refusal() {
            return Err(refusal);
        }
        match error.rdkafka_error_code() {
            // It belongs to none, and librdkafka asks all the same who would look after it.
            None | Some(Code::GroupAuthorizationFailed) => Ok(()),
            Some(code) if faults::of_kafka(code).kind() == FaultKind::Transient => Ok(()),
            Some(code) => Err(policy::unread_fault(code, topic)),
        }
    }

    fn silence(&self) -> Fault {
        match self.reports.brokers() {
            Brokers::Suspect(fault) | Brokers::Down(fault) => fault,
            Brokers::Unknown | Brokers::Up => policy::unreachable(None),
        }
    }
}

fn take(
    message: &BorrowedMessage<'_>,
    ends: &mut BTreeMap<i32, i64>,
    each: &mut impl FnMut(&ReadBack<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let Some(&end) = ends.get(&message.partition()) else {
        return ControlFlow::Continue(());
    };
    if message.offset() + 1 >= end {
        ends.remove(&message.partition());
    }
    if message.offset() < end {
        each(&ReadBack(message))
    } else {
        ControlFlow::Continue(())
    }
}

fn unread(error: &KafkaError, topic: &TopicName) -> Fault {
    policy::unread_fault(error.rdkafka_error_code().unwrap_or(Code::Unknown), topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_cut_where_the_brokers_have_removed_what_may_belong_to_it() {
        let stretch = |kept_from, from, end| Stretch {
            topic: "orders".parse().expect("a name"),
            partition: 0,
            kept_from,
            from,
            end,
        };
        assert!(!stretch(0, 0, 10).may_be_cut(), "nothing was ever removed");
        assert!(!stretch(5, 7, 10).may_be_cut(), "older records are still there");
        assert!(stretch(5, 5, 10).may_be_cut());
        assert!(stretch(10, 10, 10).may_be_cut(), "everything was removed");
    }
}

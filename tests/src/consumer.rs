//! Reads topics completely: assigned partitions, no group, from the beginning to the end of a moment.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::failure::{Failure, Outcome};
use crate::wait::PATIENCE;

const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Topic and partition.
pub type Partition = (String, i32);
/// The next offset of each partition. One that is not there is empty.
pub type EndOffsets = BTreeMap<Partition, i64>;

/// A record as a consumer sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Headers in their order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: Option<i64>,
}

impl Record {
    /// The text of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(header, _)| header == name)?;
        std::str::from_utf8(&header.1).ok()
    }
}

/// A client that only reads.
pub struct Consumer(BaseConsumer);

impl Consumer {
    /// Makes a client; it connects when it is asked something.
    ///
    /// # Errors
    /// librdkafka refuses.
    pub fn new(bootstrap_servers: &str) -> Outcome<Consumer> {
        let client = ClientConfig::new()
            .set("bootstrap.servers", bootstrap_servers)
            .set("group.id", "unused")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "10")
            .set("allow.auto.create.topics", "false")
            .set_log_level(RDKafkaLogLevel::Emerg)
            .create()?;
        Ok(Consumer(client))
    }

    /// The ends of all partitions of topics, as far as consumers can read. A missing topic has none.
    ///
    /// # Errors
    /// The brokers do not answer.
    pub fn end_offsets(&self, topics: &[String]) -> Outcome<EndOffsets> {
        let mut ends = EndOffsets::new();
        for topic in topics {
            for partition in self.partitions(topic)? {
                let (_, end) = self.0.fetch_watermarks(topic, partition, ANSWER_LIMIT)?;
                ends.insert((topic.clone(), partition), end);
            }
        }
        Ok(ends)
    }

    fn partitions(&self, topic: &str) -> Outcome<Vec<i32>> {
        let metadata = self.0.fetch_metadata(Some(topic), ANSWER_LIMIT)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let Some(found) = found else { return Ok(Vec::new()) };
        match found.error().map(RDKafkaErrorCode::from) {
            None => Ok(found
                .partitions()
                .iter()
                .map(rdkafka::metadata::MetadataPartition::id)
                .collect()),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(Vec::new()),
            Some(code) => Err(KafkaError::MetadataFetch(code).into()),
        }
    }

    /// Reads every record from the beginning to `ends`, in the order of each partition.
    ///
    /// # Errors
    /// The brokers do not answer.
    pub fn read_each(&self, ends: &EndOffsets, mut each: impl FnMut(Record)) -> Outcome {
        let mut missing: EndOffsets = ends.clone();
        missing.retain(|_, end| *end > 0);
        let mut assigned = TopicPartitionList::new();
        for (topic, partition) in missing.keys() {
            assigned.add_partition_offset(topic, *partition, Offset::Beginning)?;
        }
        self.0.assign(&assigned)?;
        let mut heard = Instant::now();
        while !missing.is_empty() {
            match self.0.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    let record = record(&message);
                    let place = (record.topic.clone(), record.partition);
                    let end = missing.get(&place).copied().unwrap_or(0);
                    if record.offset + 1 >= end {
                        missing.remove(&place);
                    }
                    if record.offset < end {
                        each(record);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) | None if heard.elapsed() < PATIENCE => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Failure::new(format!("no record came; missing up to {missing:?}"))),
            }
        }
        Ok(self.0.unassign()?)
    }

    /// Reads every record that the topics have now.
    ///
    /// # Errors
    /// The brokers do not answer.
    pub fn read(&self, topics: &[String]) -> Outcome<Vec<Record>> {
        let mut records = Vec::new();
        self.read_each(&self.end_offsets(topics)?, |record| records.push(record))?;
        Ok(records)
    }
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map(|headers| {
        let pairs = headers.iter().map(|header| {
            let value = header.value.unwrap_or_default().to_vec();
            (header.key.to_owned(), value)
        });
        pairs.collect()
    });
    Record {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
        value: message.payload().map(<[u8]>::to_vec),
        timestamp_ms: message.timestamp().to_millis(),
    }
}

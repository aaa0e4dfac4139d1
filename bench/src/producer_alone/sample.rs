//! Records as the relay has published them, to be sent once more.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use outbox_relay::pipeline::{HEADER_OVERHEAD_BYTES, RECORD_OVERHEAD_BYTES};
use rdkafka::Message;
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::installation::PARTITIONS;
use crate::interrupt::Interrupt;
use crate::topic::Topic;

/// Far more than a compressor looks back over, and little beside what a producer has in flight.
const BYTES_MAX: i64 = 4 << 20;
const RECORDS_OF_PARTITION_MAX: i64 = 400;
const POLL: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_secs(30);

/// One record. Everything in it is text: that is what the backlog is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sampled {
    pub(super) key: Option<String>,
    pub(super) payload: Option<String>,
    headers: Vec<(String, Option<String>)>,
    pub(super) timestamp_ms: Option<i64>,
}

impl Sampled {
    fn of(message: &BorrowedMessage<'_>) -> Result<Sampled, Failure> {
        let text = |bytes: Option<&[u8]>| {
            let text = bytes.map(|bytes| String::from_utf8(bytes.to_vec())).transpose();
            text.map_err(|error| reading(message.topic(), &error))
        };
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        let headers = headers.map(|header| Ok((header.key.to_owned(), text(header.value)?)));
        Ok(Sampled {
            key: text(message.key())?,
            payload: text(message.payload())?,
            headers: headers.collect::<Result<_, Failure>>()?,
            timestamp_ms: message.timestamp().to_millis(),
        })
    }

    /// Made anew for each record, as the relay does.
    pub(super) fn headers(&self) -> OwnedHeaders {
        let headers = OwnedHeaders::new_with_capacity(self.headers.len());
        self.headers.iter().fold(headers, |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: value.as_ref(),
            })
        })
    }

    /// What it counts as while it is in flight, as the relay counts.
    pub(super) fn in_flight_bytes(&self) -> usize {
        let bytes = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        RECORD_OVERHEAD_BYTES + HEADER_OVERHEAD_BYTES * self.headers.len() + bytes(&self.key) + bytes(&self.payload)
    }
}

/// How many records of each partition a sample has.
fn records_of_partition(row_bytes: u32) -> i64 {
    let fit = BYTES_MAX / i64::from(PARTITIONS) / i64::from(row_bytes.max(1));
    fit.clamp(1, RECORDS_OF_PARTITION_MAX)
}

/// Writes the last records of a topic to a file, the partitions in turn as keys would have it.
pub(crate) fn take(topic: &Topic, row_bytes: u32, file: &Path, interrupt: &Interrupt) -> Result<(), Failure> {
    let (consumer, records) = topic.last(records_of_partition(row_bytes))?;
    let taken = consume(&consumer, topic.name(), records, interrupt)?;
    let lines = taken.values().map(serde_json::to_string);
    let lines = lines
        .collect::<Result<Vec<String>, _>>()
        .map_err(|error| Failure::content(file, &error))?;
    let mut out = File::create(file).map_err(Failure::file("create", file))?;
    out.write_all((lines.join("\n") + "\n").as_bytes())
        .map_err(Failure::file("write", file))
}

/// By how many of their partition came before, then by partition.
type InTurn = BTreeMap<(usize, i32), Sampled>;

fn consume(consumer: &BaseConsumer, topic: &str, records: i64, interrupt: &Interrupt) -> Result<InTurn, Failure> {
    let begin = Instant::now();
    let (mut taken, mut of_partition) = (InTurn::new(), BTreeMap::<i32, usize>::new());
    while (taken.len() as u64) < records.unsigned_abs() {
        interrupt.check()?;
        if begin.elapsed() > LIMIT {
            return Err(reading(topic, &"it took too long"));
        }
        if let Some(message) = consumer.poll(POLL) {
            let message = message?;
            let before = of_partition.entry(message.partition()).or_default();
            taken.insert((*before, message.partition()), Sampled::of(&message)?);
            *before += 1;
        }
    }
    Ok(taken)
}

fn reading(topic: &str, reason: &dyn std::fmt::Display) -> Failure {
    Failure::Reading {
        topic: topic.to_owned(),
        reason: reason.to_string(),
    }
}

/// The records of such a file.
pub(super) fn read(file: &Path) -> Result<Vec<Sampled>, Failure> {
    let lines = BufReader::new(File::open(file).map_err(Failure::file("open", file))?).lines();
    let sampled = lines.map(|line| {
        let line = line.map_err(Failure::file("read", file))?;
        serde_json::from_str(&line).map_err(|error| Failure::content(file, &error))
    });
    let sampled: Vec<Sampled> = sampled.collect::<Result<_, Failure>>()?;
    if sampled.is_empty() {
        return Err(Failure::content(file, &"it holds no record"));
    }
    Ok(sampled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_bounded_in_bytes_and_in_records() {
        assert_eq!(records_of_partition(100), RECORDS_OF_PARTITION_MAX);
        assert_eq!(records_of_partition(10_240), 34);
        assert_eq!(records_of_partition(u32::MAX), 1);
    }
}

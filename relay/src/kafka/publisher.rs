//! A producer for records that are ready-made and wait for no slot: what is published once more.
//!
//! It promises less than the line. Records go out in the order in which they are handed over, each is acknowledged by all
//! replicas in sync, and the first that cannot be delivered ends it: whoever publishes starts again, and consumers
//! recognise what they have had already by its idempotency key.

use std::sync::Arc;
use std::time::Duration;

use outbox_decoder::TopicName;
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
use rdkafka::{Message, Timestamp};
use tokio::time::sleep;

use crate::config::Settings;
use crate::fault::{Fault, FaultKind};
use crate::kafka::in_flight::InFlight;
use crate::kafka::policy;
use crate::kafka::produce::{NotTaken, Produce, Producers};
use crate::kafka::producer::{Librdkafka, Producer};
use crate::kafka::properties::Batching;
use crate::kafka::reports::{Brokers, Failed, Reports, Taken};
use crate::pipeline::{HEADER_OVERHEAD_BYTES, RECORD_OVERHEAD_BYTES, Ticket};

/// Between two looks at what the brokers have acknowledged, while there is no room for more.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Looking costs more than sending: after so many records at the latest.
const LOOK_AFTER_RECORDS: u64 = 64;

/// A record, ready to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it goes.
    pub topic: TopicName,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its headers, in their order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its value; `None` is a tombstone.
    pub payload: Option<Vec<u8>>,
    /// Milliseconds since the Unix epoch; `None` for the time at which it is sent.
    pub timestamp_ms: Option<i64>,
}

impl Record {
    /// The bytes of a header.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let header = self.headers.iter().find(|(header, _)| header == name)?;
        Some(&header.1)
    }

    /// What it takes of the in-flight budget.
    fn in_flight_bytes(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len() + HEADER_OVERHEAD_BYTES);
        RECORD_OVERHEAD_BYTES + length(&self.key) + length(&self.payload) + headers.sum::<usize>()
    }

    /// Names it without its content.
    fn describe(&self) -> String {
        let id = self.header("id").map(String::from_utf8_lossy).unwrap_or_default();
        let bytes = self.payload.as_ref().map_or(0, Vec::len);
        format!("event {id} ({bytes} bytes) for topic {}", self.topic)
    }

    fn message(&self) -> OwnedMessage {
        let mut headers = OwnedHeaders::new_with_capacity(self.headers.len());
        for (key, value) in &self.headers {
            headers = headers.insert(Header {
                key,
                value: Some(value),
            });
        }
        OwnedMessage::new(
            self.payload.clone(),
            self.key.clone(),
            self.topic.to_string(),
            Timestamp::NotAvailable,
            0,
            0,
            Some(headers),
        )
    }
}

/// Publishes records, in order, and waits for brokers that are away. Dropped, it gives up what is not acknowledged.
pub struct Publisher {
    producers: Librdkafka,
    producer: Producer,
    reports: Arc<Reports>,
    taken: Taken,
    in_flight: InFlight,
    batching: Batching,
    /// What has come back, while the rest of what is in flight is waited for: brokers refuse whole batches, and which of
    /// its records it was is found out by sending each in a batch of its own.
    back: Option<Vec<Failed>>,
    /// Whom to ask whether the brokers are there.
    topic: Option<TopicName>,
    stopped: Option<Fault>,
}

impl Publisher {
    /// Makes a producer like the relay's own.
    ///
    /// # Errors
    /// A secret cannot be read, or librdkafka does not take the configuration.
    pub fn start(settings: &Settings) -> Result<Self, Fault> {
        let reports = Arc::<Reports>::default();
        let producers = Librdkafka::new(settings.kafka.clone(), settings.pipeline.clone());
        let producer = producers
            .open(Batching::Full, &reports)
            .map_err(|error| error.fault())?;
        let limits = &settings.pipeline;
        Ok(Self {
            producers,
            producer,
            reports,
            taken: Taken::default(),
            in_flight: InFlight::within(limits.in_flight_bytes_max, limits.in_flight_records_max),
            batching: Batching::Full,
            back: None,
            topic: None,
            stopped: None,
        })
    }

    /// Hands over a record; waits while too much is in flight, for as long as that takes. Nothing is lost when it is
    /// cancelled: the record was not taken then.
    ///
    /// # Errors
    /// A record could not be delivered, this one or one before it, or the brokers refuse the relay. From then on nothing
    /// is taken any more.
    pub async fn publish(&mut self, record: &Record) -> Result<(), Fault> {
        if self.topic.is_none() {
            self.producer.count_partitions(record.topic.clone());
            self.topic = Some(record.topic.clone());
        }
        let bytes = record.in_flight_bytes();
        if self.in_flight.sent().is_multiple_of(LOOK_AFTER_RECORDS) {
            self.look()?;
        }
        while !(self.takes(bytes) && self.send(record, bytes)?) {
            sleep(LOOK_EVERY).await;
            self.look()?;
        }
        Ok(())
    }

    /// Waits until everything is acknowledged, and says how many records that were.
    ///
    /// # Errors
    /// Those of [`Publisher::publish`].
    pub async fn finish(&mut self) -> Result<u64, Fault> {
        loop {
            self.look()?;
            if self.in_flight.is_empty() {
                return Ok(self.in_flight.acknowledged());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// How many records the brokers have acknowledged.
    pub const fn acknowledged(&self) -> u64 {
        self.in_flight.acknowledged()
    }

    /// What is waited for, while brokers are away.
    pub fn waits_for(&self) -> Option<Fault> {
        match self.reports.brokers() {
            Brokers::Suspect(fault) | Brokers::Down(fault) => Some(fault),
            Brokers::Unknown | Brokers::Up => None,
        }
    }

    fn takes(&self, bytes: usize) -> bool {
        self.back.is_none() && self.in_flight.has_room_for(bytes)
    }

    /// Whether the producer has taken it.
    fn send(&mut self, record: &Record, bytes: usize) -> Result<bool, Fault> {
        let ticket = Ticket::from_u64(self.in_flight.sent());
        match self.producer.send_again(ticket, &record.message(), record.timestamp_ms) {
            Ok(()) => {
                self.in_flight.send(bytes);
                Ok(true)
            }
            Err(NotTaken::Full | NotTaken::Fatal) => Ok(false),
            Err(NotTaken::Record(code)) => Err(self.stop(policy::refusal_fault(code, &record.describe()))),
        }
    }

    fn look(&mut self) -> Result<(), Fault> {
        if let Some(fault) = &self.stopped {
            return Err(fault.clone());
        }
        self.producer.poll();
        self.reports.take(&mut self.taken);
        for (ticket, _) in self.taken.acknowledged.drain(..) {
            self.in_flight.acknowledge(ticket.as_u64());
        }
        if let Some(back) = &mut self.back {
            back.append(&mut self.taken.failed);
            return self.send_alone_once_all_are_back();
        }
        match self.trouble() {
            Some(fault) if fault.kind() == FaultKind::EventDefect && self.batching == Batching::Full => {
                self.producer.purge();
                self.back = Some(std::mem::take(&mut self.taken.failed));
                self.send_alone_once_all_are_back()
            }
            Some(fault) => Err(self.stop(fault)),
            None if self.batching == Batching::Isolating && self.in_flight.is_empty() => self.open(Batching::Full),
            None => Ok(()),
        }
    }

    /// What does not pass by waiting.
    fn trouble(&self) -> Option<Fault> {
        let is_cause = |failed: &&Failed| !policy::is_consequence(failed.code);
        let of_record = |failed: &Failed| policy::delivery_fault(failed.code, &failed.describe());
        let of_producer = || {
            let code = self.producer.fatal_error()?;
            Some(policy::delivery_fault(code, "what was in flight"))
        };
        let of_brokers = || match self.reports.brokers() {
            Brokers::Down(fault) if fault.kind() != FaultKind::Transient => Some(fault),
            _ => None,
        };
        let failed = &self.taken.failed;
        let of_cause = failed.iter().find(is_cause).map(of_record);
        let of_any = || failed.first().map(of_record);
        of_cause.or_else(of_producer).or_else(of_any).or_else(of_brokers)
    }

    fn send_alone_once_all_are_back(&mut self) -> Result<(), Fault> {
        let unacknowledged = self.in_flight.unacknowledged();
        let Some(mut back) = self.back.take_if(|back| back.len() as u64 >= unacknowledged) else {
            return Ok(());
        };
        back.sort_unstable_by_key(|failed| failed.ticket);
        self.open(Batching::Isolating)?;
        for Failed { ticket, record, .. } in &back {
            let again = self
                .producer
                .send_again(*ticket, record, record.timestamp().to_millis());
            if let Err(NotTaken::Record(code)) = again {
                return Err(self.stop(policy::refusal_fault(code, "a record that was taken before")));
            }
        }
        Ok(())
    }

    fn open(&mut self, batching: Batching) -> Result<(), Fault> {
        let reports = Arc::<Reports>::default();
        match self.producers.open(batching, &reports) {
            Ok(producer) => {
                (self.producer, self.reports, self.batching) = (producer, reports, batching);
                Ok(())
            }
            Err(error) => Err(self.stop(error.fault())),
        }
    }

    fn stop(&mut self, fault: Fault) -> Fault {
        self.producer.purge();
        let fault = told_once(fault);
        self.stopped = Some(fault.clone());
        fault
    }
}

/// The hints are the line's, which tries again by itself.
fn told_once(fault: Fault) -> Fault {
    let hint = match fault.kind() {
        FaultKind::Transient => "look at the brokers, then try again".to_owned(),
        _ => fault
            .hint
            .split("; the relay goes on")
            .next()
            .unwrap_or_default()
            .to_owned(),
    };
    Fault { hint, ..fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_with_everything_that_the_producer_holds_of_it() {
        let mut record = Record {
            topic: "orders".parse().expect("a name"),
            key: Some(vec![0; 10]),
            headers: Vec::new(),
            payload: None,
            timestamp_ms: None,
        };
        assert_eq!(record.in_flight_bytes(), 280);
        record.payload = Some(vec![0; 1000]);
        record.headers.push(("id".to_owned(), vec![0; 8]));
        assert_eq!(record.in_flight_bytes(), 1360);
    }

    #[test]
    fn what_is_told_once_does_not_promise_to_try_again() {
        use rdkafka::error::RDKafkaErrorCode as Code;

        for code in [
            Code::MessageSizeTooLarge,
            Code::UnknownTopic,
            Code::TopicAuthorizationFailed,
            Code::ClusterAuthorizationFailed,
            Code::InvalidRecord,
            Code::NotEnoughReplicas,
        ] {
            let fault = told_once(policy::delivery_fault(code, "x"));
            assert!(
                !fault.hint.is_empty() && !fault.hint.contains("by itself"),
                "{}",
                fault.hint
            );
            assert!(!fault.hint.contains("the relay tries"), "{}", fault.hint);
        }
    }

    #[test]
    fn a_record_is_handed_over_whole_and_named_without_its_content() {
        use rdkafka::message::Headers;

        let record = Record {
            topic: "orders".parse().expect("a name"),
            key: Some(b"7".to_vec()),
            headers: vec![
                ("id".to_owned(), b"a1".to_vec()),
                ("replay".to_owned(), b"recover".to_vec()),
            ],
            payload: Some(b"secret".to_vec()),
            timestamp_ms: None,
        };
        let message = record.message();
        assert_eq!(
            (message.topic(), message.key(), message.payload()),
            ("orders", Some(&b"7"[..]), Some(&b"secret"[..]))
        );
        let headers = message.headers().expect("headers");
        assert_eq!((headers.count(), headers.get(1).key), (2, "replay"));
        assert_eq!(record.describe(), "event a1 (6 bytes) for topic orders");
    }
}

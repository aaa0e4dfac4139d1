//! Reads the topics from their beginning, on a thread of its own, so that an arrival's time is the arrival's.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;

const POLL_WAIT: Duration = Duration::from_millis(100);
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// How long reading to the end of the topics may take.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(5);

/// What the demo shows of a record.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) at: Instant,
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) key: String,
    headers: HashMap<String, String>,
}

impl Arrival {
    fn of(message: &BorrowedMessage<'_>, at: Instant) -> Arrival {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        Arrival {
            at,
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(text).unwrap_or_default(),
            headers: headers
                .map(|header| (header.key.to_owned(), header.value.map(text).unwrap_or_default()))
                .collect(),
        }
    }

    /// A header's text; empty without it.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// The running reader.
#[derive(Debug)]
pub(super) struct Reader {
    stop: Arc<AtomicBool>,
    /// Ends after [`Reader::stop`], when the ends of the topics are reached.
    pub(super) arrivals: mpsc::UnboundedReceiver<Arrival>,
}

impl Reader {
    /// Reads these new topics, each with this number of partitions.
    pub(super) fn start(bootstrap_servers: &str, topics: &[&str], partitions: i32) -> KafkaResult<Reader> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap_servers)
            // The client insists on a name; no group is joined and nothing is committed under it.
            .set("group.id", "outbox-relay-demo")
            .set("enable.auto.commit", "false")
            .set_log_level(RDKafkaLogLevel::Emerg)
            .create()?;
        let mut assignment = TopicPartitionList::new();
        for topic in topics {
            // Makes the connections now, so that the first record does not wait for them.
            consumer.fetch_metadata(Some(topic), ANSWER_LIMIT)?;
            for partition in 0..partitions {
                assignment.add_partition_offset(topic, partition, Offset::Offset(0))?;
            }
        }
        consumer.assign(&assignment)?;
        let (sender, arrivals) = mpsc::unbounded_channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        thread::spawn(move || read(&consumer, &stopped, &sender));
        Ok(Reader { stop, arrivals })
    }

    /// Asks for the end: what is in the topics now is still read.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn read(consumer: &BaseConsumer, stop: &AtomicBool, arrivals: &mpsc::UnboundedSender<Arrival>) {
    let mut asked: Option<Instant> = None;
    loop {
        // Errors pass: librdkafka reconnects by itself, and what never comes is counted as missing.
        if let Some(Ok(message)) = consumer.poll(POLL_WAIT) {
            if arrivals.send(Arrival::of(&message, Instant::now())).is_err() {
                return;
            }
            continue;
        }
        if stop.load(Ordering::Relaxed) {
            let since = *asked.get_or_insert_with(Instant::now);
            if since.elapsed() >= CATCH_UP_LIMIT || is_at_end(consumer).unwrap_or(false) {
                return;
            }
        }
    }
}

fn is_at_end(consumer: &BaseConsumer) -> KafkaResult<bool> {
    for element in consumer.position()?.elements() {
        let (low, high) = consumer.fetch_watermarks(element.topic(), element.partition(), ANSWER_LIMIT)?;
        let next = match element.offset() {
            Offset::Offset(next) => next,
            // Nothing was read from this partition yet.
            _ => low,
        };
        if next < high {
            return Ok(false);
        }
    }
    Ok(true)
}

//! One librdkafka producer and the thread that polls it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use outbox_decoder::{Envelope, TopicName};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};

use crate::config::KafkaSettings;
use crate::kafka::questions::Questions;
use crate::kafka::reports::{Callbacks, Reports};
use crate::kafka::token::Tokens;
use crate::pipeline::Ticket;

const POLL_MS: u64 = 100;

/// A producer. When it is dropped its threads end by themselves, and the last of them purges what it still holds.
pub(super) struct Producer {
    /// Dropping the last reference flushes for up to half a second, which the loop must not wait for: the threads keep
    /// theirs until they are told to end, and that is after this field is dropped, because fields go in this order.
    client: Arc<BaseProducer<Callbacks>>,
    to_count: SyncSender<TopicName>,
    _threads: Threads,
}

/// Tells the threads to end when it is dropped.
struct Threads(Arc<AtomicBool>);

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Why librdkafka did not take a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// Its queue is full.
    Full,
    /// The producer is beyond repair; its records come back as failed.
    Fatal,
    /// This record, for this reason.
    Record(RDKafkaErrorCode),
}

impl Producer {
    pub(super) fn start(
        config: &ClientConfig,
        kafka: &KafkaSettings,
        reports: Arc<Reports>,
    ) -> Result<Self, KafkaError> {
        let tokens = kafka.token_source.clone().map(|source| Arc::new(Tokens::of(source)));
        let callbacks = Callbacks {
            reports: Arc::clone(&reports),
            tokens: tokens.clone(),
            protocol: config.get("security.protocol").unwrap_or_default().to_ascii_lowercase(),
        };
        let client: BaseProducer<_> = config.create_with_context(callbacks)?;
        let client = Arc::new(client);
        let stopping = Arc::new(AtomicBool::new(false));
        let threads = Threads(Arc::clone(&stopping));
        let to_count = Questions::start(Arc::clone(&client), kafka.clone(), reports, Arc::clone(&stopping));
        let to_count = to_count.map_err(|error| no_thread(&error))?;
        if let Some(tokens) = tokens {
            tokens
                .fetch_ahead(Arc::clone(&stopping))
                .map_err(|error| no_thread(&error))?;
        }
        let polled = Arc::clone(&client);
        thread::Builder::new()
            .name("kafka-poll".to_owned())
            .spawn(move || poll(&polled, &stopping))
            .map_err(|error| no_thread(&error))?;
        Ok(Self {
            client,
            to_count,
            _threads: threads,
        })
    }

    pub(super) fn send(&self, ticket: Ticket, envelope: &Envelope<'_>) -> Result<(), NotTaken> {
        let mut headers = Some(OwnedHeaders::new_with_capacity(envelope.header_count()));
        envelope.for_each_header(|key, value| {
            headers = headers.take().map(|headers| {
                headers.insert(Header {
                    key,
                    value: Some(value),
                })
            });
        });
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(envelope.topic.as_str(), opaque(ticket))
            .timestamp(envelope.timestamp_ms());
        record.headers = headers;
        record.key = envelope.key.as_ref().map(outbox_decoder::Text::as_bytes);
        record.payload = envelope.payload.as_ref().map(outbox_decoder::Text::as_bytes);
        self.client.send(record).map_err(|(error, _)| not_taken(&error))
    }

    /// Sends a record that failed or was purged, as it was.
    pub(super) fn send_again(
        &self,
        ticket: Ticket,
        message: &OwnedMessage,
        timestamp_ms: Option<i64>,
    ) -> Result<(), NotTaken> {
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(message.topic(), opaque(ticket));
        record.headers = message.headers().cloned();
        record.key = message.key();
        record.payload = message.payload();
        record.timestamp = timestamp_ms;
        self.client.send(record).map_err(|(error, _)| not_taken(&error))
    }

    /// Asks the brokers how many partitions a topic has; the answer is a report. Without one, ask again.
    pub(super) fn count_partitions(&self, topic: TopicName) {
        // When the queue is full, asking again later is what happens anyway.
        let _ = self.to_count.try_send(topic);
    }

    /// Why the producer is beyond repair.
    pub(super) fn fatal_error(&self) -> Option<RDKafkaErrorCode> {
        self.client.client().fatal_error().map(|(code, _)| code)
    }

    /// Gives up everything that is queued or in flight: each record comes back as a failed report.
    pub(super) fn purge(&self) {
        self.client.purge(PurgeConfig::default().queue().inflight());
    }
}

fn no_thread(error: &std::io::Error) -> KafkaError {
    KafkaError::ClientCreation(format!("no thread could be started: {error}"))
}

fn poll(client: &BaseProducer<Callbacks>, stopping: &AtomicBool) {
    while !stopping.load(Ordering::Acquire) {
        client.poll(Duration::from_millis(POLL_MS));
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "an opaque is a pointer, and pointers have 64 bits here"
)]
const fn opaque(ticket: Ticket) -> usize {
    const { assert!(size_of::<usize>() == size_of::<u64>()) };
    ticket.as_u64() as usize
}

fn not_taken(error: &KafkaError) -> NotTaken {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::QueueFull) => NotTaken::Full,
        Some(RDKafkaErrorCode::Fatal | RDKafkaErrorCode::GaplessGuarantee) => NotTaken::Fatal,
        Some(code) => NotTaken::Record(code),
        None => NotTaken::Record(RDKafkaErrorCode::Unknown),
    }
}

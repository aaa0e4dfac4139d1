//! One librdkafka producer. Whoever owns it polls it: that is when librdkafka says what has happened.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use outbox_decoder::{Envelope, TopicName};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};

use crate::clock::Ahead;
use crate::config::{KafkaSettings, PipelineSettings};
use crate::kafka::credentials::Credentials;
use crate::kafka::produce::{NotTaken, Produce, Producers};
use crate::kafka::properties::{Batching, client_config};
use crate::kafka::questions::Questions;
use crate::kafka::reports::{Callbacks, Reports};
use crate::kafka::start_error::StartError;
use crate::kafka::token::Tokens;
use crate::pipeline::Ticket;

/// So many calls one poll may take: each brings a batch of acknowledgements, an error or a line for the log.
const REPORTS_MAX: usize = 10_000;

/// A producer. When it is dropped its threads end by themselves, and the last of them purges what it still holds.
pub(crate) struct Producer {
    /// Dropping the last reference flushes for up to half a second, which the loop must not wait for: the threads keep
    /// theirs until they are told to end, and that is after this field is dropped, because fields go in this order.
    client: Arc<BaseProducer<Callbacks>>,
    to_count: SyncSender<TopicName>,
    /// What it was made from.
    credentials: Credentials,
    clock: RefCell<Ahead>,
    tokens: Option<Arc<Tokens>>,
    _threads: Threads,
}

/// Tells the threads to end when it is dropped.
struct Threads(Arc<AtomicBool>);

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Makes librdkafka's producers.
#[derive(Debug)]
pub(crate) struct Librdkafka {
    kafka: KafkaSettings,
    limits: PipelineSettings,
}

impl Librdkafka {
    pub(super) const fn new(kafka: KafkaSettings, limits: PipelineSettings) -> Self {
        Self { kafka, limits }
    }
}

impl Producers for Librdkafka {
    type Producer = Producer;

    fn open(&self, batching: Batching, reports: &Arc<Reports>) -> Result<Producer, StartError> {
        // First: what changes while they are read counts as changed.
        let credentials = Credentials::of(&self.kafka);
        let config = client_config(&self.kafka, &self.limits, batching)?;
        let producer = Producer::start(&config, &self.kafka, credentials, Arc::clone(reports));
        producer.map_err(|error| StartError::refused(&error, &self.kafka))
    }

    fn is_outdated(&self, producer: &Producer) -> bool {
        producer.credentials != Credentials::of(&self.kafka)
    }
}

impl Producer {
    fn start(
        config: &ClientConfig,
        kafka: &KafkaSettings,
        credentials: Credentials,
        reports: Arc<Reports>,
    ) -> Result<Self, KafkaError> {
        let callbacks = Callbacks::of(kafka, config, Arc::clone(&reports));
        let tokens = callbacks.tokens.clone();
        let clock = RefCell::new(Ahead::watch());
        let client: BaseProducer<_> = config.create_with_context(callbacks)?;
        let client = Arc::new(client);
        let stopping = Arc::new(AtomicBool::new(false));
        let threads = Threads(Arc::clone(&stopping));
        let to_count = Questions::start(Arc::clone(&client), kafka.clone(), reports, Arc::clone(&stopping));
        let to_count = to_count.map_err(|error| no_thread(&error))?;
        if let Some(tokens) = &tokens {
            let polled = Arc::clone(&client);
            Arc::clone(tokens)
                .fetch_ahead(move |limit| polled.poll(limit), stopping)
                .map_err(|error| no_thread(&error))?;
        }
        Ok(Self {
            client,
            to_count,
            credentials,
            clock,
            tokens,
            _threads: threads,
        })
    }
}

impl Produce for Producer {
    fn send(&self, ticket: Ticket, envelope: &Envelope<'_>) -> Result<(), NotTaken> {
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

    fn send_again(&self, ticket: Ticket, message: &OwnedMessage, timestamp_ms: Option<i64>) -> Result<(), NotTaken> {
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(message.topic(), opaque(ticket));
        record.headers = message.headers().cloned();
        record.key = message.key();
        record.payload = message.payload();
        record.timestamp = timestamp_ms;
        self.client.send(record).map_err(|(error, _)| not_taken(&error))
    }

    fn count_partitions(&self, topic: TopicName) {
        // When the queue is full, asking again later is what happens anyway.
        let _ = self.to_count.try_send(topic);
    }

    fn fatal_error(&self) -> Option<RDKafkaErrorCode> {
        self.client.client().fatal_error().map(|(code, _)| code)
    }

    fn is_late(&self) -> bool {
        self.clock.borrow_mut().was_set_back()
    }

    fn poll(&self) {
        // Who polls may have to wait for a token; then the thread that fetches them does it.
        if self.tokens.as_ref().is_some_and(|tokens| !tokens.is_ready()) {
            return;
        }
        let reports = &self.client.context().reports;
        for _ in 0..REPORTS_MAX {
            let heard = reports.heard();
            self.client.poll(Duration::ZERO);
            if reports.heard() == heard {
                return;
            }
        }
    }

    fn purge(&self) {
        self.client.purge(PurgeConfig::default().queue().inflight());
    }
}

fn no_thread(error: &std::io::Error) -> KafkaError {
    KafkaError::ClientCreation(format!("no thread could be started: {error}"))
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

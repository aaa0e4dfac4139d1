//! The producer alone: the relay's own settings of librdkafka and records that the relay has published, without a slot
//! before them. What the brokers take, the relay cannot exceed.
//!
//! It runs as a program of its own, so that it is measured like the others.

mod sample;

use std::env;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use outbox_relay::config::PipelineSettings;
use outbox_relay::producer_config;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};

use crate::child::Child;
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::topic::Topic;
use sample::Sampled;

pub(crate) use sample::take as take_sample;

/// The sub-command that it is.
pub(crate) const COMMAND: &str = "producer-alone";
/// What results and complaints call it.
pub(crate) const NAME: &str = "the producer alone";
/// What it says when its first record is acknowledged, and it begins to send the others.
pub(crate) const READY: &str = "ready";

/// As the relay's own program sets its allocator up.
const ALLOCATOR: (&str, &str) = ("MALLOC_CONF", "narenas:1,dirty_decay_ms:1000");
/// Short beside the time in which the brokers empty what may be in flight.
const FULL_WAIT: Duration = Duration::from_millis(1);
/// How often it looks whether it should stop.
const LOOK_UP_RECORDS: u32 = 1 << 10;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    configuration: Configuration,
    #[arg(long)]
    topic: String,
    /// How many records to send
    #[arg(long)]
    records: u32,
    /// The records, sent again and again
    #[arg(long, value_name = "FILE")]
    sample: PathBuf,
}

/// Starts it, with the relay's configuration; it ends by itself when everything is acknowledged.
pub(crate) fn start(
    installation: &Installation,
    settings: &[String],
    topic: &Topic,
    records: u32,
    sample: &Path,
) -> Result<Child, Failure> {
    let own = env::current_exe().map_err(Failure::file("find", Path::new("this program")))?;
    let mut command = Command::new(own);
    command.args([COMMAND, "--topic", topic.name(), "--records", &records.to_string()]);
    command.arg("--sample").arg(sample).env(ALLOCATOR.0, ALLOCATOR.1);
    installation.relay.configure(&mut command, settings);
    Child::spawn(command, NAME, &installation.folder().join("producer-alone.log"))
}

/// Sends everything and waits until the brokers have acknowledged it.
pub(crate) fn run(options: &Options, interrupt: &Interrupt) -> Result<(), Failure> {
    let settings = options.configuration.load()?;
    let sample = sample::read(&options.sample)?;
    let config = producer_config(&settings).map_err(|error| Failure::Configuration(error.to_string()))?;
    let producer: BaseProducer<InFlight> = config.create_with_context(InFlight::default())?;
    let sender = Sender {
        producer: &producer,
        topic: &options.topic,
        limits: &settings.pipeline,
        interrupt,
    };
    sender.send_all(options.records, &sample)
}

fn say_ready() -> Result<(), Failure> {
    println!("{READY}");
    stdout().flush().map_err(Failure::file("write to", Path::new("stdout")))
}

struct Sender<'p> {
    producer: &'p BaseProducer<InFlight>,
    topic: &'p str,
    limits: &'p PipelineSettings,
    interrupt: &'p Interrupt,
}

impl Sender<'_> {
    /// The first record goes ahead: until it is acknowledged, the producer connects and is given its id, which the relay
    /// does before it attaches to its slot.
    fn send_all(&self, records: u32, sample: &[Sampled]) -> Result<(), Failure> {
        for (number, record) in (0..records).zip(sample.iter().cycle()) {
            if number % LOOK_UP_RECORDS == 0 {
                self.interrupt.check()?;
                self.poll();
            }
            self.send(record)?;
            if number == 0 {
                self.until_acknowledged()?;
                say_ready()?;
            }
        }
        self.until_acknowledged()
    }

    fn send(&self, record: &Sampled) -> Result<(), Failure> {
        let in_flight = self.producer.context();
        let bytes = record.in_flight_bytes();
        while !in_flight.has_room_for(bytes, self.limits) {
            self.pass()?;
        }
        in_flight.add(bytes);
        while !self.hand_over(record, bytes)? {
            self.pass()?;
        }
        Ok(())
    }

    /// Whether the producer had room for it.
    fn hand_over(&self, record: &Sampled, bytes: usize) -> Result<bool, Failure> {
        let mut message = BaseRecord::<str, str, usize>::with_opaque_to(self.topic, bytes).headers(record.headers());
        message.key = record.key.as_deref();
        message.payload = record.payload.as_deref();
        message.timestamp = record.timestamp_ms;
        match self.producer.send(message) {
            Ok(()) => Ok(true),
            Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => Ok(false),
            Err((error, _)) => Err(error.into()),
        }
    }

    fn until_acknowledged(&self) -> Result<(), Failure> {
        let in_flight = self.producer.context();
        while in_flight.records.load(Ordering::Acquire) > 0 {
            self.pass()?;
        }
        in_flight.expect_delivered()
    }

    /// A moment later, provided that nothing has failed.
    fn pass(&self) -> Result<(), Failure> {
        self.poll();
        self.producer.context().expect_delivered()?;
        self.interrupt.pass(FULL_WAIT)
    }

    /// Like the relay, in between. One call brings one batch.
    fn poll(&self) {
        let records = &self.producer.context().records;
        loop {
            let before = records.load(Ordering::Acquire);
            self.producer.poll(Duration::ZERO);
            if records.load(Ordering::Acquire) == before {
                return;
            }
        }
    }
}

/// What was handed to the producer and not acknowledged yet.
#[derive(Debug, Default)]
struct InFlight {
    records: AtomicUsize,
    bytes: AtomicUsize,
    failed: Mutex<Option<KafkaError>>,
}

impl InFlight {
    fn has_room_for(&self, bytes: usize, limits: &PipelineSettings) -> bool {
        let records = self.records.load(Ordering::Acquire);
        let all_bytes = self.bytes.load(Ordering::Acquire) + bytes;
        records == 0 || (records < limits.in_flight_records_max && all_bytes <= limits.in_flight_bytes_max)
    }

    fn add(&self, bytes: usize) {
        self.records.fetch_add(1, Ordering::AcqRel);
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    fn expect_delivered(&self) -> Result<(), Failure> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed
            .as_ref()
            .map_or(Ok(()), |error| Err(Failure::NotDelivered(error.to_string())))
    }
}

impl ClientContext for InFlight {}

impl ProducerContext for InFlight {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, bytes: usize) {
        if let Err((error, _)) = result {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert_with(|| error.clone());
        }
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.records.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PipelineSettings = PipelineSettings {
        in_flight_bytes_max: 1000,
        in_flight_records_max: 3,
        drain_timeout_ms: 1,
    };

    #[test]
    fn both_bytes_and_records_in_flight_are_bounded() {
        let in_flight = InFlight::default();
        in_flight.add(600);
        assert!(in_flight.has_room_for(400, &LIMITS));
        assert!(!in_flight.has_room_for(401, &LIMITS));
        in_flight.add(1);
        in_flight.add(1);
        assert!(!in_flight.has_room_for(1, &LIMITS));
    }

    #[test]
    fn a_record_above_the_bound_goes_alone() {
        assert!(InFlight::default().has_room_for(5000, &LIMITS));
    }
}

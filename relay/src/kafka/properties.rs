//! librdkafka's properties: ours, the operator's, and those that carry a promise, in this order.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use secrecy::ExposeSecret;

use crate::config::{KafkaSettings, PipelineSettings, SecretError, Settings};

/// Whether records may share a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Batching {
    /// As many as fit: the normal way.
    Full,
    /// One record a batch: a broker's refusal then speaks of that record alone.
    Isolating,
}

/// The target of librdkafka's own lines in the log; a hint in `config::refused` names it.
pub(super) const LOG_TARGET: &str = "outbox_relay::librdkafka";

/// What the operator may change.
const DEFAULTS: [(&str, &str); 10] = [
    ("compression.type", "lz4"),
    // Reads from PostgreSQL come in bursts, so batches fill without waiting for them.
    ("linger.ms", "0.5"),
    // The partition that a Java producer would choose.
    ("partitioner", "murmur2_random"),
    ("socket.keepalive.enable", "true"),
    // How long a frozen broker holds what is in flight to it.
    ("socket.timeout.ms", "10000"),
    ("request.timeout.ms", "8000"),
    ("reconnect.backoff.max.ms", "1000"),
    // A missing topic halts the line, and is tried again: no reason to wait longer before saying so.
    ("topic.metadata.propagation.max.ms", "5000"),
    // A topic that appears by itself has the brokers' default partitions and replicas.
    ("allow.auto.create.topics", "false"),
    ("batch.num.messages", "10000"),
];

/// What carries a promise. The configuration refuses these names, see `config::refused`.
const PROMISES: [(&str, &str); 4] = [
    ("enable.idempotence", "true"),
    ("acks", "all"),
    // An outage becomes back-pressure. With a timeout, records vanish from the middle of a series.
    ("message.timeout.ms", "0"),
    // Without it librdkafka goes on with later records after a failed one, and a purge comes too late.
    ("enable.gapless.guarantee", "true"),
];

/// The configuration of the relay's producer, for who measures that alone.
///
/// # Errors
/// A secret's file cannot be read.
pub fn producer_config(settings: &Settings) -> Result<ClientConfig, SecretError> {
    client_config(&settings.kafka, &settings.pipeline, Batching::Full)
}

/// The producer's configuration. Secrets are read now: a rotated file counts from the next producer on.
///
/// # Errors
/// A secret's file cannot be read.
pub(super) fn client_config(
    kafka: &KafkaSettings,
    pipeline: &PipelineSettings,
    batching: Batching,
) -> Result<ClientConfig, SecretError> {
    let mut config = connection_config(kafka)?;
    if batching == Batching::Isolating {
        config.set("batch.num.messages", "1");
    }
    for (name, value) in PROMISES {
        config.set(name, value);
    }
    // The pipeline's budget is the limit. librdkafka's own counts values only and must never be the first to say no.
    let messages = pipeline.in_flight_records_max.saturating_mul(2).clamp(1, 10_000_000);
    let kbytes = (pipeline.in_flight_bytes_max / 512).clamp(1_048_576, 2_147_483_647);
    config.set("queue.buffering.max.messages", messages.to_string());
    config.set("queue.buffering.max.kbytes", kbytes.to_string());
    Ok(config)
}

/// What was configured, for whichever kind of client: how it connects, logs in and is called.
fn connection_config(kafka: &KafkaSettings) -> Result<ClientConfig, SecretError> {
    let mut config = ClientConfig::new();
    for (name, value) in DEFAULTS {
        config.set(name, value);
    }
    for (name, value) in &kafka.properties {
        config.set(name, value);
    }
    for (name, secret) in &kafka.secret_properties {
        config.set(name, secret.reveal()?.expose_secret());
    }
    config.set("bootstrap.servers", &kafka.bootstrap_servers);
    config.set("client.id", &kafka.client_id);
    config.set_log_level(log_level());
    Ok(config)
}

/// Of a client that reads topics back: in memory for each partition, and on no group's behalf.
const READING: [(&str, &str); 9] = [
    // librdkafka assigns partitions only to who has one.
    ("group.id", "outbox-relay-reader"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    // What retention removes while it is read is passed over.
    ("auto.offset.reset", "earliest"),
    ("allow.auto.create.topics", "false"),
    ("fetch.wait.max.ms", "50"),
    ("queued.max.messages.kbytes", "4096"),
    ("isolation.level", "read_committed"),
];

/// The configuration of a client that reads topics back, by the connection and the login of the producer. What only
/// producers have librdkafka passes over.
///
/// # Errors
/// A secret's file cannot be read.
pub(super) fn reader_config(kafka: &KafkaSettings) -> Result<ClientConfig, SecretError> {
    let mut config = connection_config(kafka)?;
    for (name, value) in READING {
        config.set(name, value);
    }
    Ok(config)
}

/// What librdkafka has to say at all; the log filter chooses again. That a broker hangs up is at this level.
fn log_level() -> RDKafkaLogLevel {
    if tracing::enabled!(target: LOG_TARGET, tracing::Level::DEBUG) {
        RDKafkaLogLevel::Debug
    } else {
        RDKafkaLogLevel::Info
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kafka(properties: &[(&str, &str)]) -> KafkaSettings {
        KafkaSettings {
            bootstrap_servers: "localhost:9092".to_owned(),
            client_id: "outbox-relay".to_owned(),
            properties: properties
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            secret_properties: std::collections::BTreeMap::new(),
            token_source: None,
        }
    }

    const PIPELINE: PipelineSettings = PipelineSettings {
        in_flight_bytes_max: 16 << 20,
        in_flight_records_max: 1000,
        drain_timeout_ms: 1,
    };

    #[test]
    fn the_operator_changes_defaults_and_never_a_promise() {
        let config = client_config(
            &kafka(&[("compression.type", "zstd"), ("acks", "1")]),
            &PIPELINE,
            Batching::Full,
        )
        .unwrap();
        assert_eq!(config.get("compression.type"), Some("zstd"));
        assert_eq!(config.get("acks"), Some("all"));
        assert_eq!(config.get("enable.gapless.guarantee"), Some("true"));
    }

    #[test]
    fn librdkafka_accepts_the_configuration_of_a_reader() {
        let config = reader_config(&kafka(&[("compression.type", "zstd")])).unwrap();
        let made: Result<rdkafka::consumer::BaseConsumer, _> = config.create();
        assert!(made.is_ok(), "{:?}", made.err());
    }

    #[test]
    fn librdkafka_accepts_the_configuration() {
        let config = client_config(&kafka(&[]), &PIPELINE, Batching::Isolating).unwrap();
        let made: Result<rdkafka::producer::BaseProducer, _> = config.create();
        assert!(made.is_ok(), "{:?}", made.err());
    }
}

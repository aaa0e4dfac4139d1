//! What librdkafka itself says to a property, before a producer is made of it.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::errors::Fault;
use super::{nearest, properties};

/// What is wrong with a property: with its name, and with its value if that is known.
pub(super) fn fault(name: &str, value: Option<&str>) -> Option<Fault> {
    // Any text tells whether there is such a property; librdkafka cannot be asked for one that has no value.
    let refusal = ClientConfig::new()
        .set(name, value.unwrap_or("1"))
        .create_native_config()
        .err()?;
    match (refusal, value) {
        (KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..), _) => Some(unknown(name)),
        (_, None) => None,
        (_, Some(_)) if properties::is_secret(name) => Some(Fault::new(
            "librdkafka does not take this value, which is a secret and not shown",
            "correct it",
        )),
        (KafkaError::ClientConfig(_, why, ..), Some(value)) => Some(Fault::new(
            format!("librdkafka does not take {value:?}: {why}"),
            "correct it, or remove it",
        )),
        (other, Some(_)) => Some(Fault::new(
            format!("librdkafka does not take it: {other}"),
            "correct it",
        )),
    }
}

fn unknown(name: &str) -> Fault {
    let remedy = match nearest::among(name, PROPERTIES.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => "remove it; librdkafka's CONFIGURATION.md lists what there is".to_owned(),
    };
    Fault::new("librdkafka has no such property", remedy)
}

/// What a producer can be given, for suggestions.
#[rustfmt::skip]
const PROPERTIES: &[&str] = &[
    "allow.auto.create.topics", "api.version.fallback.ms", "api.version.request", "api.version.request.timeout.ms",
    "batch.num.messages", "batch.size", "broker.address.family", "broker.address.ttl", "broker.version.fallback",
    "client.dns.lookup", "client.rack", "compression.codec", "compression.level", "compression.type",
    "connections.max.idle.ms", "debug", "enable.metrics.push", "enable.random.seed",
    "enable.ssl.certificate.verification", "https.ca.location",
    "https.ca.pem", "internal.termination.signal", "linger.ms", "log.connection.close", "log.queue",
    "log.thread.name", "max.in.flight", "max.in.flight.requests.per.connection", "message.copy.max.bytes",
    "message.max.bytes", "metadata.max.age.ms", "metadata.recovery.rebootstrap.trigger.ms",
    "metadata.recovery.strategy", "partitioner", "produce.offset.report", "queue.buffering.backpressure.threshold",
    "queue.buffering.max.ms", "receive.message.max.bytes", "reconnect.backoff.jitter.ms", "reconnect.backoff.max.ms",
    "reconnect.backoff.ms", "request.timeout.ms", "retry.backoff.max.ms", "retry.backoff.ms", "sasl.kerberos.keytab",
    "sasl.kerberos.kinit.cmd", "sasl.kerberos.min.time.before.relogin", "sasl.kerberos.principal",
    "sasl.kerberos.service.name", "sasl.mechanism", "sasl.mechanisms",                                     "sasl.oauthbearer.method",
    "sasl.password", "sasl.username",
    "security.protocol", "socket.blocking.max.ms", "socket.connection.setup.timeout.ms", "socket.keepalive.enable",
    "socket.max.fails", "socket.nagle.disable", "socket.receive.buffer.bytes", "socket.send.buffer.bytes",
    "socket.timeout.ms", "ssl.ca.certificate.stores", "ssl.ca.location", "ssl.ca.pem", "ssl.certificate.location",
    "ssl.certificate.pem", "ssl.cipher.suites", "ssl.crl.location", "ssl.curves.list",
    "ssl.endpoint.identification.algorithm", "ssl.engine.id", "ssl.engine.location", "ssl.key.location",
    "ssl.key.password", "ssl.key.pem", "ssl.keystore.location", "ssl.keystore.password", "ssl.providers",
    "ssl.sigalgs.list", "statistics.interval.ms", "sticky.partitioning.linger.ms", "topic.blacklist",
    "topic.metadata.propagation.max.ms", "topic.metadata.refresh.fast.cnt", "topic.metadata.refresh.fast.interval.ms",
    "topic.metadata.refresh.interval.ms", "topic.metadata.refresh.sparse",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::refused;
    use crate::config::trial::Trial;

    #[test]
    fn librdkafka_knows_every_property_that_is_suggested_and_none_of_them_is_refused_by_us() {
        for name in PROPERTIES {
            assert_eq!(fault(name, None), None, "{name}");
            assert!(
                refused::find(name, Some("1")).is_none_or(|row| row.accepted != refused::Accepted::Nothing),
                "{name}"
            );
        }
    }

    #[test]
    fn every_property_that_librdkafka_does_not_take_is_told_with_its_key_source_and_nearest_name() {
        let secret = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(secret.path(), "x").expect("written");
        let errors = Trial::minimal()
            .and("[kafka.properties]\n\"compresion.type\" = 'lz4'\n\"linger.ms\" = 'soon'")
            .env("KAFKA__PROPERTIES__SASL_USERNAM", "u")
            .flag(&format!(
                "kafka.property_files.sasl.pasword={}",
                secret.path().display()
            ))
            .flag("kafka.properties.zzz=1")
            .errors();
        let shown = errors.to_string();
        for said in [
            "relay.toml line 4)\n    librdkafka has no such property\n    To do: did you mean compression.type?",
            "relay.toml line 5)\n    librdkafka does not take \"soon\": Invalid value",
            "kafka.properties.sasl.usernam (environment variable OUTBOX_RELAY_KAFKA__PROPERTIES__SASL_USERNAM)",
            "did you mean sasl.password?",
            "kafka.properties.zzz (--set kafka.properties.zzz)\n    librdkafka has no such property\n    To do: remove it",
        ] {
            assert!(shown.contains(said), "{said:?} is not in {shown}");
        }
        assert_eq!(errors.iter().count(), 5, "{shown}");
    }

    #[test]
    fn a_secret_that_librdkafka_does_not_take_is_not_shown() {
        let errors = Trial::minimal().and("kafka.properties.ssl_key = 'hunter2'").errors();
        let shown = errors.to_string();
        assert!(
            shown.contains("kafka.properties.ssl_key") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}

//! librdkafka properties that are not handed through, each with the reason and with what to do instead.

use super::properties::canonical;

/// Properties refused for one reason.
#[derive(Debug)]
pub struct Refused {
    /// Their names; other names librdkafka has for them count too.
    pub names: &'static [&'static str],
    /// Values that are accepted all the same.
    pub accepted: Accepted,
    /// What would break.
    pub reason: &'static str,
    /// What to do instead.
    pub instead: &'static str,
}

/// Values of a refused property that are accepted all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// None.
    Nothing,
    /// These.
    OneOf(&'static [&'static str]),
}

impl Accepted {
    fn includes(self, value: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::OneOf(values) => values.contains(&value),
        }
    }
}

/// The row that refuses `value` for the property `name`. A value that is not known yet (it is in a file) is refused
/// wherever some value would be.
pub fn find(name: &str, value: Option<&str>) -> Option<&'static Refused> {
    // Underscores cannot be told from dots in a variable's name.
    let same = |other: &&str| canonical(&other.replace('_', ".")) == canonical(&name.replace('_', "."));
    let row = REFUSED.iter().find(|row| row.names.iter().any(&same))?;
    let accepted = value.is_some_and(|value| row.accepted.includes(value));
    (!accepted).then_some(row)
}

const REMOVE: &str = "remove it";

const fn row(names: &'static [&'static str], reason: &'static str, instead: &'static str) -> Refused {
    Refused {
        names,
        accepted: Accepted::Nothing,
        reason,
        instead,
    }
}

/// The table.
#[rustfmt::skip]
pub static REFUSED: &[Refused] = &[
    row(&["enable.idempotence"],
        "the relay sets it to true: without it a retry can repeat or reorder records", REMOVE),
    row(&["acks", "request.required.acks"],
        "the relay sets it to all: with less, an acknowledged record can be lost, and its row is not sent again", REMOVE),
    row(&["message.timeout.ms", "delivery.timeout.ms"],
        "the relay sets it to 0, no limit: a limit drops records out of the middle of a series while Kafka is away",
        "remove it; an outage of Kafka becomes back-pressure, bounded by pipeline.in_flight_bytes_max"),
    row(&["enable.gapless.guarantee"],
        "the relay sets it to true: without it later records of a key overtake one that failed", REMOVE),
    Refused {
        names: &["max.in.flight", "max.in.flight.requests.per.connection"],
        accepted: Accepted::OneOf(&["1", "2", "3", "4", "5"]),
        reason: "brokers keep the order of an idempotent producer for at most 5 requests in flight",
        instead: "remove it, or give a number from 1 to 5",
    },
    row(&["retries", "message.send.max.retries"],
        "the relay retries for ever: a limit makes a broker that is away for long look like a bad record",
        "remove it; retry.backoff.ms and retry.backoff.max.ms set the pace"),
    row(&["transactional.id", "transaction.timeout.ms"],
        "transactions must enclose the checkpoint too, or they promise something they do not keep",
        "remove it; exactly-once is a mode of the relay, not a property of the producer"),
    Refused {
        names: &["partitioner"],
        accepted: Accepted::OneOf(&["murmur2_random", "murmur2"]),
        reason: "another hash sends a key to another partition than before and than Java producers do, \
                 so that its records are no longer in order",
        instead: "remove it (murmur2_random), or give murmur2, which differs only for records without a key",
    },
    row(&["queuing.strategy"],
        "only fifo keeps the order of a key", REMOVE),
    row(&["delivery.report.only.error"],
        "without a report for each success nothing would ever be confirmed to PostgreSQL", REMOVE),
    row(&["queue.buffering.max.messages", "queue.buffering.max.kbytes"],
        "librdkafka's limit counts values only; the relay's own budget counts keys, headers and overhead too",
        "set pipeline.in_flight_bytes_max and pipeline.in_flight_records_max"),
    row(&["bootstrap.servers", "metadata.broker.list"],
        "it has a key of its own", "set kafka.bootstrap_servers"),
    row(&["client.id"],
        "it has a key of its own", "set kafka.client_id"),
    Refused {
        names: &["sasl.oauthbearer.method"],
        accepted: Accepted::OneOf(&["default"]),
        reason: "librdkafka fetches tokens over HTTP with curl, which the relay is built without",
        instead: "remove it, and name a program that prints a token with kafka.oauth_token_command",
    },
    row(&["sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret",
          "sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.credentials.client.secret",
          "sasl.oauthbearer.scope", "sasl.oauthbearer.extensions", "sasl.oauthbearer.token.endpoint.url",
          "sasl.oauthbearer.grant.type", "sasl.oauthbearer.config"],
        "only librdkafka's own ways to a token read it, and the relay has another",
        "remove it, and give it to the program that kafka.oauth_token_command names"),
    row(&["enable.sasl.oauthbearer.unsecure.jwt"],
        "a token that nobody signed proves nothing", "remove it, and set kafka.oauth_token_file or kafka.oauth_token_command"),
    row(&["log_level"],
        "what is logged has a key of its own",
        "set log.filter to info,outbox_relay::librdkafka=debug; kafka.properties.debug says of what, for example broker"),
    row(&["test.mock.num.brokers", "test.mock.broker.rtt"],
        "it replaces the brokers by pretended ones in memory, which acknowledge records and forget them", REMOVE),
    row(&["plugin.library.paths"],
        "it loads foreign code into the relay, which can change or drop records without a trace", REMOVE),
    row(&["dr_cb", "dr_msg_cb", "error_cb", "throttle_cb", "stats_cb", "log_cb", "background_event_cb", "socket_cb",
          "connect_cb", "closesocket_cb", "open_cb", "resolve_cb", "partitioner_cb", "msg_order_cmp",
          "oauthbearer_token_refresh_cb", "ssl.certificate.verify_cb", "ssl_engine_callback_data", "opaque",
          "default_topic_conf", "enabled_events", "interceptors"],
        "it is a function or pointer inside the program, not a setting; the relay's own delivery reports hang on it",
        REMOVE),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_promise_is_refused_under_each_of_its_names() {
        for name in [
            "acks",
            "request.required.acks",
            "delivery.timeout.ms",
            "message.timeout.ms",
            "dr_msg_cb",
            "plugin.library.paths",
        ] {
            assert!(find(name, Some("1")).is_some(), "{name}");
        }
    }

    #[test]
    fn a_name_from_a_variable_is_refused_although_its_underscore_became_a_dot() {
        assert!(find("dr.msg.cb", Some("x")).is_some());
    }

    #[test]
    fn up_to_five_requests_in_flight_are_accepted() {
        for value in ["1", "5"] {
            assert!(find("max.in.flight", Some(value)).is_none(), "{value}");
        }
        for value in ["0", "6", "1000000", "", "five"] {
            assert!(
                find("max.in.flight.requests.per.connection", Some(value)).is_some(),
                "{value}"
            );
        }
    }

    #[test]
    fn only_the_partitioners_of_the_java_producer_are_accepted() {
        assert!(find("partitioner", Some("murmur2_random")).is_none());
        assert!(find("partitioner", Some("murmur2")).is_none());
        assert!(find("partitioner", Some("consistent_random")).is_some());
    }

    #[test]
    fn a_value_that_is_in_a_file_is_refused_where_some_value_would_be() {
        assert!(find("partitioner", None).is_some());
        assert!(find("sasl.password", None).is_none());
    }

    #[test]
    fn what_breaks_no_promise_goes_through() {
        for name in [
            "linger.ms",
            "batch.num.messages",
            "compression.type",
            "retry.backoff.ms",
            "no.such.property",
        ] {
            assert!(find(name, Some("1")).is_none(), "{name}");
        }
    }
}

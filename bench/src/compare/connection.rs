//! What leads another program to the servers under measurement, by the names that its command line may use.

use super::placeholders::Values;
use crate::installation::{DATABASE, Installation};
use crate::relay::PUBLICATION;

/// As the superuser, over TCP and in plain text, as `pg_recvlogical` connects too.
pub(super) fn values(installation: &Installation) -> Vec<(&'static str, String)> {
    let facts = installation.stack.postgres.facts();
    vec![
        ("host", "127.0.0.1".to_owned()),
        ("port", facts.port.to_string()),
        ("user", facts.superuser.clone()),
        ("password", facts.password.clone()),
        ("database", DATABASE.to_owned()),
        ("publication", PUBLICATION.to_owned()),
        (
            "bootstrap_servers",
            installation.stack.kafka.bootstrap_servers().to_owned(),
        ),
    ]
}

/// These and what belongs to one start alone.
pub(super) fn with_own(values: &Values, slot: &str, topic: &str) -> Vec<(&'static str, String)> {
    let own = [("slot", slot.to_owned()), ("topic", topic.to_owned())];
    values.iter().cloned().chain(own).collect()
}

#[cfg(test)]
pub(super) fn example() -> Vec<(&'static str, String)> {
    let value = |name, value: &str| (name, value.to_owned());
    vec![
        value("host", "127.0.0.1"),
        value("port", "5432"),
        value("user", "postgres"),
        value("password", "secret"),
        value("database", "bench"),
        value("publication", "outbox_relay"),
        value("bootstrap_servers", "127.0.0.1:9092"),
    ]
}

//! What is said about each table of the file as a whole, in the order in which they are shown.

/// Path and introduction.
pub(super) static SECTIONS: &[(&str, &str)] = &[
    (
        "postgres",
        "The server, the login, the slot. libpq's connection strings and PG* variables are understood too.",
    ),
    (
        "retry",
        "How what the brokers refused is tried again. One line of the log a change of state, not one an attempt.",
    ),
    (
        "outbox.*",
        "One section for each outbox table; the name is yours: a-z, 0-9 and single underscores. Without any, there is \
         one called \"default\" with all the defaults below.",
    ),
    (
        "outbox.*.columns",
        "Which column plays which part. \"\" says that the table has no such column.",
    ),
    ("outbox.*.retry", "Where this outbox differs from [retry]."),
    (
        "outbox.*.retry_rules.*",
        "Where some event types differ from the rest of their outbox; the rule's name is yours.",
    ),
    ("kafka", "The brokers and the producer."),
    (
        "kafka.properties",
        "librdkafka properties, handed through. Those that would break a promise (acks, idempotence, timeouts, ...) are \
         refused with the reason. TLS unless \"security.protocol\" says otherwise: it is \"ssl\" if it is not set, or \
         \"sasl_ssl\" with a mechanism to log in with; plain text only by name. In the environment \"_\" stands for \".\": \
         OUTBOX_RELAY_KAFKA__PROPERTIES__COMPRESSION_TYPE.",
    ),
    (
        "kafka.property_files",
        "The same, read from files whenever a producer is made: the place for secrets.",
    ),
    ("pipeline", "How much may be under way."),
    (
        "dead_letters",
        "How much may be set aside, where an outbox says so (on_defect). More halts the line.",
    ),
    (
        "audit",
        "The trail of who did what, which `outbox-relay audit verify` proves.",
    ),
    ("admin", "Probes and metrics."),
    ("log", "What the relay says, on standard error."),
    (
        "retention",
        "Outbox rows that are published and old enough are removed: docs/RETENTION.md.",
    ),
    (
        "roles",
        "Roles that `migrate` makes. They belong to the whole server, so every installation can name its own.",
    ),
];

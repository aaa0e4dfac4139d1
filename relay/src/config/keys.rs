//! Every key that exists: its path, type, bounds, default and meaning.
//!
//! Lookups, the check for unknown keys, defaults, suggestions and the printed reference all read this one table.

use super::key::Fallback::{self, Preset, Required, Unset, Value};
use super::key::Key;
use super::key::Kind::{
    self, Address, Choice, Column, File, Filter, Hosts, Identifier, List, Property, Secret, SecretFile, SlotName,
    Switch, Text, Topic, TopicName, Whole,
};

/// The row that describes `path`, if there is one.
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.matches(path))
}

/// Whether keys can stand below `path`, so that an empty table there is nothing wrong.
pub(super) fn is_section(path: &str) -> bool {
    KEYS.iter().any(|key| {
        let mut pattern = key.path.split('.');
        path.split('.')
            .all(|segment| pattern.next().is_some_and(|part| part == "*" || part == segment))
            && pattern.next().is_some()
    })
}

const fn row(path: &'static str, kind: Kind, default: Fallback, meaning: &'static str) -> Key {
    Key {
        path,
        kind,
        default,
        meaning,
        note: "",
        examples: &[],
    }
}

const fn ms(min: u64, max: u64) -> Kind {
    Whole { unit: "ms", min, max }
}

const fn bytes(min: u64, max: u64) -> Kind {
    Whole {
        unit: "bytes",
        min,
        max,
    }
}

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const PORT: Kind = Whole {
    unit: "",
    min: 1,
    max: 65_535,
};
const RETRY_POLICY: Kind = Choice(&["fixed", "exponential", "equal_jitter", "full_jitter"]);
const ATTEMPTS: Kind = Whole {
    unit: "",
    min: 1,
    max: 1_000_000,
};
const fn days(min: u64, max: u64) -> Kind {
    Whole { unit: "days", min, max }
}

const KIB: u64 = 1024;
const GIB: u64 = KIB * KIB * KIB;

/// The table.
#[rustfmt::skip]
pub static KEYS: &[Key] = &[
    row("postgres.url", Secret, Unset,
        "A connection string as psql takes it, a URL or key=value; it stands for those of the keys below that it names.")
            .note("In a URL, @ in a password is %40, / is %2F. What it says may not be said by a key in the same source; \
                   a key in a higher one wins.")
            .examples(&["postgres://outbox_relay@db1,db2:5433/shop?sslmode=verify-full"]),
    row("postgres.url_file", SecretFile, Unset,
        "File with a connection string; its password is read anew on every connect, so that it can be rotated.")
            .note("The rest of it is read at the start.")
            .examples(&["/run/secrets/postgres-url"]),
    row("postgres.host", Hosts, Value("localhost"),
        "Host name or address of the server, or the directory of its unix socket (begins with /).")
            .note("Of several, each perhaps with :port, the first that will do: [\"db1\", \"db2:5433\"]."),
    row("postgres.port", PORT, Value("5432"),
        "TCP port of hosts that name none, or the number in the unix socket's name."),
    row("postgres.target_session_attrs", Choice(&["read-write", "any"]), Value("read-write"),
        "Which of several hosts will do: the one that takes writes, or whichever answers."),
    row("postgres.tls_mode", Choice(&["verify-full", "verify-ca", "require", "disable"]), Value("verify-full"),
        "What is checked of the server's certificate; nothing ever falls back to plain text.")
            .note("verify-full: a trusted CA signed it, for the host above; verify-ca: for whomever; require: nothing, \
                   encrypted to whoever answers; disable: plain text. A unix socket is never encrypted."),
    row("postgres.tls_min_version", Choice(&["1.3", "1.2"]), Value("1.3"),
        "The oldest version of TLS that is spoken."),
    row("postgres.tls_ca_file", File, Unset,
        "CA certificates (PEM) to trust instead of the system's.")
            .note("Read anew on every connect, like the next two.")
            .examples(&["/etc/ssl/certs/ca-certificates.crt"]),
    row("postgres.tls_certificate_file", File, Unset,
        "The relay's own certificate (PEM), where the server asks for one; goes with tls_key_file.")
            .examples(&["/run/secrets/relay.crt"]),
    row("postgres.tls_key_file", File, Unset,
        "The private key (PEM) of tls_certificate_file.")
            .examples(&["/run/secrets/relay.key"]),
    row("postgres.tls_key_password_file", SecretFile, Unset,
        "File with the passphrase of tls_key_file, where it has one; read anew on every connect.")
            .examples(&["/run/secrets/relay.key.passphrase"]),
    row("postgres.channel_binding", Choice(&["prefer", "require", "disable"]), Value("prefer"),
        "Whether a login must be bound to its TLS connection (SCRAM-SHA-256-PLUS)."),
    row("postgres.password_methods", List, Value("scram-sha-256"),
        "How the password may be proven; md5 and cleartext show it, or as good as, to whoever asks.")
            .note("Any of scram-sha-256, md5, cleartext."),
    row("postgres.database", Identifier, Required,
        "The database that holds the outbox tables and the slot.")
            .examples(&["shop"]),
    row("postgres.user", Identifier, Value("outbox_relay"),
        "The role the relay logs in as; it needs the REPLICATION attribute itself."),
    row("postgres.password", Secret, Unset,
        "Password of the role; a file is the better place for it.")
            .examples(&["change me"]),
    row("postgres.password_file", SecretFile, Unset,
        "File with the password, read anew on every connect, so that a rotated secret is picked up.")
            .note("One line break at its end is dropped. Not beside password.")
            .examples(&["/run/secrets/postgres-password"]),
    row("postgres.passfile", File, Unset,
        "Password file in libpq's format (.pgpass), looked into on every connect when no password is given.")
            .note("It may be readable for its owner only.")
            .examples(&["/root/.pgpass"]),
    row("postgres.slot", SlotName, Value("outbox_relay"),
        "The logical replication slot; it is the relay's only position.")
            .note("1 to 63 of a-z, 0-9 and _."),
    row("postgres.publication", Identifier, Value("outbox_relay"),
        "The publication that holds the outbox tables and nothing else."),
    row("postgres.application_name", Identifier, Value("outbox_relay"),
        "Name of the connection in pg_stat_replication; synchronous_standby_names must not match it.")
            .note("If it matches, commits wait for the relay."),
    row("postgres.connect_timeout_ms", ms(100, 10 * MINUTE), Value("10000"),
        "How long one attempt to connect and log in may take."),
    row("postgres.wal_sender_timeout_ms", ms(1_000, HOUR), Value("60000"),
        "The server drops a replication connection that was silent for longer."),
    row("postgres.status_interval_ms", ms(1, 20 * MINUTE), Value("100"),
        "While there is progress to report, at most one status update in this time.")
            .note("At most a third of wal_sender_timeout_ms."),
    row("postgres.frame_bytes_max", bytes(64 * KIB, 2 * GIB), Value("67108864"),
        "The largest row accepted from the server; a larger one is an error, never an allocation."),
    row("postgres.reconnect_backoff_ms", ms(1, HOUR), Value("1000"),
        "First wait after a lost connection; it doubles, with jitter, up to the maximum."),
    row("postgres.reconnect_backoff_max_ms", ms(1, HOUR), Value("30000"),
        "The longest wait between two attempts to connect."),

    row("retry.policy", RETRY_POLICY, Value("equal_jitter"),
        "How waits grow before what the brokers refused is tried again.")
            .note("fixed: not at all; exponential: they double; equal_jitter: one half of that is left to chance; \
                   full_jitter: all of it."),
    row("retry.initial_ms", ms(1, HOUR), Value("100"),
        "The first wait.")
            .note("None is shorter than 50 ms, whatever is configured: each attempt needs a producer of its own."),
    row("retry.max_ms", ms(1, HOUR), Value("30000"),
        "The longest wait."),
    row("retry.attempts", ATTEMPTS, Value("3"),
        "After so many refusals a record that is refused alone halts the line as one that can never be accepted.")
            .note("It is tried again all the same, every max_ms, and so is for ever whatever is not the record's own fault."),

    row("outbox.*.schema", Identifier, Value("public"),
        "Schema of the outbox table."),
    row("outbox.*.table", Identifier, Value("outbox"),
        "Name of the outbox table."),
    row("outbox.*.preset", Choice(&["standard", "debezium"]), Value("standard"),
        "Column names to start from: those of our migrations, or those of Debezium's Event Router."),
    row("outbox.*.columns.id", Column, Preset,
        "Column with the idempotency key."),
    row("outbox.*.columns.aggregate_type", Column, Preset,
        "Column that says what kind of thing the event is about; it usually chooses the topic."),
    row("outbox.*.columns.aggregate_id", Column, Preset,
        "Column that becomes the record key and so decides what stays in order."),
    row("outbox.*.columns.event_type", Column, Preset,
        "Column with the type of the event."),
    row("outbox.*.columns.payload", Column, Preset,
        "Column that becomes the record value, untouched."),
    row("outbox.*.columns.metadata", Column, Preset,
        "JSON column whose chosen members become headers."),
    row("outbox.*.columns.created_at", Column, Preset,
        "Column that becomes the record's timestamp."),
    row("outbox.*.columns.version", Column, Preset,
        "Column with the version of the aggregate, from which consumers can see gaps."),
    row("outbox.*.topic", Topic, Value("outbox.event.{aggregate_type}"),
        "Topic of a row; {aggregate_type}, {schema} and {table} are filled in."),
    row("outbox.*.metadata_headers", List, Value("traceparent,tracestate"),
        "Members of the metadata column that become headers."),
    row("outbox.*.on_defect", Choice(&["halt", "set_aside"]), Value("halt"),
        "What happens to an event that can never be published: the line halts at it, or it becomes a dead letter.")
            .note("halt, because only a person knows whether the rest may go on without it; docs/DEAD_LETTERS.md."),
    row("outbox.*.successors", Choice(&["park_key", "continue"]), Value("park_key"),
        "What happens to later events of a dead letter's key: they wait behind it, in order, or overtake it."),
    row("outbox.*.application_may_delete", Switch, Value("false"),
        "Whether migrate lets the application's role delete by id, for those who delete in the transaction that inserts.")
            .note("The relay reads the log: such a row is published all the same. The role can then read and delete any id."),
    row("outbox.*.delivery_state", Switch, Value("false"),
        "Whether the database is told what became of each event: table outbox_relay.delivery_state, joined by a view.")
            .note("A write for each event, and nothing is confirmed before it; docs/DELIVERY_STATE.md has what it costs. Run migrate \
                   after it is switched on."),
    row("outbox.*.retry.policy", RETRY_POLICY, Unset,
        "Instead of retry.policy, for this outbox.")
            .examples(&["full_jitter"]),
    row("outbox.*.retry.initial_ms", ms(1, HOUR), Unset,
        "Instead of retry.initial_ms, for this outbox.")
            .examples(&["500"]),
    row("outbox.*.retry.max_ms", ms(1, HOUR), Unset,
        "Instead of retry.max_ms, for this outbox.")
            .examples(&["60000"]),
    row("outbox.*.retry.attempts", ATTEMPTS, Unset,
        "Instead of retry.attempts, for this outbox.")
            .examples(&["10"]),
    row("outbox.*.retry_rules.*.event_types", List, Unset,
        "Event types that are tried again otherwise than the rest of the outbox.")
            .examples(&["order_paid,order_refunded"]),
    row("outbox.*.retry_rules.*.policy", RETRY_POLICY, Unset,
        "Instead of retry.policy, for these event types.")
            .examples(&["full_jitter"]),
    row("outbox.*.retry_rules.*.initial_ms", ms(1, HOUR), Unset,
        "Instead of retry.initial_ms, for these event types.")
            .examples(&["500"]),
    row("outbox.*.retry_rules.*.max_ms", ms(1, HOUR), Unset,
        "Instead of retry.max_ms, for these event types.")
            .examples(&["60000"]),
    row("outbox.*.retry_rules.*.attempts", ATTEMPTS, Unset,
        "Instead of retry.attempts, for these event types.")
            .examples(&["10"]),

    row("kafka.bootstrap_servers", List, Required,
        "Brokers to ask first, each as host:port.")
            .examples(&["localhost:9092"]),
    row("kafka.client_id", Text, Value("outbox-relay"),
        "Name of the producer in the brokers' logs and quotas."),
    row("kafka.oauth_token_file", File, Unset,
        "File with the token of an OAUTHBEARER login, read anew before the one in use ends.")
            .examples(&["/run/secrets/kafka-token"]),
    row("kafka.oauth_token_command", List, Unset,
        "Program and arguments that print such a token; run, without a shell, before the one in use ends.")
            .examples(&["/usr/local/bin/kafka-token,--region,eu-central-1"]),
    row("kafka.properties.*", Property, Unset,
        "A librdkafka property, handed through unless it would break a promise.")
            .examples(&["security.protocol=sasl_ssl", "ssl.ca.location=/etc/ssl/private-ca.pem", "ssl.certificate.location=/run/secrets/relay.crt", "ssl.key.location=/run/secrets/relay.key",
                "sasl.mechanism=SCRAM-SHA-512", "sasl.username=outbox-relay", "compression.type=lz4"]),
    row("kafka.property_files.*", SecretFile, Unset,
        "File with the value of a librdkafka property, such as sasl.password.")
            .examples(&["sasl.password=/run/secrets/kafka-password"]),

    row("pipeline.in_flight_bytes_max", bytes(64 * KIB, 1024 * GIB), Value("16777216"),
        "Memory for records that wait for their acknowledgement, overhead included."),
    row("pipeline.in_flight_records_max", Whole { unit: "records", min: 1, max: 10_000_000 }, Value("100000"),
        "How many records may wait for their acknowledgement."),
    row("pipeline.drain_timeout_ms", ms(0, HOUR), Value("25000"),
        "How long SIGTERM waits for a commit boundary and its acknowledgements.")
            .note("Stay below your orchestrator's grace period."),

    row("dead_letters.letters_max", Whole { unit: "letters", min: 1, max: 100_000_000 }, Value("1000000"),
        "How many dead letters may wait to be redriven or discarded; the line halts at one more."),
    row("dead_letters.parked_keys_max", Whole { unit: "keys", min: 1, max: 10_000_000 }, Value("10000"),
        "How many keys may wait behind a dead letter; the line halts at one more.")
            .note("The relay remembers each of them, with its topic."),
    row("dead_letters.topic", TopicName, Unset,
        "Topic that is told of each event that is set aside, as a record with its key and payload and the reason in headers.")
            .note("The table stays the truth, and nothing waits for the topic: docs/DEAD_LETTERS.md.")
            .examples(&["outbox.dead_letters"]),

    row("audit.topic", TopicName, Unset,
        "Topic that is told of the head of the audit trail whenever it has changed, so that who rewrites the table is found out.")
            .note("For `audit verify --head`; with a long retention, and not compacted.")
            .examples(&["outbox.audit_heads"]),

    row("admin.listen", Address, Value("127.0.0.1:9464"),
        "Address of /livez, /readyz and /metrics; there is no login, so think before you leave loopback."),
    row("admin.degraded_after_ms", ms(1_000, 24 * HOUR), Value("300000"),
        "What should pass by itself and lasts longer makes the phase degraded, which can page; it is tried again all the same."),
    row("admin.stuck_after_ms", ms(1_000, HOUR), Value("120000"),
        "The process ends, with exit code 70, when its own loop has not turned for so long; /livez says so after a quarter of it.")
            .note("An outage of PostgreSQL or Kafka never stops the loop."),

    row("log.filter", Filter, Value("info"),
        "What is logged.")
            .note("A tracing filter, such as info,outbox_relay::kafka=debug."),
    row("log.format", Choice(&["text", "json"]), Value("text"),
        "Text for people, or one JSON object a line."),

    row("retention.enabled", Switch, Value("false"),
        "Whether the running relay removes outbox rows that are published and old enough.")
            .note("Without it `outbox-relay purge` does so, whenever it is run."),
    row("retention.keep_days", days(0, 36_500), Value("7"),
        "How long rows stay after their commit; resolved dead letters too.")
            .note("By the database's clock, from when the relay first knows of the commit; 0 removes what is confirmed."),
    row("retention.every_ms", ms(1_000, 24 * HOUR), Value("600000"),
        "How often the running relay looks whether there is something to remove."),
    row("retention.batch_rows", Whole { unit: "rows", min: 1, max: 100_000 }, Value("1000"),
        "Rows of one transaction that removes."),
    row("retention.pause_ms", ms(0, MINUTE), Value("50"),
        "Pause between two of them, which belongs to the application."),
    row("retention.lag_bytes_max", bytes(0, 1024 * GIB), Value("67108864"),
        "While the slot has more WAL than this to confirm, nothing is removed."),
    row("retention.archive_folder", Text, Unset,
        "Folder to which rows are written, as JSON lines with a manifest, before they are removed.")
            .examples(&["/var/lib/outbox-relay/archive"]),
    row("retention.archive_command", List, Unset,
        "Program and arguments that take an archive file on standard input; its rows are removed once it ends with 0.")
            .note("Run without a shell; ARCHIVE_FILE and ARCHIVE_MANIFEST are its name and its manifest. Not beside \
                   archive_folder.")
            .examples(&["/usr/local/bin/keep-archive,--bucket,events"]),
    row("retention.archive_bytes", bytes(64 * KIB, GIB), Value("16777216"),
        "About how large one archive file becomes; it is held in memory until it is written."),
    row("retention.archive_timeout_ms", ms(1_000, 24 * HOUR), Value("600000"),
        "How long archive_command may take for one file."),
    row("retention.user", Identifier, Unset,
        "Role that the janitor logs in as, instead of the relay's; migrate makes it a member of roles.janitor.")
            .examples(&["outbox_janitor_login"]),
    row("retention.password_file", SecretFile, Unset,
        "File with the password of retention.user, read anew on every connect.")
            .examples(&["/run/secrets/janitor-password"]),
    row("retention.audit_operation_days", days(30, 36_500), Value("365"),
        "How long the audit trail keeps what was done with events: redrives, skips, pauses, removals."),
    row("retention.audit_administration_days", days(30, 36_500), Value("1095"),
        "How long the audit trail keeps everything else; the chain of hashes stays whole."),

    row("roles.application", Identifier, Value("outbox_application"),
        "Role that migrate makes: may insert into the outbox and nothing else."),
    row("roles.operator", Identifier, Value("outbox_operator"),
        "Role that migrate makes: may read the outbox and the relay's own tables, and decide about dead letters and pauses."),
    row("roles.auditor", Identifier, Value("outbox_auditor"),
        "Role that migrate makes: may read the audit trail, and of dead letters all but headers and payload."),
    row("roles.janitor", Identifier, Value("outbox_janitor"),
        "Role that migrate makes: may empty what has outlived its retention, and nothing else."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_path_stands_in_the_table_once_and_every_meaning_is_a_sentence() {
        let mut seen = BTreeSet::new();
        for key in KEYS {
            assert!(seen.insert(key.path), "{} twice", key.path);
            assert!(key.meaning.ends_with('.'), "{}", key.path);
        }
    }

    #[test]
    fn every_path_finds_its_own_row() {
        for key in KEYS {
            let path = key.path.replace('*', "orders");
            assert_eq!(find(&path).map(|found| found.path), Some(key.path));
        }
    }

    #[test]
    fn a_property_name_may_hold_dots_and_an_outbox_name_may_not() {
        assert!(find("kafka.properties.sasl.oauthbearer.scope").is_some());
        assert!(find("kafka.properties.").is_none());
        assert!(find("outbox.a.b.topic").is_none());
        assert!(find("outbox.topic").is_none());
        assert!(find("postgres").is_none());
        assert!(find("postgres.host.name").is_none());
    }

    #[test]
    fn only_a_path_with_keys_below_it_is_a_section() {
        for section in [
            "postgres",
            "outbox",
            "outbox.orders",
            "outbox.orders.columns",
            "kafka.properties",
        ] {
            assert!(is_section(section), "{section}");
        }
        for other in [
            "postgress",
            "postgres.host",
            "outbox.orders.column",
            "kafka.properties.acks",
        ] {
            assert!(!is_section(other), "{other}");
        }
    }

    #[test]
    fn a_property_is_secret_by_its_name() {
        let key = find("kafka.properties.sasl.password").expect("a row");
        assert!(key.is_secret("kafka.properties.sasl.password"));
        assert!(!key.is_secret("kafka.properties.linger.ms"));
    }
}

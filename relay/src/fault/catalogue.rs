//! Every fault there is: one table, from which come the codes, what the relay does, and `docs/FAULTS.md`.

use super::FaultKind;

/// What is known of a fault whatever the case at hand.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its name: a metric label, and what `/readyz` and the log say.
    pub name: &'static str,
    /// How it is dealt with.
    pub kind: FaultKind,
    /// What it means.
    pub means: &'static str,
    /// What to do, as far as that can be said without the case at hand.
    pub remedy: &'static str,
}

macro_rules! catalogue {
    ($($title:literal { $($variant:ident = $name:literal, $kind:ident: $means:literal, $remedy:literal;)+ })+) => {
        /// Which fault; the set is bounded, so it is a metric label.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FaultCode {
            $($(#[doc = $means] $variant,)+)+
        }

        /// The faults of each part of the relay's way, in the order in which it meets them.
        pub static SECTIONS: &[(&str, &[FaultCode])] = &[$(($title, &[$(FaultCode::$variant),+])),+];

        impl FaultCode {
            /// What is known of it.
            pub const fn entry(self) -> Entry {
                match self {
                    $($(Self::$variant => Entry {
                        name: $name,
                        kind: FaultKind::$kind,
                        means: $means,
                        remedy: $remedy,
                    },)+)+
                }
            }
        }
    };
}

#[rustfmt::skip]
catalogue! {
    "PostgreSQL: connecting" {
        PostgresUnreachable = "postgres_unreachable", Transient:
            "no connection, or it broke, or the server starts or stops",
            "check `postgres.host`, `postgres.port` and the network, unless the server is just restarting";
        PostgresRefused = "postgres_refused", Transient:
            "the server refused with an error that usually passes: too many connections, no free walsender, slot busy",
            "the message says which; `max_connections`, `max_wal_senders`, `max_replication_slots`";
        PostgresIsStandby = "postgres_is_standby", Transient:
            "the host is a standby, and `postgres.target_session_attrs` asks for the primary",
            "nothing during a failover; otherwise name the primary, or all servers, in `postgres.host`";
        PostgresProtocolViolation = "postgres_protocol_violation", Transient:
            "what answers does not speak the protocol as PostgreSQL does",
            "check that PostgreSQL itself answers at `postgres.host` and `postgres.port`; look for a pooler or proxy in between";
        PostgresPoolerInTheWay = "postgres_pooler_in_the_way", Environment:
            "a connection pooler answers in place of PostgreSQL, and cannot carry a replication stream",
            "name PostgreSQL itself in `postgres.host` and `postgres.port`; the relay needs two connections and no pool";
        PostgresTlsFailed = "postgres_tls_failed", Environment:
            "no TLS at the server, an untrusted certificate or one for another name, an unreadable file, a locked key, no common version",
            "the message says which; the keys are `postgres.tls_…`";
        PostgresChannelBindingMissing = "postgres_channel_binding_missing", Environment:
            "`postgres.channel_binding = \"require\"`, and the login could not be bound to the TLS connection",
            "look for a proxy that ends TLS in between; if it belongs there, set the key to `prefer`";
        PostgresAuthenticationFailed = "postgres_authentication_failed", Environment:
            "role, password or `pg_hba.conf` do not fit, or the server asks for a weaker proof than is allowed",
            "check `postgres.user`, `postgres.password_file` and `pg_hba.conf`; `outbox-relay migrate --set-password`";
        PostgresPasswordUnreadable = "postgres_password_unreadable", Environment:
            "the password file or the passfile cannot be read",
            "make it readable for the relay";
        PostgresDatabaseMissing = "postgres_database_missing", Environment:
            "there is no such database",
            "correct `postgres.database`, or create it";
        PostgresNotPermitted = "postgres_not_permitted", Environment:
            "the role lacks REPLICATION or a grant",
            "`ALTER ROLE … REPLICATION` (Amazon RDS: `GRANT rds_replication`), then `outbox-relay migrate`";
    }
    "PostgreSQL: what has to be there" {
        SchemaNotMigrated = "schema_not_migrated", Environment:
            "the relay's schema or an outbox table is missing",
            "`outbox-relay migrate`";
        WalLevelTooLow = "wal_level_too_low", Environment:
            "`wal_level` is not `logical`",
            "set it and restart the server (Amazon RDS: `rds.logical_replication = 1`)";
        RelayIsSynchronousStandby = "relay_is_synchronous_standby", Environment:
            "`synchronous_standby_names` matches the relay: every commit would wait for Kafka",
            "name the real standbys there";
        PublicationMissing = "publication_missing", Environment:
            "the publication is not there, or was not when rows were written",
            "`outbox-relay migrate`; rows written meanwhile are only in the table: [RECOVERY](RECOVERY.md)";
        PublicationWithoutInserts = "publication_without_inserts", Environment:
            "the publication does not publish inserts",
            "`ALTER PUBLICATION … SET (publish = 'insert')`";
        PublicationWithoutTable = "publication_without_table", Environment:
            "a configured outbox table is not in the publication",
            "`outbox-relay migrate`; rows written before that are not in the stream";
        PublicationWithoutColumn = "publication_without_column", Environment:
            "a column that records are made of is left out of the publication, by a column list or because it is generated",
            "list it, or no columns; generated columns: `STORED`, PostgreSQL 18 and `publish_generated_columns = stored`";
        TableNotMapped = "table_not_mapped", Environment:
            "the publication holds a table that no outbox is configured for",
            "configure it, or take it out of the publication";
        SlotMissing = "slot_missing", Environment:
            "the replication slot is not there",
            "`outbox-relay slot create`; if it existed before, `outbox-relay recover`: [RECOVERY](RECOVERY.md)";
        SlotUnusable = "slot_unusable", Environment:
            "the slot belongs to another database or plugin, or the server will not decode it",
            "correct `postgres.slot`; look at `pg_replication_slots`";
        SlotLost = "slot_lost", Environment:
            "the server invalidated the slot, with WAL that was not read yet",
            "`outbox-relay recover`: [RECOVERY](RECOVERY.md)";
        WaitingForStandby = "waiting_for_standby", Transient:
            "the server holds events back until a standby named in `synchronized_standby_slots` has them",
            "bring the standby back, or take its slot out of that setting";
        SlotActive = "slot_active", Standby:
            "another connection streams from the slot",
            "nothing: the relay takes over when the other one is gone";
        ServerReplaced = "server_replaced", Environment:
            "another PostgreSQL cluster than the one before",
            "`outbox-relay recover --keep-slot --since TIME --dry-run` lists the events that it lacks; if it is meant, `outbox-relay slot forget`";
        ServerWentBack = "server_went_back", Environment:
            "the server lacks WAL that was already confirmed: a restored copy, or a standby that lagged",
            "as for `server_replaced`";
    }
    "Rows" {
        RowTooLarge = "row_too_large", Environment:
            "the server sent a row above `postgres.frame_bytes_max`",
            "raise it and restart the relay";
        RowMatchesNoRoute = "row_matches_no_route", EventDefect:
            "a row's table has no outbox, or its outbox's template gives no possible topic for it",
            "correct the outbox's table or topic template and restart the relay; the message names the event and its transaction (`xmin`); an event that can never have a topic is set aside: [DEAD_LETTERS](DEAD_LETTERS.md)";
        RowDoesNotFitMapping = "row_does_not_fit_mapping", EventDefect:
            "a row cannot become a record by its outbox's columns",
            "correct the outbox's columns and restart the relay; the message names the event, its transaction (`xmin`) and the column; an event that can never fit is set aside: [DEAD_LETTERS](DEAD_LETTERS.md)";
        DeadLettersFull = "dead_letters_full", Environment:
            "as many events are set aside as `dead_letters.letters_max` and `parked_keys_max` allow, and the next one would be one more",
            "`outbox-relay dead-letters list`; redrive or discard some, `outbox-relay resume` the outbox that fills it, or raise the bound and restart the relay";
        RelayPaused = "relay_paused", Environment:
            "somebody has paused the relay: nothing is taken from the slot, and the server keeps its WAL",
            "`outbox-relay resume`, before the WAL budget that the message names is used up";
    }
    "Kafka" {
        KafkaSecretUnreadable = "kafka_secret_unreadable", Environment:
            "a file of `kafka.property_files` cannot be read, and a new producer needs it",
            "make it readable for the relay; it goes on by itself";
        KafkaConfigurationRefused = "kafka_configuration_refused", Environment:
            "librdkafka does not accept a property, a value from a file, or a certificate",
            "correct the property or the file it names";
        KafkaUnreachable = "kafka_unreachable", Transient:
            "no broker answers",
            "nothing if they are restarting; otherwise check `kafka.bootstrap_servers` and the network";
        AcknowledgementsStalled = "acknowledgements_stalled", Transient:
            "brokers answer and acknowledge nothing of the oldest records for half a minute",
            "look for a partition without a leader, or fewer replicas in sync than `min.insync.replicas`";
        DeliveryFailed = "delivery_failed", Transient:
            "a broker refused for a reason that usually passes",
            "nothing; look at the brokers if it lasts";
        TopicMissing = "topic_missing", Environment:
            "the topic or the partition does not exist",
            "create the topic, or correct the outbox's topic template";
        TopicInvalid = "topic_invalid", EventDefect:
            "the name that the template gives is no topic name",
            "correct the template and restart the relay, or set the event aside; changing the row in its table has no effect";
        TopicNotAuthorized = "topic_not_authorized", Environment:
            "the principal may not write to the topic",
            "allow it WRITE and DESCRIBE";
        ClusterNotAuthorized = "cluster_not_authorized", Environment:
            "the principal may write to no topic at all",
            "allow it WRITE to its topics (brokers before 2.8: IDEMPOTENT_WRITE on the cluster too)";
        KafkaAuthenticationFailed = "kafka_authentication_failed", Environment:
            "the brokers refuse the login, or want one",
            "the message says which; correct it at the brokers or in the files of `kafka.property_files`";
        KafkaTlsFailed = "kafka_tls_failed", Environment:
            "a certificate is not accepted, by either side, or only one side speaks TLS",
            "the message says which, and the value to set: [KAFKA](KAFKA.md)";
        KafkaTokenUnavailable = "kafka_token_unavailable", Environment:
            "`kafka.oauth_token_file` or `kafka.oauth_token_command` gives no token that is still good",
            "the message says why; mend the source";
        KafkaUnsupported = "kafka_unsupported", Environment:
            "the brokers cannot do what the relay needs",
            "compare their version with GUARANTEES.md";
        RecordTooLarge = "record_too_large", EventDefect:
            "a record is larger than its topic takes (the topic's or brokers' bound), or than the relay's own producer does (`message.max.bytes`)",
            "the message says which: the topic's `max.message.bytes` (the brokers' `message.max.bytes` where it has none), or the producer's `\"message.max.bytes\"` under `[kafka.properties]`, 1000000 by default, and a restart of the relay";
        RecordRefused = "record_refused", EventDefect:
            "the topic refuses the record: compacted and without a key, its timestamp, a policy",
            "look at the topic's settings";
    }
}

impl FaultCode {
    /// Its name.
    pub const fn name(self) -> &'static str {
        self.entry().name
    }

    /// How it is dealt with.
    pub const fn kind(self) -> FaultKind {
        self.entry().kind
    }

    /// The one of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::all().find(|code| code.name() == name)
    }

    /// All of them, in the order of [`SECTIONS`].
    pub fn all() -> impl Iterator<Item = Self> {
        SECTIONS.iter().flat_map(|(_, codes)| codes.iter().copied())
    }
}

impl std::fmt::Display for FaultCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_belongs_to_one_fault_and_finds_it() {
        let names: BTreeSet<&str> = FaultCode::all().map(FaultCode::name).collect();
        assert_eq!(names.len(), FaultCode::all().count());
        assert!(FaultCode::all().all(|code| FaultCode::find(code.name()) == Some(code)));
        assert_eq!(FaultCode::find("no_such_fault"), None);
    }
}

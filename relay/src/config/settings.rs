//! The settings as the rest of the relay sees them: parsed, bounded and complete.
//!
//! Nothing here is a string that still has to be checked. [`super::load`] makes these values or a list of every
//! error it found.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use outbox_decoder::{Columns, TopicName, TopicTemplate};
use secrecy::SecretString;

use crate::backoff::Schedule;
use crate::pipeline::{DefectPolicy, LetterLimits};

/// Everything the relay was told, from file, environment and flags together.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the outbox is.
    pub postgres: PostgresSettings,
    /// How what the brokers refused is tried again, where an outbox says nothing else.
    pub retry: RetrySettings,
    /// The outbox tables, by the name that the configuration gives them.
    pub outbox: BTreeMap<String, OutboxSettings>,
    /// Where the records go.
    pub kafka: KafkaSettings,
    /// How much may be under way.
    pub pipeline: PipelineSettings,
    /// How much may be set aside.
    pub dead_letters: DeadLetterSettings,
    /// Who is told of the audit trail.
    pub audit: AuditSettings,
    /// Probes and metrics.
    pub admin: AdminSettings,
    /// Logging.
    pub log: LogSettings,
    /// What is removed once nobody needs it any more.
    pub retention: RetentionSettings,
    /// Names of the database roles that `migrate` makes.
    pub roles: RoleSettings,
}

/// The PostgreSQL server, the slot and the publication.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// Tried in this order.
    pub hosts: Vec<Host>,
    /// Which of them will do.
    pub target: TargetSession,
    /// How the connections are encrypted; unix sockets are not.
    pub tls: TlsSettings,
    /// Whether a login must be bound to its encrypted connection.
    pub channel_binding: ChannelBindingMode,
    /// Ways to prove the password that are weaker than SCRAM and allowed by name.
    pub password_methods: PasswordMethods,
    /// The database that holds the outbox tables and the slot.
    pub database: String,
    /// The login role; it needs the REPLICATION attribute itself.
    pub user: String,
    /// Read anew on every connect, so that a rotated secret file is picked up.
    pub password: Option<Secret>,
    /// A file of passwords in libpq's format, looked into when no password is given.
    pub passfile: Option<PathBuf>,
    /// Logical replication slot, `[a-z0-9_]{1,63}`.
    pub slot: String,
    /// Publication that holds only the outbox tables.
    pub publication: String,
    /// Shown in `pg_stat_replication`; matched by `synchronous_standby_names`.
    pub application_name: String,
    /// How long one attempt to connect and log in may take.
    pub connect_timeout_ms: u64,
    /// Set on the replication connection: the server drops a relay that is silent for longer.
    pub wal_sender_timeout_ms: u64,
    /// At most one status update in this time while there is progress to report.
    pub status_interval_ms: u64,
    /// A frame (one row) larger than this is an error, never an allocation.
    pub frame_bytes_max: usize,
    /// First wait after a lost connection; doubles, with jitter, up to the maximum.
    pub reconnect_backoff_ms: u64,
    /// The longest wait between two attempts to connect.
    pub reconnect_backoff_max_ms: u64,
}

/// One server, or one name that leads to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Host name or address, or the directory of a unix socket (begins with `/`).
    pub name: String,
    /// TCP port, or the number in the unix socket's name.
    pub port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.name, self.port)
    }
}

/// Which server will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetSession {
    /// One that takes writes: the primary.
    ReadWrite,
    /// Whichever answers.
    Any,
}

/// How a connection is encrypted and what is trusted. There is no mode that falls back to plain text.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// What is checked.
    pub mode: TlsMode,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// CA certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The relay's own certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The passphrase of that key.
    pub key_password: Option<Secret>,
}

/// What is checked of a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// A trusted CA signed it, and it is for the host that was asked for.
    VerifyFull,
    /// A trusted CA signed it, for whomever.
    VerifyCa,
    /// Nothing: encrypted to whoever answers.
    Require,
    /// Plain text.
    Disable,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2.
    V1_2,
    /// 1.3.
    V1_3,
}

/// Whether a login must be bound to its encrypted connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelBindingMode {
    /// It is not.
    Disable,
    /// Where both sides can.
    Prefer,
    /// No login without it.
    Require,
}

/// Ways to prove a password that show it, or a hash that is as good as it, to the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordMethods {
    /// Hashed with MD5.
    pub md5: bool,
    /// As it is.
    pub cleartext: bool,
}

/// A secret and where it comes from.
#[derive(Debug, Clone)]
pub enum Secret {
    /// Given in the configuration file or in the environment.
    Value(SecretString),
    /// A file that is read whenever the secret is needed; one trailing line break is dropped.
    File(PathBuf),
    /// A file with a connection string whose password it is, read whenever it is needed.
    InUrl(PathBuf),
}

/// One outbox table and how its columns become a record.
#[derive(Debug, Clone)]
pub struct OutboxSettings {
    /// Schema of the table.
    pub schema: String,
    /// Name of the table.
    pub table: String,
    /// Which column plays which part.
    pub columns: Columns,
    /// Topic of a row, for example `outbox.event.{aggregate_type}`.
    pub topic: TopicTemplate,
    /// Members of the metadata column that become headers.
    pub metadata_headers: Vec<String>,
    /// What happens to a row that can never be published.
    pub on_defect: DefectPolicy,
    /// The application's role may delete by id.
    pub application_may_delete: bool,
    /// What became of each row is kept in the database.
    pub delivery_state: bool,
    /// How its records are tried again.
    pub retry: RetrySettings,
    /// What holds instead for some event types; each is in one rule at the most.
    pub retry_rules: Vec<RetryRule>,
}

impl OutboxSettings {
    /// How records of an event type are tried again.
    pub fn retry_of(&self, event_type: Option<&str>) -> RetrySettings {
        let is_for = |rule: &&RetryRule| event_type.is_some_and(|name| rule.event_types.iter().any(|one| one == name));
        self.retry_rules
            .iter()
            .find(is_for)
            .map_or(self.retry, |rule| rule.retry)
    }
}

/// How what has failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrySettings {
    /// The waits between attempts.
    pub schedule: Schedule,
    /// After so many refusals of one record alone it counts as one that can never be accepted. Nothing else is ever
    /// given up.
    pub attempts: u32,
}

/// How some event types of an outbox are tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryRule {
    /// The event types.
    pub event_types: Vec<String>,
    /// What holds for them.
    pub retry: RetrySettings,
}

/// The brokers and the producer.
#[derive(Debug, Clone, Default)]
pub struct KafkaSettings {
    /// `host:port,host:port`.
    pub bootstrap_servers: String,
    /// Shown in the brokers' logs and used for quotas.
    pub client_id: String,
    /// librdkafka properties handed through as they are. Those that would break a promise were refused. How the
    /// connection is encrypted is always among them, unless a file says it.
    pub properties: BTreeMap<String, String>,
    /// Properties that hold a secret; to be revealed each time a producer is made. No name stands in both maps.
    pub secret_properties: BTreeMap<String, Secret>,
    /// Where the token of an OAUTHBEARER login comes from.
    pub token_source: Option<TokenSource>,
}

/// Where a token comes from, each time that one is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// A file, such as a projected token of Kubernetes.
    File(PathBuf),
    /// What a program prints. The program, and its arguments.
    Command(String, Vec<String>),
}

/// Bounds of what is under way between PostgreSQL and Kafka.
#[derive(Debug, Clone)]
pub struct PipelineSettings {
    /// Budget for records that wait for their acknowledgement, overhead included.
    pub in_flight_bytes_max: usize,
    /// The same, as a count.
    pub in_flight_records_max: usize,
    /// How long SIGTERM waits for a commit boundary and its acknowledgements.
    pub drain_timeout_ms: u64,
}

/// The admin listener: `/livez`, `/readyz`, `/metrics`.
#[derive(Debug, Clone)]
pub struct AdminSettings {
    /// Address to listen on; loopback by default.
    pub listen: SocketAddr,
    /// What should pass by itself and lasts longer is a state of its own.
    pub degraded_after_ms: u64,
    /// The process ends when its loop has not turned for so long.
    pub stuck_after_ms: u64,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// A `tracing` filter: `info`, or `info,outbox_relay::kafka=debug`.
    pub filter: String,
    /// One JSON object a line, or text for people.
    pub format: LogFormat,
}

/// The two shapes of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// What is removed, when, and what is done with it before.
#[derive(Debug, Clone)]
pub struct RetentionSettings {
    /// The running relay removes.
    pub enabled: bool,
    /// How long rows stay after their commit.
    pub keep_days: u32,
    /// How often the running relay looks.
    pub every_ms: u64,
    /// Rows of one transaction.
    pub batch_rows: u32,
    /// Pause between two of them.
    pub pause_ms: u64,
    /// With more WAL to confirm nothing is removed.
    pub lag_bytes_max: u64,
    /// Where rows go before they are removed.
    pub archive: Option<ArchiveTarget>,
    /// About how large one archive file becomes.
    pub archive_bytes: usize,
    /// Another login than the relay's own.
    pub login: Option<JanitorLogin>,
    /// How long the audit trail keeps what was done with events.
    pub audit_operation_days: u32,
    /// How long it keeps everything else.
    pub audit_administration_days: u32,
}

/// Where an archive goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveTarget {
    /// To files in a folder.
    Folder(PathBuf),
    /// To a program's standard input, file by file.
    Command {
        /// The program.
        program: String,
        /// Its arguments.
        arguments: Vec<String>,
        /// How long it may take for one file.
        timeout_ms: u64,
    },
}

/// A login of the janitor's own.
#[derive(Debug, Clone)]
pub struct JanitorLogin {
    /// The role.
    pub user: String,
    /// Read anew on every connect.
    pub password: Option<Secret>,
}

/// Rows that are set aside.
#[derive(Debug, Clone)]
pub struct DeadLetterSettings {
    /// How many there may be.
    pub limits: LetterLimits,
    /// The topic that is told of each of them.
    pub topic: Option<TopicName>,
}

/// The audit trail.
#[derive(Debug, Clone)]
pub struct AuditSettings {
    /// The topic that is told of the head of its chain.
    pub topic: Option<TopicName>,
}

/// Database roles. They belong to the whole server, so every installation can name its own.
#[derive(Debug, Clone)]
pub struct RoleSettings {
    /// May insert into the outbox and nothing else. A group role, without login.
    pub application: String,
    /// May read the outbox and the relay's own tables, and decide about dead letters. A group role, without login.
    pub operator: String,
    /// May read the audit trail, and of dead letters what they do not say. A group role, without login.
    pub auditor: String,
    /// May empty what has outlived its retention. A group role, without login.
    pub janitor: String,
}

//! What the relay is told: libpq's variables, then a file, then the environment, then flags; the later wins.
//!
//! ```text
//! file ────────┐               libpq::expand           libpq::fill
//! environment ─┼─► layer ──────────────────► layers ──────────────────► reader, sections ─► settings
//! flags ───────┘   (known keys)  (postgres.url)  (merged)  (PGHOST, …)  (typed, bounded, with origin)
//! ```
//!
//! Every key is a row of [`keys::KEYS`]. All errors are collected; nothing stops at the first.

mod environment;
pub mod errors;
mod file;
mod flags;
mod hosts;
pub mod key;
pub mod keys;
mod layer;
mod layers;
mod leaves;
mod libpq;
mod librdkafka;
pub(crate) mod nearest;
mod parse;
mod properties;
mod reader;
pub mod reference;
pub mod refused;
pub mod secret;
mod sections;
pub mod settings;
#[cfg(test)]
pub(crate) mod trial;

use std::net::SocketAddr;
use std::path::PathBuf;

pub(crate) use environment::{ACTOR_VARIABLE, CORRELATION_VARIABLE};
pub use errors::{ConfigError, ConfigErrors};
pub use reader::Effective;
pub use secret::SecretError;
pub use settings::{
    AdminSettings, ArchiveTarget, AuditSettings, ChannelBindingMode, DeadLetterSettings, Host, JanitorLogin,
    KafkaSettings, LogFormat, LogSettings, OutboxSettings, PasswordMethods, PipelineSettings, PostgresSettings,
    RetentionSettings, RetryRule, RetrySettings, RoleSettings, Secret, Settings, TargetSession, TlsMode, TlsSettings,
    TlsVersion, TokenSource,
};

/// Everything a configuration is made of.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file named by `--config`; without it `OUTBOX_RELAY_CONFIG` names one.
    pub file: Option<PathBuf>,
    /// Names and values of environment variables; those that are neither ours nor libpq's are passed over.
    pub environment: Vec<(String, String)>,
    /// What stood behind each `--set`: `path=value`.
    pub flags: Vec<String>,
    /// Whether files that keys name are left alone: then no [`Secret`] of the settings may be there.
    pub without_files: bool,
}

impl Sources {
    /// The sources of this process. Variables that are not Unicode are passed over, unless the name says that they
    /// are ours: then the value is taken with its bad bytes replaced, so that an error names it.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<String>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
            .filter(|(name, _)| name.starts_with(environment::PREFIX) || libpq::is_variable(name))
            .collect();
        Self {
            file,
            environment,
            flags,
            without_files: false,
        }
    }
}

/// A configuration without an error.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// For the relay.
    pub settings: Settings,
    /// For people: every value and where it came from, in the order of the key table.
    pub effective: Vec<Effective>,
}

/// The admin listener's address alone: whatever else is wrong, such as a secret that is being rotated, is no reason to
/// call a running relay dead.
pub fn listen(sources: &Sources) -> Result<SocketAddr, ConfigErrors> {
    let sources = Sources {
        without_files: true,
        ..sources.clone()
    };
    let given = layers::merge(&sources, &mut Vec::new());
    let mut reader = reader::Reader::new(given, Vec::new());
    let admin = sections::admin(&mut reader);
    let (_, errors) = reader.finish();
    ConfigErrors::unless_empty(errors, admin.ok()).map(|admin| admin.listen)
}

/// Reads all sources and returns the settings, or everything that is wrong with them.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
    let (settings, effective, errors) = read(sources);
    let settings = ConfigErrors::unless_empty(errors, settings)?;
    Ok(Loaded { settings, effective })
}

/// The same without a look at the files that keys name, which are not there where a configuration is only checked.
/// `None` if nothing is wrong and yet not all is known, because some of it is in such a file.
pub fn load_without_files(sources: &Sources) -> Result<Option<Settings>, ConfigErrors> {
    let sources = Sources {
        without_files: true,
        ..sources.clone()
    };
    let (settings, _, errors) = read(&sources);
    ConfigErrors::unless_empty(errors, Some(settings))
}

/// For a command that never speaks to Kafka: nothing of `[kafka]` is read, so that neither a secret that is not mounted
/// where the command runs nor missing brokers stand in its way. Misspelt and refused keys are errors there too. The
/// settings hold nothing of Kafka.
pub fn load_without_kafka(sources: &Sources) -> Result<Settings, ConfigErrors> {
    let (settings, _, errors) = read_by(sources, sections::settings_without_kafka);
    ConfigErrors::unless_empty(errors, settings)
}

fn read(sources: &Sources) -> (Option<Settings>, Vec<Effective>, Vec<ConfigError>) {
    read_by(sources, sections::settings)
}

fn read_by(
    sources: &Sources,
    settings: fn(&mut reader::Reader) -> Result<Settings, reader::Noted>,
) -> (Option<Settings>, Vec<Effective>, Vec<ConfigError>) {
    let mut errors = Vec::new();
    let given = layers::merge(sources, &mut errors);
    let reader = reader::Reader::new(given, errors);
    let mut reader = if sources.without_files {
        reader.without_files()
    } else {
        reader
    };
    let settings = settings(&mut reader);
    let (effective, errors) = reader.finish();
    (settings.ok(), effective, errors)
}

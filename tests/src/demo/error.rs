//! Why the demo could not go on.

use std::io;
use std::path::{Path, PathBuf};

use crate::stack::StackError;

/// Why the demo could not go on, and what to do next.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The servers.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The shop's session.
    #[error("PostgreSQL refused the shop: {}", with_cause(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// The reader.
    #[error("the topics cannot be read: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
    /// A file or a program.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was being done.
        action: &'static str,
        /// The file or program.
        path: PathBuf,
        /// The reason given by the operating system.
        source: io::Error,
    },
    /// The relay's program is missing.
    #[error("{program} is not there; `make demo` builds it first")]
    NotBuilt {
        /// Where it was looked for.
        program: PathBuf,
    },
    /// The relay failed.
    #[error("outbox-relay {what} failed ({status}):\n{words}")]
    Relay {
        /// Its command.
        what: String,
        /// How it ended.
        status: String,
        /// The end of what it wrote.
        words: String,
    },
    /// A signal came before everything was running.
    #[error("stopped before it began")]
    Stopped,
}

impl DemoError {
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DemoError {
        let path = path.to_owned();
        move |source| DemoError::File { action, path, source }
    }
}

/// The library's own text is the kind of the error only.
fn with_cause(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

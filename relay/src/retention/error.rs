//! Why a round of the janitor ended before its end.

use crate::archive::ArchiveError;
use crate::postgres::PostgresError;
use crate::replay::RowsError;

/// Whatever was removed by then stays removed, and is told to the audit trail.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RetentionError {
    /// What the server or the connection said.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The rows could not be archived.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// An archive names rows by their id.
    #[error("table {0} has no id: its rows cannot be archived, and are not removed without")]
    NoId(String),
    /// Another janitor works for this slot.
    #[error("another janitor removes rows of slot {0}")]
    Busy(String),
    /// The relay is behind.
    #[error("slot {slot} has {lag_bytes} bytes of WAL to confirm, more than retention.lag_bytes_max ({max})")]
    Lagging { slot: String, lag_bytes: u64, max: u64 },
    /// There is no slot, or it is lost: nothing can be known.
    #[error("slot {0} does not exist in this database, or is lost")]
    NoSlot(String),
}

impl From<tokio_postgres::Error> for RetentionError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error.into())
    }
}

impl From<RowsError> for RetentionError {
    fn from(error: RowsError) -> Self {
        match error {
            RowsError::Postgres(error) => Self::Postgres(error),
            RowsError::NoId(table) => Self::NoId(table),
            RowsError::NoTable(table) => Self::Postgres(PostgresError::Unexpected {
                got: format!("no table {table}"),
                wanted: "the outbox table",
            }),
        }
    }
}

impl RetentionError {
    /// A lock was not to be had, or the rows were moved: the next round may do it.
    pub(super) fn passes(&self) -> bool {
        const LOCK_NOT_AVAILABLE: &str = "55P03";
        const DEADLOCK: &str = "40P01";
        const MOVED: &str = "OR008";
        match self {
            Self::Postgres(error) => matches!(error.sqlstate(), Some(LOCK_NOT_AVAILABLE | DEADLOCK | MOVED)),
            _ => false,
        }
    }
}

//! What is said of an archive file beside it.

use std::fmt::Write;

use outbox_decoder::Timestamp;
use serde::{Deserialize, Serialize};

/// The manifest of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Name of the file, in the same folder.
    pub(crate) file: String,
    /// The slot that brought its rows to Kafka.
    pub(crate) slot: String,
    /// Name of the outbox.
    pub(crate) outbox: String,
    /// The table, with its schema.
    pub(crate) table: String,
    /// All of its rows had committed before this LSN, which the slot has confirmed.
    pub(crate) committed_before: String,
    /// Rows, each on a line.
    pub(crate) rows: u64,
    /// Size of the file.
    pub(crate) bytes: u64,
    /// Of the whole file, as hexadecimal digits.
    pub(crate) sha256: String,
    /// Of the first and of the last row that says when its event happened.
    pub(crate) first_occurred_at_ms: Option<i64>,
    pub(crate) last_occurred_at_ms: Option<i64>,
}

impl Manifest {
    /// The manifest's own name, for the name of its file.
    pub(crate) fn name_of(file: &str) -> String {
        format!("{file}.manifest.json")
    }

    /// As it is written.
    pub(crate) fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("texts and numbers always become JSON");
        text.push('\n');
        text
    }

    /// Whether an event of the file can have happened in that time; one that does not say when may always have.
    pub(crate) fn may_hold(&self, since: Option<Timestamp>, until: Option<Timestamp>) -> bool {
        let (Some(first), Some(last)) = (self.first_occurred_at_ms, self.last_occurred_at_ms) else {
            return true;
        };
        since.is_none_or(|since| last >= since.as_unix_ms()) && until.is_none_or(|until| first <= until.as_unix_ms())
    }
}

/// The SHA-256 of bytes.
pub(super) fn digest(bytes: &[u8]) -> String {
    digits(&openssl::sha::sha256(bytes))
}

/// As hexadecimal digits.
pub(super) fn digits(digest: &[u8]) -> String {
    digest
        .iter()
        .fold(String::with_capacity(digest.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

//! A file in the making.

use super::line::Line;
use super::manifest::{Manifest, digest};

/// What its rows have in common.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The slot that brought them to Kafka.
    pub(crate) slot: String,
    /// Name of the outbox.
    pub(crate) outbox: String,
    /// The table, with its schema.
    pub(crate) table: String,
    /// The mark that they are before.
    pub(crate) committed_before: String,
}

/// Lines, until they are enough for a file.
#[derive(Debug)]
pub(crate) struct ArchiveFile {
    name: String,
    origin: Origin,
    bytes: Vec<u8>,
    rows: u64,
    first_occurred_at_ms: Option<i64>,
    last_occurred_at_ms: Option<i64>,
}

impl ArchiveFile {
    /// An empty one; `made_at` makes its name one of its own.
    pub(crate) fn new(origin: Origin, made_at: &str) -> Self {
        Self {
            name: format!("{}-{made_at}.jsonl", origin.outbox),
            origin,
            bytes: Vec::new(),
            rows: 0,
            first_occurred_at_ms: None,
            last_occurred_at_ms: None,
        }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, line: &Line) {
        serde_json::to_writer(&mut self.bytes, line).expect("a line becomes JSON, and memory takes everything");
        self.bytes.push(b'\n');
        self.rows += 1;
        if let Some(at) = line.occurred_at().map(outbox_decoder::Timestamp::as_unix_ms) {
            self.first_occurred_at_ms = Some(self.first_occurred_at_ms.map_or(at, |first| first.min(at)));
            self.last_occurred_at_ms = Some(self.last_occurred_at_ms.map_or(at, |last| last.max(at)));
        }
    }

    /// Its name, which is no other file's.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its content.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many rows it has.
    pub(crate) const fn rows(&self) -> u64 {
        self.rows
    }

    /// What is said of it beside it.
    pub(crate) fn manifest(&self) -> Manifest {
        Manifest {
            file: self.name.clone(),
            slot: self.origin.slot.clone(),
            outbox: self.origin.outbox.clone(),
            table: self.origin.table.clone(),
            committed_before: self.origin.committed_before.clone(),
            rows: self.rows,
            bytes: self.bytes.len() as u64,
            sha256: digest(&self.bytes),
            first_occurred_at_ms: self.first_occurred_at_ms,
            last_occurred_at_ms: self.last_occurred_at_ms,
        }
    }
}

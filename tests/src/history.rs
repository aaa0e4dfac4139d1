//! What the writers know: which rows were committed, in which order, and which were not.

use std::collections::HashSet;

/// One row of an outbox table as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenRow {
    /// The idempotency key.
    pub id: String,
    /// The topic that its record belongs to.
    pub topic: String,
    /// The record key.
    pub key: String,
    /// The record value.
    pub payload: String,
    /// The transaction, as the server numbers them in its WAL.
    pub xid: u32,
}

/// What one or more writers did. No two writers share a key.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Committed rows. Rows of one key stand in the order in which they were written.
    pub committed: Vec<WrittenRow>,
    /// Ids of rows that were taken back.
    pub rolled_back: HashSet<String>,
}

impl History {
    /// Adds what another writer did.
    pub fn merge(&mut self, other: History) {
        self.committed.extend(other.committed);
        self.rolled_back.extend(other.rolled_back);
    }
}

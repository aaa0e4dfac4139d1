//! What can be read of a row that gave no envelope: it is kept, so that somebody can look at it and publish it later.

use crate::outbox::envelope::IdempotencyKey;
use crate::{Position, Text, Timestamp, TopicName};

/// The parts of a row that could be read, each on its own.
#[derive(Debug)]
pub struct Remains<'a> {
    /// Where the row stands in the stream.
    pub position: Position,
    /// When its transaction committed.
    pub committed_at: Timestamp,
    /// Which of the decoder's tables the row is from.
    pub outbox: u16,
    /// The row's id, or a derived key where that could not be read.
    pub idempotency_key: IdempotencyKey<'a>,
    /// Where the record would go.
    pub topic: Option<TopicName>,
    /// Header `aggregate_type`.
    pub aggregate_type: Option<Text<'a>>,
    /// Record key.
    pub key: Option<Text<'a>>,
    /// Header `event_type`.
    pub event_type: Option<Text<'a>>,
    /// Record value.
    pub payload: Option<Text<'a>>,
    /// Header `version`.
    pub version: Option<Text<'a>>,
    /// Record timestamp.
    pub occurred_at: Option<Timestamp>,
}

impl Remains<'_> {
    /// Milliseconds since the Unix epoch for the record: the row's own time, else the commit's.
    pub fn timestamp_ms(&self) -> i64 {
        self.occurred_at.unwrap_or(self.committed_at).as_unix_ms()
    }

    /// The headers of the record that it would be, but for those of its metadata: name and bytes.
    pub fn for_each_header(&self, mut each: impl FnMut(&str, &[u8])) {
        each("id", self.idempotency_key.as_bytes());
        if let Some(aggregate_type) = &self.aggregate_type {
            each("aggregate_type", aggregate_type.as_bytes());
        }
        if let Some(event_type) = &self.event_type {
            each("event_type", event_type.as_bytes());
        }
        each("position", self.position.header().as_bytes());
        if let Some(version) = &self.version {
            each("version", version.as_bytes());
        }
    }
}

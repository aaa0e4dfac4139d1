//! One event, ready to become a Kafka record.

use crate::outbox::metadata::MetadataHeaders;
use crate::text::{DIGITS_UPPER, Inline};
use crate::{Position, Text, Timestamp, TopicName};

/// What makes a record recognisable when it comes twice: the same over every restart, failover and replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey<'a>(Text<'a>);

impl<'a> IdempotencyKey<'a> {
    /// The outbox row's own id.
    pub(crate) fn of_row(id: Text<'a>) -> Self {
        Self(id)
    }

    /// For a row without an id: the cluster, the commit and the count. Such a row cannot be found again in its table.
    pub(crate) fn derived(system_identifier: u64, position: Position) -> IdempotencyKey<'static> {
        let mut text = Inline::new();
        text.decimal(system_identifier);
        text.byte(b'-');
        text.hex::<16>(position.commit_lsn.as_u64(), DIGITS_UPPER);
        text.byte(b'-');
        text.hex::<8>(u64::from(position.ordinal), DIGITS_UPPER);
        IdempotencyKey(text.finish())
    }

    /// The header's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Headers that the relay writes itself, on every record or on those that are published once more; chosen members of the
/// metadata need other names.
pub const OWN_HEADERS: [&str; 8] = [
    "id",
    "aggregate_type",
    "event_type",
    "position",
    "version",
    "replay",
    "redrive",
    "occurred_at",
];

/// An outbox row as it goes to Kafka. Borrows from the read buffer and from the table's plan.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// Where the row stands in the stream.
    pub position: Position,
    /// When its transaction committed.
    pub committed_at: Timestamp,
    /// Which of the decoder's tables the row is from.
    pub outbox: u16,
    /// Header `id`.
    pub idempotency_key: IdempotencyKey<'a>,
    /// Where the record goes.
    pub topic: &'a TopicName,
    /// Header `aggregate_type`.
    pub aggregate_type: Text<'a>,
    /// Record key; `None` where the row has none.
    pub key: Option<Text<'a>>,
    /// Header `event_type`.
    pub event_type: Option<Text<'a>>,
    /// Record value, byte for byte; `None` is a tombstone.
    pub payload: Option<Text<'a>>,
    /// Header `version`.
    pub version: Option<Text<'a>>,
    /// Record timestamp, where the row has one.
    pub occurred_at: Option<Timestamp>,
    pub(crate) metadata: MetadataHeaders<'a>,
}

impl Envelope<'_> {
    /// Milliseconds since the Unix epoch for the record: the row's own time, else the commit's.
    pub fn timestamp_ms(&self) -> i64 {
        self.occurred_at.unwrap_or(self.committed_at).as_unix_ms()
    }

    /// How many headers [`Envelope::for_each_header`] hands over.
    pub fn header_count(&self) -> usize {
        3 + usize::from(self.event_type.is_some()) + usize::from(self.version.is_some()) + self.metadata.count()
    }

    /// Hands every header to `each`, in a fixed order: name and bytes.
    pub fn for_each_header(&self, mut each: impl FnMut(&str, &[u8])) {
        each("id", self.idempotency_key.as_bytes());
        each("aggregate_type", self.aggregate_type.as_bytes());
        if let Some(event_type) = &self.event_type {
            each("event_type", event_type.as_bytes());
        }
        each("position", self.position.header().as_bytes());
        if let Some(version) = &self.version {
            each("version", version.as_bytes());
        }
        self.metadata.for_each(each);
    }
}

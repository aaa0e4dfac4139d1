//! Which column of an outbox table plays which part.

use crate::TopicTemplate;

/// An outbox table and how its rows become records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxTable {
    /// Schema of the table.
    pub schema: String,
    /// Name of the table.
    pub table: String,
    /// Its columns' parts.
    pub columns: Columns,
    /// Makes a row's topic.
    pub topic: TopicTemplate,
    /// Members of the metadata column that become headers; at most [`super::METADATA_HEADERS_MAX`] count.
    pub metadata_headers: Vec<String>,
}

/// Column names by part. A part without a column is `None`.
///
/// `event_type`, `metadata`, `created_at` and `version` may be missing from the table as long as they carry their
/// preset's name: a table need not have them. One that was named otherwise must exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// Idempotency key. Without one, the key is derived from the row's position.
    pub id: Option<String>,
    /// Routing value, and a header.
    pub aggregate_type: String,
    /// Record key. Without one, records have no key and no order.
    pub aggregate_id: Option<String>,
    /// Header `event_type`.
    pub event_type: Option<String>,
    /// Record value; NULL makes a tombstone.
    pub payload: String,
    /// JSON document whose chosen members become headers.
    pub metadata: Option<String>,
    /// Record timestamp; the commit's time where it is missing.
    pub created_at: Option<String>,
    /// Header `version`.
    pub version: Option<String>,
}

impl Columns {
    /// The columns of the table that the relay's own migrations make.
    pub fn standard() -> Self {
        Self::named("aggregate_type", "aggregate_id", "event_type")
    }

    /// The columns that Debezium's outbox event router expects.
    pub fn debezium() -> Self {
        Self::named("aggregatetype", "aggregateid", "type")
    }

    fn named(aggregate_type: &str, aggregate_id: &str, event_type: &str) -> Self {
        Self {
            id: Some("id".to_owned()),
            aggregate_type: aggregate_type.to_owned(),
            aggregate_id: Some(aggregate_id.to_owned()),
            event_type: Some(event_type.to_owned()),
            payload: "payload".to_owned(),
            metadata: Some("metadata".to_owned()),
            created_at: Some("created_at".to_owned()),
            version: Some("version".to_owned()),
        }
    }
}

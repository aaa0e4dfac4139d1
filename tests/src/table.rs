//! The shape of an outbox table, for the writers.

/// Names as they stand in SQL, quoted where that is needed.
#[derive(Debug, Clone)]
pub struct TableShape {
    /// The table, with its schema.
    pub table: &'static str,
    /// Column of the idempotency key, a uuid; `None` for a table without one.
    pub id: Option<&'static str>,
    /// Column that routes.
    pub aggregate_type: &'static str,
    /// Column that becomes the record key.
    pub aggregate_id: &'static str,
    /// Column of the event type.
    pub event_type: &'static str,
    /// Column that becomes the record value.
    pub payload: &'static str,
    /// Its type.
    pub payload_type: &'static str,
}

impl TableShape {
    /// The table that `outbox-relay migrate` makes.
    pub const STANDARD: TableShape = TableShape {
        table: "public.outbox",
        id: Some("id"),
        aggregate_type: "aggregate_type",
        aggregate_id: "aggregate_id",
        event_type: "event_type",
        payload: "payload",
        payload_type: "json",
    };

    /// The table that Debezium's Event Router expects.
    pub const DEBEZIUM: TableShape = TableShape {
        aggregate_type: "aggregatetype",
        aggregate_id: "aggregateid",
        event_type: "type",
        payload_type: "jsonb",
        ..TableShape::STANDARD
    };

    /// Inserts one row for each element of the arrays: ids, aggregate ids, payloads; `$4` is the aggregate type.
    pub fn insert(&self) -> String {
        let TableShape {
            table,
            aggregate_type,
            aggregate_id,
            event_type,
            payload,
            payload_type,
            ..
        } = self;
        let (id_column, id_value) = self.id.map_or_else(
            || (String::new(), ""),
            |column| (format!("{column}, "), "row.id::uuid, "),
        );
        format!(
            "INSERT INTO {table} ({id_column}{aggregate_type}, {aggregate_id}, {event_type}, {payload})
             SELECT {id_value}$4::text, row.key, 'happened', row.payload::{payload_type}
             FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS row (id, key, payload, nth)
             ORDER BY row.nth"
        )
    }
}

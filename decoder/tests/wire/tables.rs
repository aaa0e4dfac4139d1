//! How the outbox tables of `golden/setup.sql` are mapped. The fuzz targets use it, too.

use outbox_decoder::{Columns, OutboxTable};

/// Part of every key that is derived from a row's position.
pub(crate) const SYSTEM_IDENTIFIER: u64 = 7_400_000_000_000_000_007;

/// All tables but `public.stranger` and `public.last`.
pub(crate) fn outbox_tables() -> Vec<OutboxTable> {
    let without_id = Columns {
        id: None,
        ..Columns::standard()
    };
    let japanese = Columns {
        id: Some("識別子".to_owned()),
        aggregate_type: "集約型".to_owned(),
        aggregate_id: Some("Agrégat \"id\"".to_owned()),
        event_type: Some("種別".to_owned()),
        payload: "内容".to_owned(),
        ..Columns::standard()
    };
    vec![
        table("sales", "outbox", Columns::standard()),
        table("sales", "outbox_text", Columns::standard()),
        table("sales", "outbox_jsonb", Columns::standard()),
        table("sales", "outbox_bytea", Columns::standard()),
        table("sales", "outbox_without_id", without_id),
        table("sales", "outbox_domain", Columns::standard()),
        table("sales", "outbox_number", Columns::standard()),
        table("sales", "outbox_acl", Columns::standard()),
        table("sales", "outbox_numeric", Columns::standard()),
        table("sales", "outbox_array", Columns::standard()),
        table("debezium", "outbox", Columns::debezium()),
        table("店舗", "箱 出し", japanese),
        table("changing", "outbox", Columns::standard()),
        table("parts", "outbox", Columns::standard()),
        table("public", "outbox_without_payload", Columns::standard()),
    ]
}

fn table(schema: &str, table: &str, columns: Columns) -> OutboxTable {
    OutboxTable {
        schema: schema.to_owned(),
        table: table.to_owned(),
        columns,
        topic: "outbox.{aggregate_type}".parse().expect("a valid template"),
        metadata_headers: ["trace_id", "tenant", "user", "none"].map(str::to_owned).to_vec(),
    }
}

//! Rows of the audit trail, read in their order, so many at a time.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::super::operation::Operation;
use super::Failure;

/// Rows that are read at once.
const PAGE: i64 = 1_000;

/// What a row says, by the names of its columns and in the order in which they are hashed.
pub(super) const CONTENT: [&str; 10] = [
    "tenant",
    "database_role",
    "os_user",
    "actor",
    "action",
    "resource",
    "why",
    "result",
    "correlation_id",
    "source_address",
];

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) seq: i64,
    pub(super) kind: String,
    pub(super) at_us: i64,
    /// For people.
    pub(super) at: String,
    /// [`CONTENT`].
    pub(super) content: [Option<String>; CONTENT.len()],
    pub(super) content_hash: Vec<u8>,
    pub(super) hash: Vec<u8>,
    pub(super) expired_at_us: Option<i64>,
    pub(super) expired_at: Option<String>,
}

const COLUMNS: &str = r#"seq, kind, (extract(epoch FROM at) * 1000000)::int8 AS at_us,
    to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, tenant, database_role, os_user, actor, action,
    resource, why, result, correlation_id, source_address, content_hash, hash,
    (extract(epoch FROM expired_at) * 1000000)::int8 AS expired_at_us,
    to_char(expired_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS expired_at"#;

impl Entry {
    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let mut content = [const { None }; CONTENT.len()];
        for (field, name) in content.iter_mut().zip(CONTENT) {
            *field = row.try_get(name)?;
        }
        Ok(Self {
            seq: row.try_get("seq")?,
            kind: row.try_get("kind")?,
            at_us: row.try_get("at_us")?,
            at: row.try_get("at")?,
            content,
            content_hash: row.try_get("content_hash")?,
            hash: row.try_get("hash")?,
            expired_at_us: row.try_get("expired_at_us")?,
            expired_at: row.try_get("expired_at")?,
        })
    }
}

/// All rows that a condition lets through. Its parameters begin at $3.
pub(super) struct Entries<'o, 's> {
    operation: &'o Operation<'s>,
    condition: &'static str,
    after: i64,
}

impl<'o, 's> Entries<'o, 's> {
    pub(super) const fn of(operation: &'o Operation<'s>, condition: &'static str) -> Self {
        Self {
            operation,
            condition,
            // Before whatever may have been put in front of the first.
            after: i64::MIN,
        }
    }

    /// The next page; `None` at the end.
    pub(super) async fn next(&mut self, parameters: &[&(dyn ToSql + Sync)]) -> Result<Option<Vec<Entry>>, Failure> {
        let statement = format!(
            "SELECT {COLUMNS} FROM outbox_relay.audit WHERE seq > $1 AND {} ORDER BY seq LIMIT $2",
            self.condition
        );
        let mut all: Vec<&(dyn ToSql + Sync)> = vec![&self.after, &PAGE];
        all.extend_from_slice(parameters);
        let rows = self.operation.rows(&statement, &all).await?;
        let page: Vec<Entry> = self.operation.read(|| rows.iter().map(Entry::of).collect())?;
        if let Some(last) = page.last() {
            self.after = last.seq;
        }
        Ok((!page.is_empty()).then_some(page))
    }
}

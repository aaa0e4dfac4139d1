//! The outbox tables, and how their rows are chosen: by a column, because a row's position in the log is not in its table.

use outbox_decoder::Timestamp;
use postgres_protocol::escape::escape_identifier;
use tokio_postgres::Client;

use super::super::{Failure, Refusal};
use super::reader::Reader;
use crate::config::{OutboxSettings, Settings};
use crate::postgres::Published;
use crate::replay::{Rows, RowsError, Selection, Table};

/// Marks what is published once more.
pub(super) const REPLAYED_BY: &str = "recover";

/// An outbox whose rows can be chosen.
#[derive(Debug)]
pub(super) struct Outbox {
    /// `schema.table`.
    pub(super) name: String,
    pub(super) rows: Rows,
    pub(super) by: By,
    id: String,
    /// What the configuration calls it, where it keeps its delivery state.
    pub(super) keeps_deliveries: Option<String>,
    /// What a row must meet to be in the publication.
    filter: Option<String>,
}

/// The column that says when a row was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct By {
    pub(super) column: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    WithZone,
    /// Taken as UTC.
    WithoutZone,
    /// Milliseconds since the Unix epoch.
    Milliseconds,
}

impl By {
    /// `None` when there is no such column; `Err` with its type when that is no point in time.
    fn of(table: &Table, column: &str) -> Option<Result<Self, String>> {
        let kind = match table.type_of(column)? {
            "timestamptz" => Kind::WithZone,
            "timestamp" => Kind::WithoutZone,
            "int8" => Kind::Milliseconds,
            other => return Some(Err(other.to_owned())),
        };
        let column = column.to_owned();
        Some(Ok(Self { column, kind }))
    }

    /// Microseconds since the Unix epoch; NULL for what is no time.
    fn microseconds(&self) -> String {
        let column = escape_identifier(&self.column);
        match self.kind {
            Kind::WithZone | Kind::WithoutZone => {
                format!("CASE WHEN isfinite({column}) THEN extract(epoch FROM {column}) * 1000000 END")
            }
            Kind::Milliseconds => format!("{column} * 1000"),
        }
    }

    fn literal(&self, at: Timestamp) -> String {
        let microseconds = at.as_unix_us();
        match self.kind {
            Kind::WithZone => format!("timestamptz 'epoch' + {microseconds} * interval '1 microsecond'"),
            Kind::WithoutZone => format!("timestamp 'epoch' + {microseconds} * interval '1 microsecond'"),
            Kind::Milliseconds => at.as_unix_ms().to_string(),
        }
    }
}

impl Outbox {
    /// Every outbox of the configuration.
    pub(super) async fn all(
        reader: &Reader,
        settings: &Settings,
        by: Option<&str>,
        published: &Published,
    ) -> Result<Vec<Self>, Failure> {
        let mut outboxes = Vec::new();
        for (name, outbox) in &settings.outbox {
            let known = Self::of(reader, outbox, by, published).await?;
            outboxes.push(Self {
                keeps_deliveries: outbox.delivery_state.then(|| name.clone()),
                ..known
            });
        }
        Ok(outboxes)
    }

    async fn of(
        reader: &Reader,
        outbox: &OutboxSettings,
        by: Option<&str>,
        published: &Published,
    ) -> Result<Self, Failure> {
        let OutboxSettings {
            schema, table, columns, ..
        } = outbox;
        let name = format!("{schema}.{table}");
        let rows = match Rows::of(reader.client(), outbox, REPLAYED_BY).await {
            Err(RowsError::NoId(_)) => return Err(without_id(&name)),
            rows => rows.map_err(|error| reader.failed(&name, error))?,
        };
        let column = by.or(columns.created_at.as_deref());
        let by = column.and_then(|column| By::of(rows.table(), column));
        let by = match by {
            Some(Ok(by)) => by,
            Some(Err(kind)) => return Err(not_a_time(&name, column.unwrap_or_default(), &kind)),
            None => return Err(without_time(&name, column)),
        };
        Ok(Self {
            by,
            id: columns.id.clone().unwrap_or_default(),
            keeps_deliveries: None,
            filter: published.row_filter(schema, table).map(str::to_owned),
            rows,
            name,
        })
    }

    /// Rows since then. Those without a time are among them, at the end: they may be of any.
    pub(super) fn selection(&self, since: Timestamp) -> Selection {
        let (by, id) = (escape_identifier(&self.by.column), escape_identifier(&self.id));
        let since = self.by.literal(since);
        Selection {
            at: self.by.microseconds(),
            condition: self.published(&format!("({by} >= {since} OR {by} IS NULL)")),
            order: format!("{by}, {id}"),
        }
    }

    /// When the newest row before then was written; `None` when none was.
    pub(super) async fn newest_before(
        &self,
        client: &Client,
        at: Timestamp,
    ) -> Result<Option<Timestamp>, tokio_postgres::Error> {
        let (by, before) = (escape_identifier(&self.by.column), self.by.literal(at));
        let condition = self.published(&format!("{by} < {before}"));
        // The order and not max(), for the sake of `-infinity`.
        let statement = format!(
            "SELECT ({})::bigint FROM {} WHERE {condition} ORDER BY {by} DESC LIMIT 1",
            self.by.microseconds(),
            self.rows.table().quoted()
        );
        let row = client.query_opt(&statement, &[]).await?;
        let at: Option<Option<i64>> = row.map(|row| row.try_get(0)).transpose()?;
        Ok(at.flatten().map(Timestamp::from_unix_us))
    }

    fn published(&self, condition: &str) -> String {
        match &self.filter {
            Some(filter) => format!("{condition} AND ({filter})"),
            None => condition.to_owned(),
        }
    }
}

fn without_id(table: &str) -> Failure {
    Failure::new(
        Refusal::RecoveryImpossible,
        format!("table {table} has no id: its rows had keys made of their positions, which nothing can make again"),
        "docs/RECOVERY.md says what can be done by hand; to recover the other outboxes, leave this one out of the \
         configuration and of the publication",
    )
}

fn without_time(table: &str, column: Option<&str>) -> Failure {
    let what = match column {
        Some(column) => format!("table {table} has no column {column} that would say when a row was written"),
        None => format!("no column of table {table} is known to say when a row was written"),
    };
    Failure::new(
        Refusal::RecoveryImpossible,
        what,
        "name one with --by COLUMN, of the type timestamptz, timestamp or bigint (milliseconds)",
    )
}

fn not_a_time(table: &str, column: &str, kind: &str) -> Failure {
    Failure::new(
        Refusal::RecoveryImpossible,
        format!("column {column} of table {table} is of the type {kind}, which says no time"),
        "name another one with --by COLUMN, of the type timestamptz, timestamp or bigint (milliseconds)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_compared_in_the_columns_own_type() {
        let at = Timestamp::from_unix_us(1_500);
        let by = |kind| By {
            column: "at".to_owned(),
            kind,
        };
        assert_eq!(
            by(Kind::WithZone).literal(at),
            "timestamptz 'epoch' + 1500 * interval '1 microsecond'"
        );
        assert_eq!(
            by(Kind::WithoutZone).literal(at),
            "timestamp 'epoch' + 1500 * interval '1 microsecond'"
        );
        assert_eq!(by(Kind::Milliseconds).literal(at), "1");
        assert_eq!(by(Kind::Milliseconds).microseconds(), "\"at\" * 1000");
    }
}

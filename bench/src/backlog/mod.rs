//! Fills the outbox table: a backlog for whoever drains it.

mod payload;

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

use crate::database::Database;
use crate::failure::Failure;
use crate::progress::Progress;
pub(crate) use payload::{Payload, row_number};

/// The type of every row; it chooses the topic.
pub(crate) const AGGREGATE_TYPE: &str = "order";

/// As an application commits that writes in batches.
pub(crate) const ROWS_PER_TRANSACTION: u32 = 100;
/// Rows that go to the server in one statement: enough to be quick, few enough to show progress.
const ROWS_PER_STATEMENT: u32 = 10_000;

/// Which rows are of one aggregate, that is: have one key and stay in order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keys {
    /// Each row of its own.
    Distinct,
    /// As many aggregates, in turn.
    Repeated { aggregates: u32 },
}

impl Keys {
    /// The number of row `i`'s aggregate as SQL.
    fn number(self) -> String {
        match self {
            Keys::Distinct => "i".to_owned(),
            Keys::Repeated { aggregates } => format!("i % {aggregates}"),
        }
    }
}

impl Payload {
    /// Inserts the rows `first` to `last`, whose payloads are prepared.
    pub(crate) fn rows(self, keys: Keys, first: &str, last: &str) -> String {
        self.rows_of(PayloadType::Json, keys, first, last)
    }

    fn rows_of(self, payload_type: PayloadType, keys: Keys, first: &str, last: &str) -> String {
        let (number, document) = (keys.number(), payload_type.of(&self.document()));
        format!(
            r"INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
               SELECT '{AGGREGATE_TYPE}', 'order-' || lpad(({number})::text, 8, '0'), 'order_placed',
                      {document}
               FROM generate_series({first}, {last}) AS i;"
        )
    }
}

/// The type of the column that holds the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PayloadType {
    /// As the relay's own `migrate` makes the table.
    Json,
    Jsonb,
    Text,
    Bytea,
}

impl PayloadType {
    /// A document, given as an SQL expression of type text.
    fn of(self, document: &str) -> String {
        match self {
            PayloadType::Bytea => format!("convert_to({document}, 'UTF8')"),
            other => format!("{document}::{other}"),
        }
    }

    /// Empties the table and gives the column this type.
    pub(crate) fn prepare(self, database: &Database) -> Result<(), Failure> {
        let sql = format!("TRUNCATE outbox; ALTER TABLE outbox ALTER payload TYPE {self} USING NULL");
        database.execute("empty the outbox", &sql)
    }
}

impl fmt::Display for PayloadType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PayloadType::Json => "json",
            PayloadType::Jsonb => "jsonb",
            PayloadType::Text => "text",
            PayloadType::Bytea => "bytea",
        })
    }
}

/// Rows to be filled in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filling {
    pub(crate) rows: u32,
    pub(crate) rows_per_transaction: u32,
    pub(crate) payload: Payload,
    pub(crate) payload_type: PayloadType,
    pub(crate) keys: Keys,
}

impl Filling {
    /// Fills them in. Returns the bytes of WAL that this took.
    pub(crate) fn fill(self, database: &Database) -> Result<f64, Failure> {
        self.payload.prepare(database)?;
        let before = database.end_of_wal()?;
        let progress = Progress::new("filling in rows", self.rows);
        let mut done = 0;
        while done < self.rows {
            let until = self.rows.min(done.saturating_add(self.rows_per_statement()));
            database.execute("take the rows", &self.statement(done + 1, until))?;
            done = until;
            progress.set(done);
        }
        database.wal_bytes_since(&before)
    }

    /// Whole transactions.
    fn rows_per_statement(self) -> u32 {
        let transactions = (ROWS_PER_STATEMENT / self.rows_per_transaction).max(1);
        transactions * self.rows_per_transaction
    }

    fn statement(self, first: u32, last: u32) -> String {
        let step = self.rows_per_transaction;
        let insert = self
            .payload
            .rows_of(self.payload_type, self.keys, "low", "least(low + step - 1, high)");
        format!(
            "DO $$ DECLARE step CONSTANT int := {step}; high CONSTANT int := {last};
             BEGIN
                 FOR low IN {first} .. high BY step LOOP {insert} COMMIT; END LOOP;
             END $$"
        )
    }
}

/// Fills in rows of the relay's own table, so many a transaction. Returns the bytes of WAL that this took.
pub(crate) fn fill(database: &Database, rows: u32, rows_per_transaction: u32, keys: Keys) -> Result<f64, Failure> {
    let filling = Filling {
        rows,
        rows_per_transaction,
        payload: Payload::USUAL,
        payload_type: PayloadType::Json,
        keys,
    };
    filling.fill(database)
}

/// Fills in rows as one transaction.
pub(crate) fn fill_at_once(database: &Database, rows: u32, payload: Payload) -> Result<(), Failure> {
    payload.prepare(database)?;
    database.execute("take the rows", &payload.rows(Keys::Distinct, "1", &rows.to_string()))
}

/// Takes all rows away, and what they have left in the indexes, so that whoever comes next does not pay for them.
pub(crate) fn take_away(database: &Database) -> Result<(), Failure> {
    database.execute("empty the outbox", "TRUNCATE outbox")?;
    database.execute("write a checkpoint", "CHECKPOINT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_fills_in_whole_transactions() {
        let rows_per_statement = |rows_per_transaction| {
            let filling = Filling {
                rows: 1,
                rows_per_transaction,
                payload: Payload::USUAL,
                payload_type: PayloadType::Json,
                keys: Keys::Distinct,
            };
            filling.rows_per_statement()
        };
        assert_eq!(rows_per_statement(1), 10_000);
        assert_eq!(rows_per_statement(3_000), 9_000);
        assert_eq!(rows_per_statement(1_000_000), 1_000_000);
    }
}

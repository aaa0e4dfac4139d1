//! Fills the outbox table: a backlog for whoever drains it.

use crate::database::Database;
use crate::failure::Failure;
use crate::progress::Progress;

/// The type of every row; it chooses the topic.
pub(crate) const AGGREGATE_TYPE: &str = "order";

/// As an application commits that writes in batches.
pub(crate) const ROWS_PER_TRANSACTION: u32 = 100;
/// Rows that go to the server in one statement: enough to be quick, few enough to show progress.
const ROWS_PER_STATEMENT: u32 = 10_000;

/// What a row carries.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Payload {
    /// About 600 bytes of row on the wire. An order as an application would write it: names repeat, values do not.
    Large,
    /// About 100 bytes of payload.
    Small,
    /// A row of this many bytes on the wire: as `Large` where that fits, otherwise as `Small`.
    OfRow { row_bytes: u32 },
}

/// What a row has on the wire beside its payload: frame, columns and their lengths.
const BESIDE_PAYLOAD_BYTES: u32 = 120;
/// The whole beginning of a large document fits in this.
const LARGE_BEGINNING_BYTES: u32 = 320;
/// Documents begin with the number of their row.
const NUMBER_FOLLOWS: &[u8] = br#"{"order_id":"#;

/// The smallest row that [`Payload::OfRow`] can make.
pub(crate) const ROW_BYTES_MIN: i64 = 220;

/// The number of the row that a document was made for.
pub(crate) fn row_number(document: &[u8]) -> Option<u32> {
    let rest = document.strip_prefix(NUMBER_FOLLOWS)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

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
    /// The beginning of the document for row `i` as SQL; it ends inside a string that is filled up.
    const fn beginning(self) -> &'static str {
        match self {
            Payload::OfRow { .. } if self.bytes() < LARGE_BEGINNING_BYTES => Payload::Small.beginning(),
            Payload::Large | Payload::OfRow { .. } => {
                r#"format('{"order_id":%s,"customer_id":"%s","placed_at":"2026-01-05T09:30:00Z","currency":"EUR",' ||
                    '"total_cents":%s,"lines":[{"sku":"SKU-%s","quantity":%s,"unit_price_cents":1299},' ||
                    '{"sku":"SKU-%s","quantity":%s,"unit_price_cents":450}],"note":"',
                    i, md5(i::text), i::int8 * 7919 % 100000, i::int8 * 31 % 9973, i % 9, i::int8 * 17 % 9973, i % 5)"#
            }
            Payload::Small => r#"format('{"order_id":%s,"customer_id":"%s","note":"', i, md5(i::text))"#,
        }
    }

    /// The document's size.
    const fn bytes(self) -> u32 {
        match self {
            Payload::Large => 480,
            Payload::Small => 100,
            Payload::OfRow { row_bytes } => row_bytes.saturating_sub(BESIDE_PAYLOAD_BYTES),
        }
    }

    /// Inserts the rows `first` to `last`.
    pub(crate) fn rows(self, keys: Keys, first: &str, last: &str) -> String {
        let (beginning, filled) = (self.beginning(), self.bytes() - 2);
        let number = keys.number();
        format!(
            r#"INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
               SELECT '{AGGREGATE_TYPE}', 'order-' || lpad(({number})::text, 8, '0'), 'order_placed',
                      (rpad({beginning}, {filled}, 'please ring twice ') || '"}}')::json
               FROM generate_series({first}, {last}) AS i;"#
        )
    }
}

/// Fills in rows, so many a transaction. Returns the bytes of WAL that this took.
pub(crate) fn fill(database: &Database, rows: u32, rows_per_transaction: u32, keys: Keys) -> Result<f64, Failure> {
    let before = database.end_of_wal()?;
    let progress = Progress::new("filling in rows", rows);
    let mut done = 0;
    while done < rows {
        let until = rows.min(done + ROWS_PER_STATEMENT);
        let insert = Payload::Large.rows(keys, "low", "least(low + step - 1, high)");
        let statement = format!(
            "DO $$ DECLARE step CONSTANT int := {rows_per_transaction}; high CONSTANT int := {until};
             BEGIN
                 FOR low IN {} .. high BY step LOOP {insert} COMMIT; END LOOP;
             END $$",
            done + 1
        );
        database.execute("take the rows", &statement)?;
        done = until;
        progress.set(done);
    }
    database.wal_bytes_since(&before)
}

/// Fills in rows as one transaction.
pub(crate) fn fill_at_once(database: &Database, rows: u32, payload: Payload) -> Result<(), Failure> {
    database.execute("take the rows", &payload.rows(Keys::Distinct, "1", &rows.to_string()))
}

#[cfg(test)]
mod tests {
    use super::row_number;

    #[test]
    fn a_document_tells_its_row() {
        assert_eq!(row_number(br#"{"order_id":4711,"note":""}"#), Some(4711));
        assert_eq!(row_number(br#"{"order_id":,"note":""}"#), None);
        assert_eq!(row_number(b"{}"), None);
    }
}

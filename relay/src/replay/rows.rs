//! Rows of an outbox table as records, by the mapping that the stream has: the table is described to the decoder, and each
//! row handed to it, in the bytes that the stream would have had.

use std::pin::Pin;

use futures_util::Stream;
use outbox_decoder::outbox::{OutboxDecoder, RowError};
use outbox_decoder::pgoutput::Message;
use outbox_decoder::{Envelope, Lsn, MappingError, OutboxTable, Position, Timestamp};
use tokio_postgres::{Client, CopyOutStream};

use super::copy::{CopyReader, Form};
use super::{OCCURRED_AT_HEADER, REPLAY_HEADER, Record, Table};
use crate::config::OutboxSettings;
use crate::postgres::PostgresError;

/// A row has none outside of the stream; the header that it would become is left out.
const NO_POSITION: Position = Position {
    commit_lsn: Lsn::ZERO,
    ordinal: 0,
    xid: 0,
};
const POSITION_HEADER: &str = "position";

/// Which rows, in which order: SQL, over the table's columns.
#[derive(Debug, Clone)]
pub struct Selection {
    /// When a row was written, as a bigint of microseconds since the Unix epoch.
    pub at: String,
    /// A condition.
    pub condition: String,
    /// What to sort by.
    pub order: String,
}

/// One row that was read.
#[derive(Debug)]
pub struct ReadRow {
    /// What [`Selection::at`] gives for it.
    pub at: Option<Timestamp>,
    /// Its id as PostgreSQL prints it, to name it by.
    pub id: String,
    /// The record, or why there is none.
    pub record: Result<Record, MappingError>,
}

/// Why rows cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// What the server or the connection said.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The table is not there.
    #[error("table {0} does not exist")]
    NoTable(String),
    /// The outbox has no id, so that a row has no idempotency key that could be made again.
    #[error("rows of {0} have no id: they cannot be recognised when they come again")]
    NoId(String),
}

impl From<tokio_postgres::Error> for RowsError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error.into())
    }
}

/// An outbox whose rows can be read.
#[derive(Debug)]
pub struct Rows {
    table: Table,
    outbox: OutboxTable,
    id_column: String,
    /// What the records are marked with.
    replayed_by: &'static str,
}

impl Rows {
    /// Looks the table up. Its records will say that they are replayed by `replayed_by`.
    ///
    /// # Errors
    /// See [`RowsError`].
    pub async fn of(client: &Client, outbox: &OutboxSettings, replayed_by: &'static str) -> Result<Self, RowsError> {
        let name = format!("{}.{}", outbox.schema, outbox.table);
        let id_column = outbox.columns.id.clone().ok_or_else(|| RowsError::NoId(name.clone()))?;
        let table = Table::look(client, &outbox.schema, &outbox.table).await?;
        Ok(Self {
            table: table.ok_or(RowsError::NoTable(name))?,
            outbox: OutboxTable {
                schema: outbox.schema.clone(),
                table: outbox.table.clone(),
                columns: outbox.columns.clone(),
                topic: outbox.topic.clone(),
                metadata_headers: outbox.metadata_headers.clone(),
            },
            id_column,
            replayed_by,
        })
    }

    /// The table, with all of its columns.
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// Begins to read. One row is held at a time; the server sorts.
    ///
    /// # Errors
    /// See [`RowsError`].
    pub async fn read(&self, client: &Client, selection: &Selection) -> Result<RowStream, RowsError> {
        let table = self.table.clone().mapped(&self.outbox.columns);
        let id = postgres_protocol::escape::escape_identifier(&self.id_column);
        let Selection { at, condition, order } = selection;
        // Named otherwise than the table's own columns, which the order speaks of.
        let selected = [format!("({at})::bigint"), format!("{id}::text")]
            .into_iter()
            .chain(table.selected());
        let named: Vec<String> = (0..)
            .zip(selected)
            .map(|(nth, column): (u32, _)| format!("{column} AS \"replayed {nth}\""))
            .collect();
        let statement = format!(
            "COPY (SELECT {} FROM {} WHERE {condition} ORDER BY {order}) TO STDOUT (FORMAT binary)",
            named.join(", "),
            table.quoted()
        );
        let copied = client.copy_out(&statement).await?;
        // No row is without an id here, so that the cluster's number goes into no key.
        let mut decoder = OutboxDecoder::new(vec![self.outbox.clone()], 0);
        describe(&mut decoder, &table)?;
        Ok(RowStream {
            copied: Box::pin(copied),
            reader: CopyReader::default(),
            decoder,
            oid: table.oid,
            forms: table.forms(),
            replayed_by: self.replayed_by,
        })
    }
}

fn describe(decoder: &mut OutboxDecoder, table: &Table) -> Result<(), PostgresError> {
    for message in table.description() {
        match Message::parse(&message)? {
            Message::Type { oid, schema, name } => decoder.describe_type(oid, schema, name),
            Message::Relation(relation) => decoder.describe(&relation)?,
            _ => {}
        }
    }
    Ok(())
}

/// Rows, one after the other.
pub struct RowStream {
    copied: Pin<Box<CopyOutStream>>,
    reader: CopyReader,
    decoder: OutboxDecoder,
    oid: u32,
    forms: Vec<Form>,
    replayed_by: &'static str,
}

impl RowStream {
    /// The next row; `None` after the last one.
    ///
    /// # Errors
    /// See [`RowsError`].
    pub async fn next(&mut self) -> Result<Option<ReadRow>, RowsError> {
        loop {
            let copied = self
                .reader
                .next(self.oid, &self.forms)
                .map_err(|error| unreadable(&error))?;
            if let Some(row) = copied {
                return Ok(Some(ReadRow {
                    at: row.at_us.map(Timestamp::from_unix_us),
                    id: row.id.unwrap_or_default(),
                    record: self.record(&row.insert)?,
                }));
            }
            match std::future::poll_fn(|context| self.copied.as_mut().poll_next(context)).await {
                Some(piece) => self.reader.push(&piece?),
                None if self.reader.is_over() => return Ok(None),
                None => return Err(PostgresError::Closed.into()),
            }
        }
    }

    fn record(&mut self, insert: &[u8]) -> Result<Result<Record, MappingError>, PostgresError> {
        let Message::Insert { oid, tuple } = Message::parse(insert)? else {
            return Err(unreadable(&"no insert"));
        };
        // When the transaction committed is not known; nothing is made of it here.
        match self.decoder.envelope(oid, tuple, NO_POSITION, Timestamp::default()) {
            Ok(envelope) => Ok(Ok(record(&envelope, self.replayed_by))),
            Err(RowError::Mapping(error)) => Ok(Err(error)),
            Err(RowError::Decode(error)) => Err(error.into()),
        }
    }
}

fn unreadable(what: &dyn std::fmt::Display) -> PostgresError {
    PostgresError::Unexpected {
        got: what.to_string(),
        wanted: "rows of a COPY in binary form",
    }
}

/// The sending time is its own timestamp.
fn record(envelope: &Envelope<'_>, replayed_by: &str) -> Record {
    let bytes = |text: &outbox_decoder::Text<'_>| text.as_bytes().to_vec();
    let mut headers = Vec::with_capacity(envelope.header_count() + 2);
    envelope.for_each_header(|name, value| {
        if name != POSITION_HEADER {
            headers.push((name.to_owned(), value.to_vec()));
        }
    });
    headers.push((REPLAY_HEADER.to_owned(), replayed_by.as_bytes().to_vec()));
    if let Some(at) = envelope.occurred_at {
        headers.push((OCCURRED_AT_HEADER.to_owned(), at.as_unix_ms().to_string().into_bytes()));
    }
    Record {
        topic: envelope.topic.clone(),
        key: envelope.key.as_ref().map(bytes),
        headers,
        payload: envelope.payload.as_ref().map(bytes),
        timestamp_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use outbox_decoder::Columns;

    use super::*;

    /// A table with the columns of the preset, as the catalog would have it, and one row.
    fn replayed(created_at: Option<i64>) -> Record {
        let outbox = OutboxTable {
            schema: "public".to_owned(),
            table: "outbox".to_owned(),
            columns: Columns::standard(),
            topic: "outbox.{aggregate_type}".parse().expect("a template"),
            metadata_headers: Vec::new(),
        };
        let mut decoder = OutboxDecoder::new(vec![outbox], 0);
        let mut relation = b"R\0\0\0\x09public\0outbox\0d\0\x05".to_vec();
        for (name, oid) in [
            ("id", 25_u32),
            ("aggregate_type", 25),
            ("aggregate_id", 25),
            ("payload", 25),
            ("created_at", 1184),
        ] {
            relation.push(0);
            relation.extend(name.as_bytes());
            relation.push(0);
            relation.extend(oid.to_be_bytes());
            relation.extend((-1_i32).to_be_bytes());
        }
        let Ok(Message::Relation(body)) = Message::parse(&relation) else {
            panic!("no relation");
        };
        decoder.describe(&body).expect("described");
        let mut insert = b"I\0\0\0\x09N\0\x05b\0\0\0\x02a1b\0\0\0\x05orderb\0\0\0\x017b\0\0\0\x02{}".to_vec();
        match created_at {
            None => insert.push(b'n'),
            Some(at) => insert.extend([b"b\0\0\0\x08", &at.to_be_bytes()[..]].concat()),
        }
        let Ok(Message::Insert { oid, tuple }) = Message::parse(&insert) else {
            panic!("no insert");
        };
        let envelope = decoder.envelope(oid, tuple, NO_POSITION, Timestamp::default());
        record(&envelope.expect("an envelope"), "test")
    }

    #[test]
    fn a_replayed_record_has_its_key_says_that_it_is_replayed_and_has_no_position() {
        let record = replayed(Some(1_000));
        let header = |name| record.header(name).map(String::from_utf8_lossy);
        assert_eq!(
            (record.topic.as_str(), record.key.as_deref()),
            ("outbox.order", Some(&b"7"[..]))
        );
        assert_eq!(
            (header("id").as_deref(), header("replay").as_deref()),
            (Some("a1"), Some("test"))
        );
        assert_eq!(header("occurred_at").as_deref(), Some("946684800001"));
        assert_eq!((header("position"), record.timestamp_ms), (None, None));
    }

    #[test]
    fn when_a_row_without_a_time_happened_is_not_invented() {
        assert_eq!(replayed(None).header("occurred_at"), None);
    }
}

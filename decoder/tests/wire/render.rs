//! A capture as text, with everything that differs from run to run replaced by what it stands for.
//!
//! A transaction is `T1`, `T2` and so on instead of its LSN, xid and time; a table or a type made by the script is its
//! name instead of its oid. The text after this is the same for every run of the script, and what really is there is
//! checked on the way: LSNs ascend, a Commit matches its Begin, and times are real. A transaction without a message is
//! one line and has no number.

use std::collections::BTreeMap;
use std::fmt::Write;

use outbox_decoder::outbox::OutboxDecoder;
use outbox_decoder::pgoutput::{Column, Message, RelationBody, Tuple};
use outbox_decoder::stream::{COPY_DATA, StreamMessage};
use outbox_decoder::{Envelope, Lsn, Position, Text, Timestamp};

use crate::captures::cut;
use crate::tables::{SYSTEM_IDENTIFIER, outbox_tables};

/// Oids from here on are given out while the server runs.
const FIRST_NORMAL_OID: u32 = 16_384;

/// A time at which these tests already existed.
const LONG_AGO_MS: i64 = 1_750_000_000_000;

/// What is shown of a value of more bytes than this.
const SHOWN_BYTES_MAX: usize = 80;

struct Rendering {
    text: String,
    decoder: OutboxDecoder,
    tables: BTreeMap<u32, String>,
    types: BTreeMap<u32, String>,
    transactions: u32,
    /// The transaction that is open: where it commits, when, its xid, and how many rows it had.
    open: Option<Position>,
    /// Whether nothing of the open transaction was shown yet.
    empty: bool,
    committed_at: Timestamp,
    last_end: Lsn,
    last_wal_end: Lsn,
}

/// The text of a capture.
pub(crate) fn render(capture: &[u8]) -> String {
    let (frames, rest) = cut(capture);
    assert_eq!(rest, Ok(&[][..]), "a capture ends with a whole frame");
    let mut rendering = Rendering {
        text: String::new(),
        decoder: OutboxDecoder::new(outbox_tables(), SYSTEM_IDENTIFIER),
        tables: BTreeMap::new(),
        types: BTreeMap::new(),
        transactions: 0,
        open: None,
        empty: false,
        committed_at: Timestamp::default(),
        last_end: Lsn::ZERO,
        last_wal_end: Lsn::ZERO,
    };
    for frame in frames {
        assert_eq!(frame.tag, COPY_DATA, "a frame of another kind");
        match StreamMessage::parse(frame.body).expect("a replication message") {
            StreamMessage::XLogData(message) => rendering.message(message),
            StreamMessage::Keepalive { wal_end, sent_at, .. } => rendering.keepalive(wal_end, sent_at),
        }
    }
    assert_eq!(rendering.open, None, "a capture ends between two transactions");
    rendering.text
}

impl Rendering {
    /// When they come differs from run to run.
    fn keepalive(&mut self, wal_end: Lsn, sent_at: Timestamp) {
        assert!(wal_end >= self.last_wal_end, "keepalives never go back");
        assert!(sent_at.as_unix_ms() > LONG_AGO_MS);
        self.last_wal_end = wal_end;
    }

    fn line(&mut self, line: &str) {
        if self.empty {
            self.empty = false;
            self.transactions += 1;
            let _ = writeln!(self.text, "T{} begin", self.transactions);
        }
        let indent = if self.open.is_some() { "  " } else { "" };
        let _ = writeln!(self.text, "{indent}{line}");
    }

    fn message(&mut self, bytes: &[u8]) {
        match Message::parse(bytes).expect("a message of the plugin") {
            Message::Begin {
                commit_lsn,
                committed_at,
                xid,
            } => {
                assert_eq!(self.open, None, "a transaction inside another");
                assert!(
                    commit_lsn >= self.last_end,
                    "transactions come in the order of their commits"
                );
                assert!(xid > 0 && committed_at.as_unix_ms() > LONG_AGO_MS);
                self.empty = true;
                self.committed_at = committed_at;
                self.open = Some(Position {
                    commit_lsn,
                    ordinal: 0,
                    xid,
                });
            }
            Message::Commit { position, committed_at } => {
                let open = self.open.take().expect("a Commit ends what a Begin began");
                assert_eq!(position.commit_lsn(), open.commit_lsn);
                assert_eq!(committed_at, self.committed_at);
                self.last_end = position.end_lsn();
                if std::mem::take(&mut self.empty) {
                    self.line("an empty transaction");
                } else {
                    self.line(&format!("T{} commit", self.transactions));
                }
            }
            Message::Relation(relation) => self.relation(&relation),
            Message::Type { oid, schema, name } => {
                let made_by = if oid < FIRST_NORMAL_OID {
                    "the server"
                } else {
                    "the script"
                };
                self.line(&format!("type made by {made_by}: {schema:?}.{name:?}"));
                self.types.insert(oid, format!("{schema:?}.{name:?}"));
                self.decoder.describe_type(oid, schema, name);
            }
            Message::Insert { oid, tuple } => self.insert(oid, tuple),
            Message::Update { oid } => self.line(&format!("update {}", self.table(oid))),
            Message::Delete { oid } => self.line(&format!("delete {}", self.table(oid))),
            Message::Truncate { tables } => self.line(&format!("truncate {tables} tables")),
            Message::Logical {
                transactional,
                prefix,
                content,
            } => {
                let kind = if transactional { "transactional" } else { "standalone" };
                self.line(&format!("{kind} message {prefix:?} {}", bytes_text(content)));
            }
            Message::Origin { name } => self.line(&format!("origin {name:?}")),
        }
    }

    fn relation(&mut self, relation: &RelationBody<'_>) {
        let name = format!("{:?}.{:?}", relation.schema, relation.table);
        let column = |column: Result<outbox_decoder::pgoutput::RelationColumn<'_>, _>| {
            let column = column.expect("a column that was checked");
            format!("{:?} {}", column.name, self.type_name(column.type_oid))
        };
        let columns: Vec<String> = relation.columns().map(column).collect();
        self.line(&format!("relation {name} ({})", columns.join(", ")));
        self.tables.insert(relation.oid, name);
        self.decoder.describe(relation).expect("a description that was checked");
    }

    fn type_name(&self, oid: u32) -> String {
        match self.types.get(&oid) {
            Some(name) => name.clone(),
            None if oid < FIRST_NORMAL_OID => oid.to_string(),
            None => panic!("a type that was not named before it is used"),
        }
    }

    fn table(&self, oid: u32) -> &str {
        self.tables.get(&oid).expect("a table that was described")
    }

    fn insert(&mut self, oid: u32, tuple: Tuple<'_>) {
        let position = self.open.expect("a row is part of a transaction");
        let mut columns = tuple.columns();
        let values: Vec<String> = columns
            .by_ref()
            .map(|column| column_text(column.expect("a column")))
            .collect();
        columns.end().expect("a row ends with its last column");
        self.line(&format!("insert {} ({})", self.table(oid), values.join(", ")));

        let envelope = self.decoder.envelope(oid, tuple, position, self.committed_at);
        let lines = match envelope {
            Ok(envelope) => envelope_lines(&envelope, self.transactions),
            Err(error) => vec![format!("refused: {error}")],
        };
        for line in lines {
            self.line(&format!("    {line}"));
        }
        self.open = Some(Position {
            ordinal: position.ordinal + 1,
            ..position
        });
    }
}

fn envelope_lines(envelope: &Envelope<'_>, transaction: u32) -> Vec<String> {
    let position = envelope.position;
    let optional = |text: Option<&[u8]>| text.map_or_else(|| "none".to_owned(), bytes_text);
    let time = envelope
        .occurred_at
        .map_or_else(|| "that of the commit".to_owned(), |time| time.as_unix_us().to_string());
    let used = envelope.occurred_at.unwrap_or(envelope.committed_at);
    assert_eq!(envelope.timestamp_ms(), used.as_unix_ms());
    let mut lines = vec![
        format!("topic {}", envelope.topic),
        format!("key {}", optional(envelope.key.as_ref().map(Text::as_bytes))),
        format!("payload {}", optional(envelope.payload.as_ref().map(Text::as_bytes))),
        format!("time {time}"),
    ];
    let derived = format!(
        "{SYSTEM_IDENTIFIER}-{:016X}-{:08X}",
        position.commit_lsn.as_u64(),
        position.ordinal
    );
    let place = format!(
        "{:016X}-{:08X}-{}",
        position.commit_lsn.as_u64(),
        position.ordinal,
        position.xid
    );
    let mut headers = 0;
    envelope.for_each_header(|name, value| {
        let value = if value == place.as_bytes() {
            format!("T{transaction} row {}", position.ordinal)
        } else if value == derived.as_bytes() {
            format!("derived from T{transaction} row {}", position.ordinal)
        } else {
            bytes_text(value)
        };
        lines.push(format!("header {name}: {value}"));
        headers += 1;
    });
    assert_eq!(headers, envelope.header_count());
    lines
}

fn column_text(column: Column<'_>) -> String {
    match column {
        Column::Null => "NULL".to_owned(),
        Column::Unchanged => "unchanged".to_owned(),
        Column::Text(bytes) => format!("t {}", bytes_text(bytes)),
        Column::Binary(bytes) => format!("b {}", bytes_text(bytes)),
    }
}

/// Text in quotes; other bytes, and those of text that would not be seen, in hexadecimal.
fn bytes_text(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    let mut text = match std::str::from_utf8(shown) {
        Ok(text) if !text.contains('\0') => format!("{text:?}"),
        _ => shown.iter().fold("0x".to_owned(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
    };
    if shown.len() < bytes.len() {
        let _ = write!(text, "... {} bytes", bytes.len());
    }
    text
}

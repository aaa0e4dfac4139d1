//! What the server sends for rows of the standard outbox table, as `pgoutput` encodes them with `binary = true`.
//!
//! Source: PostgreSQL documentation, "Logical Replication Message Formats". The rows are of about the backlog's size; no byte
//! of a payload is looked at.

use std::iter;

use outbox_decoder::stream::COPY_DATA;
use outbox_decoder::{Columns, OutboxTable};

/// As an application commits that writes in batches.
pub(super) const ROWS_PER_TRANSACTION: u32 = 100;
/// Together about as large as one read of the relay from its socket.
pub(super) const TRANSACTIONS: u32 = 4;
/// Rows in the stream.
pub(super) const ROWS: u32 = ROWS_PER_TRANSACTION * TRANSACTIONS;
/// More than any frame here has.
pub(super) const FRAME_BYTES_MAX: usize = 1 << 20;

const OID: u32 = 16_500;
const SCHEMA: &str = "public";
const TABLE: &str = "outbox";
/// Bytes of the document in a row: with everything around it a row has about 600 bytes on the wire.
const PAYLOAD_BYTES: usize = 480;
const LSN_STEP: u64 = 64 * 1024;
/// 2026-01-05 09:30 UTC, in microseconds since 2000.
const COMMITTED_AT_US: i64 = 820_920_600_000_000;

/// Names of the columns and oids of their types.
const COLUMNS: [(&str, u32); 8] = [
    ("id", 2950),
    ("aggregate_type", 25),
    ("aggregate_id", 25),
    ("event_type", 25),
    ("payload", 114),
    ("metadata", 3802),
    ("version", 20),
    ("created_at", 1184),
];

/// How the relay is told to map them.
pub(super) fn table() -> OutboxTable {
    OutboxTable {
        schema: SCHEMA.to_owned(),
        table: TABLE.to_owned(),
        columns: Columns::standard(),
        topic: "outbox.event.{aggregate_type}".parse().expect("the default template"),
        metadata_headers: Vec::new(),
    }
}

/// The frame that describes the table.
pub(super) fn description() -> Vec<u8> {
    let mut message = vec![b'R'];
    message.extend(OID.to_be_bytes());
    for name in [SCHEMA, TABLE] {
        message.extend(name.bytes().chain(iter::once(0)));
    }
    message.push(b'd');
    message.extend(count(COLUMNS.len()).to_be_bytes());
    for (name, type_oid) in COLUMNS {
        message.push(0);
        message.extend(name.bytes().chain(iter::once(0)));
        message.extend(type_oid.to_be_bytes());
        message.extend((-1_i32).to_be_bytes());
    }
    let mut frames = Vec::new();
    push_frame(&mut frames, &message);
    frames
}

/// Whole transactions. Each time they are sent they are newer than before.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    bytes: Vec<u8>,
    /// Where the LSNs of a commit record stand, and which end of the record: 0 its start, 1 its end.
    lsns: Vec<(usize, u64)>,
    sent: u64,
}

impl Transactions {
    pub(super) fn new() -> Transactions {
        let mut transactions = Transactions::default();
        for transaction in 0..TRANSACTIONS {
            let begin = transactions.begin(transaction);
            transactions.push(&begin, &[(1, 0)]);
            for row in 0..ROWS_PER_TRANSACTION {
                let insert = insert(transaction * ROWS_PER_TRANSACTION + row);
                transactions.push(&insert, &[]);
            }
            let commit = transactions.commit();
            transactions.push(&commit, &[(2, 0), (10, 1)]);
        }
        transactions.renew();
        transactions
    }

    /// The frames as they are now.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives every transaction a commit record behind all those before.
    pub(super) fn renew(&mut self) {
        for &(place, end) in &self.lsns {
            // The three places of a transaction follow each other, the end of its record last.
            let lsn = (self.sent + 1) * LSN_STEP + end;
            self.bytes[place..place + 8].copy_from_slice(&lsn.to_be_bytes());
            self.sent += end;
        }
    }

    fn begin(&self, transaction: u32) -> Vec<u8> {
        let mut message = vec![b'B'];
        message.extend(self.sent.to_be_bytes());
        message.extend(COMMITTED_AT_US.to_be_bytes());
        message.extend((5_000_000 + transaction).to_be_bytes());
        message
    }

    fn commit(&self) -> Vec<u8> {
        let mut message = vec![b'C', 0];
        message.extend([self.sent.to_be_bytes(), self.sent.to_be_bytes()].concat());
        message.extend(COMMITTED_AT_US.to_be_bytes());
        message
    }

    fn push(&mut self, message: &[u8], lsns: &[(usize, u64)]) {
        let begin = push_frame(&mut self.bytes, message);
        self.lsns.extend(lsns.iter().map(|&(place, end)| (begin + place, end)));
    }
}

fn insert(row: u32) -> Vec<u8> {
    let mut message = vec![b'I'];
    message.extend(OID.to_be_bytes());
    message.push(b'N');
    message.extend(count(COLUMNS.len()).to_be_bytes());
    let mut value = |bytes: &[u8]| {
        message.push(b'b');
        message.extend(length(bytes.len()).to_be_bytes());
        message.extend(bytes);
    };
    value(&id(row));
    value(b"order");
    value(format!("order-{row:08}").as_bytes());
    value(b"order_placed");
    value(payload(row).as_bytes());
    // No metadata and no version.
    message.extend(*b"nn");
    message.push(b'b');
    message.extend(length(8).to_be_bytes());
    message.extend(COMMITTED_AT_US.to_be_bytes());
    message
}

fn id(row: u32) -> [u8; 16] {
    // Multiplied by odd numbers, every bit of it looks like chance.
    let high = u64::from(row).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
    let low = u64::from(row).wrapping_mul(0xC2B2_AE3D_27D4_EB4F).to_be_bytes();
    let mut id = [0; 16];
    id[..8].copy_from_slice(&high);
    id[8..].copy_from_slice(&low);
    id
}

fn payload(row: u32) -> String {
    let beginning = format!(
        r#"{{"order_id":{row},"currency":"EUR","total_cents":{},"note":""#,
        row * 7919 % 100_000
    );
    let filling = "please ring twice ".chars().cycle();
    let document: String = beginning.chars().chain(filling).take(PAYLOAD_BYTES - 2).collect();
    document + "\"}"
}

/// Appends one message of the plugin in its frame, and says where it begins.
fn push_frame(frames: &mut Vec<u8>, message: &[u8]) -> usize {
    const POSITIONS_AND_CLOCK: [u8; 24] = [0; 24];
    frames.push(COPY_DATA);
    frames.extend(length(4 + 1 + POSITIONS_AND_CLOCK.len() + message.len()).to_be_bytes());
    frames.push(b'w');
    frames.extend(POSITIONS_AND_CLOCK);
    frames.extend(message);
    frames.len() - message.len()
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a short message")
}

fn count(columns: usize) -> u16 {
    u16::try_from(columns).expect("few columns")
}

#[cfg(test)]
mod tests {
    use outbox_decoder::pgoutput::Message;
    use outbox_decoder::stream::{StreamMessage, split_frame};

    use super::*;

    fn messages(mut bytes: &[u8]) -> Vec<(usize, Message<'_>)> {
        let mut messages = Vec::new();
        while let Some(frame) = split_frame(bytes, FRAME_BYTES_MAX).expect("sound frames") {
            let Ok(StreamMessage::XLogData(message)) = StreamMessage::parse(frame.body) else {
                panic!("not of the plugin: {frame:?}");
            };
            messages.push((frame.bytes, Message::parse(message).expect("a message")));
            bytes = &bytes[frame.bytes..];
        }
        assert!(bytes.is_empty());
        messages
    }

    #[test]
    fn a_row_has_about_600_bytes_on_the_wire() {
        let transactions = Transactions::new();
        let rows: Vec<usize> = messages(transactions.bytes())
            .into_iter()
            .filter_map(|(bytes, message)| matches!(message, Message::Insert { .. }).then_some(bytes))
            .collect();
        assert_eq!(rows.len(), ROWS as usize);
        assert!(rows.iter().all(|bytes| (595..=610).contains(bytes)), "{rows:?}");
    }

    #[test]
    fn commits_only_go_forward() {
        let mut transactions = Transactions::new();
        let mut newest = 0;
        for _ in 0..2 {
            let mut begun = None;
            for (_, message) in messages(transactions.bytes()) {
                match message {
                    Message::Begin { commit_lsn, .. } => begun = Some(commit_lsn),
                    Message::Commit { position, .. } => {
                        assert_eq!(begun, Some(position.commit_lsn()));
                        assert!(position.commit_lsn().as_u64() > newest);
                        newest = position.end_lsn().as_u64();
                    }
                    _ => {}
                }
            }
            transactions.renew();
        }
    }
}
